"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def complete_models(incomplete: str) -> list[str]:
    """Names of shipped networks that begin with what was typed."""
    from coreloss.identification.trained_model import shipped_models

    return [name for name in shipped_models() if name.startswith(incomplete)]


def items_of(values: Iterable[str] | None) -> tuple[str, ...]:
    """Items of an option that was given several times, or with commas or blanks between them.

    >>> items_of(["O,Ti", "Mn Fe"]), items_of(None)
    (('O', 'Ti', 'Mn', 'Fe'), ())
    """
    return tuple(item for value in values or () for item in re.split(r"[\s,;]+", value) if item)


def numbers_of(values: Iterable[str] | None, *, option: str) -> tuple[float, ...]:
    """The same for numbers; ValueError, with the name of the option, for anything else.

    >>> numbers_of(["1e-3,3e-3"], option="--search")
    (0.001, 0.003)
    """
    try:
        return tuple(map(float, items_of(values)))
    except ValueError:
        raise ValueError(
            f"{option} is {' '.join(values or ())!r}; allowed: numbers with commas between them"
        ) from None


def axis_error_of(axis_error_ev: float | None, uncalibrated: bool) -> float:
    """Stated error of the energies in eV; ValueError out of its limits or given in both ways.

    >>> axis_error_of(None, False), axis_error_of(None, True), axis_error_of(0.5, False)
    (1.5, 6.0, 0.5)
    """
    from coreloss.axis import TYPICAL_AXIS_ERROR_EV, UNCALIBRATED_AXIS_ERROR_EV, check_axis_error

    if axis_error_ev is None:
        return UNCALIBRATED_AXIS_ERROR_EV if uncalibrated else TYPICAL_AXIS_ERROR_EV
    if uncalibrated:
        raise ValueError(
            f"--axis-error {axis_error_ev:g} and --uncalibrated, which is"
            f" {UNCALIBRATED_AXIS_ERROR_EV:g} eV; allowed: one of them"
        )
    check_axis_error(axis_error_ev)
    return axis_error_ev


ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="edgenet-small, edgenet-medium, .safetensors file or training folder.",
        autocompletion=complete_models,
    ),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Energies to use, in eV, after the shift."),
]
Shift = Annotated[float, typer.Option(help="Add to every energy, in eV.")]
AxisError = Annotated[
    float | None,
    typer.Option(
        "--axis-error",
        metavar="EV",
        help="Standard deviation of the energies.",
        show_default="1.5",
    ),
]
Uncalibrated = Annotated[
    bool, typer.Option("--uncalibrated", help="Energies may be off by several eV: a large error.")
]
Signal = Annotated[
    str | None, typer.Option(metavar="N|TITLE", help="Which of several spectra in a file.")
]
Plot = Annotated[Path | None, typer.Option(help="Figure: png, svg or pdf.")]
MaterialsSource = Annotated[
    str, typer.Option("--materials", help="'embedded', 'mp' or a .csv[.gz] of formulas.")
]
Seed = Annotated[int, typer.Option(help="Same seed, same spectra.", min=0)]
