"""One spectrum asked several times: with other windows, on other energy axes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coreloss.figures.spectrum import mark_onsets, plot_spectrum
from coreloss.figures.tables import plot_probabilities
from coreloss.identification.identify import Identification, identify
from coreloss.identification.trained_model import DEFAULT_MODEL, Model
from coreloss.spectra.spectrum import Spectrum

SHOWN_SHIFT_EV = 8.0
"""Shift of the third of the usual settings: as much as badly calibrated files are off."""
SHOWN = 7
"""Elements with a bar, the likeliest."""


@dataclass(frozen=True)
class Setting:
    """What `identify.identify` is asked: a name for the figure, the window, and the shift."""

    name: str
    window_ev: tuple[float, float] | None = None
    shift_ev: float = 0.0


def usual_settings(spectrum: Spectrum) -> tuple[Setting, ...]:
    """As the file is, only its lower half, and all energies moved up.

    >>> import numpy as np
    >>> spectrum = Spectrum(np.arange(100.0, 900.0), np.ones(800))
    >>> [(setting.window_ev, setting.shift_ev) for setting in usual_settings(spectrum)]
    [(None, 0.0), ((100.0, 499.5), 0.0), (None, 8.0)]
    """
    low, high = (float(spectrum.energy_ev[i]) for i in (0, -1))
    return (
        Setting("As it is"),
        Setting("Lower half", (low, (low + high) / 2)),
        Setting(f"Moved by {SHOWN_SHIFT_EV:g} eV", shift_ev=SHOWN_SHIFT_EV),
    )


def ask(
    spectrum: Spectrum,
    settings: Sequence[Setting],
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    evidence: bool | None = None,
) -> tuple[Identification, ...]:
    """The answer for each of the settings, all of the sum of the spectra."""
    return tuple(
        identify(
            spectrum, model=model, window_ev=s.window_ev, shift_ev=s.shift_ev, evidence=evidence
        )
        for s in settings
    )


def draw_settings(
    results: Sequence[Identification], settings: Sequence[Setting], *, scale: str = "log"
):
    """New Figure, a row per setting: the spectrum with its onsets, and the likeliest elements."""
    from matplotlib.figure import Figure

    if not results or len(results) != len(settings):
        raise ValueError(
            f"{len(results)} results for {len(settings)} settings; allowed: one each, and not none"
        )
    figure = Figure(figsize=(9, 2.4 * len(results) + 0.3), layout="constrained")
    axes = figure.subplots(len(results), 2, width_ratios=(3, 1), squeeze=False)
    limits = [r.spectrum.energy_ev[[0, -1]] for r in results]
    common = min(low for low, _ in limits), max(high for _, high in limits)
    for (left, right), result, setting in zip(axes, results, settings, strict=True):
        energy_ev, (counts,) = result.spectrum.energy_ev, result.spectrum.counts
        plot_spectrum(energy_ev, counts, left, scale=scale)
        left.set_xlim(common)
        mark_onsets(left, result.present)
        low, high = result.window_ev
        present = " ".join(result.present) or "no element"
        title = f"{setting.name}, {low:g} to {high:g} eV: {present}"
        left.set_title(title, loc="left", fontsize="medium")
        plot_probabilities(
            result.probabilities, right, n_shown=SHOWN,
            threshold=result.threshold, absent_threshold=result.absent_threshold,
        )  # fmt: skip
        for ax in (left, right):
            ax.set_xlabel("")
    axes[-1, 0].set_xlabel("Energy loss (eV)")
    axes[-1, 1].set_xlabel("Probability")
    return figure


def png_bytes(figure) -> bytes:
    """A Figure as it is shown where nothing has told the notebook how to show Figures."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return stream.getvalue()
