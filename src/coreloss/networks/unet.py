"""U-Net of Annys et al. (2023): down to a coarse view of the spectrum, up again, then dense."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.front_end import FrontEnd, Windows
from coreloss.networks.heads import (
    CONVOLUTIONAL_HEADS,
    Head,
    Output,
    SameConv,
    check_sizes,
    he_normal,
    paper_input,
    scaled,
)
from coreloss.networks.mlp import dense_stack

CHANNELS = (16, 32, 64, 128, 256)
DENSE = (3072, 1536, 768, 384)
FRONTS = ("maximum", "contrast")


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a U-Net.

    width : of all layers, 1 is the published size
    head : 'conv', 'flatten' or 'average' (see `heads.Head`)
    dropout : between the dense layers
    front : 'maximum', the spectrum in units of its maximum as published, or 'contrast', the
        channels that EdgeNet reads: what is due to them, and what to its edge tokens?
    """

    width: float = 1.0
    head: str = "conv"
    dropout: float = 0.3
    front: str = "maximum"

    def __post_init__(self) -> None:
        check_sizes(self, heads=CONVOLUTIONAL_HEADS)
        if self.front not in FRONTS:
            raise ValueError(f"front = {self.front!r} must be one of {', '.join(FRONTS)}")


class Contrast(nn.Module):
    """EdgeNet's channels on the whole axis: (B, 3072) to (B, 15, 3072), zero outside windows."""

    n_channels = FrontEnd.n_channels

    def __init__(self) -> None:
        super().__init__()
        self.packed = FrontEnd()

    def forward(self, spectrum: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.autocast(spectrum.device.type, enabled=False):
            windows = Windows.of(mask)
            packed, _ = self.packed(spectrum.float(), windows)  # (n, 15)
            place = windows.row * N_CHANNELS + windows.channel
            flat = packed.new_zeros(self.n_channels, mask.numel())
            flat[:, place[windows.measured]] = packed[windows.measured].T
        return flat.view(self.n_channels, *mask.shape).transpose(0, 1)


def block(c_in: int, c_out: int) -> nn.Sequential:
    """Convolution, batch norm, rectifier: (B, c_in, n) -> (B, c_out, n)."""
    return nn.Sequential(SameConv(c_in, c_out), nn.BatchNorm1d(c_out), nn.ReLU())


class Up(nn.Module):
    """Twice as long, half the channels, joined to the features of that length on the way down.

    (B, 2 c, n / 2) and (B, c, n) -> (B, 2 c, n)
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = block(c_in, c_out)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        longer = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.cat([longer, skip], 1)


class UNet(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Convolutions of kernel 32 with 16-32-64-128-256 channels and poolings by 2 between them, the
    same way up with skips, a head, dense layers 3072-1536-768-384.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        c = [scaled(n, config.width) for n in CHANNELS]
        self.front = Contrast() if config.front == "contrast" else paper_input
        n_input = Contrast.n_channels if config.front == "contrast" else 1
        self.down = nn.ModuleList(block(c_in, c_out) for c_in, c_out in pairwise([n_input, *c]))
        self.up = nn.ModuleList(Up(c_in, c_out) for c_out, c_in in pairwise(c))
        self.mix = nn.ModuleList(block(2 * size, size) for size in c[1:-1])
        self.head = Head(config.head, 2 * c[0], N_CHANNELS)
        dense = [scaled(n, config.width, 8) for n in DENSE]
        self.dense = dense_stack([self.head.n_features, *dense], config.dropout)
        self.apply(he_normal)
        self.output = Output(dense[-1])

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.down[0](self.front(spectrum, mask))  # (B, 16, 3072)
        skips = []
        for step in self.down[1:]:
            skips.append(x)
            x = step(F.max_pool1d(x, 2))
        # (B, 256, 192) at the bottom
        for level in reversed(range(len(self.up))):
            x = self.up[level](x, skips[level])
            x = self.mix[level - 1](x) if level else x
        # (B, 32, 3072) at the top
        return self.output(self.dense(self.head(x)))
