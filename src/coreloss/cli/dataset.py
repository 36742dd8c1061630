"""The command ``coreloss dataset``: simulated spectra with their labels, in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from coreloss.cli.options import MaterialsSource, Seed, items_of


def dataset_command(
    out: Annotated[
        Path, typer.Argument(help="Folder for HDF5 files and manifest.json; with --n, one file.")
    ],
    n: Annotated[
        int | None, typer.Option("--n", help="Spectra of one file, in place of the set.", min=1)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of one file: train, validation or test (default).")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Size of the set; 1 (default) is that of the paper.")
    ] = None,
    elements: Annotated[
        list[str] | None, typer.Option(help="Files of the set, such as O,Ti; all 80 if none.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the set would take.")
    ] = False,
    settings: Annotated[
        str | None, typer.Option(help="paper (default of the set) or default (wider; of --n).")
    ] = None,
    seed: Seed = 0,
    materials: MaterialsSource = "embedded",
) -> None:
    """Write simulated spectra with their labels: the published set anew, or one file.

    The set is a folder in the size and layout of the published one, 736,000 spectra; the same
    command goes on with an interrupted set. With --n it is one file of so many spectra of one
    split of the materials, for `coreloss evaluate --benchmark`.
    """
    if n is None:
        if split is not None:
            raise ValueError("--split is for one file, the set has all splits; give --n too")
        chosen = items_of(elements) if elements else None
        given = {"scale": scale, "elements": chosen, "settings": settings}
        _write_set(out, dry_run=dry_run, seed=seed, materials=materials, **_without_none(given))
        return
    of_set = {"--scale": scale, "--elements": elements or None, "--dry-run": dry_run or None}
    if wrong := ", ".join(_without_none(of_set)):
        raise ValueError(f"{wrong}: for the published set, not with --n; leave out one of them")
    given = {"split": split, "settings": settings}
    _write_one(out, n=n, seed=seed, materials=materials, **_without_none(given))


def _write_set(out: Path, *, dry_run: bool, **options: Any) -> None:
    from coreloss.datasets.published_set import prepare, write
    from coreloss.datasets.published_streams import SetPlan

    job = prepare(out, SetPlan(**options))
    typer.echo(job.summary())
    if not dry_run:
        typer.echo(write(job))


def _write_one(out: Path, *, settings: str = "default", **options: Any) -> None:
    from coreloss.datasets.evaluation import make_benchmark
    from coreloss.simulation.settings import SimulationSettings

    digest = make_benchmark(out, settings=SimulationSettings.named(settings), **options)
    typer.echo(f"{out}: {options['n']} spectra, sha256 {digest}")


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
