"""Figures of robustness: what errors of axis, dose and window cost each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coreloss.edges import ATOMIC_NUMBER
from coreloss.figures.spectrum import (
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    RED,
    element_colour,
    mark_onsets,
)

VARIED = {
    "offset": ("Error of all energies (eV)", 1.0, "linear"),
    "dispersion about centre": ("Dispersion error, about the centre (%)", 100.0, "linear"),
    "dispersion about start": ("Dispersion error, about the start (%)", 100.0, "linear"),
    "dose": ("Counts per channel", 1.0, "log"),
    "window": ("Width of the window (eV)", 1.0, "log"),
}


def plot_robustness(
    points: Sequence[Mapping[str, Any]],
    ax,
    *,
    kind: str,
    legend: bool = True,
):
    """F1 of each method over what is varied, with its intervals.

    ``points`` are those of `methods.curve_point`, each with its ``method``; those of
    other kinds are left out.
    """
    if kind not in VARIED:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(VARIED)}")
    x_label, factor, scale = VARIED[kind]
    points = [point for point in points if point["kind"] == kind]
    for i, method in enumerate(dict.fromkeys(point["method"] for point in points)):
        line = sorted((p for p in points if p["method"] == method), key=lambda p: p["x"])
        x = [factor * point["x"] for point in line]
        low, high = zip(*(point["intervals"]["f1"] for point in line), strict=True)
        colour = COLOURS[i % (len(COLOURS) - 2)]  # yellow is too pale for lines
        ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        ax.plot(x, [point["f1"] for point in line], color=colour, lw=1.3, ms=4,
                marker=MARKERS[i % len(MARKERS)], label=method)  # fmt: skip
    ax.set_xscale(scale)
    if kind == "window":
        ax.set_xticks(*_ticks([point["x"] for point in points]))
        ax.set_xticks([], minor=True)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(x_label)
    ax.set_ylabel("F1")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _ticks(x: Sequence[float]) -> tuple[list[float], list[str]]:
    ticks = sorted(set(x))[::2]
    return ticks, [f"{value:g}" for value in ticks]


OUTCOMES = {"found": (GREEN, "o"), "missed": (RED, "x"), "false": (ORANGE, "^")}


def plot_outcomes(rows: Sequence[Mapping], ax):
    """Files over elements: which were found, missed, and falsely found (`Evaluation.spectra`)."""
    named = {element for row in rows for key in ("present", "false") for element in row[key]}
    elements = sorted(named, key=ATOMIC_NUMBER.__getitem__)
    for outcome, (colour, marker) in OUTCOMES.items():
        points = [
            (elements.index(element), -i)
            for i, row in enumerate(rows)
            for element in _with_outcome(row, outcome)
        ]
        x, y = zip(*points, strict=True) if points else ((), ())
        ax.plot(x, y, marker, color=colour, ms=7, mew=2, label=f"{outcome} ({len(points)})")
    ax.set_xticks(range(len(elements)), elements, fontsize="small")
    ax.set_yticks([-i for i in range(len(rows))], [row["id"] for row in rows], fontsize="small")
    ax.set(xlim=(-0.7, len(elements) - 0.3), ylim=(-len(rows) + 0.3, 0.7))
    ax.grid(color="#e8e8e8")
    ax.set_axisbelow(True)
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _with_outcome(row: Mapping, outcome: str) -> Sequence[str]:
    if outcome == "found":
        return [element for element in row["present"] if element not in row["missed"]]
    return row[outcome]


def plot_window_scan(
    ends_ev,
    probabilities: Mapping[str, Sequence[float]],
    ax,
    *,
    threshold: float,
):
    """Probability of elements over one end of the window; no line while they are not observable."""
    for element, probability in probabilities.items():
        ax.plot(ends_ev, probability, "o-", color=element_colour(element), ms=3, label=element)
    ax.axhline(threshold, color=GREY, lw=1, ls="--")
    ax.set(xlim=(ends_ev[0], ends_ev[-1]), ylim=(-0.03, 1.15))
    mark_onsets(ax, tuple(probabilities))
    ax.set_xlabel("End of the window (eV)")
    ax.set_ylabel("Probability")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
