"""Figures of the making of spectra, and of simulated beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.plot import BLUE, COLOURS, GREY, ORANGE, RED, plot_overlay

LINES = ("-", "--", ":")


def plot_shells(energy_ev, shells: Mapping[str, Sequence[float]], ax=None, *, y_label: str):
    """Curves (n,) of named shells on a log axis over three decades, with a legend beside it."""
    ax = _axes(ax)
    energy_ev = np.asarray(energy_ev, float)
    top = max(np.asarray(curve).max() for curve in shells.values())
    for i, (name, curve) in enumerate(shells.items()):
        curve = np.asarray(curve, float)
        colour, style = COLOURS[i % 6], LINES[i // 6 % 3]
        ax.plot(energy_ev, np.where(curve > 0, curve, np.nan), style, color=colour, lw=1.3,
                label=name)  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(top * 3e-6, top * 2)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_window(energy_ev, spectrum, mask, ax=None, *, y_label: str = "Mean 1 in the window"):
    """A padded network input (3072,), with the channels inside the mask shaded."""
    ax = _axes(ax)
    energy_ev, spectrum, mask = (np.asarray(x) for x in (energy_ev, spectrum, mask))
    inside = energy_ev[mask]
    ax.axvspan(inside[0], inside[-1], color=BLUE, alpha=0.08, lw=0, label="measured channels")
    ax.plot(energy_ev, spectrum, color=BLUE, lw=0.9)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel(y_label)
    ax.legend(frameon=False)
    return ax


def plot_comparisons(comparisons: Sequence, axes):
    """Measured spectra over their nearest simulated ones: one `Comparison` in each of the Axes."""
    for ax, one in zip(np.ravel(axes), comparisons, strict=False):
        plot_overlay(one.energy_ev, one.measured, one.simulated, ax)
        lines = (one.material[:44], one.source, f"rms {100 * one.distance:.1f} %")
        ax.set_title("\n".join(lines), fontsize="x-small")
        ax.legend_.remove()
    np.ravel(axes)[0].legend(frameon=False, fontsize="small")
    return axes


def plot_against_range(simulated, measured, ax=None, *, x_label: str, log: bool = False):
    """Histogram of simulated values with their 5 to 95 % range, measured values as ticks."""
    ax = _axes(ax)
    simulated, measured = (np.asarray(x, float) for x in (simulated, measured))
    low, high = np.quantile(simulated, (0.05, 0.95))
    both = np.concatenate([simulated, measured])
    left, right = np.quantile(both, (0.005, 0.995))
    left, right = min(left, measured.min()), max(right, measured.max())
    bins = np.geomspace(left, right, 41) if log else np.linspace(left, right, 41)
    share = np.full(len(simulated), 1 / len(simulated))
    ax.hist(simulated, bins, weights=share, color=ORANGE, alpha=0.6, label="simulated")
    ax.axvspan(low, high, color=GREY, alpha=0.12, lw=0, label="5 to 95 %")
    ax.plot(measured, np.full(len(measured), 0.03), "|", color=BLUE, ms=14, mew=1.3,
            transform=ax.get_xaxis_transform(), label="measured")  # fmt: skip
    ax.axvline(np.median(measured), color=RED, lw=1, label="median of measured")
    if log:
        ax.set_xscale("log")
    ax.set_xlabel(x_label)
    ax.set_ylabel("Share of simulated")
    return ax


def plot_rates(rates: Mapping[str, float], ax=None, *, target: float | None = None):
    """Horizontal bars of named rates on a log axis, each with its number; a line at the target."""
    ax = _axes(ax)
    names = list(rates)[::-1]
    values = [rates[name] for name in names]
    ax.barh(names, values, color=[BLUE if name == "coreloss" else GREY for name in names])
    for i, value in enumerate(values):
        ax.text(value * 1.08, i, f"{value:,.3g}" if value < 100 else f"{value:,.0f}", va="center")
    if target:
        ax.axvline(target, color=RED, lw=1, ls="--")
    ax.set_xscale("log")
    ax.set_xlim(min(values) / 2, max(values) * 4)
    ax.set_xlabel("Spectra per CPU second")
    return ax


def _axes(ax):
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.gca()
