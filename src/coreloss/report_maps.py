"""Tables of element maps and amounts (rich tables for the command line)."""

from __future__ import annotations

from rich.table import Table

from coreloss.mapping import ElementMaps
from coreloss.mapping_amounts import AmountMaps


def detection_table(maps: ElementMaps, name: str) -> Table:
    """What an image contains, and what was called in it by chance."""
    low, high = maps.window_ev
    table = Table(
        "element",
        "pixels",
        "largest cluster",
        "needed",
        "chance",
        "around it",
        "verdict",
        title=f"{name}: {' x '.join(map(str, maps.map_shape))} spectra, {low:g} to {high:g} eV",
        caption="\n".join(maps.warnings) or None,
    )
    for found in maps.detections():
        table.add_row(
            found.element,
            f"{found.pixels} ({found.share:.1%})",
            str(found.largest),
            str(found.needed),
            f"{found.expected_false:.2g}",
            "" if found.around is None else f"{found.around:.3f}",
            "present" if found.detected else "by chance",
        )
    return table


def amounts_table(amounts: AmountMaps, name: str) -> Table:
    """Mean composition with its counting errors."""
    table = Table(
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
        table.add_row(
            element,
            f"{100 * share:.2f} ± {100 * error:.2f}",
            f"{amount.mean():.4g}",
            f"{amounts.shifts_ev[element]:+.1f}",
        )
    return table
