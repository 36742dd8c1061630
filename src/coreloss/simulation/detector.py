"""From expected electrons per channel to recorded counts, in the order in which it happens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from coreloss.simulation.sampling import rows_of

POISSON_LIMIT = 12.0
"""Below so many expected counts Poisson deviates are drawn, a transformed normal one above."""
_ANSCOMBE = 3 / 8
FAR_NEIGHBOUR = 0.3
"""Point spread into the second neighbour, as a share of that into the first."""
_ALONE_EV = 0.45
"""Below this dispersion, the channels that two channels of 1 eV share are too few to matter."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Calibration errors and channels of recorded spectra, (B,) each.

    A loss E is recorded as ``E + offset_ev + stretch (E - centre_ev)``, in channels of
    ``dispersion_ev`` that begin ``phase`` of a channel beside the grid of 1 eV. ``error_ev`` is the
    standard deviation that is stated for the offset.
    """

    error_ev: torch.Tensor
    offset_ev: torch.Tensor
    stretch: torch.Tensor
    centre_ev: torch.Tensor
    dispersion_ev: torch.Tensor
    phase: torch.Tensor


@dataclass(frozen=True, eq=False)
class Detector:
    """What a detector does to electrons, (B,) each; 0 (`noise_excess`: 1) means that it does not.

    noise_excess : variance of the counts over that of counting
    gain_variation : relative standard deviation of the gain from channel to channel
    gain_ripple, ripple_channels, ripple_phase : relative amplitude, period, phase of a slow wave
    splice_step, splice_at : relative step of the gain, at this share of the band
    readout_noise : standard deviation per channel, electrons
    point_spread : share of a channel's signal that appears in each neighbouring channel
    spike, spike_at : height in standard deviations of one channel, at this share of the band
    saturation : largest signal, as a share of the way from the smallest to the largest expected one
    """

    noise_excess: torch.Tensor
    gain_variation: torch.Tensor
    gain_ripple: torch.Tensor
    ripple_channels: torch.Tensor
    ripple_phase: torch.Tensor
    splice_step: torch.Tensor
    splice_at: torch.Tensor
    readout_noise: torch.Tensor
    point_spread: torch.Tensor
    spike: torch.Tensor
    spike_at: torch.Tensor
    saturation: torch.Tensor


def record(
    expected: torch.Tensor,
    mask: torch.Tensor,
    *,
    first_ev: torch.Tensor,
    axis: Axis,
    detector: Detector,
    generator: torch.Generator,
) -> torch.Tensor:
    """Counts recorded for `expected` electrons per 1 eV channel, resampled to 1 eV.

    Calibration of the axis, gain, counting noise in channels of the recorded dispersion, spikes,
    point spread, read-out noise, saturation, in this order.

    Parameters
    ----------
    expected : (batch, n), electrons; channel i lies at ``first_ev + i`` eV
    mask : (batch, n) bool, the channels that are recorded; the others are 0
    first_ev : (batch,)

    Returns
    -------
    (batch, n) counts; negative where read-out noise exceeds the signal.
    """
    electrons = on_recorded_axis(expected, first_ev, axis)
    apply_gain(electrons, detector, generator=generator)
    counts = count(electrons, axis, detector.noise_excess, generator=generator)
    add_spikes(counts, mask, detector)
    spread_points(counts, detector.point_spread, axis.dispersion_ev.clamp(max=1))
    rows = detector.readout_noise.nonzero().squeeze(1)
    counts[rows] += _normal_like(counts[rows], generator) * detector.readout_noise[rows, None]
    rows = detector.saturation.nonzero().squeeze(1)
    seen = torch.where(mask[rows], electrons[rows], electrons[rows].mean(1, keepdim=True))
    limit = seen.amin(1).lerp(seen.amax(1), detector.saturation[rows])
    counts[rows] = counts[rows].minimum(limit[:, None])
    return counts.mul_(mask)


def on_recorded_axis(expected: torch.Tensor, first_ev: torch.Tensor, axis: Axis) -> torch.Tensor:
    """Spectra (batch, n) as an axis with calibration errors shows them, linear between channels."""
    n = expected.shape[1]
    scale = 1 / (1 + axis.stretch)
    # recorded = true + offset + stretch (true - centre), solved for the true position in channels
    start = (first_ev - axis.offset_ev + axis.stretch * axis.centre_ev) * scale - first_ev
    channel = torch.arange(n, device=expected.device, dtype=expected.dtype)
    position = (start[:, None] + scale[:, None] * channel).clamp_(0, n - 1)
    left = position.long().clamp_(max=n - 2)
    low = expected.gather(1, left)
    return low.lerp_(expected.gather(1, left + 1), position.sub_(left))


def apply_gain(electrons: torch.Tensor, detector: Detector, *, generator: torch.Generator) -> None:
    """Multiply (batch, n) in place with the gain of each channel: fixed pattern, ripple, splice."""
    n = electrons.shape[1]
    channel = torch.arange(n, device=electrons.device, dtype=electrons.dtype)
    rows = detector.gain_variation.nonzero().squeeze(1)
    part = electrons[rows]
    gain = 1 + _normal_like(part, generator) * detector.gain_variation[rows, None]
    electrons[rows] = part.mul_(gain).clamp_(min=0)
    rows = detector.gain_ripple.nonzero().squeeze(1)
    phase = detector.ripple_phase[rows, None]
    phase = phase + 2 * math.pi / detector.ripple_channels[rows, None] * channel
    electrons[rows] *= 1 + detector.gain_ripple[rows, None] * phase.sin_()
    rows = detector.splice_step.nonzero().squeeze(1)
    behind = channel > n * detector.splice_at[rows, None]
    electrons[rows] *= 1 + detector.splice_step[rows, None] * behind


def count(
    electrons: torch.Tensor, axis: Axis, excess: torch.Tensor, *, generator: torch.Generator
) -> torch.Tensor:
    """Counts (batch, n) of electrons (batch, n) >= 0 in channels of the recorded dispersion.

    Two channels of 1 eV share a recorded channel at their border, hence its noise; recorded
    channels of 2 eV and more are interpolated, and neighbours are correlated for that reason.
    """
    counts = torch.empty_like(electrons)
    shared = (axis.dispersion_ev >= _ALONE_EV) & (axis.dispersion_ev <= 1)
    shared &= (axis.dispersion_ev < 1) | (axis.phase > 0)
    rows = (~shared & (axis.dispersion_ev <= 1)).nonzero().squeeze(1)
    counts[rows] = counting_noise(electrons[rows], excess=excess[rows, None], generator=generator)
    rows = shared.nonzero().squeeze(1)
    counts[rows] = count_shared(electrons[rows], rows_of(axis, rows), excess[rows], generator)
    for dispersion in axis.dispersion_ev[axis.dispersion_ev > 1].unique().tolist():
        rows = (axis.dispersion_ev == dispersion).nonzero().squeeze(1)
        binned = bin_channels(electrons[rows], round(dispersion))
        binned = counting_noise(binned, excess=excess[rows, None], generator=generator)
        counts[rows] = spread_channels(binned, round(dispersion), n=electrons.shape[1])
    return counts


def count_shared(electrons, axis: Axis, excess, generator) -> torch.Tensor:
    """Counts (batch, n) where channels of 1 eV share recorded channels with their neighbours.

    A recorded channel across a border holds ``dispersion`` eV. Its counts, noise included, go to
    both sides in the proportion of the two parts, as resampling does.
    """
    n, dispersion = electrons.shape[1], axis.dispersion_ev[:, None]
    border = torch.arange(n + 1, device=electrons.device, dtype=electrons.dtype)
    left_of_border = border / dispersion + axis.phase[:, None]
    left_of_border -= left_of_border.floor()  # part of the recorded channel across the border
    left_part, right_part = left_of_border[:, 1:], 1 - left_of_border[:, :-1]
    at_border = counting_noise(electrons * dispersion, excess=excess[:, None], generator=generator)
    counts = left_part * at_border
    rows = (axis.dispersion_ev < 1).nonzero().squeeze(1)  # channels of 1 eV have no inside
    inside = (1 - dispersion[rows] * (left_part[rows] + right_part[rows])).clamp_(min=0)
    inside *= electrons[rows]
    counts[rows] += counting_noise(inside, excess=excess[rows, None], generator=generator)
    counts[:, 1:] += right_part[:, 1:] * at_border[:, :-1]
    return counts


def counting_noise(
    expected: torch.Tensor,
    *,
    generator: torch.Generator,
    excess: torch.Tensor | float = 1.0,
) -> torch.Tensor:
    """Counts for `expected` electrons (any shape, >= 0), variance `excess` times the Poisson one.

    Poisson deviates below `POISSON_LIMIT`, where the excess does not matter beside their width.
    Above it the root of a Poisson deviate is nearly normal (F. J. Anscombe, Biometrika 35 (1948)
    246): ``[sqrt(expected + 1/8) + z / 2]^2 - 3/8``, rounded, with a normal deviate z and its
    factor for the excess, has the right mean and a variance larger by 1/3.
    """
    normal = torch.randn(expected.shape, generator=generator, device=expected.device)
    spread = 0.5 * torch.as_tensor(excess, device=expected.device).sqrt()
    root = (expected + (_ANSCOMBE - spread**2)).clamp_(min=0).sqrt_()
    counts = normal.mul_(spread).add_(root).square_().sub_(_ANSCOMBE).round_()
    expected, counts = (x.view(-1, x.shape[-1]) for x in (expected, counts))
    rows = (expected.amin(1) < POISSON_LIMIT).nonzero().squeeze(1)
    part, column = (expected[rows] < POISSON_LIMIT).nonzero(as_tuple=True)
    few = (rows[part], column)
    counts[few] = torch.poisson(expected[few], generator=generator)
    return counts.view(normal.shape)


def bin_channels(expected: torch.Tensor, factor: int) -> torch.Tensor:
    """Sums of `factor` channels, the last one repeated: (b, n) -> (b, ceil(n / factor))."""
    missing = -expected.shape[1] % factor
    padded = F.pad(expected[:, None], (0, missing), mode="replicate")[:, 0]
    return padded.unfold(-1, factor, factor).sum(-1)


def spread_channels(counts: torch.Tensor, factor: int, *, n: int) -> torch.Tensor:
    """Counts per original channel, a cubic (Catmull-Rom) curve through the bin centres.

    (b, m) -> (b, n) with n <= m * factor: what resampling a coarse recording to the fine axis
    gives, correlated noise included.
    """
    position = (torch.arange(factor, device=counts.device) + 0.5) / factor + 0.5
    before = (position < 1).float()  # fine channels left of the centre of their bin
    t = position - 1 + before
    weights = torch.stack(  # of the bins around a fine channel (4, factor)
        [
            -(t**3) + 2 * t**2 - t,
            3 * t**3 - 5 * t**2 + 2,
            -3 * t**3 + 4 * t**2 + t,
            t**3 - t**2,
        ]
    ) / (2 * factor)
    five = F.pad(weights, (0, 0, 0, 1)) * before + F.pad(weights, (0, 0, 1, 0)) * (1 - before)
    padded = F.pad(counts[:, None], (2, 2), mode="replicate")[:, 0]
    return (padded.unfold(1, 5, 1) @ five).flatten(1)[:, :n]


def add_spikes(counts: torch.Tensor, mask: torch.Tensor, detector: Detector) -> None:
    """Add one bright channel to spectra (batch, n) in place: a cosmic ray, a bad pixel."""
    rows = detector.spike.nonzero().squeeze(1)
    n_inside = mask[rows].sum(1)
    at = mask[rows].to(torch.uint8).argmax(1) + (n_inside * detector.spike_at[rows]).long()
    at = at.clamp(max=counts.shape[1] - 1)
    noise = (counts[rows, at].clamp(min=1) + detector.readout_noise[rows] ** 2).sqrt()
    counts[rows, at] += detector.spike[rows] * noise


def spread_points(counts: torch.Tensor, share: torch.Tensor, dispersion_ev: torch.Tensor) -> None:
    """Fold spectra (batch, n) in place with a point spread of two neighbours on either side.

    ``share`` (batch,) of a recorded channel goes into each nearest neighbour, `FAR_NEIGHBOUR` of
    that into the next, which correlates their noise. In channels of 1 eV that hold several recorded
    ones, ``dispersion_ev`` <= 1 (batch,), about the root of it is left of the first and the square
    of the second share.
    """
    rows = share.nonzero().squeeze(1)
    part = dispersion_ev[rows, None]
    near, far = share[rows, None] * part.sqrt(), FAR_NEIGHBOUR * part**2
    own = counts[rows]
    padded = F.pad(own[:, None], (2, 2), mode="replicate")[:, 0]
    one_away = padded[:, 1:-3] + padded[:, 3:-1]
    two_away = padded[:, :-4] + padded[:, 4:]
    sides = one_away.addcmul_(far, two_away)
    counts[rows] = own.mul_(1 - 2 * (1 + far) * near).addcmul_(near, sides)


def _normal_like(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(values.shape, generator=generator, device=values.device)
