"""Rules for the source as a whole: import order, light imports, constructs, tracked files."""

import ast
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import coreloss

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "coreloss"

# Folders in the order of the data flow, as the docstring of the package names them.
ROOMS = tuple(re.search(r"\w+(?: ->\s+\w+)+", coreloss.__doc__).group().split(" ->"))
ROOMS = tuple(room.strip() for room in ROOMS)
WORDS = ("axis", "edges", "beam", "shipped")
# A result may draw itself: figures are imported inside the method, never at the top of a module.
LAZY_FROM_ANYWHERE = {"figures"}

TRAINING_LIBRARIES = {"torch", "numpy", "scipy", "h5py", "safetensors"}
OWN_LIBRARIES = {
    "atoms": {"numba"},
    "figures": {"matplotlib"},
    "reports": {"rich"},
    "cli": {"typer", "rich"},
    "study": {"matplotlib", "sklearn"},
}
HEAVY = {
    "exspy", "hyperspy", "matplotlib", "numba", "pandas", "periodictable", "pyEELSMODEL",
    "pymatgen", "rsciio", "seaborn", "sklearn", "xraydb",
}  # fmt: skip

BANNED_CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "pickle.load": "runs code from the file: use safetensors or HDF5",
    "pickle.loads": "runs code from the data: use safetensors or HDF5",
    "torch.load": "unpickles: use safetensors",
    "save_file": "leaves a file of its own when it is killed: write the bytes of `save`",
    "np.random.seed": "is global state: pass a generator",
    "numpy.random.seed": "is global state: pass a generator",
    "torch.manual_seed": "is global state: pass a generator",
    "torch.cuda.manual_seed_all": "is global state: pass a generator",
    "random.seed": "is global state: pass a generator",
    "os.chdir": "is global state: pass paths",
}
MAX_MODULE_LINES = 400  # of code: docstrings, tables in strings, comments, empty lines do not count
MAX_FUNCTION_LINES = 60


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def layer(path: Path) -> str:
    """The room that a file belongs to: networks/cnn.py -> networks; a word that all use: itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rank(name: str) -> int | None:
    """Place of a room in the order; words that every room uses come before all."""
    if name in WORDS:
        return 0
    return ROOMS.index(name) + 1 if name in ROOMS else None


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path):
    """(dotted name, at module level?) of every import; TYPE_CHECKING blocks do not count."""

    def visit(node, top):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield from ((name, top) for name in _from_names(path, child))
            else:
                inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from visit(child, top and not inner)

    yield from visit(tree_of(path), True)


def _from_names(path: Path, node: ast.ImportFrom) -> list[str]:
    base = node.module or ""
    if node.level:
        package = ("coreloss", *path.relative_to(PACKAGE).parent.parts)
        package = package[: len(package) - node.level + 1]
        base = ".".join((*package, *filter(None, [node.module])))
    if base == "coreloss":
        return [f"coreloss.{alias.name}" for alias in node.names]
    return [base]


def own_layer(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "coreloss" and len(parts) > 1 else None


def order_errors(path: Path) -> list[str]:
    me, errors = layer(path), []
    for name, top in imports(path):
        other = own_layer(name)
        if other is None or other == me or None in (rank(me), rank(other)):
            continue
        if rank(other) > rank(me) and (top or other not in LAZY_FROM_ANYWHERE):
            errors.append(f"{path.name} imports {other}, which comes after {me}")
    return errors


def own_libraries(name: str) -> set[str]:
    """Libraries beyond those of the training path that a module may import at its top."""
    return OWN_LIBRARIES.get(name, set())


def library_errors(path: Path) -> list[str]:
    allowed = TRAINING_LIBRARIES | own_libraries(layer(path)) | {"coreloss"}
    allowed |= set(sys.stdlib_module_names)
    roots = {name.split(".")[0] for name, top in imports(path) if top}
    return [f"{path.name} imports {root} at its top" for root in sorted(roots - allowed)]


def construct_errors(path: Path) -> list[str]:
    errors = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in BANNED_CALLS:
            errors.append(f"{path.name}:{node.lineno}: {name} {BANNED_CALLS[name]}")
        if isinstance(node, ast.Global):
            errors.append(f"{path.name}:{node.lineno}: global statement")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            errors.append(f"{path.name}:{node.lineno}: bare except")
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
            errors.append(f"{path.name}:{node.lineno}: import *")
    return errors


def length_errors(path: Path) -> list[str]:
    errors, text = [], path.read_text(encoding="utf-8").splitlines()
    strings = [n.value for n in ast.walk(tree_of(path)) if isinstance(n, (ast.Expr, ast.Assign))]
    strings = [n for n in strings if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    prose = {i for n in strings for i in range(n.lineno, n.end_lineno + 1)}
    code = [
        i for i, x in enumerate(text, 1) if x.strip() and x.strip()[0] != "#" and i not in prose
    ]
    if len(code) > MAX_MODULE_LINES:
        errors.append(f"{path.name} has {len(code)} lines of code, at most {MAX_MODULE_LINES}")
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            if (n := node.end_lineno - first.lineno + 1) > MAX_FUNCTION_LINES:
                errors.append(f"{path.name}: {node.name} has {n} lines of code")
    return errors


@functools.cache
def tracked() -> tuple[Path, ...]:
    try:
        out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [name for name in out.stdout.decode().split("\0") if name]
    return tuple(p for p in (ROOT / name for name in names) if p.is_file())


def test_every_folder_is_a_room_that_says_what_it_is_for():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ROOMS)
    for path in PACKAGE.rglob("*/__init__.py"):
        body = tree_of(path).body
        assert len(body) == 1, f"{path.parent.name}/__init__.py holds more than its docstring"
        assert ast.get_docstring(tree_of(path)), f"{path.parent.name}/__init__.py says nothing"


def test_few_modules_lie_at_the_top():
    top = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert top <= set(WORDS), f"{sorted(top - set(WORDS))} belong into a room"


def test_every_module_has_a_place_in_the_order():
    homeless = sorted({layer(path) for path in modules() if rank(layer(path)) is None})
    assert not homeless, f"{homeless} belong into one of the rooms {', '.join(ROOMS)}"


@pytest.mark.parametrize("check", [order_errors, library_errors, construct_errors, length_errors])
def test_modules(check):
    errors = [error for path in modules() for error in check(path)]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (order_errors, "physics/a.py", "from coreloss.simulation.simulator import Simulator"),
        (order_errors, "physics/a.py", "from .. import simulation"),
        (order_errors, "networks/cnn.py", "def f():\n    from ..training.loop import train"),
        (order_errors, "edges.py", "from coreloss.runtime.files import replacing"),
        (order_errors, "identification/a.py", "from coreloss import figures"),
        (order_errors, "cli/app.py", "def f():\n    from coreloss.study.results import read"),
        (library_errors, "physics/gos.py", "import numba"),
        (library_errors, "networks/cnn.py", "if True:\n    from matplotlib import pyplot"),
        (construct_errors, "train.py", "import torch\ntorch.load('x')"),
        (construct_errors, "train.py", "np.random.seed(0)"),
        (construct_errors, "train.py", "save_file({}, path)"),
        (construct_errors, "train.py", "try:\n    x\nexcept:\n    pass"),
        (length_errors, "train.py", "x = 1\n" * (MAX_MODULE_LINES + 1)),
        (length_errors, "train.py", "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    ],
)
def test_each_check_finds_what_it_is_for(check, name, source, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, encoding="utf-8")
    assert check(path)


def test_lazy_imports_are_allowed(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / "identification" / "identify.py"
    path.parent.mkdir()
    path.write_text("def show():\n    import matplotlib\n    from coreloss import figures\n")
    assert not order_errors(path) + library_errors(path)
    path.write_text("def show():\n    from coreloss.figures.tables import plot_probabilities\n")
    assert not order_errors(path)


def loaded_by(statement: str) -> set[str]:
    """Heavy libraries that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return HEAVY & set(out.stdout.split())


def test_import_coreloss_is_light():
    assert loaded_by("import coreloss") == set()


def test_training_path_loads_nothing_heavy():
    relative = [path.relative_to(PACKAGE).with_suffix("").parts for path in modules()]
    light = ["coreloss." + ".".join(p) for p in relative if not own_libraries(p[0])]
    assert loaded_by("import " + ", ".join(["coreloss", *light])) == set()


def test_heavy_libraries_are_noticed():
    assert loaded_by("import numba") >= {"numba"}


def test_source_notebooks_are_tracked_without_outputs():
    full = []
    for path in tracked():
        if path.suffix == ".ipynb" and path.parent == ROOT / "notebooks":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            full += [path.name] * any(cell.get("outputs") for cell in cells)
    assert not full, f"run `make format`: outputs in {full}"


def test_tracked_files_are_small_and_portable():
    large = [p.name for p in tracked() if p.stat().st_size > 10_000_000]
    assert not large, f"larger than 10 MB: {large}"
    banned = [p.name for p in tracked() if p.suffix in (".pkl", ".pickle", ".pt", ".pth", ".npy")]
    assert not banned, f"use safetensors or HDF5: {banned}"
    text = {".py", ".md", ".yml", ".toml", ".ipynb", ".json", ".csv", ".txt", ".cff"}
    local = [p.name for p in tracked() if p.suffix in text and str(ROOT).encode() in p.read_bytes()]
    assert not local, f"name this checkout's own path: {local}"
