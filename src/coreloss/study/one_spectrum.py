"""Figures of the chapter on the making of one spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.figures.spectrum import BLUE, COLOURS, axes_or_new, plot_spectrum
from coreloss.study.gate.figures import LINES


def plot_shells(energy_ev, shells: Mapping[str, Sequence[float]], ax=None, *, y_label: str):
    """Curves (n,) of named shells on a log axis over three decades, with a legend beside it."""
    ax = axes_or_new(ax)
    energy_ev = np.asarray(energy_ev, float)
    top = max(np.asarray(curve).max() for curve in shells.values())
    for i, (name, curve) in enumerate(shells.items()):
        values = np.asarray(curve, float)
        colour, style = COLOURS[i % 6], LINES[i // 6 % 3]
        ax.plot(energy_ev, np.where(values > 0, values, np.nan), style, color=colour, lw=1.3,
                label=name)  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(top * 3e-6, top * 2)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_window(energy_ev, spectrum, mask, ax=None):
    """A padded network input (3072,), with the channels inside the mask shaded."""
    ax = axes_or_new(ax)
    energy_ev, spectrum, mask = (np.asarray(x) for x in (energy_ev, spectrum, mask))
    inside = energy_ev[mask]
    ax.axvspan(inside[0], inside[-1], color=BLUE, alpha=0.08, lw=0, label="measured channels")
    ax.plot(energy_ev, spectrum, color=BLUE, lw=0.9)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Mean 1 in the window")
    ax.legend(frameon=False)
    return ax


def plot_steps(energy_ev, steps: Mapping[str, Sequence[float]], axes, *, scale: str = "linear"):
    """The stages of one spectrum below each other, one Axes and one title per step."""
    axes = np.ravel(axes)
    if len(axes) < len(steps):
        raise ValueError(f"{len(steps)} steps need {len(steps)} Axes, {len(axes)} given")
    for ax, (title, y) in zip(axes, steps.items(), strict=False):
        plot_spectrum(energy_ev, y, ax, scale=scale)
        ax.set_title(title, loc="left", fontsize="medium")
        ax.label_outer()
    return axes
