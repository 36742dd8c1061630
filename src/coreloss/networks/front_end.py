"""Channels in which an edge stands out from a power law: the front end of EdgeNet, and of U-Net.

They are computed in the measured windows alone, one after another, and in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import energy_ev, window_of
from coreloss.spectra.network_input import LARGEST_INPUT

BOXES_EV = (2, 4, 8, 16, 32)
MARGIN = 32
"""Empty channels on either side of a window: even, and beyond the reach of the stem."""


@dataclass(frozen=True)
class Windows:
    """The measured windows of a batch one after another, so that no padding is computed.

    Around each window lie `MARGIN` empty channels on either side, more than the stem can see:
    windows do not mix. The pieces begin on even channels, as the stride of the stem asks.

    row, channel : of each of the n packed places, (n,); measured : whether it holds data
    lo_ev, hi_ev : first and last measured channel, (B,)
    first : channel at which each piece begins, (B,), below 0 where a window begins at 0
    begin, length : where each piece lies in the pack, (B,)
    """

    row: torch.Tensor
    channel: torch.Tensor
    measured: torch.Tensor
    lo_ev: torch.Tensor
    hi_ev: torch.Tensor
    first: torch.Tensor
    begin: torch.Tensor
    length: torch.Tensor

    @classmethod
    def of(cls, mask: torch.Tensor) -> Windows:
        """Windows of masks (B, 3072)."""
        lo, hi = window_of(mask)
        first = lo.long() // 2 * 2 - MARGIN
        length = (hi.long() - first + MARGIN) // 2 * 2 + 2
        begin = length.cumsum(0) - length
        row = torch.arange(len(mask), device=mask.device).repeat_interleave(length)
        channel = torch.arange(len(row), device=mask.device) + (first - begin)[row]
        real = channel.clamp(0, mask.shape[1] - 1)
        return cls(row, real, mask[row, real] & (real == channel), lo, hi, first, begin, length)

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """Values (B, 3072) of the measured channels, zero elsewhere: (n,)."""
        return x[self.row, self.channel] * self.measured

    def mean(self, x: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Mean of packed values (n,) over each spectrum's places in `where` (n,): (B,)."""
        zeros = x.new_zeros(len(self.begin))
        total = zeros.index_add(0, self.row, x * where)
        return total / zeros.index_add(0, self.row, where.to(x.dtype)).clamp(min=1)


def box_sums(x: torch.Tensor) -> list[torch.Tensor]:
    """Sums of `x` (n,) over w channels from each channel on, for w in `BOXES_EV`; zeros beyond.

    Neighbouring sums are added pairwise: no cumulative sum, so no cancellation in float32.
    """
    sums = []
    for width in BOXES_EV:
        half = width // 2
        x = x + F.pad(x, (0, half))[half:]
        sums.append(x)
    return sums


def noise_gain(packed: torch.Tensor, windows: Windows) -> torch.Tensor:
    """Variance per unit of signal, (B,), from second differences of neighbouring channels.

    For counting noise of gain g the second difference has variance 6 g x. The mean square root of
    its magnitude is used (0.822 for a standard normal deviate), which an edge or a spike does not
    disturb.
    """
    difference = F.pad(packed[:-2] - 2 * packed[1:-1] + packed[2:], (1, 1))
    inner = F.pad(windows.measured[:-2] & windows.measured[2:], (1, 1))
    ratio = (difference.abs() / (6 * packed.clamp(min=1e-4)).sqrt()).sqrt()
    return (windows.mean(ratio, inner) / 0.822).pow(4).clamp(1e-12, 10.0)


def asinh(x: torch.Tensor) -> torch.Tensor:
    """``torch.asinh``, several times as fast on a CPU.

    >>> bool((asinh(x := torch.linspace(-50, 50, 999)) - x.asinh()).abs().max() < 1e-6)
    True
    """
    size = x.abs()
    return torch.log1p(size + size.square() / (1 + (1 + size.square()).sqrt())).copysign(x)


def _later(x: torch.Tensor, n: int) -> torch.Tensor:
    """Values of (len,) moved n channels up, which repeats the first one."""
    return torch.cat([x[:1].expand(n), x[:-n]])


class FrontEnd(nn.Module):
    """Spectra (B, 3072), mean 1 inside their windows, to rows of channels (n, n_channels), float32.

    Also returns the noise gain, (B,). Logarithms above a floor, ratios to their own spread and
    asinh bound every channel, the largest of them by the square root of 3072 channels: 55.5.
    """

    n_channels = 5 + 2 * len(BOXES_EV)
    log_energy: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_energy", (energy_ev() + 20).log() - 6.0, persistent=False)

    def forward(
        self, spectrum: torch.Tensor, windows: Windows
    ) -> tuple[torch.Tensor, torch.Tensor]:
        packed = windows.pack(spectrum).clamp(-LARGEST_INPUT, LARGEST_INPUT)
        row = windows.row
        m = windows.measured.to(packed.dtype)
        gain = noise_gain(packed, windows)
        floor = (1e-5 + gain)[row]  # about one count: keeps logarithms of empty channels finite
        log_spectrum = packed.clamp(min=0).add(floor).log()
        centred = (log_spectrum - windows.mean(log_spectrum, m)[row]) * m
        spread = (windows.mean(centred.square(), m) + 1e-4).sqrt()
        noise = 0.5 * (gain.log()[row] - log_spectrum)
        channels = [
            centred / spread[row],
            m,
            self.log_energy[windows.channel] * m,
            0.3 * (noise + 4) * m,
            0.5 * spread.log()[row] * m,
        ]
        for contrast, significance in self._edge_contrast(packed, m, gain[row], floor):
            channels += [contrast, significance]
        return torch.stack(channels, 1), gain

    @staticmethod
    def _edge_contrast(packed, m, gain, floor):
        """log R - 2 log L + log LL per box width: zero for a power law, positive at an edge.

        R is the mean right of the channel, L and LL the two boxes left of it; beside it the same
        divided by its counting error. Zero where a box leaves the window.
        """
        for width, total, covered in zip(BOXES_EV, box_sums(packed), box_sums(m), strict=True):
            mean = (total / width).clamp(min=0) + floor / width
            full = (covered >= width).to(m.dtype)
            logarithm, inverse = mean.log(), 1 / mean
            left, far_left = (_later(logarithm, k * width) for k in (1, 2))
            valid = full * _later(full, width) * _later(full, 2 * width)
            contrast = (logarithm - 2 * left + far_left) * valid
            noise = inverse + 4 * _later(inverse, width) + _later(inverse, 2 * width)
            significance = asinh(contrast / (gain / width * noise).sqrt()) * valid
            yield asinh(4 * contrast), 0.5 * significance
