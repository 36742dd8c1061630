"""Figures over elements: the periodic table, probabilities and their calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, ELEMENTS
from coreloss.figures.spectrum import BLUE, COLOURS, GREY, RED
from coreloss.scoring.calibration import Reliability

MAIN_ROW_STARTS = {1: 1, 2: 3, 3: 11, 4: 19, 5: 37, 6: 55}
LEAST_IN_BIN = 10


def table_cell(atomic_number: int) -> tuple[int, int]:
    """(row, column) in the 18-column table; the lanthanides are in row 8, columns 3 to 17.

    >>> table_cell(6), table_cell(22), table_cell(57), table_cell(72)
    ((2, 14), (4, 4), (8, 3), (6, 4))
    """
    row = max(r for r, start in MAIN_ROW_STARTS.items() if start <= atomic_number)
    place = atomic_number - MAIN_ROW_STARTS[row] + 1
    if row == 6 and place >= 3:
        return (8, place) if atomic_number <= 71 else (6, place - 14)
    if row in (2, 3) and place > 2:
        return row, place + 10
    return row, 18 if atomic_number == 2 else place


def plot_periodic_table(
    values: Mapping[str, float],
    ax=None,
    *,
    label: str = "Probability",
    limits: tuple[float, float] = (0.0, 1.0),
    outlined: tuple[str, ...] = (),
    text_format: str = "{:.2f}",
):
    """Periodic table of the 80 elements coloured by value; NaN or missing is an empty, grey cell.

    ``outlined`` elements get a thick frame.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    ax = plt.gca() if ax is None else ax
    colours = mpl.cm.ScalarMappable(mpl.colors.Normalize(*limits), _pale_to_dark())
    for element in ELEMENTS:
        row, column = table_cell(ATOMIC_NUMBER[element])
        y = -row + (0.4 if row == 8 else 0.0)
        value = values.get(element, np.nan)
        known = np.isfinite(value)
        face = colours.to_rgba(value) if known else "#f4f4f4"  # type: ignore[arg-type]  # scalars too
        frame = {"ec": RED, "lw": 2.2, "zorder": 3} if element in outlined else {"ec": "#bbbbbb"}
        ax.add_patch(Rectangle((column - 0.47, y - 0.47), 0.94, 0.94, fc=face, **frame))
        dark = known and np.dot(face[:3], (0.30, 0.59, 0.11)) < 0.5
        ink = "white" if dark else ("black" if known else "#aaaaaa")
        style = {"ha": "center", "color": ink, "zorder": 4}
        ax.text(column, y + 0.12, element, va="center", fontsize=9, weight="bold", **style)
        if known:
            ax.text(column, y - 0.29, text_format.format(value), va="center", fontsize=6.5, **style)
    ax.set(xlim=(0.4, 18.6), ylim=(-8.2, -1.4), aspect="equal")
    ax.axis("off")
    ax.figure.colorbar(
        colours, ax=ax, label=label, orientation="horizontal", shrink=0.4, aspect=30, pad=0.02
    )
    return ax


def plot_probabilities(
    probabilities: Mapping[str, float],
    ax=None,
    *,
    threshold: float,
    absent_threshold: float | None = None,
    n_shown: int = 15,
):
    """Horizontal bars of the likeliest elements, with the thresholds as lines."""
    from matplotlib import pyplot as plt

    ax = plt.gca() if ax is None else ax
    known = {e: p for e, p in probabilities.items() if np.isfinite(p)}
    names = sorted(known, key=known.__getitem__, reverse=True)[:n_shown][::-1]
    colours = [BLUE if known[e] >= threshold else GREY for e in names]
    ax.barh(names, [known[e] for e in names], color=colours)
    ax.axvline(threshold, color=RED, lw=1)
    if absent_threshold is not None:
        ax.axvline(absent_threshold, color=RED, lw=1, ls="--")
    ax.set_xlim(0, 1)
    ax.set_xlabel("Probability")
    return ax


def plot_reliability(diagrams: Mapping[str, Reliability], ax=None):
    """Observed share against mean probability of named `calibration.Reliability` results.

    Without bins of fewer than `LEAST_IN_BIN` answers, whose shares are chance.
    """
    from matplotlib import pyplot as plt

    ax = plt.gca() if ax is None else ax
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    for i, (name, diagram) in enumerate(diagrams.items()):
        enough = np.asarray(diagram.count) >= LEAST_IN_BIN
        ax.plot(
            np.asarray(diagram.mean_probability)[enough],
            np.asarray(diagram.observed_share)[enough],
            "o-",
            color=COLOURS[i % len(COLOURS)],
            label=f"{name}, ECE {diagram.ece:.3f}",
        )
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("Mean probability")
    ax.set_ylabel("Observed share")
    ax.legend(frameon=False, loc="lower right", fontsize="small")
    return ax


def _pale_to_dark():
    """One hue from white to dark: nothing found looks like nothing."""
    import matplotlib as mpl

    return mpl.colormaps["Blues"]
