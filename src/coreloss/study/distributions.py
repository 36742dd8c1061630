"""Figures of many numbers at once: pairs of elements, drawn quantities, places of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coreloss.axis import energy_ev
from coreloss.edges import ELEMENTS
from coreloss.figures.spectrum import BLUE, COLOURS
from coreloss.simulation.batch import Batch

PAIRED = ("slope", "noise", "structure_4ev", "rise")
"""Features that the pair plot shows: background, noise, fine structure, edges."""


def plot_cooccurrence(shares, ax):
    """Heat map (80, 80) of shares, a name at every fifth element; NaN stays white."""
    import seaborn

    shares = np.asarray(shares, float)
    if shares.shape != (len(ELEMENTS), len(ELEMENTS)):
        raise ValueError(f"shares have shape {shares.shape}; needed: a row and a column of each of"
                         f" the {len(ELEMENTS)} elements")  # fmt: skip
    seaborn.heatmap(
        shares, ax=ax, cmap="Blues", vmin=0, square=True, rasterized=True,
        cbar_kws={"label": "Square root of the share", "shrink": 0.7},
    )  # fmt: skip
    ticks = np.arange(0, len(ELEMENTS), 5)
    ax.set_xticks(ticks + 0.5, [ELEMENTS[i] for i in ticks], rotation=0)
    ax.set_yticks(ticks + 0.5, [ELEMENTS[i] for i in ticks], rotation=0)
    ax.set(xlabel="... that also hold", ylabel="Formulas with")
    return ax


def drawn_quantities(batch: Batch) -> dict[str, np.ndarray]:
    """What the simulator drew, by name: window, dose, elements, and the strength of their edges.

    One number for each spectrum, the last for each element that is present.
    """
    energy = energy_ev().numpy()
    mask = batch.mask.numpy()
    width = mask.sum(1)
    snr = batch.snr[batch.present].numpy()
    return {
        "Start of the window (eV)": energy[mask.argmax(1)],
        "Width of the window (eV)": width,
        "Electrons per channel": batch.counts.clamp(min=0).sum(1).numpy() / width,
        "Stated error of the axis (eV)": batch.axis_error_ev.numpy(),
        "Elements present": batch.present.sum(1).numpy(),
        "Signal-to-noise ratio of an element": snr[snr > 0],
    }


def plot_quantities(quantities: Mapping[str, Sequence[float]], axes):
    """A histogram of each; logarithmic where the numbers span three decades."""
    import seaborn

    for ax, (name, values) in zip(np.ravel(axes), quantities.items(), strict=True):
        drawn = np.asarray(values, float)
        positive = drawn[drawn > 0]
        wide = bool(positive.max() > 1000 * positive.min())
        whole = bool((drawn == drawn.round()).all() and drawn.max() < 30)
        seaborn.histplot(positive if wide else drawn, ax=ax, log_scale=wide, discrete=whole,
                         bins="auto" if whole else 30, color=BLUE)  # fmt: skip
        ax.set(xlabel=name, ylabel="")
    return axes


def draw_feature_pairs(files: Sequence):
    """Places of measured files in their pools, feature over feature, coloured by quality.

    ``files`` are `gate.FileResult`. Points that fill the squares are spectra such as the simulator
    makes.
    """
    import matplotlib as mpl
    import pandas as pd
    import seaborn

    rows = [
        {name.replace("_", " "): file.percentile.get(name, np.nan) for name in PAIRED}
        | {"quality": file.quality}
        for file in files
    ]
    qualities = sorted({file.quality for file in files})
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        grid = seaborn.pairplot(
            pd.DataFrame(rows), hue="quality", hue_order=qualities, corner=True, height=1.8,
            palette=dict(zip(qualities, COLOURS, strict=False)), plot_kws={"s": 18},
            diag_kind="hist", diag_kws={"bins": 10, "multiple": "stack"},
        )  # fmt: skip
    grid.set(xlim=(-0.02, 1.02), xticks=(0, 0.5, 1))
    return grid.figure
