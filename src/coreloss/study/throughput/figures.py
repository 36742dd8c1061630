"""Spectra per second as bars."""

from __future__ import annotations

from collections.abc import Mapping

from coreloss.figures.spectrum import BLUE, GREY, axes_or_new


def plot_rates(rates: Mapping[str, float], ax=None):
    """Horizontal bars of named rates on a log axis, each with its number."""
    ax = axes_or_new(ax)
    names = list(rates)[::-1]
    values = [rates[name] for name in names]
    ax.barh(names, values, color=[BLUE if name == "coreloss" else GREY for name in names])
    for i, value in enumerate(values):
        ax.text(value * 1.08, i, f"{value:,.3g}" if value < 100 else f"{value:,.0f}", va="center")
    ax.set_xscale("log")
    ax.set_xlim(min(values) / 2, max(values) * 4)
    ax.set_xlabel("Spectra per CPU second")
    return ax
