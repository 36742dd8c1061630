"""Repairs of measured spectra: uniform ascending axes and finite counts, each with a note."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.axis import N_CHANNELS

MIN_POINTS = 16
"""Fewest points of a spectrum."""
MIN_SPAN_EV = 25.0
"""Narrowest spectrum: an edge needs this much beyond its onset."""
ZERO_LOSS_EV = 20.0
"""A spectrum that starts below this contains the zero loss or the first plasmon."""
MAX_GAP_EV = 25.0
"""Widest gap between two points that interpolation may bridge."""


@dataclass(frozen=True, eq=False)
class RawSpectrum:
    """What a file holds, in the fields of `coreloss.spectra.Spectrum`."""

    energy_ev: np.ndarray
    counts: np.ndarray
    beam_energy_kev: float | None = None
    convergence_mrad: float | None = None
    collection_mrad: float | None = None
    title: str = ""
    file: str | None = None
    warnings: tuple[str, ...] = ()
    map_shape: tuple[int, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def finish(
    energy: np.ndarray, counts: np.ndarray, notes: list[str], path: Path, **details: Any
) -> RawSpectrum:
    """Ascending uniform axis, finite counts, and a note for whatever had to be done to them."""
    counts = np.asarray(counts, dtype=np.float64)
    if len(energy) > 1 and np.all(np.diff(energy) < 0):
        energy, counts = energy[::-1], counts[:, ::-1]
    _check_extent(energy)
    energy, counts = mend_counts(energy, counts, notes)
    energy, counts = straighten(energy, counts, notes)
    _check_extent(energy)
    negative = int((counts < 0).sum())
    if negative:
        notes.append(
            f"{negative} of {counts.size} values are negative (dark level or background removed): "
            "kept"
        )
    if energy[0] < ZERO_LOSS_EV:
        notes.append(
            f"starts at {energy[0]:g} eV, below {ZERO_LOSS_EV:g} eV: choose a window that leaves "
            "out the zero loss and the plasmons"
        )
    return RawSpectrum(
        energy_ev=energy, counts=counts, file=str(path), warnings=tuple(notes), **details
    )


def _check_extent(energy: np.ndarray) -> None:
    if len(energy) < MIN_POINTS:
        raise ValueError(f"too short: {len(energy)} points; allowed: at least {MIN_POINTS}")
    span = float(np.ptp(energy))
    if span < MIN_SPAN_EV:
        raise ValueError(
            f"too narrow: energies {energy.min():g}..{energy.max():g} eV span {span:g} eV; allowed:"
            f" at least {MIN_SPAN_EV:g} eV; if the axis is in keV, name the unit in the file"
        )
    highest = N_CHANNELS - 1
    if energy.max() < MIN_SPAN_EV or energy.min() > highest - MIN_SPAN_EV:
        raise ValueError(
            f"energies {energy.min():g}..{energy.max():g} eV; allowed: at least {MIN_SPAN_EV:g} eV "
            f"within 0..{highest} eV; check the unit of the axis"
        )


def mend_counts(
    energy: np.ndarray, counts: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts without NaN or infinity: ends that all lack are cut, the rest is interpolated.

    ``energy`` (n,), ``counts`` (m, n). ValueError when more than half the values are missing; a
    spectrum of a map that lacks all its values becomes zero.
    """
    finite = np.isfinite(counts)
    if finite.all():
        return energy, counts
    if finite.mean() < 0.5:
        raise ValueError(
            f"{(~finite).sum()} of {finite.size} values are NaN or infinite; allowed: at most half"
        )
    known = np.flatnonzero(finite.any(axis=0))
    inside = slice(known[0], known[-1] + 1)
    missing = int((~finite).sum())
    energy, counts, finite = energy[inside], counts[:, inside].copy(), finite[:, inside]
    for row in np.flatnonzero(~finite.all(axis=1)):
        good = finite[row]
        counts[row, ~good] = (
            np.interp(energy[~good], energy[good], counts[row, good]) if good.any() else 0.0
        )
    notes.append(f"{missing} values were NaN or infinite: cut at the ends, interpolated inside")
    return energy, counts


def straighten(
    energy: np.ndarray, counts: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """A uniform axis: rounded energies onto their straight line, other axes by interpolation.

    ValueError when energies repeat, go up and down, or leave a gap of more than 25 eV.
    """
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
