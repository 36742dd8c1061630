"""Lines on standard error about long work, where that is no terminal."""

import pytest

from coreloss.runtime.progress import told


@pytest.mark.parametrize(
    ("total", "lines"),
    [(5, ["2 of 5 files", "4 of 5 files", "5 of 5 files"]), (None, ["2 files", "4 files"])],
)
def test_a_line_after_so_many_items_and_after_the_last(total, lines, capsys):
    assert list(told(iter("abcde"), "files", 2, total)) == list("abcde")
    assert capsys.readouterr().err.splitlines() == lines


def test_items_may_count_as_several_units(capsys):
    assert list(told([3, 3, 9, 1], "spectra", 5, 16, size=int)) == [3, 3, 9, 1]
    assert capsys.readouterr().err.splitlines() == [
        "6 of 16 spectra", "15 of 16 spectra", "16 of 16 spectra",
    ]  # fmt: skip


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(told([3, 3], "spectra", 5, 6, size=int)) == [3, 3]
    assert "6/6" in capsys.readouterr().err
