"""Figures: every function draws into the Axes it is given (or the current ones) and returns it.

Colours are those of Okabe and Ito, which people with the common colour-vision deficiencies can
tell apart; sequential colours are cividis. matplotlib is imported on the first call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, EdgeShell, identifying_sets

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK)
USUAL = {BLUE: "O", ORANGE: "Ti Si K", GREEN: "Mn Ca Gd C", RED: "La Fe Ge N", PURPLE: "Sr Ni B",
         SKY: "Ba As Cu"}  # fmt: skip
"""Elements that often stand side by side, and their colours."""
GREY = "#777777"
MARKERS = "os^Dv<>P"
SCALES = ("linear", "log", "sqrt")
DECADES_SHOWN = 4.0
MAX_PANELS = 12
LETTER_INCH = 0.075
"""Width of a letter of the name of an edge, and height of its line in the next constant."""
LINE_INCH = 0.17


def plot_spectrum(
    energy_ev,
    counts,
    ax=None,
    *,
    scale: str = "log",
    label: str | None = None,
    colour: str = BLUE,
    elements: Sequence[str] = (),
    undetermined: Sequence[str] = (),
):
    """One spectrum (n,), with the onsets of elements: solid where present, dashed where open.

    ``scale`` is 'linear', 'log' or 'sqrt' (which keeps counting noise of equal height).
    """
    ax = axes_or_new(ax)
    energy_ev, counts = np.asarray(energy_ev, float), np.asarray(counts, float)
    ax.plot(energy_ev, counts, color=colour, lw=1, label=label)
    set_scale(ax, scale, counts)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Counts")
    mark_onsets(ax, elements, undetermined=undetermined)
    if label:
        ax.legend(frameon=False)
    return ax


def mark_onsets(ax, elements: Sequence[str], *, undetermined: Sequence[str] = ()):
    """Vertical lines with names such as 'Ti L' at the edges inside the energy limits of ``ax``.

    Names of close edges stand at heights of their own.
    """
    low, high = ax.get_xlim()
    marks = onsets_between((low, high), elements, undetermined=undetermined)
    width_inch, height_inch = ax.get_window_extent().size / ax.figure.dpi
    letter_ev, line = LETTER_INCH * (high - low) / width_inch, min(LINE_INCH / height_inch, 0.2)
    ends_ev: list[float] = []
    for onset_ev, name, is_open in marks:
        free = [i for i, end_ev in enumerate(ends_ev) if end_ev <= onset_ev]
        level = free[0] if free else len(ends_ev)
        ends_ev[level : level + 1] = [onset_ev + letter_ev * (len(name) + 1)]
        colour = GREY if is_open else RED
        beyond = ends_ev[level] > high
        ax.axvline(onset_ev, color=colour, ls="--" if is_open else "-", lw=1, alpha=0.8)
        ax.text(
            onset_ev + (-0.4 if beyond else 0.4) * letter_ev,
            0.97 - line * level,
            name,
            transform=ax.get_xaxis_transform(),
            ha="right" if beyond else "left",
            va="top",
            color=colour,
            fontsize="small",
        )
    return ax


def onsets_between(
    limits_ev: tuple[float, float], elements: Sequence[str], *, undetermined: Sequence[str] = ()
) -> list[tuple[float, str, bool]]:
    """Onset, name and whether it is undetermined, of the identifying edges of some elements.

    >>> onsets_between((400, 600), ["Ti"], undetermined=["O"])
    [(456.0, 'Ti L', False), (532.0, 'O K', True)]
    """
    low, high = limits_ev
    return sorted(
        (edge.onset_ev, edge_name(edge), edge.element in undetermined)
        for edge in identifying_sets()
        if edge.element in (*elements, *undetermined) and low < edge.onset_ev < high
    )


def edge_name(edge: EdgeShell) -> str:
    """Name for figures, without the numbers of the subshells.

    >>> edge_name(next(e for e in identifying_sets() if e.element == "Ti"))
    'Ti L'
    """
    return f"{edge.element} {edge.shell[0]}"


def element_colour(element: str) -> str:
    """The colour of an element, the same in every figure.

    >>> element_colour("O") == BLUE, element_colour("Ti") == ORANGE
    (True, True)
    """
    usual = (colour for colour, names in USUAL.items() if element in names.split())
    return next(usual, COLOURS[ATOMIC_NUMBER[element] % len(USUAL)])


def plot_identification(result, ax=None, *, row: int = 0, scale: str = "log"):
    """Spectrum ``row`` of an `identify.Identification` with the elements found in it."""
    found = result.spectra[row]
    ax = plot_spectrum(
        result.spectrum.energy_ev,
        result.spectrum.counts[row],
        ax,
        scale=scale,
        elements=found.present,
        undetermined=found.undetermined,
    )
    known = found.probabilities
    names = ", ".join(f"{found.label(e)} {known[e]:.2f}" for e in found.present) or "no element"
    doubt = ", ".join(f"{e} {known[e]:.2f}" for e in found.undetermined)
    ax.set_title(names + (f"   (undetermined: {doubt})" if doubt else ""), fontsize="medium")
    return ax


def draw_results(results: Sequence, *, scale: str = "log"):
    """New Figure with one panel per spectrum of several `identify.Identification`, 12 at most."""
    from matplotlib.figure import Figure

    panels = [(result, row) for result in results for row in range(len(result))][:MAX_PANELS]
    figure = Figure(figsize=(8, 3.2 * len(panels) + 0.4), layout="constrained")
    for ax, (result, row) in zip(
        np.ravel(figure.subplots(len(panels), squeeze=False)), panels, strict=True
    ):
        plot_identification(result, ax, row=row, scale=scale)
        name = result.spectrum.title or result.spectrum.file or ""
        number = f"  spectrum {row + 1} of {len(result)}" if len(result) > 1 else ""
        ax.set_title(f"{name}{number}\n{ax.get_title()}", fontsize="medium")
    return figure


def plot_lines(
    x,
    curves: Mapping[str, Sequence[float]],
    ax=None,
    *,
    x_label: str,
    y_label: str,
    scale: str = "linear",
    x_scale: str = "linear",
    styles: Sequence[str] = ("-",),
):
    """Named curves over one x: GOS at several momenta, cross-sections of several sources.

    A curve that is named like an element has its colour.
    """
    ax = axes_or_new(ax)
    for i, (name, y) in enumerate(curves.items()):
        colour = element_colour(name) if name in ATOMIC_NUMBER else COLOURS[i % len(COLOURS)]
        ax.plot(x, y, styles[i % len(styles)], color=colour, lw=1.4, label=name)
    ax.set_xscale(x_scale)
    set_scale(ax, scale, np.concatenate([np.ravel(y) for y in curves.values()]))
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_overlay(energy_ev, measured, simulated, ax=None, *, scale: str = "log"):
    """A measured spectrum (n,) over simulated ones (m, n), all scaled to mean 1."""
    ax = axes_or_new(ax)
    energy_ev = np.asarray(energy_ev, float)
    simulated = np.atleast_2d(np.asarray(simulated, float))
    for i, spectrum in enumerate(simulated):
        ax.plot(
            energy_ev,
            spectrum / spectrum.mean(),
            color=ORANGE,
            lw=0.8,
            alpha=max(0.25, 1 / len(simulated)),
            label="simulated" if i == 0 else None,
        )
    measured = np.asarray(measured, float) / np.mean(measured)
    ax.plot(energy_ev, measured, color=BLUE, lw=1.2, label="measured")
    set_scale(ax, scale, measured)
    ax.set_xlim(energy_ev[0], energy_ev[-1])
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Counts / mean")
    ax.legend(frameon=False)
    return ax


def plot_surface(x, y, z, ax=None, *, x_label: str, y_label: str, z_label: str, log: bool = False):
    """Colour map of z (ny, nx), for instance the GOS surface over energy and momentum."""
    from matplotlib.colors import LogNorm

    ax = axes_or_new(ax)
    z = np.asarray(z, float)
    norm = LogNorm(z.max() / 1e4, z.max()) if log else None
    shown = np.maximum(z, z.max() / 1e4) if log else z
    mesh = ax.pcolormesh(x, y, shown, norm=norm, cmap="cividis", shading="auto", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label=z_label)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    return ax


def plot_bars(
    groups: Sequence[str], values: Mapping[str, Sequence[float]], ax=None, *, y_label: str
):
    """Grouped bars: one group per name, one colour per key of ``values``."""
    ax = axes_or_new(ax)
    width = 0.8 / len(values)
    for i, (name, heights) in enumerate(values.items()):
        ax.bar(
            np.arange(len(groups)) + (i - (len(values) - 1) / 2) * width,
            heights,
            width,
            color=COLOURS[i % len(COLOURS)],
            label=name,
        )
    rotation = 90 if len(groups) > 12 else 0
    ax.set_xticks(np.arange(len(groups)), groups, rotation=rotation)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.set_ylabel(y_label)
    if len(values) > 1:
        ax.legend(frameon=False)
    return ax


def axes_or_new(ax):
    """The Axes that were given, or the current ones."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.gca()


def set_scale(ax, scale: str, values: np.ndarray) -> None:
    """Scale of y; a log axis ends at least four decades below the maximum, above zeros."""
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}; allowed: {', '.join(SCALES)}")
    if scale == "log":
        positive = values[np.isfinite(values) & (values > 0)]
        if len(positive):
            low = max(positive.min(), positive.max() * 10.0**-DECADES_SHOWN)
            ax.set_yscale("log")
            ax.set_ylim(low / 1.5, positive.max() * 2)
    elif scale == "sqrt":
        ax.set_yscale("function", functions=(_signed_sqrt, _signed_square))


def _signed_sqrt(y):
    return np.sign(y) * np.sqrt(np.abs(y))


def _signed_square(y):
    return np.sign(y) * np.square(y)
