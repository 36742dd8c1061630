"""Figures of networks: what they see, how they learned, what they got right and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, identifying_sets
from coreloss.plot import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, RED, mark_onsets, plot_spectrum

OUTCOMES = {"found": (GREEN, "o"), "missed": (RED, "x"), "false": (ORANGE, "^")}


def plot_front_end(energy_ev, counts, contrasts, axes, *, boxes_ev, elements: Sequence[str] = ()):
    """A spectrum (n,) above the image of its contrast channels (boxes, n), on one energy axis.

    ``boxes_ev`` names the rows of the image, ``elements`` those whose onsets are marked in both.
    """
    upper, lower = axes
    plot_spectrum(energy_ev, counts, upper, elements=elements)
    upper.label_outer()
    upper.set_xlabel("")
    limit = np.abs(contrasts).max()
    edges = np.arange(len(boxes_ev) + 1) - 0.5
    energy_edges = np.append(energy_ev, energy_ev[-1] + 1)
    mesh = lower.pcolormesh(
        energy_edges, edges, contrasts, cmap="RdBu_r", vmin=-limit, vmax=limit, rasterized=True
    )
    lower.figure.colorbar(
        mesh,
        ax=lower,
        orientation="horizontal",
        aspect=60,
        label="Contrast / counting error (asinh scale)",
    )
    lower.set_yticks(np.arange(len(boxes_ev)), [f"{width} eV" for width in boxes_ev])
    lower.set_xlim(upper.get_xlim())
    lower.set_xlabel("Energy loss (eV)")
    for edge in identifying_sets():
        if edge.element in elements and energy_ev[0] < edge.onset_ev < energy_ev[-1]:
            lower.axvline(edge.onset_ev, color=BLACK, lw=0.8, ls=":")
    return axes


def plot_anchors(energy_ev, channel, ax, *, onset_ev: float, offsets_ev: Sequence[int], name: str):
    """A channel (n,) around one onset, with dots where the token of that edge looks."""
    energy_ev, channel = np.asarray(energy_ev, float), np.asarray(channel, float)
    at_ev = onset_ev + np.asarray(offsets_ev, float)
    near = (energy_ev > at_ev[0] - 15) & (energy_ev < at_ev[-1] + 15)
    ax.plot(energy_ev[near], channel[near], color=GREY, lw=1)
    at_ev = at_ev[(at_ev >= energy_ev[0]) & (at_ev <= energy_ev[-1])]
    ax.plot(at_ev, np.interp(at_ev, energy_ev, channel), "o", color=BLUE, ms=4)
    ax.axvline(onset_ev, color=RED, lw=1)
    ax.set_title(name, loc="left", fontsize="medium")
    ax.set_xlabel("Energy loss (eV)")
    return ax


def plot_outcomes(rows: Sequence[Mapping], ax):
    """Files over elements: which were found, missed, and falsely found (`Evaluation.spectra`)."""
    named = {element for row in rows for key in ("present", "false") for element in row[key]}
    elements = sorted(named, key=ATOMIC_NUMBER.get)
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
    x_label: str = "End of the window (eV)",
):
    """Probability of elements over one end of the window; no line while they are not observable."""
    for i, (element, probability) in enumerate(probabilities.items()):
        ax.plot(ends_ev, probability, "o-", color=COLOURS[i % len(COLOURS)], ms=3, label=element)
    ax.axhline(threshold, color=GREY, lw=1, ls="--")
    ax.set(xlim=(ends_ev[0], ends_ev[-1]), ylim=(-0.03, 1.15))
    mark_onsets(ax, tuple(probabilities))
    ax.set_xlabel(x_label)
    ax.set_ylabel("Probability")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
