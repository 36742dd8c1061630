"""Figures of element maps and amounts: images for maps, profiles for lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.figures.spectrum import BLUE, element_colour
from coreloss.mapping.amount_maps import AmountMaps
from coreloss.mapping.element_maps import ElementMaps

Maps = Mapping[str, np.ndarray]


def draw_element_maps(maps: ElementMaps, elements: Sequence[str] | None = None):
    """New Figure with the probability of each element, detected ones by default."""
    names = maps.present() if elements is None else tuple(elements)
    return draw_maps({e: maps.of(e) for e in names}, label="Probability", limits=(0.0, 1.0))


def draw_amounts(amounts: AmountMaps):
    """New Figure with the atomic fraction of each element, and its error along a line."""
    named, errors = (
        {e: values[..., k] for k, e in enumerate(amounts.elements)}
        for values in (amounts.fraction, amounts.fraction_error)
    )
    return draw_maps(named, label="Atomic fraction", errors=errors)


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


def plot_map(values: np.ndarray, ax, *, title: str = "", limits=None):
    """One map (rows, columns); returns the image for a colour bar."""
    low, high = limits or (0.0, float(np.nanpercentile(values, 99.5)) or 1.0)
    shown = ax.imshow(values, vmin=low, vmax=high, cmap="cividis", interpolation="nearest")
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_axis_off()
    return shown


def plot_profile(position, mean, ax, *, spread=None, label="", colour=BLUE, lw=1.0, **style):
    """A profile (n,) along a line, with error bars; ``style`` as of ``errorbar``."""
    ax.errorbar(position, mean, spread, color=colour, lw=lw, capsize=2, label=label, **style)
    ax.set_xlabel("Position (pixels)")
    return ax


def _lines(ax, named: Maps, label: str, errors: Maps | None) -> None:
    styles = ("-", "--", "-.", ":") * 6  # curves that coincide are still seen
    for (name, values), style in zip(named.items(), styles, strict=False):
        spread = None if errors is None else np.atleast_1d(np.squeeze(errors[name]))
        marker = {"marker": "o"} if len(values) == 1 else {}
        about = {
            "spread": spread,
            "label": name,
            "colour": element_colour(name),
            "lw": 1.2,
            "ls": style,
        }
        plot_profile(range(len(values)), values, ax, **about, **marker)
    ax.set_ylabel(label)
    ax.set_ylim(0)
    ax.legend(frameon=False, ncols=min(len(named), 6), fontsize="small")
