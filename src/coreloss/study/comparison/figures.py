"""Figures that compare networks: what they confuse, how sure they are, how well they score, why.

Reliability diagrams are drawn by `figures.tables.plot_reliability`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.figures.spectrum import BLACK, BLUE, COLOURS, GREY, MARKERS, ORANGE
from coreloss.scoring.metrics import Scores
from coreloss.study.comparison.confusion import (
    confused_pairs,
    edge_order,
    onset_distance_ev,
    scores_by_distance,
)

ATTRIBUTION_BINS = 150
PAIRS_NAMED = 8
_BAND = 0.1  # of the height of the Axes


def plot_confusion_matrix(rates, ax):
    """True elements (rows) over predicted ones, (80, 80) or with a last column for none.

    Elements stand in the order of their first edges, so that those with close edges are close.
    Square-root colours: 1 in 100 can be seen, and nothing is white. Needs some 8 by 8 inches.
    """
    from matplotlib.colors import PowerNorm

    rates, n = np.asarray(rates, float), len(ELEMENTS)
    if rates.shape not in ((n, n), (n, n + 1)):
        raise ValueError(f"rates have shape {rates.shape}; needed ({n}, {n}) or ({n}, {n + 1})")
    order = edge_order()
    rates = rates[order][:, [*order, n][: rates.shape[1]]]
    elements = [ELEMENTS[k] for k in order]
    names = [*elements, "none"][: rates.shape[1]]
    colours = _colours("Blues", bad="#d9d9d9")
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    image = ax.imshow(np.ma.masked_invalid(rates), cmap=colours, norm=norm, interpolation="none")
    size = float(np.clip(1.4 * ax.bbox.height / ax.figure.dpi * 72 / n, 4, 8))
    for side in (0, 1):  # every second name on the other side: letters twice as large
        kind, second = ("major", "minor")[side], bool(side)
        ax.set_xticks(range(side, len(names), 2), names[side::2], fontsize=size, minor=second)
        ax.set_yticks(range(side, n, 2), elements[side::2], fontsize=size, minor=second)
        ax.tick_params("x", which=kind, rotation=90, bottom=not second, labelbottom=not second)
        ax.tick_params("y", which=kind, left=not second, labelleft=not second)
        ax.tick_params(which=kind, top=second, labeltop=second, right=second, labelright=second)
        ax.tick_params(which=kind, length=1.5, pad=1)
    for place in (*range(9, len(names), 10), *([n - 1] if len(names) > n else ())):
        ax.axvline(place + 0.5, color=GREY, lw=0.3)
    for place in range(9, n - 1, 10):
        ax.axhline(place + 0.5, color=GREY, lw=0.3)
    ax.set_xlabel("Predicted")
    ax.set_ylabel("Present")
    bar = ax.figure.colorbar(
        image, ax=ax, location="bottom", shrink=0.6, aspect=45, pad=0.02, label="Share of spectra"
    )
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.set_xticklabels(["0", "0.01", "0.05", "0.1", "0.25", "0.5", "1"])
    return ax


def plot_confusion_against_distance(rates, ax, *, observable=None, nuisance: bool = False):
    """Rates of pairs of different elements over the distance of their edges, and binned means.

    Arguments as for `confusion.scores_by_distance`. Pairs that never occurred count in
    the means only, and ranges without any confusion are left out. The pairs with the highest
    rates are named, "true as predicted", where there is room.
    """
    rates = np.asarray(rates, float)[:, : len(ELEMENTS)]
    distance = onset_distance_ev(nuisance=nuisance)
    shown = rates
    if observable is not None:
        shown = rates / np.where(np.asarray(observable) > 0, observable, np.nan)
    pairs = ~np.eye(len(ELEMENTS), dtype=bool) & (shown > 0)
    ax.plot(distance[pairs], shown[pairs], "o", color=GREY, ms=3, alpha=0.5, mew=0, label="pairs")
    every = scores_by_distance(rates, observable=observable, nuisance=nuisance)
    bins = [one for one in every if one.rate > 0]
    for i, one in enumerate(bins):
        label = "mean of all pairs in the range" if i == 0 else None
        ax.plot([one.low_ev, one.high_ev], [one.rate] * 2, color=BLUE, lw=2.5, label=label)
    ax.set_xscale("symlog", linthresh=1.0)
    ax.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    ax.set_yscale("log")
    lowest = min((one.rate for one in bins), default=1e-3)
    ax.set(xlim=(-0.1, 3100), ylim=(lowest / 3, 2.0))
    named = confused_pairs(rates, PAIRS_NAMED, nuisance=nuisance)
    places = [(pair.distance_ev, shown[_indices(pair)]) for pair in named]
    _name_points(ax, places, [f"{pair.true} as {pair.predicted}" for pair in named])
    ax.set_xlabel("Distance of the closest edges (eV)")
    ax.set_ylabel("Rate of confusion")
    ax.legend(frameon=False, fontsize="small", loc="lower left")
    return ax


def _indices(pair) -> tuple[int, int]:
    return ELEMENT_INDEX[pair.true], ELEMENT_INDEX[pair.predicted]


def _name_points(ax, places, names: Sequence[str]) -> None:
    """Names right of points; one that would run into an earlier name is left out."""
    taken: list[tuple[float, float]] = []
    for place, name in zip(places, names, strict=True):
        x, y = ax.transData.transform(place) * 72 / ax.figure.dpi
        if all(abs(x - other[0]) > 48 or abs(y - other[1]) > 9 for other in taken):
            taken.append((x, y))
            ax.annotate(name, place, xytext=(4, 2), textcoords="offset points", fontsize="x-small")


def plot_training_curves(
    logs: Mapping[str, Mapping[str, Sequence[float]]],
    ax,
    *,
    column: str,
    y_label: str,
    x: str = "spectra",
    x_label: str = "Spectra seen",
):
    """One column of the logs of several runs over another one, with a logarithmic abscissa."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for i, (name, log) in enumerate(logs.items()):
        ax.plot(log[x], log[column], color=_colour(i), ls=_line(i), lw=1.3, label=name)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high < 100 * low else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_short(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def in_short(value: float) -> str:
    """A number on an axis.

    >>> [in_short(value) for value in (0.3, 3000.0, 30_000.0, 1e6)]
    ['0.3', '3k', '30k', '1M']
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def plot_scores(rows: Sequence[Mapping[str, Any]], ax, *, column: str = "f1"):
    """Score of each network (``model``) with its interval (``intervals``), the first on top."""
    for i, row in enumerate(rows):
        low, high = row["intervals"].get(column, (row[column], row[column]))
        ax.plot([low, high], [i, i], color=BLUE, lw=1.8, solid_capstyle="butt")
        ax.plot(row[column], i, "o", color=BLUE, ms=6)
    ax.set_yticks(range(len(rows)), [row["model"] for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x", color="#e8e8e8")
    ax.set_axisbelow(True)
    ax.set_xlabel(column.replace("_", " ").replace("f1", "F1"))
    return ax


def plot_snr(bins_by_name: Mapping[str, Sequence[Scores]], ax, *, column: str = "recall"):
    """A score in bins of the signal-to-noise ratio (`metrics.scores_by_snr`) for some networks.

    Bins without any positive are gaps.
    """
    names = list(dict.fromkeys(part.subset for bins in bins_by_name.values() for part in bins))
    for i, (name, bins) in enumerate(bins_by_name.items()):
        x = [names.index(part.subset) for part in bins]
        y = [getattr(part, column) if part.n_positive else np.nan for part in bins]
        ax.plot(x, y, marker=MARKERS[i % len(MARKERS)], color=_colour(i), ls=_line(i), ms=4,
                lw=1.3, label=name)  # fmt: skip
    ranges = [name.removeprefix("SNR ") for name in names]
    ranges = [f"≥ {r.removesuffix('..inf')}" if r.endswith("inf") else r for r in ranges]
    ax.set_xticks(range(len(names)), [r.replace("..", "–") for r in ranges])
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("Signal-to-noise ratio of the edge")
    ax.set_ylabel(column.replace("_", " ").capitalize())
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_attribution(energy_ev, counts, attribution, onsets_ev: Mapping[str, float], ax):
    """A spectrum (n,) above a band that shows where a logit comes from: red for, blue against.

    ``attribution`` (n,) is summed over some 150 bins, which show what single channels of opposite
    sign leave; ``onsets_ev`` has named energies.
    """
    energy_ev, counts, attribution = (
        np.asarray(v, float) for v in (energy_ev, counts, attribution)
    )
    width = max(1, len(energy_ev) // ATTRIBUTION_BINS)
    starts = np.arange(0, len(energy_ev), width)
    summed = np.add.reduceat(attribution, starts)
    limits = np.append(energy_ev[starts], energy_ev[-1] + 1) - 0.5
    ax.plot(energy_ev, counts, color=BLACK, lw=0.9)
    positive = counts[counts > 0]
    if len(positive) > 0.98 * len(counts):
        ax.set_yscale("log")
        low, high = np.log(max(positive.min(), positive.max() / 1e4)), np.log(positive.max())
        ax.set_ylim(np.exp(low - 0.25 * (high - low)), np.exp(high + 0.15 * (high - low)))
    else:
        ax.axhline(0, color=GREY, lw=0.5)
        low, high = counts.min(), counts.max()
        ax.set_ylim(low - 0.25 * (high - low), high + 0.15 * (high - low))
    scale = max(np.abs(summed).max(), 1e-12)
    mesh = ax.pcolormesh(
        limits, [0, _BAND], summed[None], transform=ax.get_xaxis_transform(),
        cmap="RdBu_r", vmin=-scale, vmax=scale, rasterized=True,
    )  # fmt: skip
    ax.plot([0, 1], [_BAND, _BAND], color=GREY, lw=0.5, transform=ax.transAxes)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    for name, onset_ev in onsets_ev.items():
        ax.axvline(onset_ev, color=ORANGE, lw=1)
        ax.annotate(name, (onset_ev, 0.97), xycoords=ax.get_xaxis_transform(), xytext=(3, 0),
                    textcoords="offset points", va="top", fontsize="small")  # fmt: skip
    ax.figure.colorbar(mesh, ax=ax, label=f"Logit per {width} eV", aspect=30)
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Counts")
    return ax


def _colours(name: str, *, bad: str):
    import matplotlib as mpl

    return mpl.colormaps[name].with_extremes(bad=bad)


def _colour(i: int) -> str:
    return COLOURS[i % (len(COLOURS) - 2)]  # yellow is too pale for lines, black is kept for data


def _line(i: int) -> str:
    return ("-", "--", ":")[i // (len(COLOURS) - 2) % 3]
