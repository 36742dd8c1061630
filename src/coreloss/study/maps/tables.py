"""Tables of the chapters on maps and amounts (Markdown text out)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.quantification.near_edge import FINE_STRUCTURE
from coreloss.reports.markdown import table
from coreloss.study.results import Row


def layer_table(fractions: Mapping[str, np.ndarray], groups: Mapping[str, np.ndarray]) -> str:
    """Mean atomic % of each element (m,) in each group of pixels, (m,) bool."""
    header = ("pixels", "number", *fractions)
    rows = [
        (name, int(chosen.sum()), *(f"{100 * x[chosen].mean():.1f}" for x in fractions.values()))
        for name, chosen in groups.items()
    ]
    return table(header, rows)


def lattice_table(rows: Sequence[Row]) -> str:
    """Network and fit on superlattices, rows of `superlattice.lattice_rows`."""
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
    """Measured spectra of known composition, rows of `measured.real_row`."""
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
    """Seconds for one image, `superlattice.speeds`."""
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
