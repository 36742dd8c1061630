"""The part of a spectrum that can be used for core losses, and faults of detectors in it.

Cut off is only what no ionisation edge can be: zero loss and plasmons, padding, ends where the
detector falls off, the other side of a change of gain. Everything that is cut or mended is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from coreloss.edges import MARGIN_BEFORE_EV, identifying_sets
from coreloss.spectra.counts import are_whole, noise_of
from coreloss.spectra.gain import change_of_gain
from coreloss.spectra.repair import between_padding
from coreloss.spectra.spectrum import Spectrum

CORE_LOSS_EV = 30.0
"""Below it, plasmons and valence losses look like anything."""
NAMED_FROM_EV = min(edge.onset_ev for edge in identifying_sets()) - MARGIN_BEFORE_EV - 15.0
"""Where a window begins that is to show the lowest edge that names an element, on its background:
what lies below can only mislead."""
PLASMONS_END_EV = 60.0
"""The last maximum before this energy belongs to plasmons in a spectrum with its zero loss."""
AFTER_PLASMON_EV = 15.0
ZERO_LOSS_EV = 10.0
"""A zero-loss peak lies at most so far from 0 eV."""
MIN_WIDTH_EV = 50.0
"""Cuts that would leave less are not made."""
END_SHARE, END_CHANNELS = 0.03, 12
"""Detectors fall off within this share of the channels at either end, and so few of them."""
NOTHING = 0.05
"""Channels of which the level beside them is a smaller share are single electrons on nothing, where
counts are scaled or resampled and do not say what one electron is; they are only reported."""
_BOTH_SIDES = 2, 12  # nearest and farthest channel beside a spike where such a rise is looked for
_FEW_BESIDE = 4
END_GAP, END_LINE, END_SIGMA, END_OFF = 2, 10, 15.0, 0.04
"""Channels at an end are ragged that lie off the line of those that follow behind a gap, by so many
standard deviations and by this share."""
SHADED_FROM_EV, SHADED_STRETCH, SHADED = 200.0, 1.08, 0.5
"""Counts that fall to this share within this multiple of the energy (a power law would need an
exponent of 9), from a plateau and for good, are shaded by an aperture of the spectrometer."""
PLATEAU_STRETCH, PLATEAU, PLATEAU_NOISE = 0.88, (0.85, 1.4), 0.2
SUBTRACTED = 0.01
"""Share of negative channels above which a background was subtracted: tails may fall steeply."""
SPIKE_SIGMA = 8.0
_CHANNELS = 41, 9  # around a spike that tell what is noise there, without those that it changes
SHOULDER, NOISE_SIGMA = 0.1, 2.0
"""Spikes are one or two channels; every peak of a specimen has shoulders above this share of its
height. Those of a single channel may rise above it by noise."""
NOTICEABLE = 0.03
"""Share of the counts beside it below which a spike does no harm ..."""
NEGLIGIBLE = 0.02
"""... and share of the mean of the spectrum."""
FINE_DISPERSION_EV, COARSE_HEIGHT = 0.4, 2.0
"""At wider channels a sharp line can be one channel too: there, a channel so many times as high as
what is beside it is reported..."""
RISE_SIGMA = 2.5
"""... and one is mended where counts do not rise from one side of it to the other, by so many
standard deviations: sharp lines stand at the beginning of an edge."""
PLATEAU_RUN = 4
"""Channels in a row at the maximum that are saturation ..."""
FEW_COUNTS = 50
"""... unless the maximum is so few counts that it repeats by chance."""


@dataclass(frozen=True)
class UsableWindow:
    """First and last usable energy, and a sentence for each thing that was cut off."""

    lo_ev: float
    hi_ev: float
    reasons: tuple[str, ...] = ()


def usable_window(spectrum: Spectrum, *, from_ev: float = NAMED_FROM_EV) -> UsableWindow:
    """The part of a spectrum, or of the sum of several, that holds nothing but core losses.

    It begins at ``from_ev`` or behind it.

    >>> energy = np.arange(-20.0, 400.0)
    >>> counts = 1e6 * np.exp(-(energy**2)) + 1e3 * np.maximum(energy, 20) ** -1.0
    >>> found = usable_window(Spectrum(energy, counts))
    >>> found.lo_ev, found.hi_ev
    (74.0, 399.0)
    """
    energy, counts = spectrum.energy_ev, _total(spectrum)
    first, last, reasons = 0, len(energy) - 1, []
    low_losses = partial(_low_losses, from_ev=from_ev)
    for cut in (_padding, low_losses, _gain, _shaded, _ends):
        start, stop, reason = cut(energy[first : last + 1], counts[first : last + 1])
        kept = energy[first + stop] - energy[first + start]
        if reason and kept >= MIN_WIDTH_EV:
            first, last = first + start, first + stop
            reasons.append(reason)
    return UsableWindow(float(energy[first]), float(energy[last]), tuple(reasons))


def without_faults(spectrum: Spectrum) -> Spectrum:
    """The same spectra without spikes; they and saturation are in the warnings.

    Every spectrum is looked at by itself. One or two channels high above all others around them, or
    far below, take the level beside them. On an axis of wide channels a sharp line can look like
    one: only single channels are replaced there, and none at the beginning of an edge.
    """
    counts, fine = spectrum.counts, spectrum.dispersion_ev <= FINE_DISPERSION_EV
    spikes, doubtful = _spikes(counts, fine=fine)
    notes = []
    for found, verdict in (
        (spikes, ": taken for X-rays, hot or dead pixels and replaced"),
        (doubtful, ": X-rays, hot or dead pixels? They were kept"),
    ):
        if found.any():
            first_ev = spectrum.energy_ev[int(np.argmax(found.any(0)))]
            where = f"{found.sum()} single channels stand out, the first at {first_ev:g} eV"
            notes.append(where + verdict)
    if spikes.any():
        counts = np.where(spikes, _beside(counts), counts)
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


def _total(spectrum: Spectrum) -> np.ndarray:
    """The sum of the spectra (n,), in which missing values count as the mean of the others.

    What is missing in all of them lies on a line, and is 0 at the ends, as padding is.
    """
    known = np.isfinite(spectrum.counts)
    number = known.sum(0)
    mean = np.where(known, spectrum.counts, 0.0).sum(0) / np.maximum(number, 1)
    channel, seen = np.arange(len(mean)), number > 0
    return len(spectrum) * (
        np.interp(channel, channel[seen], mean[seen], 0, 0) if seen.any() else mean
    )


# -- what is cut: first and last channel of the part that is left, and why ------------------------


def _padding(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    steady = np.diff(counts) == 0
    if steady.all():
        return 0, len(energy) - 1, ""
    part = between_padding(steady)
    first, last, after = part.start, part.stop - 1, len(counts) - part.stop
    ends = [f"below {energy[first]:g} eV ({first} channels)"] if first else []
    ends += [f"above {energy[last]:g} eV ({after} channels)"] if after else []
    where = " and ".join(ends)
    return first, last, where and f"equal counts or none {where}: padding or saturation, cut off"


def _low_losses(energy: np.ndarray, counts: np.ndarray, from_ev: float) -> tuple[int, int, str]:
    last = len(energy) - 1
    if energy[0] >= from_ev:
        return 0, last, ""
    start_ev, strongest_ev = from_ev, energy[np.argmax(counts)]
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
    what = what if energy[0] < CORE_LOSS_EV else "edges that name no element"
    return min(first, last), last, f"{what} below {start_ev:g} eV, cut off"


def _ends(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    n, most = len(counts), min(max(int(END_SHARE * len(counts)), 2), END_CHANNELS)
    if n < 4 * END_CHANNELS:
        return 0, n - 1, ""
    # An edge rises too; so close to the start it is not observable, and is not lost.
    before_edges = int(MARGIN_BEFORE_EV / (energy[1] - energy[0])) - 2 - END_GAP
    low = _ragged(energy, counts, min(most, before_edges))
    high = _ragged(energy[::-1], counts[::-1], most)
    ends = [f"below {energy[low]:g} eV"] if low else []
    ends += [f"above {energy[n - 1 - high]:g} eV"] if high else []
    reason = f"counts leave their line {' and '.join(ends)}: end of the detector, cut off"
    return low, n - 1 - high, reason if ends else ""


def _ragged(energy: np.ndarray, counts: np.ndarray, most: int) -> int:
    """Channels at the beginning, at most so many, all on one side of the curve behind them.

    That is a power law where all counts are positive, as backgrounds are, else a line.
    """
    if most < 1:
        return 0
    energy, counts = energy[: 4 * END_CHANNELS], counts[: 4 * END_CHANNELS]
    power_law = min(counts.min(), energy.min()) > 0
    x, y = (np.log(energy), np.log(counts)) if power_law else (energy, counts / counts.std())
    view = np.lib.stride_tricks.sliding_window_view
    near, far = (view(values[1 + END_GAP :], END_LINE) for values in (x, y))
    x_mean, y_mean = near.mean(1, keepdims=True), far.mean(1, keepdims=True)
    slope = ((near - x_mean) * (far - y_mean)).sum(1) / ((near - x_mean) ** 2).sum(1)
    spread = (far - y_mean - slope[:, None] * (near - x_mean)).std(1, ddof=2)
    spread = np.maximum(spread, np.median(spread))
    for n in range(most, 0, -1):
        curve = y_mean[n - 1] + slope[n - 1] * (x[:n] - x_mean[n - 1])
        off = y[:n] - curve
        least = END_OFF if power_law else END_OFF * np.abs(curve)
        limit = np.maximum(END_SIGMA * spread[n - 1], least)
        if (off > limit).all() or (-off > limit).all():
            return n
    return 0


def _gain(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    change, last = change_of_gain(energy, counts), len(energy) - 1
    if change is None:
        return 0, last, ""
    upper = energy[-1] - energy[change.behind] >= max(MIN_WIDTH_EV, 0.3 * np.ptp(energy))
    return *((change.behind, last) if upper else (0, change.before)), (
        f"counts change by a factor of {change.factor:.3g} at {energy[change.behind]:g} eV: the"
        f" gain was changed; used is the part {'above' if upper else 'below'}"
    )


def _shaded(energy: np.ndarray, counts: np.ndarray) -> tuple[int, int, str]:
    """Without the upper end that an aperture shades: no edge falls for good, from a plateau."""
    last = len(energy) - 1
    if (counts < 0).mean() > SUBTRACTED:
        return 0, last, ""
    smooth = gaussian_filter1d(counts, 0.005 * energy[-1] * last / (energy[-1] - energy[0]))
    fallen = np.interp(SHADED_STRETCH * energy, energy, smooth, right=np.inf)
    lowest_ev = max(SHADED_FROM_EV, energy[0] / PLATEAU_STRETCH)
    for i in np.flatnonzero((energy > lowest_ev) & (fallen < SHADED * smooth)):
        plateau = slice(int(np.searchsorted(energy, PLATEAU_STRETCH * energy[i])), int(i) + 1)
        shares = smooth[plateau] / smooth[i]
        noise = np.std(counts[plateau] / smooth[i] - shares)
        behind = smooth[energy > SHADED_STRETCH * energy[i]] / smooth[i]
        flat = PLATEAU[0] < shares.min() and shares.max() < PLATEAU[1] and noise < PLATEAU_NOISE
        if flat and behind.max() < SHADED + 0.1:
            reason = f"counts fall to {behind.min():.0%} above {energy[i]:g} eV, steeper than any"
            return 0, int(i), f"{reason} background: shaded by the spectrometer, cut off"
    return 0, last, ""


# -- faults ---------------------------------------------------------------------------------------


def _spikes(counts: np.ndarray, *, fine: bool) -> tuple[np.ndarray, np.ndarray]:
    """One channel, or two, far above or below their surroundings, without shoulders, (m, n) bool.

    Second those of which a sharp line could be one as well, on an axis of wide channels.
    """
    level = _beside(counts)
    excess = counts - level
    around, own = (n * uniform_filter1d(excess**2, n, axis=1, mode="nearest") for n in _CHANNELS)
    noise = np.sqrt(np.maximum(around - own, 0.0) / (_CHANNELS[0] - _CHANNELS[1]))
    counted = np.where(are_whole(counts)[:, None], np.sqrt(np.maximum(np.abs(level), 1.0)), 0.0)
    seen = np.maximum(NOTICEABLE * np.abs(level), NEGLIGIBLE * _mean_size(counts))
    noise = np.maximum(noise, counted)
    limit = np.maximum(SPIKE_SIGMA * noise, seen)
    found = _lonely(excess, noise, limit, pairs=fine) | _lonely(-excess, noise, limit, pairs=fine)
    found[:, :2] = found[:, -2:] = False
    if fine:
        return found, np.zeros_like(found)
    spikes = found & (are_whole(counts)[:, None] | (np.abs(level) > NOTHING * np.abs(excess)))
    for row, channel in np.argwhere(spikes):
        spikes[row, channel] = not _rises(counts[row], channel)
    return spikes, found & ~spikes & (np.abs(excess) > COARSE_HEIGHT * np.abs(level))


def _rises(counts: np.ndarray, channel: int) -> bool:
    """Whether the counts (n,) are higher behind a channel than in front of it, as at an edge.

    So near to an end that nobody can tell, they are.
    """
    near, far = _BOTH_SIDES
    before = counts[max(channel - far, 0) : channel - near + 1]
    after = counts[channel + near : channel + far + 1]
    if min(len(before), len(after)) < _FEW_BESIDE:
        return True
    counted = np.sqrt(max(np.median(before), 1.0)) if are_whole(counts) else 0.0
    error = max(noise_of(before), counted) * np.sqrt(1 / len(before) + 1 / len(after))
    return bool(np.median(after) - np.median(before) > RISE_SIGMA * error)


def _lonely(excess: np.ndarray, noise: np.ndarray, limit: np.ndarray, *, pairs: bool) -> np.ndarray:
    """Channels, or pairs of them, that rise above the limit and have no shoulders, (m, n) bool."""
    high = excess > limit
    if not high.any():
        return high
    left, right, far = (np.roll(excess, shift, axis=1) for shift in (1, -1, -2))
    found = high & (np.maximum(left, right) < np.maximum(SHOULDER * excess, NOISE_SIGMA * noise))
    if pairs:
        first = high & np.roll(high, -1, axis=1)
        first &= np.maximum(left, far) < SHOULDER * np.minimum(excess, right)
        found |= first | np.roll(first, 1, axis=1)
    return found


def _beside(counts: np.ndarray) -> np.ndarray:
    """The level of each channel by its second to fourth neighbours on both sides, (m, n)."""
    padded = np.pad(counts, ((0, 0), (4, 4)), mode="edge")
    n = counts.shape[1]
    sides = [[padded[:, 4 + k : 4 + k + n] for k in side] for side in ((-4, -3, -2), (2, 3, 4))]
    return 0.5 * sum(np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
                     for a, b, c in sides)  # fmt: skip


def _mean_size(counts: np.ndarray) -> np.ndarray:
    return np.abs(counts).mean(axis=1, keepdims=True)


def _saturated(counts: np.ndarray) -> np.ndarray:
    """Channels of a plateau at the maximum of a spectrum, any of the rows, (n,)."""
    top = counts.max(axis=1, keepdims=True)
    high = (counts == top) & (top > 1.2 * np.median(counts, axis=1, keepdims=True))
    high &= (top > FEW_COUNTS) | ~are_whole(counts)[:, None]
    if high.shape[1] < PLATEAU_RUN:
        return np.zeros(high.shape[1], bool)
    runs = np.lib.stride_tricks.sliding_window_view(high, PLATEAU_RUN, axis=1).all(-1)
    return np.any(np.pad(runs, ((0, 0), (0, PLATEAU_RUN - 1))), axis=0)
