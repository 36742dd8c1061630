"""The commit of a record is that of the project, and of nothing that happens to enclose it."""

import shutil
import subprocess
import sys

import pytest

from coreloss.runtime import provenance as own

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def copy(tmp_path):
    """The module alone, where the package would be in a checkout."""
    package = tmp_path / "checkout" / "src" / "coreloss"
    (package / "runtime").mkdir(parents=True)
    shutil.copy(own.__file__, package / "runtime" / "provenance.py")
    (package / "__init__.py").write_text("")
    return tmp_path / "checkout"


def commit_said_by(checkout):
    code = "from coreloss.runtime.provenance import source_commit; print(source_commit())"
    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": str(checkout / "src"), "PATH": __import__("os").environ["PATH"]},
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


@needs_git
def test_commit_of_the_checkout(copy):
    git(copy, "init", "-q")
    git(copy, "add", "-A")
    git(copy, "commit", "-qm", "one")
    head = git(copy, "rev-parse", "HEAD")
    assert commit_said_by(copy) == head
    (copy / "notes.txt").write_text("not of the package")
    assert commit_said_by(copy) == head
    (copy / "src" / "coreloss" / "__init__.py").write_text("changed = True\n")
    assert commit_said_by(copy) == head + "+"


@needs_git
def test_a_repository_around_a_copy_is_not_the_project(copy):
    git(copy.parent, "init", "-q")
    git(copy.parent, "add", "-A")
    git(copy.parent, "commit", "-qm", "somebody else's")
    assert commit_said_by(copy) == ""


def test_provenance_names_versions_and_device():
    found = own.provenance()
    assert found["device"].startswith("cpu (")
    assert {"commit", "python", *own.PACKAGES} <= set(found)
