"""What needs a package that is not installed by default says how to get it."""

import sys

import pytest


@pytest.mark.parametrize(
    ("package", "loaded", "arguments", "extra"),
    [
        ("pymatgen.core", "", ("materials", "list.csv", "table.csv"), "coreloss[materials]"),
        ("numba", "coreloss.atoms", ("gos", "build", "x.gosh"), "coreloss[atoms]"),
        ("numba", "coreloss.atoms", ("gos", "lines", "x.csv.gz"), "coreloss[atoms]"),
    ],
)
def test_a_missing_package_is_one_line(
    package, loaded, arguments, extra, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("formula\nSrTiO3\n")
    for name in [name for name in sys.modules if loaded and name.startswith(loaded)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert f"pip install '{extra}'" in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]
