"""A measured spectrum, line scan or map on its energy axis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from coreloss.spectra.repair import MIN_POINTS, MIN_SPAN_EV, between_missing, mend_counts


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One spectrum or many on one energy axis.

    ``energy_ev`` (n,) is ascending and uniform; ``counts`` (m, n) holds the spectra of a line scan
    or map row by row and ``map_shape`` its shape, with ``prod(map_shape) == m``. NaN and infinity
    stand for values that were not measured: `mended` fills a few of them. What the file does not
    say is None. ``warnings`` says what had to be mended or assumed.

    Raises
    ------
    ValueError
        When shapes disagree, or the axis is not finite, ascending and uniform.
    """

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

    def __post_init__(self) -> None:
        energy = np.asarray(self.energy_ev, dtype=np.float64)
        counts = np.atleast_2d(np.asarray(self.counts, dtype=np.float64))
        counts = counts.reshape(-1, counts.shape[-1])
        map_shape = tuple(self.map_shape) or ((len(counts),) if len(counts) > 1 else ())
        check_axis(energy, counts)
        if np.prod(map_shape, dtype=int) != len(counts):
            raise ValueError(f"map_shape {map_shape} does not hold {len(counts)} spectra")
        object.__setattr__(self, "energy_ev", energy)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "map_shape", map_shape)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def dispersion_ev(self) -> float:
        """Width of a channel in eV."""
        return float((self.energy_ev[-1] - self.energy_ev[0]) / (len(self.energy_ev) - 1))

    def crop(self, lo_ev: float, hi_ev: float) -> Spectrum:
        """The channels whose centres lie in ``lo_ev <= E <= hi_ev``; ValueError if too few do."""
        inside = window_slice(self.energy_ev, (lo_ev, hi_ev))
        return replace(self, energy_ev=self.energy_ev[inside], counts=self.counts[:, inside])

    def shift(self, de_ev: float) -> Spectrum:
        """The same counts with ``de_ev`` added to every energy."""
        if not np.isfinite(de_ev):
            raise ValueError(f"shift is {de_ev} eV; allowed: a finite number of eV")
        return replace(self, energy_ev=self.energy_ev + de_ev)

    def mended(self) -> Spectrum:
        """Finite counts: single missing values filled from their neighbours, with a warning.

        A spectrum of a map that lacks all its values becomes zero. ValueError when a spectrum lacks
        more than 1 % of its values, or more than 3 in a row: crop them away first.
        """
        counts, notes = mend_counts(self.energy_ev, self.counts)
        return replace(self, counts=counts, warnings=(*self.warnings, *notes)) if notes else self

    def without_missing_ends(self) -> Spectrum:
        """The part between the ends that are missing in one spectrum or more, with a warning.

        Spectra without any value do not count. ValueError when too little is left.
        """
        total, energy = self.sum().counts[0], self.energy_ev
        part = between_missing(~np.isfinite(total))
        if part == slice(0, len(energy)):
            return self
        first_ev, last_ev = energy[part.start], energy[part.stop - 1]
        ends = [f"below {first_ev:g} eV"] if part.start else []
        ends += [f"above {last_ev:g} eV"] if part.stop < len(energy) else []
        note = f"channels {' and '.join(ends)} are missing in one spectrum or more: cut off"
        return replace(self.crop(first_ev, last_ev), warnings=(*self.warnings, note))

    def sum(self) -> Spectrum:
        """The sum of all spectra as one; missing where one of them is (see `mended`).

        Spectra without any value count as zero.
        """
        total = self.counts.sum(axis=0, keepdims=True)
        if not np.isfinite(total).any():
            known = np.isfinite(self.counts).any(axis=1)
            total = self.counts[known].sum(axis=0, keepdims=True) if known.any() else total
        return replace(self, counts=total, map_shape=())


def window_slice(
    energy_ev: np.ndarray,
    window_ev: tuple[float, float],
    *,
    min_points: int = MIN_POINTS,
    min_span_ev: float = MIN_SPAN_EV,
) -> slice:
    """The channels whose centres lie in the window; ValueError when they are too few."""
    lo, hi = map(float, window_ev)
    covers = f"the spectrum covers {energy_ev[0]:g}..{energy_ev[-1]:g} eV"
    if not lo < hi:
        raise ValueError(f"window is {lo:g}..{hi:g} eV; its start must be below its end; {covers}")
    tolerance = 1e-6 * (energy_ev[1] - energy_ev[0])
    start = int(np.searchsorted(energy_ev, lo - tolerance, side="left"))
    stop = int(np.searchsorted(energy_ev, hi + tolerance, side="right"))
    span = energy_ev[stop - 1] - energy_ev[start] if stop > start else 0.0
    if stop - start < min_points or span < min_span_ev:
        raise ValueError(
            f"window {lo:g}..{hi:g} eV holds {max(stop - start, 0)} channels over {span:g} eV; "
            f"allowed: at least {min_points} channels and {min_span_ev:g} eV; {covers}"
        )
    return slice(start, stop)


def check_axis(
    energy: np.ndarray,
    counts: np.ndarray,
    *,
    min_points: int = MIN_POINTS,
    min_span_ev: float = MIN_SPAN_EV,
) -> None:
    """ValueError unless counts (m, n) lie on a finite, ascending, uniform axis (n,)."""
    if energy.ndim != 1 or counts.ndim != 2 or energy.shape[0] != counts.shape[1]:
        raise ValueError(
            f"energies {energy.shape} and counts {counts.shape} do not fit; allowed: (n,) and "
            "(n,) or (spectra, n)"
        )
    if not np.isfinite(energy).all():
        raise ValueError("energies hold NaN or infinity; allowed: finite numbers")
    span = float(np.ptp(energy)) if len(energy) else 0.0
    if len(energy) < min_points or span < min_span_ev:
        raise ValueError(
            f"spectrum has {len(energy)} points over {span:g} eV; allowed: at least {min_points} "
            f"points and {min_span_ev:g} eV"
        )
    step = (energy[-1] - energy[0]) / (len(energy) - 1)
    line = energy[0] + step * np.arange(len(energy))
    if step <= 0 or np.abs(energy - line).max() > 0.01 * step + 1e-9:
        raise ValueError("energy axis is not ascending and uniform; resample it first")
