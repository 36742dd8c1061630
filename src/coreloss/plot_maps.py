"""Figures of element maps and amounts: images for maps, profiles for lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.mapping import ElementMaps
from coreloss.mapping_amounts import AmountMaps
from coreloss.plot import BLUE, COLOURS, GREY, ORANGE, plot_spectrum
from coreloss.quantify_near_edge import FINE_STRUCTURE
from coreloss.spectra_data import Spectrum

Maps = Mapping[str, np.ndarray]


def draw_element_maps(maps: ElementMaps, elements: Sequence[str] | None = None):
    """New Figure with the probability of each element, detected ones by default."""
    names = maps.present() if elements is None else tuple(elements)
    return draw_maps({e: maps.of(e) for e in names}, label="Probability", limits=(0.0, 1.0))


def draw_amounts(amounts: AmountMaps, what: str = "fraction"):
    """New Figure with amounts or fractions of each element and the goodness of fit."""
    values = getattr(amounts, what)
    named = {e: values[..., k] for k, e in enumerate(amounts.elements)}
    errors = None
    if what in ("amount", "fraction"):
        spread = amounts.error if what == "amount" else amounts.fraction_error
        errors = {e: spread[..., k] for k, e in enumerate(amounts.elements)}
    label = "Atomic fraction" if what.startswith("fraction") else f"Amount ({amounts.unit})"
    return draw_maps(named, label=label, errors=errors)


def draw_maps(
    named: Maps,
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    errors: Maps | None = None,
):
    """New Figure: one image for each of several maps (rows, columns), or all lines in one panel.

    Values of one map of a single pixel become bars.
    """
    from matplotlib.figure import Figure

    if not named:
        raise ValueError("no element to draw; name some")
    values = [np.atleast_1d(np.squeeze(x)) for x in named.values()]
    if values[0].ndim < 2:
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        _lines(figure.subplots(), dict(zip(named, values, strict=True)), label, errors)
        return figure
    rows, columns = values[0].shape
    wide = columns > 2 * rows
    n_columns = 1 if wide else min(len(named), 3)
    n_rows = -(-len(named) // n_columns)
    height = 1.1 if wide else 2.6
    figure = Figure(figsize=(8, height * n_rows + 0.4), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (name, image) in zip(axes.flat, zip(named, values, strict=True), strict=False):
        shown = plot_map(image, ax, title=name, limits=limits)
        figure.colorbar(shown, ax=ax, label=label if not wide else "", pad=0.01)
    return figure


def plot_map(values: np.ndarray, ax, *, title: str = "", limits=None, colours: str = "cividis"):
    """One map (rows, columns); returns the image for a colour bar."""
    low, high = limits or (0.0, float(np.nanpercentile(values, 99.5)) or 1.0)
    shown = ax.imshow(values, vmin=low, vmax=high, cmap=colours, interpolation="nearest")
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_axis_off()
    return shown


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
    top, bottom = figure.subfigures(2, 1, height_ratios=(3.2, 0.85 * n_maps))
    left, right = top.subplots(1, 2, width_ratios=(1, 1.6))
    image = core_loss.counts.sum(1).reshape(core_loss.map_shape)
    left.imshow(image, cmap="gray", interpolation="nearest", aspect="auto")
    left.set_title("Counts", loc="left", fontsize="medium")
    for (name, pixel), colour in zip(probes.items(), COLOURS, strict=False):
        row, column = np.unravel_index(pixel, core_loss.map_shape)
        left.plot(column, row, "o", color=colour, mec="white", ms=6)
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


def plot_profile(position, mean, ax, *, spread=None, label="", colour=BLUE, lw=1.0, **style):
    """A profile (n,) along a line, with error bars; ``style`` as of ``errorbar``."""
    ax.errorbar(position, mean, spread, color=colour, lw=lw, capsize=2, label=label, **style)
    ax.set_xlabel("Position (pixels)")
    return ax


def plot_coverage(z: Mapping[str, np.ndarray], ax):
    """Deviations from the truth over the error bar, beside the normal distribution."""
    bins = np.linspace(-4, 4, 33)
    for (name, values), colour in zip(z.items(), COLOURS, strict=False):
        share = np.mean(np.abs(values) < 1)
        ax.hist(
            values,
            bins,
            density=True,
            histtype="step",
            color=colour,
            label=f"{name}, {share:.0%} within one error",
        )
    ax.plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), color=GREY, lw=1, ls="--")
    ax.set_xlabel("(found - true) / error")
    ax.set_ylabel("Density")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_scores(rows: Sequence[Mapping], ax, *, x: str, label: str):
    """F1 of network and fit, rows of `benchmark_maps.lattice_rows`, against one of their values."""
    for method, colour in (("network", BLUE), ("fit", ORANGE)):
        chosen = sorted((row[x], row["f1"]) for row in rows if row["method"] == method)
        ax.plot(*zip(*chosen, strict=True), "o", color=colour, label=method)
    ax.set_xlabel(label)
    ax.set_ylabel("F1")
    ax.legend(frameon=False)
    return ax


def plot_ratios(rows: Sequence[Mapping], ax):
    """Ratios of known specimens over the expected ones, rows of `benchmark_real.real_row`."""
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


def _lines(ax, named: Maps, label: str, errors: Maps | None) -> None:
    styles = ("-", "--", "-.", ":") * 6  # curves that coincide are still seen
    for (name, values), colour, style in zip(named.items(), COLOURS * 3, styles, strict=False):
        spread = None if errors is None else np.atleast_1d(np.squeeze(errors[name]))
        marker = {"marker": "o"} if len(values) == 1 else {}
        about = {"spread": spread, "label": name, "colour": colour, "lw": 1.2, "ls": style}
        plot_profile(range(len(values)), values, ax, **about, **marker)
    ax.set_ylabel(label)
    ax.set_ylim(0)
    ax.legend(frameon=False, ncols=min(len(named), 6), fontsize="small")
