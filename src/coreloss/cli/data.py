"""The commands ``coreloss data``: folders of measured files with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coreloss.cli.options import items_of

data_app = typer.Typer(help="Measured files and their manifest.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the files.")]


@data_app.command("fetch-eelsdb", epilog="Example: coreloss data fetch-eelsdb --element Ti")
def fetch_eelsdb(
    out_dir: Annotated[Path, typer.Argument(help="Folder for files and manifest.")] = Path(
        "eelsdb"
    ),
    element: Annotated[
        list[str] | None, typer.Option(help="Spectra that name one of these, such as O,Ti.")
    ] = None,
    spectrum_type: Annotated[
        str, typer.Option("--type", help="coreloss, or all to count what is of no use.")
    ] = "coreloss",
    limit: Annotated[int | None, typer.Option(help="Stop at so many files.", min=1)] = None,
) -> None:
    """Fetch core-loss spectra of the EELS Data Base (eelsdb.eu) and write their manifest.

    One request per second. The same command goes on with an interrupted or older folder.
    """
    from coreloss.datasets.eelsdb import fetch_eelsdb as fetch

    elements = items_of(element)
    fetched = fetch(out_dir, elements=elements, spectrum_type=spectrum_type, limit=limit)
    typer.echo(fetched.summary())


@data_app.command("check")
def check(directory: Folder) -> None:
    """Compare a manifest with its files: one line per problem, exit code 2 if there is any."""
    from coreloss.datasets.manifest import check_manifest

    problems = check_manifest(directory)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(2)


@data_app.command("manifest")
def manifest(directory: Folder) -> None:
    """Write a manifest of the files in a folder, with the labels left to fill in."""
    from coreloss.datasets.manifest import template_manifest

    path, left_out = template_manifest(directory)
    for name, reason in left_out.items():
        typer.echo(f"left out {name}: {reason}", err=True)
    typer.echo(f"{path}: fill in elements_nominal, then run `coreloss data check {directory}`")
