"""Commands and Python of README and book run as they stand there."""

import importlib.util
import re
import shlex
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
import typer
from helpers import hyperspy_dictionary

from coreloss.cli.app import app
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "book" / "intro.md", ROOT / "book" / "rerun.md"]
CALL = re.compile(r"^\s*(?:\.venv/bin/)?coreloss (.+)|-m coreloss\.cli (.+)")
GOAL = re.compile(r"(?:^ *|`|=cpu )make ([a-z]+)\b", re.MULTILINE)
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(pattern: re.Pattern) -> list[tuple[str, str]]:
    """(page, arguments) of every command of a kind."""
    return [
        (page.name, next(filter(None, found.groups())))
        for page in PAGES
        for line in text_of(page).splitlines()
        if (found := pattern.search(line.split("  #")[0])) and "`" not in line
    ]


def parsed(line: str) -> click.Context:
    """The context of a command line; an option that does not exist raises."""
    command, words = typer.main.get_command(app), shlex.split(line)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words)


@pytest.mark.parametrize(("page", "line"), commands(CALL))
def test_command_lines_are_understood(page, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for word in shlex.split(line):  # what must be there is there
        path = tmp_path / word
        if "." in word and "/" not in word and not word.startswith("-"):
            path.touch()
        elif word in ("DIR", "eelsdb", "folder/"):
            path.mkdir()
    parsed(line)


def test_commands_are_found_and_wrong_ones_are_not_understood():
    assert len(commands(CALL)) > 15
    with pytest.raises(KeyError):
        parsed("identfy spectrum.dm3")
    with pytest.raises(Exception, match="--reprt"):
        parsed("identify spectrum.dm3 --reprt report.html")


def test_goals_of_make_exist():
    rules = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))
    named = {goal for page in PAGES for goal in GOAL.findall(text_of(page))}
    assert {"study", "test", "results", "book"} <= named
    assert named <= rules, "README names goals that the Makefile does not have"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files with the names that the pages use, simulated and in another format where need be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rsciio.hspy import file_writer

    folder = tmp_path_factory.mktemp("files")
    image = simulate_superlattice(Superlattice(map_shape=(3, 24), electrons_per_pixel=1e8), seed=1)
    core, low = image.core_loss, image.low_loss
    for name, one in {"image": core, "low_loss": low, "spectrum": core.sum()}.items():
        place = one.map_shape if len(one) > 1 else ()
        axes = [(n, "nm", 1.0, 0.0, True) for n, _ in zip("yx", place, strict=False)]
        axes.append(("Energy loss", "eV", one.dispersion_ev, float(one.energy_ev[0]), False))
        signal = hyperspy_dictionary(one.counts.reshape(*place, -1), axes)
        file_writer(str(folder / f"{name}.hspy"), signal)
    np.savetxt(folder / "spectrum.csv", np.c_[core.energy_ev, core.counts.sum(0)], delimiter=",")
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_runs(page, folder, monkeypatch, capsys):
    pytest.importorskip("hyperspy.api")
    monkeypatch.chdir(folder)
    blocks = [b.replace("spectrum.dm3", "spectrum.csv") for b in FENCE.findall(text_of(page))]
    names: dict = {}
    for block in blocks:
        exec(compile(block.replace("crop(120, 900)", "crop(420, 900)"), page.name, "exec"), names)
    assert blocks
    assert "Ti" in capsys.readouterr().out or page.name == "rerun.md"


def test_parameters_of_all_notebooks_are_listed():
    spec = importlib.util.spec_from_file_location("run", ROOT / "notebooks" / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    found = run.listing()
    assert "train_spectra = 4096  full: 65536" in found
    named = {w for page in PAGES for w in re.findall(r"-p (\w+) ", text_of(page))}
    assert named
    assert named <= set(re.findall(r"^  (\w+) =", found, flags=re.MULTILINE))
