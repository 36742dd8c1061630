"""Measured spectra, and the one path that measured and simulated spectra take into a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from coreloss.axis import N_CHANNELS, TYPICAL_AXIS_ERROR_EV, check_axis_error, window_of
from coreloss.edges import observable_elements
from coreloss.spectra.repair import MIN_SPAN_EV, between_padding
from coreloss.spectra.spectrum import check_axis, window_slice

MIN_CHANNELS = int(MIN_SPAN_EV) - 2
"""Fewest 1 eV channels that `preprocess` accepts: the narrowest spectrum covers them in full."""
ON_GRID_EV = 1e-3
"""How far from whole eV the points of a 1 eV axis may lie and still need no resampling."""
MEAN_FLOOR = 0.05
"""Below this share of the mean absolute value, the mean is noise and no longer sets the scale."""
LARGEST_INPUT = N_CHANNELS / MEAN_FLOOR
"""No channel of a normalised spectrum can be larger: all of it in one channel, at that mean."""


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What a network sees: ``spectrum`` (batch, 3072) float32 and ``mask`` (batch, 3072) bool.

    The spectrum has mean 1 over the measured channels, which the mask marks, and is 0 elsewhere.
    ``axis_error_ev`` (batch,) float32 is the standard deviation of the energies; typical ones,
    `axis.TYPICAL_AXIS_ERROR_EV`, if None.
    """

    spectrum: torch.Tensor
    mask: torch.Tensor
    axis_error_ev: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.spectrum)

    def __getitem__(self, rows) -> NetworkInput:
        error_ev = None if self.axis_error_ev is None else self.axis_error_ev[rows]
        return NetworkInput(self.spectrum[rows], self.mask[rows], error_ev)


def observable(inputs: NetworkInput) -> np.ndarray:
    """Elements with an identifying edge inside the window of each spectrum, (n, 80) bool."""
    return observable_elements(*window_of(inputs.mask)).numpy()


def preprocess(
    counts,
    energy_ev,
    window_ev: tuple[float, float] | None = None,
    *,
    axis_error_ev: float = TYPICAL_AXIS_ERROR_EV,
) -> NetworkInput:
    """Bring spectra on one axis into the form that networks read.

    Crop to ``window_ev``, drop padding (an end that repeats one value in all spectra), resample to
    the 1 eV axis, mark the channels that the measurement covers in full, normalise. Points that
    already lie on whole eV stay as they are, bit for bit.

    Parameters
    ----------
    counts
        (n,) or (batch, n) counts per channel of the source, array or tensor.
    energy_ev
        (n,) energies of the channel centres, ascending and uniform.
    window_ev
        Lowest and highest energy to use, None for all.
    axis_error_ev
        Standard deviation of the energies, 0.1 to 20 eV.

    Raises
    ------
    ValueError
        When values are not finite, the error is out of its limits, or fewer than `MIN_CHANNELS`
        channels of 1 eV remain.

    >>> inputs = preprocess(np.linspace(300.0, 100.0, 401), np.arange(401) * 0.5 + 400)
    >>> inputs.mask.nonzero()[[0, -1], 1].tolist(), round(inputs.spectrum.sum().item())
    ([401, 599], 199)
    """
    check_axis_error(axis_error_ev)
    energy = np.asarray(energy_ev, dtype=np.float64)
    counts = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    check_axis(energy, counts, min_points=2, min_span_ev=0.0)
    if window_ev is not None:
        inside = window_slice(energy, window_ev, min_points=2, min_span_ev=0.0)
        energy, counts = energy[inside], counts[:, inside]
    if not np.isfinite(counts).all():
        raise ValueError("counts hold NaN or infinity; crop them away or use Spectrum.mended()")
    measured = _without_padding(counts)
    per_ev, covered = resample(counts[:, measured], energy[measured])
    if covered.sum() < MIN_CHANNELS:
        raise ValueError(
            f"only {covered.sum()} channels of 1 eV between 0 and {N_CHANNELS - 1} eV hold data "
            f"(source {energy[0]:g}..{energy[-1]:g} eV); allowed: at least {MIN_CHANNELS}; "
            "widen the window or check the energy axis"
        )
    mask = torch.from_numpy(covered).repeat(len(per_ev), 1)
    error_ev = torch.full((len(per_ev),), float(axis_error_ev))
    return NetworkInput(normalise(torch.from_numpy(per_ev), mask), mask, error_ev)


def normalise(counts: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Spectra with mean 1 over the measured channels and 0 elsewhere, float32.

    ``x_i = c_i / mean(c over mask)``, all (batch, 3072). A mean that is small beside the mean
    absolute value (a spectrum whose background was removed) is replaced by the latter, and an
    empty spectrum stays zero, so that |x_i| <= `LARGEST_INPUT` = 61,440 for all finite counts. The
    sums run in float64, so that neither the batch size nor the precision of the counts changes the
    result. Counts must be finite outside the mask too.

    >>> normalise(torch.tensor([[2.0, 6.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[0.5000, 1.5000, 0.0000]])
    """
    inside = counts.to(torch.float32) * mask
    channels = mask.sum(dim=-1, keepdim=True).clamp(min=1)
    mean = inside.sum(dim=-1, keepdim=True, dtype=torch.float64) / channels
    mean_absolute = inside.abs().sum(dim=-1, keepdim=True, dtype=torch.float64) / channels
    scale = torch.where(mean > MEAN_FLOOR * mean_absolute, mean, mean_absolute).to(torch.float32)
    empty = scale < torch.finfo(torch.float32).tiny  # where division is no longer exact
    return inside / torch.where(empty, 1.0, scale)


def resample(counts: np.ndarray, energy_ev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts per eV on the 1 eV axis, (batch, 3072) float64, and the covered channels (3072,) bool.

    A source finer than 1 eV is integrated over each channel (counts are conserved, nothing
    aliases); a coarser one is interpolated as a density with a cubic spline; one on whole eV is
    copied.
    """
    step = (energy_ev[-1] - energy_ev[0]) / (len(energy_ev) - 1)
    on_grid = np.abs(energy_ev - np.rint(energy_ev[0]) - np.arange(len(energy_ev))).max()
    if on_grid < ON_GRID_EV:
        channels, values = np.rint(energy_ev).astype(int), counts
        wanted = (channels >= 0) & (channels < N_CHANNELS)
        channels, values = channels[wanted], values[:, wanted]
    elif step <= 1.0:
        channels, weights = _overlaps(energy_ev[0], step, len(energy_ev))
        values = (weights @ counts.T).T
    else:
        from scipy.interpolate import CubicSpline  # slow to import, and seldom needed

        first, last = np.ceil(energy_ev[0]), np.floor(energy_ev[-1])
        channels = np.arange(max(first, 0), min(last, N_CHANNELS - 1) + 1).astype(int)
        values = CubicSpline(energy_ev, counts / step, axis=1)(channels)
    per_ev = np.zeros((len(counts), N_CHANNELS))
    per_ev[:, channels] = values
    covered = np.zeros(N_CHANNELS, dtype=bool)
    covered[channels] = True
    return per_ev, covered


def _overlaps(first_ev: float, step_ev: float, n: int) -> tuple[np.ndarray, scipy.sparse.csr_array]:
    """Channels that the source covers, and the share of each source bin in each, (channels, n)."""
    source = first_ev + step_ev * (np.arange(n + 1) - 0.5)
    lowest = max(np.ceil(source[0] + 0.5 - ON_GRID_EV), 0)
    highest = min(np.floor(source[-1] - 0.5 + ON_GRID_EV), N_CHANNELS - 1)
    channels = np.arange(lowest, highest + 1).astype(int)
    if len(channels) == 0:
        return channels, scipy.sparse.csr_array((0, n))
    target = np.arange(lowest, highest + 2) - 0.5
    breaks = np.union1d(source, target)
    breaks = breaks[(breaks >= target[0]) & (breaks <= target[-1])]
    middle, width = (breaks[1:] + breaks[:-1]) / 2, np.diff(breaks)
    row = np.clip(np.rint(middle - lowest), 0, len(channels) - 1).astype(int)
    column = np.clip((middle - source[0]) / step_ev, 0, n - 1).astype(int)
    shares = scipy.sparse.csr_array((width / step_ev, (row, column)), shape=(len(channels), n))
    return channels, shares


def _without_padding(counts: np.ndarray) -> slice:
    """The channels between runs of one repeated value at either end, common to all spectra."""
    steady = np.all(counts[:, 1:] == counts[:, :-1], axis=0)
    if steady.all():
        raise ValueError(
            f"all {counts.shape[1]} channels in the window hold the same value {counts[0, 0]:g}; "
            "nothing was measured there: choose another window"
        )
    measured = between_padding(steady)
    if measured.stop - measured.start < 2:
        raise ValueError("one value fills each end of the window; nothing was measured there")
    return measured
