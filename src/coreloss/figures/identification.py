"""The whole answer for one spectrum in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from scipy.ndimage import gaussian_filter1d

from coreloss.figures.spectrum import BLUE, GREY, ORANGE, RED, SKY, onsets_between, set_scale
from coreloss.figures.tables import plot_periodic_table
from coreloss.identification.edge_fit import EdgeEvidence, best_edges
from coreloss.identification.identify import Elements, Identification

OPEN_SHOWN, OPEN_FROM = 4, 0.1
"""So many undetermined elements are marked, the likeliest, from this probability on."""
MOST_ZOOMS, ZOOM_EV = 4, 40.0
STEP_EV = 20.0
"""So far behind its onset the step of an edge is averaged."""
GAP_EV, FINE_EV, LEAST_EV = 4.0, 8.0, 12.0
"""A local background ends so far before an onset and begins so far behind the edge before it; where
it would be shorter than the last of these, it ends before that edge too."""
MOST_STEEP = 8.0
SMOOTH_EV = 0.6
"""Standard deviation of the smooth line in the zooms, at least one channel."""
MORE_SHARE = 0.06
"""Share of the axis that shows, on either side, that the file goes on beyond the window."""
WIDTH_INCH, LETTER_INCH = 9.0, 0.075


def draw_identification(result: Identification, *, row: int = 0, scale: str = "log"):
    """New Figure about spectrum ``row``: onsets, the edges that decide, and a periodic table.

    ``scale`` is 'log', 'sqrt' or 'linear'. Zooms show the best edge of those present elements for
    which its step is smallest beside what lies below it, less a power law fitted before the onset,
    at the energy where the fit of `identify` finds it (solid) and where it is tabulated (dotted).
    They need the evidence of `identify`.
    """
    from matplotlib.figure import Figure

    if not 0 <= row < len(result):
        raise ValueError(f"row is {row}; allowed: 0 to {len(result) - 1}, one spectrum each")
    elements = result.spectra[row]
    zooms = weakest_edges(result, row)
    heights = [3.4, *([1.8] if zooms else []), 3.8]
    figure = Figure(figsize=(WIDTH_INCH, sum(heights) + 0.5), layout="constrained")
    figure.suptitle(_title(result, row, elements), x=0.02, ha="left", fontsize="medium")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    _draw_spectrum(figure.add_subplot(grid[0]), result, row, elements, scale)
    if zooms:
        columns = grid[1].subgridspec(1, max(len(zooms), 2))
        for number, edge in enumerate(zooms):
            ax = figure.add_subplot(columns[number])
            _draw_zoom(ax, result, row, edge)
            if number == 0:
                ax.set_ylabel("Above background", fontsize="small")
    table = figure.add_subplot(grid[-1])
    plot_periodic_table(elements.probabilities, table, outlined=elements.present)
    return figure


def weakest_edges(result: Identification, row: int = 0) -> tuple[EdgeEvidence, ...]:
    """The best edges of present elements, a few of them, the smallest relative step first."""
    elements = result.spectra[row]
    best = best_edges(edge for edge in elements.evidence if edge.element in elements.present)
    ordered = sorted(best.values(), key=lambda edge: _relative_step(result, row, edge))
    return tuple(ordered[:MOST_ZOOMS])


def local_background(
    energy_ev: np.ndarray, counts: np.ndarray, *, fit_ev: tuple[float, float]
) -> np.ndarray:
    """Power law A E^-r through the counts between two energies, both (n,); level where they fail.

    >>> energy = np.arange(400.0, 600.0)
    >>> counts = 5e9 * energy**-3.0 + 40 * (energy > 500)
    >>> above = counts - local_background(energy, counts, fit_ev=(450, 495))
    >>> above[[0, 60, 150]].round(6).tolist()
    [0.0, 0.0, 40.0]
    """
    inside = (energy_ev >= fit_ev[0]) & (energy_ev <= fit_ev[1])
    x, y = energy_ev[inside], counts[inside]
    if len(x) < 3 or (y <= 0).any() or x[0] <= 0:
        return np.full(len(energy_ev), y.mean() if len(y) else counts.min())
    slope = np.polyfit(np.log(x), np.log(y), 1, w=np.sqrt(y))[0]
    shape = np.maximum(energy_ev, 1.0) ** np.clip(slope, -MOST_STEEP, 0.0)
    return shape * y.sum() / shape[inside].sum()


def shown_undetermined(elements: Elements) -> tuple[str, ...]:
    """The few undetermined elements that a figure marks, the likeliest first."""
    likely = (e for e in elements.undetermined if elements.probabilities[e] >= OPEN_FROM)
    return tuple(likely)[:OPEN_SHOWN]


def label_levels(starts: Sequence[float], widths: Sequence[float]) -> list[int]:
    """Heights at which labels that begin at lines cross neither each other nor the lines.

    >>> label_levels([0.0, 1.0, 5.0], [2.0, 2.0, 2.0])
    [1, 0, 0]
    """
    levels = [0] * len(starts)
    placed: list[int] = []
    for i in sorted(range(len(starts)), key=lambda i: -starts[i]):  # from the right: only upwards
        covered = [levels[j] for j in placed if starts[j] < starts[i] + widths[i]]
        levels[i] = 1 + max(covered, default=-1)
        placed.append(i)
    return levels


def _title(result: Identification, row: int, elements: Elements) -> str:
    number = f", spectrum {row + 1} of {len(result)}" if len(result) > 1 else ""
    known = elements.probabilities
    present = (
        ", ".join(f"{elements.label(e)} {known[e]:.2f}" for e in elements.present) or "no element"
    )
    shown = shown_undetermined(elements)
    text = f"Present: {present}"
    if elements.undetermined:
        names = [f"{e} {known[e]:.2f}" for e in shown]
        hidden = len(elements.undetermined) - len(shown)
        names += [f"{hidden} {'more' if names else 'unlikely'}"] if hidden else []
        text += "; undetermined: " + ", ".join(names)
    return f"{result.name}{number}\n{fill(text, 110)}".replace("$", r"\$")


def _draw_spectrum(ax, result: Identification, row: int, elements: Elements, scale: str) -> None:
    energy, counts = result.spectrum.energy_ev, result.spectrum.counts[row]
    ax.plot(energy, counts, color=BLUE, lw=1, label="spectrum")
    background = _background(result, row)
    if background is not None:
        ax.plot(energy, background, color=ORANGE, lw=1.2, ls="-.", label="background of the fit")
    set_scale(ax, scale, counts if background is None else np.append(counts, background))
    low, high = _limits(result)
    ax.set_xlim(low, high)
    start, end = result.window_ev
    name: str | None = "not used"
    for left, right in ((low, start), (end, high)):
        if right - left > 0.004 * (high - low):
            ax.axvspan(left, right, color="#dddddd", lw=0, zorder=0, label=name)
            name = None
    ax.set_xlabel("Energy loss (eV)")
    ax.set_ylabel("Counts")
    _mark(ax, result.window_ev, elements.present, shown_undetermined(elements))
    ax.legend(fontsize="small", loc="upper right", framealpha=0.9, edgecolor="none")


def _limits(result: Identification) -> tuple[float, float]:
    """Energies of the data and a little of what the file has besides."""
    first, last = (float(result.spectrum.energy_ev[i]) for i in (0, -1))
    more = MORE_SHARE * (last - first)
    low, high = result.cut_ev
    return max(min(low, first), first - more), min(max(high, last), last + more)


def _background(result: Identification, row: int) -> np.ndarray | None:
    if result.background is None or not np.isfinite(result.background[row]).any():
        return None
    return result.background[row]


def _mark(ax, window_ev, present: Sequence[str], undetermined: Sequence[str]) -> None:
    """Lines at the onsets inside the window, with names above the axes."""
    marks = onsets_between(window_ev, present, undetermined=undetermined)
    per_inch = np.ptp(ax.get_xlim()) / (0.88 * WIDTH_INCH)
    widths = [per_inch * LETTER_INCH * (len(name) + 1) for _, name, _ in marks]
    levels = label_levels([onset for onset, *_ in marks], widths)
    transform = ax.get_xaxis_transform()
    for (onset_ev, name, is_open), level in zip(marks, levels, strict=True):
        style = {"color": GREY if is_open else RED, "transform": transform, "clip_on": False}
        top, dashes = 1.06 + 0.065 * level, "--" if is_open else "-"
        ax.plot([onset_ev] * 2, [0, top], ls=dashes, lw=0.9, alpha=0.8, **style)
        x = onset_ev + 0.03 * per_inch
        ax.text(x, top, name, va="top", fontsize="small", fontweight=None if is_open else "bold",
                **style)  # fmt: skip


def _zoom(
    result: Identification, row: int, edge: EdgeEvidence
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, counts and local background around an edge."""
    energy, counts = result.spectrum.energy_ev, result.spectrum.counts[row]
    here = (np.abs(energy - edge.found_ev) <= ZOOM_EV) & np.isfinite(counts)
    energy, counts = energy[here], counts[here]
    elements = result.spectra[row]
    found = [other.found_ev for other in elements.evidence if other.element in elements.present]
    end = min(edge.found_ev, edge.onset_ev) - GAP_EV
    close = [e for e in found if end - LEAST_EV - FINE_EV < e < end]
    end = min([end, *(e - GAP_EV for e in close)])
    before = [e + FINE_EV for e in found if energy[0] < e < end]
    return energy, counts, local_background(energy, counts, fit_ev=(max(before, default=0.0), end))


def _relative_step(result: Identification, row: int, edge: EdgeEvidence) -> float:
    """Counts above the local background behind the onset, over that background."""
    energy, counts, background = _zoom(result, row, edge)
    behind = (energy >= edge.found_ev) & (energy <= edge.found_ev + STEP_EV)
    if not behind.any():
        return 0.0
    below = np.abs(background[behind]).mean()
    return float((counts - background)[behind].mean() / max(below, 1e-12))


def _draw_zoom(ax, result: Identification, row: int, edge: EdgeEvidence) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    energy, counts, background = _zoom(result, row, edge)
    above, sigma = counts - background, max(SMOOTH_EV / result.spectrum.dispersion_ev, 1.0)
    ax.plot(energy, above, color=SKY, lw=0.7)
    ax.plot(energy, gaussian_filter1d(above, sigma, mode="nearest"), color=BLUE, lw=1.2)
    ax.axhline(0, color=GREY, lw=0.8, ls="-.")
    ax.axvline(edge.onset_ev, color=GREY, lw=0.9, ls=":")
    ax.axvline(edge.found_ev, color=RED, lw=0.9)
    ax.set_xlim(edge.found_ev - ZOOM_EV, edge.found_ev + ZOOM_EV)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    ax.tick_params(labelsize="small")
    ax.set_title(f"{edge.edge} {edge.found_ev:.0f} eV, z = {edge.z:.0f}", fontsize="small")
