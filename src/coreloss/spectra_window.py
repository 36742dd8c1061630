"""The part of a spectrum that can be used for core losses, and faults of detectors in it.

Cut off is only what no ionisation edge can be: zero loss and plasmons, padding, ends where the
detector falls off, the other side of a change of gain. Everything that is cut or mended is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from coreloss.spectra_data import Spectrum

CORE_LOSS_EV = 30.0
"""Below it, plasmons and valence losses look like anything."""
PLASMONS_END_EV = 60.0
"""The last maximum before this energy belongs to plasmons in a spectrum with its zero loss."""
AFTER_PLASMON_EV = 15.0
ZERO_LOSS_EV = 10.0
MIN_WIDTH_EV = 50.0
"""Cuts that would leave less are not made."""
PADDING_RUN = 3
"""An end that repeats one value in so many channels was not measured."""
END_SHARE, END_CHANNELS = 0.03, 12
"""Detectors fall off within this share of the channels at either end, and so few of them."""
DROP, RISE = 0.6, 10.0
"""A gain has changed where counts drop to this share, or rise to this multiple, in one channel and
stay there. Edges only rise, over an electronvolt or more, and white lines fall as they rose."""
_SIDE = 8  # channels on each side of such a step
SPIKE_SIGMA = 12.0
SHOULDER = 0.1
"""A spike is one channel; every peak of a specimen has shoulders above this share of its height."""
NOTICEABLE = 0.03
"""Share of the highest count below which a spike does no harm."""
FINE_EV, COARSE_HEIGHT = 0.4, 2.0
"""At wider channels a sharp line can be one channel too: there, a spike is so many times as high as
what is beside it, and only reported."""


@dataclass(frozen=True)
class UsableWindow:
    """First and last usable energy, and a sentence for each thing that was cut off."""

    lo_ev: float
    hi_ev: float
    reasons: tuple[str, ...] = ()


def usable_window(spectrum: Spectrum) -> UsableWindow:
    """The part of a spectrum, or of the sum of several, that holds nothing but core losses.

    >>> energy = np.arange(-20.0, 400.0)
    >>> counts = 1e6 * np.exp(-(energy**2)) + 1e3 * np.maximum(energy, 20) ** -1.0
    >>> found = usable_window(Spectrum(energy, counts))
    >>> found.lo_ev, found.hi_ev
    (30.0, 399.0)
    """
    energy, counts = spectrum.energy_ev, np.nan_to_num(spectrum.counts).sum(0)
    first, last, reasons = 0, len(energy) - 1, []
    for cut in (_padding, _low_losses, _ends, _gain):
        start, stop, reason = cut(energy[first : last + 1], counts[first : last + 1])
        kept = energy[first + stop] - energy[first + start]
        if reason and kept >= MIN_WIDTH_EV:
            first, last = first + start, first + stop
            reasons.append(reason)
    return UsableWindow(float(energy[first]), float(energy[last]), tuple(reasons))


def without_faults(spectrum: Spectrum) -> Spectrum:
    """The same spectra without spikes; they and saturation are in the warnings.

    Every spectrum is looked at by itself. A spike on an axis of wide channels stays.
    """
    counts, fine = spectrum.counts, spectrum.dispersion_ev <= FINE_EV
    spikes = _spikes(counts, least=0.0 if fine else COARSE_HEIGHT)
    notes = []
    if spikes.any():
        channel = int(np.argmax(spikes.any(0)))
        where = f"{spikes.sum()} single channels stand out, the first at "
        where += f"{spectrum.energy_ev[channel]:g} eV"
        if fine:
            beside = median_filter(counts, size=(1, 7), mode="nearest")
            counts = np.where(spikes, beside, counts)
            notes.append(f"{where}: taken for X-rays or hot pixels and replaced")
        else:
            notes.append(f"{where}: X-rays or hot pixels? They were kept")
    plateau = _saturated(counts)
    if plateau.any():
        channel = int(np.argmax(plateau))
        notes.append(
            f"the highest counts are all equal from {spectrum.energy_ev[channel]:g} eV on: the "
            "detector was saturated there"
        )
    if not notes:
        return spectrum
    return replace(spectrum, counts=counts, warnings=(*spectrum.warnings, *notes))


# -- what is cut: first and last channel of the part that is left, and why ------------------------


def _padding(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    changes = np.flatnonzero(np.diff(counts) != 0)
    if not len(changes):
        return 0, len(energy) - 1, ""
    before, after = int(changes[0]) + 1, len(counts) - 1 - int(changes[-1])
    first = before if before >= PADDING_RUN else 0
    last = len(counts) - 1 - (after if after >= PADDING_RUN else 0)
    ends = [f"below {energy[first]:g} eV"] if first else []
    ends += [f"above {energy[last]:g} eV"] if last < len(counts) - 1 else []
    where = " and ".join(ends)
    return first, last, where and f"equal counts or none {where}: padding or saturation, cut off"


def _low_losses(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    last = len(energy) - 1
    if energy[0] >= CORE_LOSS_EV:
        return 0, last, ""
    start_ev = CORE_LOSS_EV
    strongest_ev = energy[np.argmax(counts)]
    has_zero_loss = energy[0] < ZERO_LOSS_EV and abs(strongest_ev) < ZERO_LOSS_EV
    if has_zero_loss:
        step = (energy[-1] - energy[0]) / last
        smooth = gaussian_filter1d(counts, max(1.5 / step, 0.5))
        inner = smooth[1:-1]
        peak = (inner > smooth[:-2]) & (inner >= smooth[2:])
        peak &= (energy[1:-1] > strongest_ev + 3) & (energy[1:-1] < PLASMONS_END_EV)
        peak &= inner > 1.02 * np.minimum(smooth[:-2], smooth[2:]).min(initial=np.inf)
        plasmons_ev = energy[1:-1][peak & (inner > 0.2 * inner[peak].max(initial=0))]
        if len(plasmons_ev):
            start_ev = max(start_ev, float(plasmons_ev[-1]) + AFTER_PLASMON_EV)
    first = int(np.searchsorted(energy, start_ev))
    what = "zero-loss peak and plasmons" if has_zero_loss else "plasmons and valence losses"
    return min(first, last), last, f"{what} below {start_ev:g} eV, cut off"


def _ends(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    n, most = len(counts), min(int(END_SHARE * len(counts)), END_CHANNELS)
    if most < 2:
        return 0, n - 1, ""
    low = _fallen(counts[: 3 * most], most)
    high = _fallen(counts[::-1][: 3 * most], most)
    ends = [f"below {energy[low]:g} eV"] if low else []
    ends += [f"above {energy[n - 1 - high]:g} eV"] if high else []
    where = " and ".join(ends)
    return low, n - 1 - high, where and f"counts fall off {where}: end of the detector, cut off"


def _fallen(counts: np.ndarray, most: int) -> int:
    """Channels at the beginning, up to ``most``, that lie far below those that follow."""
    beside = counts[most:]
    level = min(0.5 * np.median(beside), np.median(beside) - 4 * np.abs(np.diff(beside)).mean())
    number = 0
    while number < most and counts[number] < level:
        number += 1
    return number


def _gain(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    n = len(counts)
    if n < 4 * _SIDE or counts.min() <= 0:
        return 0, n - 1, ""
    sides = np.lib.stride_tricks.sliding_window_view(counts, _SIDE)
    before, after = sides[:-_SIDE], sides[_SIDE:]  # step between channels i + 7 and i + 8
    ratio = np.median(after, 1) / np.median(before, 1)
    sharp = after[:, 0] / before[:, -1]
    level = np.ptp(before, 1) / np.median(before, 1)  # no white line before the step
    down = (ratio < DROP) & (sharp < DROP) & (level < 0.25) & (np.ptp(after, 1) < np.ptp(before, 1))
    up = (ratio > RISE) & (sharp > RISE)
    steps = np.flatnonzero(down | up)
    if not len(steps):
        return 0, n - 1, ""
    at = int(steps[np.argmax(np.abs(np.log(sharp[steps])))]) + _SIDE
    factor = counts[at] / counts[at - 1]
    upper = energy[-1] - energy[at] >= max(MIN_WIDTH_EV, 0.3 * (energy[-1] - energy[0]))
    side = (at, n - 1) if upper else (0, at - 1)
    return *side, (
        f"counts change by a factor of {factor:.3g} at {energy[at]:g} eV: the gain was changed; "
        f"used is the part {'above' if upper else 'below'}"
    )


# -- faults ---------------------------------------------------------------------------------------


def _spikes(counts: np.ndarray, *, least: float) -> np.ndarray:
    """Single channels far above their surroundings, without shoulders, (m, n) bool."""
    beside = median_filter(counts, size=(1, 7), mode="nearest")
    excess = counts - beside
    spread = 1.48 * median_filter(np.abs(excess), size=(1, 31), mode="nearest")
    floor = 1e-3 * np.abs(beside) + 1e-9 * np.abs(counts).max()
    shoulders = np.maximum(np.roll(excess, 1, 1), np.roll(excess, -1, 1))
    found = excess > np.maximum(SPIKE_SIGMA * np.maximum(spread, floor), least * np.abs(beside))
    found &= shoulders < SHOULDER * excess
    found[:, [0, -1]] = False
    return found & (excess > NOTICEABLE * counts.max(axis=1, keepdims=True))


def _saturated(counts: np.ndarray) -> np.ndarray:
    """Channels of a plateau of four or more at the maximum of a spectrum, any of the rows, (n,)."""
    top = counts.max(axis=1, keepdims=True)
    high = (counts == top) & (top > 1.2 * np.median(counts, axis=1, keepdims=True)) & (top > 50)
    if high.shape[1] < 4:
        return np.zeros(high.shape[1], bool)
    runs = np.lib.stride_tricks.sliding_window_view(high, 4, axis=1).all(-1)
    return np.pad(runs, ((0, 0), (0, 3))).any(0)
