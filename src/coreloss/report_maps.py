"""Tables of element maps and amounts: for the command line (rich) and notebooks (Markdown)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from coreloss.mapping import ElementMaps
from coreloss.mapping_amounts import AmountMaps
from coreloss.quantify_near_edge import FINE_STRUCTURE
from coreloss.report_markdown import table

Row = Mapping[str, Any]
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


def layer_table(fractions: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray]) -> str:
    """Mean atomic % of each element (m,) in each group of pixels, (m,) bool."""
    header = ("pixels", "number", *fractions)
    rows = [
        (name, int(chosen.sum()), *(f"{100 * x[chosen].mean():.1f}" for x in fractions.values()))
        for name, chosen in groups.items()
    ]
    return table(header, rows)


def lattice_table(rows: Sequence[Row]) -> str:
    """Network and fit on superlattices, rows of `benchmark_maps.lattice_rows`."""
    header = ("counts per channel", "t/λ", "method", "F1", "La in BaTiO3", "elements of the image",
              "within one error", "found / true")  # fmt: skip
    body = []
    for row in rows:
        cells = [f"{row['counts']:.0f}", f"{row['thickness_mfp']:.2f}", row["method"]]
        false_la = row.get("false_la")
        cells += [f"{row['f1']:.3f}", "–" if false_la is None else f"{false_la:.2%}"]
        if "present" in row:
            extra = sorted(set(row["present"]) - set(row["true"]))
            missed = sorted(set(row["true"]) - set(row["present"]))
            wrong = [f"and {e}" for e in extra] + [f"not {e}" for e in missed]
            cells += [", ".join(wrong) or "exactly", "–", "–"]
        else:
            share = np.mean(list(row["coverage"].values()))
            ratios = row["ratio"].values()
            cells += ["–", f"{share:.0%}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
        body.append(cells)
    return table(header, body)


def ratio_table(rows: Sequence[Row]) -> str:
    """Measured spectra of known composition, rows of `benchmark_real.real_row`."""
    header = ("specimen", "ratio", "expected", "near-edge free", "equalised", "none", "t/λ")
    body = [
        (
            row["name"],
            row["ratio"],
            f"{row['expected']:g} ± {row['expected'] * row['tolerance']:.1g}",
            *(f"{row[mode]['value']:.2f} ± {row[mode]['error']:.2f}" for mode in FINE_STRUCTURE),
            f"{row['thickness_mfp']:.1f}" + ("" if row["low_loss"] else " (estimated)"),
        )
        for row in rows
    ]
    return table(header, body)


def peers_table(rows: Sequence[Row]) -> str:
    """The model that all three can have, on the same rows."""
    header = ("specimen", "coreloss", "eXSpy", "pyEELSMODEL", "eXSpy / coreloss",
              "pyEELSMODEL / coreloss")  # fmt: skip
    body = []
    for row in rows:
        own, *others = (row["common_model"][name] for name in ("coreloss", "exspy", "pyeelsmodel"))
        ratios = ["–" if x is None else f"{x / own:.3f}" for x in others]
        values = ["–" if x is None else f"{x:.3f}" for x in (own, *others)]
        body.append((row["name"], *values, *ratios))
    return table(header, body)


def speed_table(found: Row) -> str:
    """Seconds for one image, `benchmark_maps.speeds`."""
    names = {
        "network_s": "network, all elements",
        "fit_common_low_loss_s": "fit, one low loss for all",
        "fit_own_low_loss_s": "fit, the low loss of each pixel",
        "common_model_s": "common model, coreloss",
        "exspy_s": "common model, eXSpy (scaled)",
        "pyeelsmodel_s": "common model, pyEELSMODEL (scaled)",
    }
    rows = [
        (name, f"{found[key]:.1f}", f"{found['n'] / found[key]:.0f}")
        for key, name in names.items()
        if key in found
    ]
    return table(("", "s", "spectra/s"), rows)
