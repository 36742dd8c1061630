"""From expected electrons per channel to recorded counts, in the order in which it happens."""

from __future__ import annotations

import torch

POISSON_LIMIT = 30.0
"""Above so many expected counts a rounded normal deviate is used (Poisson skewness < 0.18)."""


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
    gain_variation : (batch,), relative standard deviation of the channel gain
    readout_noise : (batch,), standard deviation per recorded channel, electrons
    bin_factor : (batch,) integers, 1 eV channels per recorded channel

    Returns
    -------
    (batch, n) counts; negative where read-out noise exceeds the signal.
    """
    gain = torch.randn(expected.shape, generator=generator, device=expected.device)
    electrons = (expected * (1 + gain_variation[:, None] * gain)).clamp_(min=0)
    counts = torch.empty_like(electrons)
    for factor in bin_factor.unique().tolist():
        rows = (bin_factor == factor).nonzero().squeeze(1)
        part = electrons[rows]
        if factor > 1:
            part = bin_channels(part, factor)
        part = counting_noise(part, generator=generator)
        noise = torch.randn(part.shape, generator=generator, device=part.device)
        part = part + (readout_noise[rows, None] * noise).round()
        counts[rows] = spread_channels(part, factor) if factor > 1 else part
    return counts
