"""The dark level of a detector, from the channels in front of the zero-loss peak.

No electron gains energy, so what stands there, far enough from the peak, is no signal: the dark
level, which lies under all other channels as well. Near the peak are its tails, which fall with
the distance, as the dark level does not. Electrons that stray in the spectrometer can add what does
not fall either, but is missing at the other end of the spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import lsq_linear

from coreloss.spectra.repair import between_padding
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import ZERO_LOSS_EV

NEAR_EV, NEAR_WIDTHS = 4.0, 5.0
"""Channels nearer than this to the zero-loss peak, or than so many of its half widths at half
height, are left out: they belong to the peak."""
FEWEST, STRETCH = 10, 2.5
"""So many channels are needed, up to this multiple of the distance of the nearest: over a shorter
stretch a tail looks like a level."""
TAILS = (1.0, 2.0, 4.0)
"""Tails fall with these powers of the distance from the peak, and mixtures of them."""
SURE, LIKELY = 16.0, 9.0
"""Improvements of chi^2 that make a level sure beside a tail (4 standard deviations), and a tail
likely beside a level, or a level where nothing else is needed."""
OUTLIER = 5.0
LOWER = 6.0
"""Errors by which the lowest counts are lower than the level, and not by chance."""


@dataclass(frozen=True, eq=False)
class _Level:
    """A level with its error and the tail (n,) of the peak on it; ``used`` (n,) are no outliers."""

    counts: float
    error: float
    tail: np.ndarray
    used: np.ndarray


def without_dark_level(spectrum: Spectrum) -> Spectrum:
    """The same spectra without the dark level, with a warning; as they are where none is found.

    The level is that of the sum, at most its counts where they are lowest. Single spectra deviate
    from it by the share of their differences that is not noise. Spectra without a zero-loss peak,
    or with too little in front of it, stay. ValueError when values are missing, see
    `Spectrum.mended`.

    >>> energy = np.arange(-40.0, 200.0)
    >>> dark = without_dark_level(Spectrum(energy, 1e6 * np.exp(-(energy**2)) + 300))
    >>> bool(abs(dark.counts[0, -100:]).max() < 0.1), dark.warnings[0][:26]
    (True, 'a dark level of 300 counts')
    """
    before = channels_before(spectrum)
    if before.stop == 0:
        return spectrum
    total = spectrum.counts.sum(0)
    peak = int(np.argmax(total))
    found = _level(spectrum.energy_ev[peak] - spectrum.energy_ev[before], total[before])
    if found is None:
        return spectrum
    lowest = _lowest(total[peak:], before.stop)
    if found.counts > max(lowest, 0.0) + LOWER * found.error:
        if lowest < LOWER * found.error:
            return spectrum
        found = replace(found, counts=lowest)
    levels = _of_each(spectrum.counts[:, before], spectrum.counts[:, peak], found)
    top = total[peak] - found.counts
    note = (
        f"a dark level of {found.counts / len(spectrum):.3g} counts in a channel,"
        f" {100 * found.counts / top:.3g}% of the maximum (error {100 * found.error / top:.1g}%),"
        " was taken off"
    )
    counts = spectrum.counts - levels[:, None]
    return replace(spectrum, counts=counts, warnings=(*spectrum.warnings, note))


def channels_before(spectrum: Spectrum) -> slice:
    """The channels so far in front of the zero-loss peak that they show the dark level.

    Empty where there is no zero-loss peak, or too few channels are in front of it to tell the level
    from a tail of the peak.
    """
    energy, total = spectrum.energy_ev, spectrum.counts.sum(0)
    if not np.isfinite(total).all():
        raise ValueError("counts hold NaN or infinity; crop them away or use Spectrum.mended()")
    peak = int(np.argmax(total))
    none = slice(0, 0)
    if abs(energy[peak]) > ZERO_LOSS_EV or peak < FEWEST:
        return none
    half = 0.5 * (total[peak] + total[:peak].min())
    low = np.flatnonzero(total[:peak] < half)
    if not len(low):
        return none
    at = slice(low[-1], low[-1] + 2)
    half_width_ev = energy[peak] - np.interp(half, total[at], energy[at])
    near_ev = max(NEAR_EV, NEAR_WIDTHS * half_width_ev)
    stop = int(np.searchsorted(energy, energy[peak] - near_ev, side="right"))
    enough = stop >= FEWEST and energy[peak] - energy[0] >= STRETCH * near_ev
    return slice(0, stop) if enough else none


def _level(distance_ev: np.ndarray, counts: np.ndarray) -> _Level | None:
    """The level of ``counts`` (n,) in front of a peak, None unless it is sure that there is one."""
    one = np.ones_like(counts)
    tails = np.stack([(distance_ev / distance_ev.min()) ** -power for power in TAILS], 1)
    both, noise = np.column_stack([one, tails]), _noise(counts)
    used = np.ones(len(counts), bool)
    for _ in range(2):  # the second time without outliers
        lowest = -np.inf if np.median(counts[used]) < 0 else 0.0
        alone, level = _fitted(one[used, None], counts[used] / noise, [lowest])
        joined, heights = _fitted(both[used], counts[used] / noise, [lowest, 0, 0, 0])
        if level_is_enough := alone - joined < LIKELY:
            joined, heights = alone, np.append(level, np.zeros(len(TAILS)))
        rest = counts - noise * (both @ heights)
        used = np.abs(rest) <= OUTLIER * max(noise, float(np.median(np.abs(rest))))
    without, _ = _fitted(tails[used], counts[used] / noise, [0, 0, 0])
    misfit = max(joined / used.sum(), 1.0)
    needed = LIKELY if level_is_enough else SURE
    if heights[0] == 0 or without - joined < needed * misfit:
        return None
    columns = both[used][:, heights != 0]
    error = noise * np.sqrt(misfit * np.linalg.inv(columns.T @ columns)[0, 0])
    return _Level(noise * heights[0], float(error), noise * (tails @ heights[1:]), used)


def _lowest(counts: np.ndarray, n: int) -> float:
    """The lowest mean of ``n`` counts in a row, but for padding at the end."""
    measured = counts[: between_padding(np.diff(counts) == 0).stop]
    length = min(n, len(measured))
    return float(np.convolve(measured, np.full(length, 1 / length), "valid").min())


def _fitted(columns: np.ndarray, values: np.ndarray, lowest: list[float]):
    """chi^2 and the heights of columns (n, k), not below ``lowest``, that fit values (n,) best."""
    found = lsq_linear(columns, values, (lowest, np.inf), method="bvls")
    return 2 * found.cost, found.x


def _noise(counts: np.ndarray) -> float:
    """Standard deviation of neighbours (n,), without spikes, above what a number is rounded to."""
    bend = np.abs(counts[1:-1] - (counts[2:] + counts[:-2]) / 2) / np.sqrt(1.5)
    usual = np.median(bend)
    kept = bend[bend <= 6 * usual] if usual > 0 else bend
    return max(float(np.sqrt(np.mean(kept**2))), 1e-9 * float(np.abs(counts).max()), 1e-300)


def _of_each(before: np.ndarray, height: np.ndarray, common: _Level) -> np.ndarray:
    """The level of every spectrum (m,) from its channels ``before`` (m, n) a peak of a height.

    The common one, and of what differs from it the share that noise does not explain.
    """
    level = np.full(len(before), common.counts / len(before))
    share = height / max(height.sum(), 1e-300)
    rest = (before - share[:, None] * common.tail)[:, common.used] - level[:, None]
    own = rest.mean(1) - rest.mean()
    noise = rest.var(1).mean() / common.used.sum()
    real = max(1 - noise / own.var(), 0.0) if own.var() > 0 else 0.0
    return level + real * own
