"""Options of ``coreloss identify``: what is read, what is written, what is said before the work."""

import csv
import io
import json
import sys

import matplotlib
import numpy as np
import pytest
from helpers import answer

matplotlib.use("Agg")

from coreloss.cli import app as cli
from coreloss.cli import identify as cli_identify
from coreloss.cli import options as cli_options
from coreloss.identification.trained_model import shipped_models
from coreloss.reports.terminal import identification_table
from coreloss.spectra.reading import read_spectrum

ENERGY_EV = np.arange(350.0, 750.0)


@pytest.fixture
def asked(monkeypatch):
    """What `identify` was asked; the answer is always the same, for the file that was read."""
    calls = []

    def identify(spectrum, **options):
        calls.append({"file": spectrum.file, **options})
        result = answer(m=3 if options["each"] else 1)
        object.__setattr__(result.spectrum, "file", spectrum.file)
        return result

    monkeypatch.setattr("coreloss.identification.trained_model.load_model", lambda name: name)
    monkeypatch.setattr("coreloss.identification.identify.identify", identify)
    return calls


def write(path):
    counts = 1e5 * (ENERGY_EV / 350) ** -3.0
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.column_stack([ENERGY_EV, counts]), delimiter=",", header="eV,counts")
    return path


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "good.csv")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_row_per_observable_element(run, good, asked, tmp_path):
    code, out, err = run("identify", good, "--csv", "-")
    assert (code, err) == (0, "")
    rows = {row["element"]: row for row in rows_of(out)}
    assert list(rows["Ti"]) == list(cli_identify.CSV_COLUMNS)
    assert rows["Ti"] == {
        "file": str(good), "spectrum": "0", "element": "Ti", "probability": "0.9700",
        "decision": "present", "edge": "L23", "found_ev": "457.0", "z": "28.40",
        "contamination": "",
    }  # fmt: skip
    assert rows["O"]["contamination"] == "possible"
    assert (rows["V"]["decision"], rows["V"]["z"]) == ("undetermined", "")
    assert rows["Cr"]["decision"] == "absent"
    assert "Al" not in rows
    target = tmp_path / "new" / "found.csv"
    code, out, _ = run("identify", good, "--each", "--csv", target)
    assert code == 0
    assert "Spectrum" in out
    assert {row["spectrum"] for row in rows_of(target.read_text())} == {"0", "1", "2"}


def test_report_is_a_page(run, good, asked, tmp_path):
    target = tmp_path / "new" / "found.html"
    assert run("identify", good, "--report", target, "--scale", "sqrt")[0] == 0
    page = target.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "good.csv" in page
    assert [p.name for p in target.parent.iterdir()] == ["found.html"]


def test_figure_of_one_spectrum_has_all_and_of_several_panels(asked, good, run, tmp_path):
    pages = []
    for options in ((), ("--each",)):
        target = tmp_path / f"figure{len(pages)}.svg"
        assert run("identify", good, *options, "--plot", target, "--scale", "linear")[0] == 0
        pages.append(target.read_text())
    assert "Probability" in pages[0] or pages[0].count('<g id="axes_') == 5
    assert pages[1].count('<g id="axes_') == 3


def test_options_reach_identify(run, good, asked, monkeypatch):
    from coreloss.spectra import reading

    read, wanted = read_spectrum, []

    def noting(path, **options):
        wanted.append(options)
        return read(path)

    monkeypatch.setattr(reading, "read_spectrum", noting)
    assert run("identify", good)[0] == 0
    assert run("identify", good, "--no-evidence", "--signal", "1", "--uncalibrated")[0] == 0
    assert run("identify", good, "--signal", "EELS map", "--axis-error", "0.5")[0] == 0
    assert "evidence" not in asked[0]
    assert asked[1]["evidence"] is False
    assert [call["axis_error_ev"] for call in asked] == [1.5, 6.0, 0.5]
    assert [call["signal"] for call in wanted] == [None, 1, "EELS map"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--axis-error", "2", "--uncalibrated"), "--axis-error 2 and --uncalibrated"),
        (("--axis-error", "0"), "axis_error_ev = 0.0 eV; allowed: 0.1..20"),
        (("--axis-error", "25"), "axis_error_ev = 25.0 eV; allowed: 0.1..20"),
    ],
)
@pytest.mark.parametrize("command", ["identify", "map"])
def test_impossible_errors_of_the_axis_are_one_line(run, good, asked, command, options, said):
    code, out, err = run(command, good, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert asked == []


def test_signal_that_is_not_there_is_one_line(run, good, asked):
    code, _, err = run("identify", good, "--signal", "7")
    assert code == 2
    assert err.count("\n") == 1
    assert "signal 7" in err


def test_folders_are_their_readable_files(run, asked, tmp_path):
    inside = [write(tmp_path / "data" / name) for name in ("b.txt", "sub/a.CSV", "a.csv")]
    for other in ("notes.md", "README", ".hidden.csv"):
        (tmp_path / "data" / other).write_text("no spectrum")
    code, out, err = run("identify", tmp_path / "data", "--json", "-")
    assert (code, err) == (0, "")
    found = [entry["file"] for entry in json.loads(out)]
    assert found == sorted(map(str, inside))
    (tmp_path / "single").mkdir()
    write(tmp_path / "single" / "a.csv")
    assert isinstance(json.loads(run("identify", tmp_path / "single", "--json", "-")[1]), list)


def test_a_folder_without_spectra_is_one_line(run, asked, tmp_path):
    code, out, err = run("identify", tmp_path, "--json", "-")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(tmp_path) in err


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot", "--report"])
def test_targets_are_checked_before_the_work(run, good, asked, tmp_path, option):
    (tmp_path / "folder.png").mkdir()
    for target in (tmp_path / "folder.png", good / "below.png"):
        code, out, err = run("identify", good, option, target)
        assert (code, out) == (2, "")
        assert f"{target}: " in err
        assert err.count("\n") == 1
    assert asked == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--json", "-", "--csv", "-"), "2 outputs"),
        (("--scale", "cubic"), "log, sqrt"),
        (("--plot", "figure.xyz"), "png"),
    ],
)
def test_bad_options_stop_before_the_work(run, good, asked, options, words):
    code, out, err = run("identify", good, *options)
    assert (code, out) == (2, "")
    assert words in err.replace("linear, log", "log")
    assert asked == []


def test_progress_is_on_a_terminal_only(monkeypatch, capsys):
    assert list(cli_identify.with_progress([1, 2])) == [1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert list(cli_identify.with_progress([1])) == [1]
    assert "Identifying" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(cli_identify.with_progress([1, 2])) == [1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert "Identifying" in err


def test_help_names_the_exit_codes(run):
    code, out, _ = run("identify", "--help")
    assert code == 0
    assert "Exit codes" in out
    assert "130" in out


def test_model_names_are_completed():
    assert cli_options.complete_models("") == list(shipped_models())
    assert cli_options.complete_models("no such") == []
    from typer.main import get_command

    for name in ("identify", "evaluate"):
        command = get_command(cli.app).commands[name]
        (option,) = (p for p in command.params if "--model" in p.opts)
        completed = option.shell_complete(None, shipped_models()[0][:4])
        assert shipped_models()[0] in [getattr(item, "value", item) for item in completed]


def test_table_shows_what_supports_the_answer():
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(identification_table(answer()))
    console.print(identification_table(answer(evidence=())))
    with_fit, without = console.file.getvalue().split("fake:")[1:]
    for words in ("L23 457 eV z 28", "possible contamination; could be Sb", "-1.2 ± 1.0 eV"):
        assert words in with_fit
        assert words not in without
    assert "L23 456 eV" in without
