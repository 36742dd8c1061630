"""From expected electrons per channel to recorded counts, in the order in which it happens."""

from __future__ import annotations

import torch

POISSON_LIMIT = 30.0
"""Above so many expected counts a rounded normal deviate is used (Poisson skewness < 0.19)."""


def counting_noise(expected: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Poisson counts for `expected` electrons (any shape, >= 0).

    Exact below `POISSON_LIMIT`, a rounded normal deviate of the same variance above it.
    """
    normal = torch.randn(expected.shape, generator=generator, device=expected.device)
    counts = (expected + expected.sqrt() * normal).round_()
    few = expected < POISSON_LIMIT
    counts[few] = torch.poisson(expected[few], generator=generator)
    return counts


def bin_channels(expected: torch.Tensor, factor: int) -> torch.Tensor:
    """Sum `factor` neighbouring channels: (batch, n) -> (batch, n // factor)."""
    return expected.unfold(-1, factor, factor).sum(-1)


def spread_channels(counts: torch.Tensor, factor: int) -> torch.Tensor:
    """Counts per original channel, interpolated linearly between bin centres.

    (batch, n) -> (batch, n * factor): what resampling a coarse recording to the fine axis gives,
    correlated noise included.
    """
    return torch.nn.functional.interpolate(
        counts.unsqueeze(1) / factor, scale_factor=factor, mode="linear", align_corners=False
    ).squeeze(1)


def record(
    expected: torch.Tensor,
    mask: torch.Tensor,
    *,
    gain_variation: torch.Tensor,
    readout_noise: torch.Tensor,
    bin_factor: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Counts recorded for `expected` electrons per 1 eV channel.

    Channel-to-channel gain error, binning to a coarser dispersion, counting noise, read-out noise,
    resampling to 1 eV, in this order.

    Parameters
    ----------
    expected : (batch, n), electrons; n divisible by the bin factors
    mask : (batch, n) bool, the channels that are recorded; the others are 0
    gain_variation : (batch,), relative standard deviation of the channel gain
    readout_noise : (batch,), standard deviation per recorded channel, electrons
    bin_factor : (batch,) integers, 1 eV channels per recorded channel

    Returns
    -------
    (batch, n) counts; negative where read-out noise exceeds the signal.
    """
    electrons = expected.clone()
    rows = gain_variation.nonzero().squeeze(1)
    part = electrons[rows]
    gain = 1 + _normal_like(part, generator) * gain_variation[rows, None]
    electrons[rows] = part.mul_(gain).clamp_(min=0)
    counts = torch.zeros_like(electrons)
    fine = (mask & (bin_factor == 1)[:, None]).view(-1).nonzero().squeeze(1)
    counts.view(-1)[fine] = counting_noise(electrons.view(-1)[fine], generator=generator)
    rows = (readout_noise * (bin_factor == 1)).nonzero().squeeze(1)
    part = mask[rows] * readout_noise[rows, None]
    counts[rows] += (_normal_like(part, generator) * part).round_()
    for factor in bin_factor.unique().tolist():
        if factor > 1:
            rows = (bin_factor == factor).nonzero().squeeze(1)
            part = counting_noise(bin_channels(electrons[rows], factor), generator=generator)
            part += (_normal_like(part, generator) * readout_noise[rows, None]).round_()
            counts[rows] = spread_channels(part, factor) * mask[rows]
    return counts


def _normal_like(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(values.shape, generator=generator, device=values.device)
