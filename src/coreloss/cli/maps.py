"""The commands ``coreloss map`` and ``coreloss quantify``: element maps and amounts of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coreloss.cli.identify import check_figures, check_targets, signal_of
from coreloss.cli.options import (
    AxisError,
    ModelName,
    Plot,
    Shift,
    Signal,
    Uncalibrated,
    WindowOption,
    axis_error_of,
    items_of,
)
from coreloss.cli.output import JsonTarget, quiet_stdout, show, write_json

Image = Annotated[Path, typer.Argument(help="dm3, dm4, hspy, emd ...: image, line or spectrum.")]


def map_command(
    file: Image,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="MAPS.h5", help="Write the maps.")
    ] = None,
    elements: Annotated[
        list[str] | None, typer.Option(help="To draw, such as O,Ti; what is detected if none.")
    ] = None,
    window: WindowOption = None,
    shift_ev: Shift = 0.0,
    axis_error: AxisError = None,
    uncalibrated: Uncalibrated = False,
    pool: Annotated[int, typer.Option(help="Sum every pixel with its neighbours: 3 is 3 x 3.")] = 1,
    signal: Signal = None,
    model: ModelName = "edgenet-small",
    json_target: JsonTarget = None,
    plot: Plot = None,
) -> None:
    """Map the elements of a spectrum image.

    Larger images than memory are read piece by piece, and the same command goes on with an
    interrupted one.
    """
    from coreloss.mapping.element_maps import map_elements
    from coreloss.reports.maps import detection_table
    from coreloss.spectra.image import open_image

    check_targets(json_target, None, None, plot)
    check_figures(plot, "log")
    axis_error_ev = axis_error_of(axis_error, uncalibrated)
    with quiet_stdout():
        image = open_image(file, signal=signal_of(signal))
        maps = map_elements(
            image,
            model=model,
            window_ev=window,
            shift_ev=shift_ev,
            axis_error_ev=axis_error_ev,
            pool=pool,
            out=out,
            progress=True,
        )
        chosen = items_of(elements) if elements else maps.present()
        if plot is not None:
            _save(plot, "draw_element_maps", maps, chosen)
    _tell(maps, detection_table(maps, file.name), json_target)


def quantify_command(
    file: Image,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="AMOUNTS.h5", help="Write the amounts.")
    ] = None,
    low_loss: Annotated[
        Path | None,
        typer.Option(
            help="Its low loss, one or one for each spectrum; the same file if it is in it."
        ),
    ] = None,
    elements: Annotated[
        list[str] | None,
        typer.Option(help="Such as O,Ti; 'auto' asks the network.", show_default="auto"),
    ] = None,
    exposure_ratio: Annotated[
        float, typer.Option(help="Exposure of the core loss over that of the low loss.")
    ] = 1.0,
    beam: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="KEV MRAD MRAD", help="Beam energy, convergence, collection."),
    ] = None,
    fine_structure: Annotated[str, typer.Option(help="free, equalised or none.")] = "free",
    window: WindowOption = None,
    shift_ev: Shift = 0.0,
    signal: Signal = None,
    model: ModelName = "edgenet-small",
    json_target: JsonTarget = None,
    plot: Plot = None,
) -> None:
    """Quantify the elements of a spectrum, line or image, with error bars.

    Without --elements the network finds them. Amounts are atoms/nm^2 with a low loss, relative
    without.
    """
    from coreloss.mapping.amount_maps import quantify_image
    from coreloss.reports.maps import amounts_table
    from coreloss.spectra.image import open_image

    check_targets(json_target, None, None, plot)
    check_figures(plot, "log")
    names = items_of(elements) if elements else ("auto",)
    with quiet_stdout():
        amounts = quantify_image(
            open_image(file, signal=signal_of(signal)),
            low_loss=low_loss,
            elements="auto" if names == ("auto",) else names,
            window_ev=window,
            shift_ev=shift_ev,
            exposure_ratio=exposure_ratio,
            model=model,
            out=out,
            progress=True,
            beam=None if beam is None else _beam(*beam),
            fine_structure=fine_structure,
        )
        if plot is not None:
            _save(plot, "draw_amounts", amounts)
    _tell(amounts, amounts_table(amounts, file.name), json_target)


def _beam(energy_kev: float, convergence_mrad: float, collection_mrad: float):
    from coreloss.beam import Beam

    return Beam(
        energy_kev=energy_kev, convergence_mrad=convergence_mrad, collection_mrad=collection_mrad
    )


def _tell(result, table, json_target: str | None) -> None:
    if json_target is not None:
        write_json(result.to_dict(), json_target)
    if json_target != "-":
        show(table)


def _save(target: Path, drawing: str, *arguments) -> None:
    from coreloss.figures import maps as plot_maps
    from coreloss.runtime.files import replacing

    figure = getattr(plot_maps, drawing)(*arguments)
    with replacing(target) as path:
        figure.savefig(path, format=target.suffix.lstrip(".").lower() or "png", dpi=150)
