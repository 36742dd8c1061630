"""An environment is used as it is, and never given to another checkout in silence."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def foreign(tmp_path):
    """A checkout, and an environment of another one whose tools only say that they were called."""
    checkout, tools = tmp_path / "checkout", tmp_path / "other" / ".venv" / "bin"
    checkout.mkdir()
    tools.mkdir(parents=True)
    (tools.parent / ".ok").write_text("/somewhere/else\n")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):  # younger than the environment
        shutil.copy(ROOT / name, checkout / name)
    for name in ("python", "uv", "jupyter-book"):
        tool = tools / name
        tool.write_text(
            f"#!/bin/sh\necho called {name}\nmkdir -p _build/html\n: > _build/html/index.html\n"
        )
        tool.chmod(0o755)
    return checkout, tools.parent


def make(checkout, *arguments):
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def test_book_uses_any_environment_and_changes_none(foreign):
    checkout, environment = foreign
    found = make(checkout, "book", f"VENV={environment}")
    assert found.returncode == 0, found.stderr
    assert "called jupyter-book" in found.stdout
    assert "called uv" not in found.stdout
    assert (environment / ".ok").read_text() == "/somewhere/else\n"


@pytest.mark.parametrize("goal", ["test", "notebooks", "results", "install", "lint", "stress"])
def test_everything_else_refuses_an_environment_of_another_checkout(foreign, goal):
    checkout, environment = foreign
    found = make(checkout, goal, f"VENV={environment}")
    assert found.returncode != 0
    assert "belongs to /somewhere/else" in found.stderr
    assert "called" not in found.stdout
    assert (environment / ".ok").read_text() == "/somewhere/else\n"
