"""The commands ``coreloss gos``: tables of generalised oscillator strengths."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from coreloss.cli.output import JsonTarget, write_json

gos_app = typer.Typer(help="Generalised oscillator strengths.", no_args_is_help=True)


@contextmanager
def _needing_atoms():
    """What computes atoms is installed by those who want to; processes would miss it later."""
    try:
        for package in ("numba", "periodictable"):
            import_module(package)
        yield
    except ImportError as error:
        raise ValueError(f"{error}; pip install 'coreloss[atoms]'") from None


@gos_app.command("build")
def gos_build(
    out: Annotated[Path, typer.Argument(help=".gosh file to write.")],
    jobs: Annotated[int | None, typer.Option(help="Processes; one per core by default.")] = None,
) -> None:
    """Compute the tables of all edges (minutes)."""
    with _needing_atoms():
        from coreloss.atoms.gos_library import build_library

    tables = build_library(out, n_jobs=jobs)
    typer.echo(f"{out}: {len(tables)} tables, {out.stat().st_size / 1e6:.1f} MB")


@gos_app.command("lines")
def gos_lines(
    out: Annotated[Path, typer.Argument(help=".csv.gz file to write.")],
) -> None:
    """Compute the lines of all ions at edges into open d and f shells (minutes)."""
    with _needing_atoms():
        from coreloss.atoms.multiplet_table import write_multiplets

    n = write_multiplets(out)
    typer.echo(f"{out}: {n} ions, {out.stat().st_size / 1e3:.0f} kB")


@gos_app.command("info")
def gos_info(
    file: Annotated[
        Path | None, typer.Argument(help=".gosh file; the shipped one if none.")
    ] = None,
    json_target: JsonTarget = None,
) -> None:
    """Say what a .gosh file holds."""
    from dataclasses import asdict

    from coreloss.physics.gos_files import gos_info as info_of

    info = info_of(file)
    if json_target is not None:
        write_json(asdict(info), json_target)
    if json_target != "-":
        typer.echo(info)


@gos_app.command("fetch")
def gos_fetch(
    name: Annotated[str, typer.Argument(help="'dft' (Segger et al.) or 'dirac' (Zhang et al.).")],
) -> None:
    """Download published tables into the cache, check them, and print where they are."""
    from coreloss.physics.gos_files import fetch_published

    typer.echo(fetch_published(name))
