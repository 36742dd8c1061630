"""Figures of robustness: what errors of axis, dose and window cost each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreloss.plot import COLOURS

MARKERS = "os^Dv<>P"
LABELS = {
    "offset": ("Error of all energies (eV)", 1.0, "linear"),
    "dispersion about centre": ("Error of the dispersion, about the centre (%)", 100.0, "linear"),
    "dispersion about start": ("Error of the dispersion, about the start (%)", 100.0, "linear"),
    "dose": ("Counts per channel", 1.0, "log"),
    "window": ("Width of the window (eV)", 1.0, "log"),
}
SCORES = {"f1": "F1", "exact_match_ratio": "Exact match ratio", "recall": "Recall"}


def plot_robustness(
    points: Sequence[Mapping[str, Any]],
    ax,
    *,
    kind: str,
    column: str = "f1",
    legend: bool = True,
):
    """A score of each method over what is varied, with its intervals.

    ``points`` are those of `benchmark_identify.curve_point`, each with its ``method``; those of
    other kinds are left out.
    """
    if kind not in LABELS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(LABELS)}")
    x_label, factor, scale = LABELS[kind]
    points = [point for point in points if point["kind"] == kind]
    for i, method in enumerate(dict.fromkeys(point["method"] for point in points)):
        line = sorted((p for p in points if p["method"] == method), key=lambda p: p["x"])
        x = [factor * point["x"] for point in line]
        low, high = zip(*(point["intervals"][column] for point in line), strict=True)
        colour = COLOURS[i % (len(COLOURS) - 2)]  # yellow is too pale for lines
        ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        ax.plot(x, [point[column] for point in line], color=colour, lw=1.3, ms=4,
                marker=MARKERS[i % len(MARKERS)], label=method)  # fmt: skip
    ax.set_xscale(scale)
    if kind == "window":
        ax.set_xticks(*_ticks([point["x"] for point in points]))
        ax.set_xticks([], minor=True)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(x_label)
    ax.set_ylabel(SCORES.get(column, column.replace("_", " ").capitalize()))
    if legend:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _ticks(x: Sequence[float]) -> tuple[list[float], list[str]]:
    ticks = sorted(set(x))
    return ticks, [f"{value:g}" for value in ticks]
