"""Tables in Markdown of the comparison of networks, from what `bench_networks.py` stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreloss.benchmark_costs import Cost
from coreloss.report_markdown import PUBLISHED, table

PARTS = {
    "simulated": "simulated, all",
    "simulated_visible": "simulated, visible",
    "measured_A": "measured, A",
    "measured_AB": "measured, A and B",
}
Row = Mapping[str, Any]


def cost_table(costs: Mapping[str, tuple[Cost, Cost]], rows: Sequence[Row]) -> str:
    """Published and trained size of every architecture, and how fast the trained one learned."""
    body = []
    for name, (full, small) in costs.items():
        runs = [row for row in _of_the_plan(rows) if row["architecture"] == name]
        rate = [row["spectra"] / row["cpu_minutes"] / 60 for row in runs]
        trained = f"{sum(rate) / len(rate):.0f}" if rate else "–"
        cells = [f"{full.parameters / 1e6:.2f}", f"{full.gflop:.2f}", f"{1 / full.cpu_s:.0f}"]
        cells += [f"{small.parameters / 1e6:.2f}", f"{small.gflop:.3f}", f"{1 / small.cpu_s:.0f}"]
        body.append((name, *cells, trained))
    header = ("network", "M parameters", "GFLOP", "forward /s")
    header += ("trained: M parameters", "GFLOP", "forward /s", "training /s")
    return table(header, body)


def networks_table(rows: Sequence[Row], part: str) -> str:
    """Scores of all networks on one set with 95 % intervals, above the published ones."""
    header = ("network", "CPU min", "spectra seen")
    header += ("F1", "precision", "recall", "EMR", "micro F1", "RMSE")
    body = []
    for row in rows:
        scored = row[part]
        seen = [f"{row[k]:,.0f}" if k in row else "–" for k in ("cpu_minutes", "spectra")]
        cells = [_with_interval(scored, key) for key in ("f1", "precision", "recall")]
        cells += [_with_interval(scored, "exact_match_ratio"), f"{scored['micro_f1']:.2f}"]
        body.append((row["model"], *seen, *cells, f"{scored['rmse']:.3f}"))
    if part.startswith("measured"):
        for name, *values in PUBLISHED:
            numbers = ["–" if value is None else f"{value:.2f}" for value in values]
            dashes = ("–", "–")
            body.append((f"Annys et al., {name}, their spectra", *dashes, *numbers, *dashes))
    return table(header, body)


def equal_spectra_table(snapshots: Sequence[Row], n: int) -> str:
    """Scores of all networks after the same number of spectra."""
    parts = [part for part in PARTS if part in snapshots[0]]
    header = ["network"]
    header += [f"{key}, {PARTS[part]}" for part in parts for key in ("F1", "EMR")]
    body = [
        (
            row["model"],
            *(f"{row[part][key]:.3f}" for part in parts for key in ("f1", "exact_match_ratio")),
        )
        for row in snapshots
        if row["spectra"] == n
    ]
    return table(header, body)


def seeds_table(rows: Sequence[Row], parts: Sequence[str]) -> str:
    """Range over the seeds of networks that were trained more than once."""
    body = []
    plan = _of_the_plan(rows)
    for name in dict.fromkeys(row["architecture"] for row in plan):
        runs = [row for row in plan if row["architecture"] == name]
        if len(runs) > 1:
            values = [[row[part][key] for row in runs] for part in parts for key in _BOTH]
            body.append((name, len(runs), *(f"{min(v):.3f} to {max(v):.3f}" for v in values)))
    header = ["network", "seeds"]
    header += [f"{key}, {PARTS[part]}" for part in parts for key in ("F1", "EMR")]
    return table(header, body)


def pairs_table(pairs: Sequence[Row]) -> str:
    """The most confused pairs with the closest of their edges."""
    header = ("only this", "taken for", "share of spectra", "closest edges", "distance (eV)")
    body = [
        (
            *(pair["true"], pair["predicted"], f"{pair['rate']:.2f}"),
            f"{pair['true_edge']}, {pair['predicted_edge']}",
            f"{pair['distance_ev']:.0f}",
        )
        for pair in pairs
    ]
    return table(header, body)


def calibration_table(rows: Sequence[Row]) -> str:
    """Calibration error and temperature of all networks on simulated and measured spectra.

    Measured probabilities of one half of the sources are also corrected by the temperature of the
    other half.
    """
    header = ("network", "ECE simulated", "ECE measured", "with the other half's temperature")
    header += ("temperature simulated", "temperature measured")
    body = []
    for row in rows:
        measured = row.get("measured_AB", {})
        cells = [f"{row['simulated_visible']['ece']:.4f}", _number(measured.get("ece"), 4)]
        cells += [_number(measured.get("ece_cross_validated"), 4), f"{row['temperature']:.2f}"]
        body.append((row["model"], *cells, _number(measured.get("temperature"), 2)))
    return table(header, body)


def decisions_table(row: Row) -> str:
    """How often the decisions present, undetermined and absent of one network are right."""
    header = ("spectra", "wrong among present", "called absent", "undetermined")
    header += ("open per spectrum", "F1", "EMR")
    body = [
        (
            PARTS.get(name, name),
            *(f"{rates[key]:.1%}" for key in ("wrong_of_present", "missed", "undetermined")),
            f"{rates['open']:.1f}",
            *(f"{rates[key]:.3f}" for key in _BOTH),
        )
        for name, rates in row["decisions"].items()
    ]
    return table(header, body)


_BOTH = ("f1", "exact_match_ratio")


def _of_the_plan(rows: Sequence[Row]) -> list[Row]:
    """Networks trained from scratch with the common recipe: no ensembles, no variants."""
    return [
        row
        for row in rows
        if row.get("recipe") == "masked_bce"
        and not row["started"]
        and row["config"].get("front") != "contrast"
    ]


def _with_interval(scored: Row, key: str) -> str:
    low, high = scored["intervals"][key]
    return f"{scored[key]:.2f} ({low:.2f}–{high:.2f})"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
