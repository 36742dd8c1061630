"""Repairs of measured spectra: uniform axes and finite counts, each repair with a note."""

from __future__ import annotations

import numpy as np

from coreloss.axis import N_CHANNELS

MIN_POINTS = 16
"""Fewest points of a spectrum."""
MIN_SPAN_EV = 25.0
"""Narrowest spectrum: an edge needs this much beyond its onset."""
FARTHEST_EV = 1e6
"""No energy lies so far from 0: it is that of the fastest electrons."""
MAX_GAP_EV = 25.0
"""Widest gap between two points that interpolation may bridge."""
MAX_MISSING = 0.01
"""Largest share of the values of a spectrum that may be missing ..."""
PADDING_RUN = 3
"""An end that repeats one value in so many channels or more was not measured."""
MAX_MISSING_RUN = 3
"""... and how many of them in a row: more would hide or make an edge."""


def between_padding(steady: np.ndarray) -> slice:
    """The channels between runs of one repeated value at either end.

    ``steady`` (n - 1,) tells which channels equal the next one, in all spectra; not all may.

    >>> between_padding(np.diff([0, 0, 0, 5, 4, 4]) == 0)
    slice(3, 6, None)
    """
    changes = np.flatnonzero(~steady)
    before, after = int(changes[0]) + 1, len(steady) - int(changes[-1])
    start = before if before >= PADDING_RUN else 0
    return slice(start, len(steady) + 1 - (after if after >= PADDING_RUN else 0))


def between_missing(missing: np.ndarray) -> slice:
    """The channels between those at either end that are missing in one spectrum or more.

    ``missing`` (n,) bool; what is missing in between counts as there.

    >>> between_missing(np.array([True, True, False, True, False, True]))
    slice(2, 5, None)
    """
    there = np.flatnonzero(~missing)
    return slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, len(missing))


def check_extent(energy: np.ndarray) -> None:
    """ValueError when an axis (n,) in eV is too short, too narrow or far from any core loss."""
    if len(energy) < MIN_POINTS:
        raise ValueError(f"too short: {len(energy)} points; allowed: at least {MIN_POINTS}")
    span = float(np.ptp(energy))
    if span < MIN_SPAN_EV:
        raise ValueError(
            f"too narrow: energies {energy.min():g}..{energy.max():g} eV span {span:g} eV; allowed:"
            f" at least {MIN_SPAN_EV:g} eV; if the axis is in keV, name the unit in the file"
        )
    if max(-energy.min(), energy.max()) > FARTHEST_EV:
        raise ValueError(
            f"energies {energy.min():g}..{energy.max():g} eV; allowed: within {FARTHEST_EV:g} eV of"
            " 0; check unit, start and dispersion of the axis"
        )
    highest = N_CHANNELS - 1
    if energy.max() < MIN_SPAN_EV or energy.min() > highest - MIN_SPAN_EV:
        raise ValueError(
            f"energies {energy.min():g}..{energy.max():g} eV; allowed: at least {MIN_SPAN_EV:g} eV "
            f"within 0..{highest} eV; check the unit of the axis"
        )


def mend_counts(energy: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Counts without NaN or infinity, and notes on what was done.

    ``energy`` (n,), ``counts`` (m, n). A missing value takes the line between its neighbours, at
    the ends the value beside it. Among several spectra, one without any value becomes zero.

    Raises
    ------
    ValueError
        When a spectrum lacks more than 1 % of its values (one is always allowed), or more than 3
        in a row.

    >>> counts, notes = mend_counts(np.arange(5.0), np.array([[1.0, 2.0, np.nan, 4.0, 5.0]]))
    >>> counts.tolist(), notes
    ([[1.0, 2.0, 3.0, 4.0, 5.0]], ('1 of 5 values was missing: filled from its neighbours',))
    """
    missing = ~np.isfinite(counts)
    if not missing.any():
        return counts, ()
    blank = missing.all(axis=1)
    if blank.all():
        raise ValueError(
            f"all {counts.size} values are NaN or infinite over {energy[0]:g}..{energy[-1]:g} eV; "
            "nothing was measured there"
        )
    missing[blank] = False
    _check_missing(energy, missing)
    counts = counts.copy()
    counts[blank] = 0.0
    for row in np.flatnonzero(missing.any(axis=1)):
        holes = missing[row]
        counts[row, holes] = np.interp(energy[holes], energy[~holes], counts[row, ~holes])
    notes = []
    if n := int(missing.sum()):
        was, whose = ("was", "its") if n == 1 else ("were", "their")
        notes.append(f"{n} of {counts.size} values {was} missing: filled from {whose} neighbours")
    if n := int(blank.sum()):
        notes.append(f"{n} of {len(counts)} spectra without any value: taken as zero")
    return counts, tuple(notes)


def _check_missing(energy: np.ndarray, missing: np.ndarray) -> None:
    allowed = max(1, int(MAX_MISSING * missing.shape[1]))
    in_a_row = np.lib.stride_tricks.sliding_window_view(
        np.pad(missing, ((0, 0), (0, MAX_MISSING_RUN))), MAX_MISSING_RUN + 1, axis=1
    )
    bad = (missing.sum(axis=1) > allowed) | np.any(in_a_row.all(axis=2), axis=1)
    if not bad.any():
        return
    holes = energy[missing[bad].any(axis=0)]
    complete = np.flatnonzero(np.pad(missing[bad].any(axis=0), 1, constant_values=True))
    longest = int(np.argmax(np.diff(complete)))
    low, high = energy[complete[longest]], energy[complete[longest + 1] - 2]
    remedy = f", for instance {low:g}..{high:g} eV" if high - low >= MIN_SPAN_EV else ""
    raise ValueError(
        f"{int(missing[bad].sum())} values between {holes[0]:g} and {holes[-1]:g} eV are NaN or "
        f"infinite; allowed: {allowed} in a spectrum, {MAX_MISSING_RUN} in a row; choose a window "
        f"without them{remedy}"
    )


def straighten(
    energy: np.ndarray, counts: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """A uniform axis: rounded energies onto their straight line, other axes by interpolation.

    ``energy`` (n,), ``counts`` (m, n), in which NaN may stand for missing values. Counts of an
    energy that repeats are averaged. ValueError when energies go up and down, or leave a gap of
    more than 25 eV.
    """
    steps = np.diff(energy)
    if (steps >= 0).all() and not (steps > 0).all():
        energy, counts = _averaged(energy, counts, notes)
        steps = np.diff(energy)
    if not (np.isfinite(energy).all() and (steps > 0).all()):
        at = int(np.argmin(np.where(np.isfinite(steps), steps, -np.inf)))
        raise ValueError(
            f"energies do not ascend: {energy[at]:g} eV is followed by {energy[at + 1]:g} eV; "
            "allowed: ascending or descending throughout; sort or split the file"
        )
    line = np.linspace(energy[0], energy[-1], len(energy))
    offset = np.abs(energy - line).max()
    if offset <= 1e-6 * steps.mean():
        return energy, counts
    if offset <= max(0.1 * steps.mean(), 0.01):
        return line, counts
    step = float(np.median(steps))
    if steps.max() > max(MAX_GAP_EV, 3 * step):
        at = int(np.argmax(steps))
        raise ValueError(
            f"gap of {steps[at]:g} eV after {energy[at]:g} eV; allowed: {MAX_GAP_EV:g} eV; "
            "split the file there"
        )
    uniform = np.arange(energy[0], energy[-1] + 1e-9, step)
    resampled = np.array([np.interp(uniform, energy, row) for row in counts])
    notes.append(f"steps of the axis vary ({steps.min():g}..{steps.max():g} eV): made {step:g} eV")
    return uniform, resampled


def _averaged(
    energy: np.ndarray, counts: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Every energy once, with the mean of the counts that there are for it."""
    starts = np.flatnonzero(np.diff(energy, prepend=-np.inf) > 0)
    finite = np.isfinite(counts)
    total = np.add.reduceat(np.where(finite, counts, 0.0), starts, axis=1)
    n = np.add.reduceat(finite.astype(np.float64), starts, axis=1)
    several = np.diff(np.append(starts, len(energy))) > 1
    was = "1 energy repeats" if several.sum() == 1 else f"{several.sum()} energies repeat"
    notes.append(f"{was}, such as {energy[starts][several][0]:g} eV: their counts averaged")
    mean = np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0)
    return energy[starts], mean
