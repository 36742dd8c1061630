"""Figures of the chapters on maps and amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.figures.maps import Maps, plot_map
from coreloss.figures.spectrum import BLUE, COLOURS, GREY, ORANGE, element_colour, plot_spectrum
from coreloss.quantification.near_edge import FINE_STRUCTURE
from coreloss.spectra.spectrum import Spectrum


def draw_superlattice(
    core_loss: Spectrum,
    probes: Mapping[str, int],
    elements: Sequence[str],
    rows: Sequence[tuple[str, Maps]],
    *,
    limits: Sequence[tuple[float, float] | None] | None = None,
):
    """New Figure like that of the paper: sum image, probe spectra, and maps side by side.

    ``probes`` : name and number of a pixel; ``rows`` : title and maps by element, such as truth,
    network and fit, a column for each.
    """
    from matplotlib.figure import Figure

    n_maps = len(elements)
    figure = Figure(figsize=(9, 3.2 + 0.85 * n_maps), layout="constrained")
    heights = (3.2, 0.85 * n_maps)
    (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    left, right = top.subplots(1, 2, width_ratios=(1, 1.6))
    image = core_loss.counts.sum(1).reshape(core_loss.map_shape)
    left.imshow(image, cmap="gray", interpolation="nearest", aspect="auto")
    left.set_title("Counts", loc="left", fontsize="medium")
    for (name, pixel), colour in zip(probes.items(), COLOURS, strict=False):
        y, x = np.unravel_index(pixel, core_loss.map_shape)
        left.plot(x, y, "o", color=colour, mec="white", ms=6)
        plot_spectrum(
            core_loss.energy_ev, core_loss.counts[pixel], right, label=name, colour=colour
        )
    plot_spectrum(
        core_loss.energy_ev,
        np.full_like(core_loss.energy_ev, np.nan),
        right,
        elements=elements,
        scale="linear",
    )
    axes = bottom.subplots(n_maps, len(rows), squeeze=False)
    for column, (title, named) in enumerate(rows):
        limit = None if limits is None else limits[column]
        for ax, element in zip(axes[:, column], elements, strict=True):
            plot_map(named[element], ax, title=f"{element}  {title}", limits=limit)
            ax.set_aspect("auto")
    return figure


def plot_coverage(z: Mapping[str, np.ndarray], ax):
    """Deviations from the truth over the error bar, beside the normal distribution."""
    bins = np.linspace(-4, 4, 33)
    for name, values in z.items():
        share = np.mean(np.abs(values) < 1)
        ax.hist(
            values,
            bins,
            density=True,
            histtype="step",
            color=element_colour(name),
            label=f"{name}, {share:.0%} within one error",
        )
    ax.plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), color=GREY, lw=1, ls="--")
    ax.set_xlabel("(found - true) / error")
    ax.set_ylabel("Density")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_scores(rows: Sequence[Mapping], ax, *, x: str, label: str):
    """F1 of network and fit, rows of `superlattice.lattice_rows`, against one of their values."""
    for method, colour in (("network", BLUE), ("fit", ORANGE)):
        chosen = sorted((row[x], row["f1"]) for row in rows if row["method"] == method)
        ax.plot(*zip(*chosen, strict=True), "o", color=colour, label=method)
    ax.set_xlabel(label)
    ax.set_ylabel("F1")
    ax.legend(frameon=False)
    return ax


def plot_ratios(rows: Sequence[Mapping], ax):
    """Ratios of known specimens over the expected ones, rows of `measured.real_row`."""
    place = np.arange(len(rows))
    tolerance = np.array([row["tolerance"] for row in rows])
    ax.bar(place, 2 * tolerance, 0.8, 1 - tolerance, color=GREY, alpha=0.25, lw=0)
    styles = zip(FINE_STRUCTURE, COLOURS, (-0.15, 0.0, 0.15), strict=False)
    for mode, colour, aside in styles:
        expected = np.array([row["expected"] for row in rows])
        value, error = (np.array([row[mode][k] for row in rows]) for k in ("value", "error"))
        ax.errorbar(
            place + aside,
            value / expected,
            error / expected,
            fmt="o",
            color=colour,
            label=mode,
            ms=4,
        )
    ax.axhline(1.0, color=GREY, lw=0.8)
    ax.set_xticks(place, [row["name"].replace(", ", "\n") for row in rows], fontsize="small")
    ax.set_ylabel("Found / expected")
    ax.set_ylim(0)
    ax.legend(frameon=False, ncols=3, title="near-edge structure", loc="lower left")
    return ax
