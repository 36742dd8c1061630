"""Figures of the making of spectra, and of simulated beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.figures.spectrum import COLOURS, GREY, axes_or_new, plot_overlay

LINES = ("-", "--", ":")


def plot_comparison(comparison, ax=None):
    """A measured spectrum over its nearest simulated ones, small enough for a grid of them.

    ``comparison`` is an `gate.Comparison`. On a square-root scale counting noise has
    one height everywhere, and what is below zero can be seen.
    """
    ax = axes_or_new(ax)
    one = comparison
    plot_overlay(one.energy_ev, one.measured, one.simulated, ax, scale="sqrt")
    for line in ax.lines:
        line.set(linewidth=0.7, alpha=0.8)
    ax.legend_.remove()
    measured = one.measured / one.measured.mean()
    low, high = np.quantile(measured, 0.002), measured.max()
    ax.set_ylim(low - 0.3 * (high - low) if low > 0.1 * high else min(1.3 * low, 0), 1.1 * high)
    ax.set_yticks([])
    ax.set_xlabel("")
    ax.set_ylabel("")
    ax.tick_params(labelsize="small", length=2)
    material = one.material if len(one.material) < 40 else one.material[:37] + "..."
    ax.set_title(f"{material}\n{one.source}", fontsize=8, pad=3)
    ax.text(0.97, 0.92, f"{100 * one.distance:.0f} %", transform=ax.transAxes, ha="right",
            va="top", fontsize=9, color=GREY)  # fmt: skip
    return ax


def plot_comparisons(comparisons: Sequence, axes):
    """One `plot_comparison` in each of the Axes, with a legend in the first; spare Axes go."""
    axes = np.ravel(axes)
    for ax, one in zip(axes, comparisons, strict=False):
        plot_comparison(one, ax)
    for ax in axes[len(comparisons) :]:
        ax.set_axis_off()
    axes[0].legend(frameon=False, fontsize=8, loc="lower left", borderpad=0, handlelength=1)
    return axes


def plot_places(files: Sequence, ax=None):
    """Where measured files lie in their pools, feature by feature, one mark per file.

    ``files`` are `gate.FileResult`; 0 is below, 1 above all simulated spectra.
    """
    ax = axes_or_new(ax)
    names = list(dict.fromkeys(name for file in files for name in file.percentile))
    ax.axvspan(0.05, 0.95, color=GREY, alpha=0.12, lw=0)
    for i, quality in enumerate(sorted({file.quality for file in files})):
        part = [file for file in files if file.quality == quality]
        points = [
            (file.percentile[name], names.index(name)) for file in part for name in file.percentile
        ]
        x, y = np.array(points).T
        ax.plot(x, y + 0.22 * (i - 1), "|", color=COLOURS[i], ms=5, mew=1,
                label=f"quality {quality}")  # fmt: skip
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("Place among the simulated spectra of its pool (grey: 5 to 95 %)")
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_coverage(groups: Sequence[Mapping], ax=None, *, title: str = ""):
    """Share of files inside 5 to 95 % of their pools: a row per group, a column per feature.

    ``groups`` are groups of `GateReport.to_dict()`. Numbers are per cent; 90 is expected.
    """
    ax = axes_or_new(ax)
    names = list(dict.fromkeys(name for group in groups for name in group["coverage"]))
    share = np.array([[group["coverage"].get(name, np.nan) for name in names] for group in groups])
    ax.imshow(share, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if np.isfinite(value):
            ax.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize="x-small",
                    color="white" if value < 0.6 else "black")  # fmt: skip
    labels = [f"{group['name']} ({group['n_files']})" for group in groups]
    ax.set_yticks(range(len(groups)), labels, fontsize="small")
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
    ax.set_title(title, fontsize="medium", loc="left")
    return ax
