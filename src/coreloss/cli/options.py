"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def complete_models(incomplete: str) -> list[str]:
    """Names of shipped networks that begin with what was typed."""
    from coreloss.identification.trained_model import shipped_models

    return [name for name in shipped_models() if name.startswith(incomplete)]


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="Shipped network, .safetensors file or training folder.",
        autocompletion=complete_models,
    ),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Energies to use, in eV, after the shift."),
]
Shift = Annotated[float, typer.Option(help="Add to every energy, in eV.")]
Signal = Annotated[
    str | None, typer.Option(metavar="N|TITLE", help="Which of several spectra in a file.")
]
Plot = Annotated[Path | None, typer.Option(help="Figure: png, svg or pdf.")]
MaterialsSource = Annotated[
    str, typer.Option("--materials", help="'embedded', 'mp' or a .csv[.gz] of formulas.")
]
Seed = Annotated[int, typer.Option(help="Same seed, same spectra.", min=0)]
