"""Figures of networks: what they see, how they learned, what they got right and wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coreloss.edges import identifying_sets
from coreloss.figures.spectrum import (
    BLACK,
    BLUE,
    GREY,
    RED,
    plot_spectrum,
)


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
