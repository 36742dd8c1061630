"""What makes an answer less certain than it looks, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coreloss.edges import ELEMENTS, EdgeShell
from coreloss.identification.edge_fit import FIT_CHANNELS
from coreloss.identification.few_counts import nothing_but_noise
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import CORE_LOSS_EV, ZERO_LOSS_EV

FEW_COUNTS_PER_EV = 20.0
NARROW_EV = 60.0
NEGATIVE = 0.01
"""Share of negative channels of a spectrum whose background was removed."""


def warnings_of(
    spectrum: Spectrum,
    window_ev: tuple[float, float],
    *,
    observable: np.ndarray,
    doubted: np.ndarray,
    too_short: Sequence[EdgeShell],
) -> tuple[tuple[str, ...], ...]:
    """Warnings of the file and of the window, then those of each spectrum.

    ``observable`` (80,) bool; ``doubted`` (m, 80) bool, elements that too few counts speak for;
    ``too_short`` as of `edges.begin_too_late`.
    """
    common = (*spectrum.warnings, *_of_window(spectrum, window_ev, observable, too_short))
    empty = nothing_but_noise(spectrum.counts)
    each = _of_counts(spectrum.counts, spectrum.dispersion_ev, empty)
    for row in np.flatnonzero(doubted.any(1) & ~empty):
        names = ", ".join(ELEMENTS[k] for k in np.flatnonzero(doubted[row]))
        each[row] = (*each[row], f"counts behind the onset of {names} may be chance: not called")
    return tuple((*common, *found) for found in each)


def _of_window(
    spectrum: Spectrum,
    window_ev: tuple[float, float],
    observable: np.ndarray,
    too_short: Sequence[EdgeShell],
) -> list[str]:
    (low, high), found = window_ev, []
    strongest_ev = spectrum.energy_ev[np.argmax(spectrum.counts.sum(axis=0))]
    if spectrum.energy_ev[0] < ZERO_LOSS_EV and abs(strongest_ev) < ZERO_LOSS_EV:
        found.append(
            f"the window holds the zero-loss peak (maximum at {strongest_ev:g} eV); start it above "
            f"the plasmons, for instance at {CORE_LOSS_EV:g} eV or more"
        )
    elif low < CORE_LOSS_EV:
        found.append(
            f"the window begins at {low:g} eV, among the plasmons; "
            f"start it above {CORE_LOSS_EV:g} eV"
        )
    if high - low < NARROW_EV:
        found.append(f"the window is only {high - low:g} eV wide: background and edges look alike")
        found += [
            f"{edge.element} {edge.shell} at {edge.onset_ev:g} eV begins here, too short to judge"
            for edge in too_short
        ]
    if high - low + 1 < FIT_CHANNELS:
        found.append(f"edges are fitted in windows of {FIT_CHANNELS} eV or more: not in this one")
    if not observable.any():
        found.append(f"no identifying edge lies inside {low:g}..{high:g} eV")
    return found


def _of_counts(
    counts: np.ndarray, dispersion_ev: float, empty: np.ndarray
) -> list[tuple[str, ...]]:
    """Warnings of every spectrum of ``counts`` (m, n), in the same words for all of several.

    ``empty`` (m,) bool, those that are noise about zero.
    """
    alone = len(counts) == 1
    negative = (counts < 0).mean(axis=1)
    whole = (np.abs(counts - np.rint(counts)) <= 1e-6).all(axis=1)
    per_ev = np.full(len(counts), np.inf)
    per_ev[whole] = np.median(counts[whole], axis=1) / dispersion_ev
    found: list[tuple[str, ...]] = [()] * len(counts)
    for row in np.flatnonzero(per_ev < FEW_COUNTS_PER_EV):
        how = f"only {per_ev[row]:.3g}" if alone else f"fewer than {FEW_COUNTS_PER_EV:g}"
        found[row] = (f"{how} counts per eV: weak edges drown in the counting noise",)
    for row in np.flatnonzero(empty):
        found[row] = ("no signal: all counts are noise about zero",)
    for row in np.flatnonzero((negative > NEGATIVE) & ~empty):
        share = f"{negative[row]:.0%}" if alone else f"more than {NEGATIVE:.0%}"
        found[row] = (
            f"{share} of the channels are negative: the background was probably removed, networks"
            " expect it",
        )
    return found
