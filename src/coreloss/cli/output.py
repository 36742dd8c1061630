"""Where the commands write: results to standard output or files, complaints to standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from coreloss.runtime.files import replacing

JsonTarget = Annotated[
    str | None, typer.Option("--json", metavar="OUT|-", help="Write JSON; '-' is the terminal.")
]


@contextlib.contextmanager
def quiet_stdout():
    """Standard output belongs to the results: what libraries print goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def complain(error: object, *, file: Path | None = None) -> None:
    """One line on standard error, with the name of the file in it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if file is not None and str(file) not in text:
        text = f"{file}: {text}"
    typer.echo(f"coreloss: {text}", err=True)


def show(renderable: Any) -> None:
    """A table or text of rich, on standard output."""
    from rich.console import Console

    Console().print(renderable)


def write_json(content: Any, target: str) -> None:
    """JSON into a file, or to standard output for '-'."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if target == "-":
        typer.echo(text, nl=False)
        return
    with replacing(target) as path:
        path.write_text(text)
