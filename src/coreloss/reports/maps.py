"""Tables of element maps and amounts: for the command line (rich) and notebooks (Markdown)."""

from __future__ import annotations

from rich.table import Table

from coreloss.mapping.amount_maps import AmountMaps
from coreloss.mapping.element_maps import ElementMaps
from coreloss.reports.markdown import table

DETECTIONS = (
    "element", "pixels", "largest cluster", "needed", "chance", "around it", "verdict",
)  # fmt: skip


def detection_rows(maps: ElementMaps) -> list[tuple[str, ...]]:
    """What an image contains, and what was called in it by chance: a cell for each `DETECTIONS`."""
    return [
        (
            found.element,
            f"{found.pixels} ({found.share:.1%})",
            str(found.largest),
            str(found.needed),
            f"{found.expected_false:.2g}",
            "" if found.around is None else f"{found.around:.3f}",
            "present" if found.detected else "by chance",
        )
        for found in maps.detections()
    ]


def detection_table(maps: ElementMaps, name: str) -> Table:
    """`detection_rows` for a terminal."""
    low, high = maps.window_ev
    shape = " x ".join(map(str, maps.map_shape))
    title = f"{name}: {shape} spectra, {low:g} to {high:g} eV"
    shown = Table(*DETECTIONS, title=title, caption="\n".join(maps.warnings) or None)
    for row in detection_rows(maps):
        shown.add_row(*row)
    return shown


def detections_markdown(maps: ElementMaps) -> str:
    """`detection_rows` for a notebook."""
    return table(DETECTIONS, detection_rows(maps))


def amounts_table(amounts: AmountMaps, name: str) -> Table:
    """Mean composition with its counting errors."""
    shown = Table(
        "element",
        "atomic %",
        f"mean amount ({amounts.unit})",
        "edge shift (eV)",
        title=f"{name}: {' x '.join(map(str, amounts.goodness.shape))} spectra",
        caption="\n".join(
            (
                "errors are those of counting; cross-sections add 5 to 20 %",
                *(f"{e}: no edge to quantify in the window" for e in amounts.left_out),
                *amounts.warnings,
            )
        ),
    )
    for element, (share, error) in amounts.overall.items():
        amount, _ = amounts.of(element)
        shown.add_row(
            element,
            f"{100 * share:.2f} ± {100 * error:.2f}",
            f"{amount.mean():.4g}",
            f"{amounts.shifts_ev[element]:+.1f}",
        )
    return shown
