"""What `import coreloss` offers, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import coreloss

NAMES = {
    *("Beam", "ELEMENTS", "SimulationSettings", "Simulator", "Spectrum", "TrainConfig"),
    *("__version__", "identify", "load_model", "map_elements", "open_image", "quantify"),
    *("quantify_image", "read_spectrum", "train"),
}


def test_the_public_names_are_these():
    assert set(coreloss.__all__) == NAMES
    assert set(dir(coreloss)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_is_there_and_described(name):
    thing = getattr(coreloss, name)
    assert thing is not None
    if callable(thing):
        assert thing.__doc__
        assert thing.__module__.startswith("coreloss.")


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="identfy"):
        coreloss.identfy  # noqa: B018


def test_importing_costs_no_heavy_library():
    code = "import coreloss, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_the_stub_says_where_each_name_is_defined():
    """Type checkers read the stub, Python reads it too: a name is imported from its own module."""
    stub = Path(coreloss.__file__).with_suffix(".pyi")
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        module = Path(coreloss.__file__).parent / f"{node.module.replace('.', '/')}.py"
        tree = ast.parse(module.read_text(encoding="utf-8"))
        defined = {getattr(n, "name", None) for n in tree.body}
        defined |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}
        defined |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)}
        assert {alias.name for alias in node.names} <= defined, node.module
