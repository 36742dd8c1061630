"""Residual network of Annys et al. (2023): 16 blocks of two convolutions, kernel 32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import N_CHANNELS
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

STAGES = ((16, 2), (32, 3), (64, 4), (128, 3), (256, 2), (512, 2))
"""Channels and blocks; each stage after the first begins with a stride of 2."""


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a ResNet.

    width : of all layers, 1 is the published size
    head : 'conv', 'flatten' or 'average' (see `heads.Head`)
    dropout : before the output; the paper has none
    """

    width: float = 1.0
    head: str = "average"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self, heads=CONVOLUTIONAL_HEADS)


class ResidualBlock(nn.Module):
    """Two convolutions around a skip: (B, c_in, n) -> (B, c_out, n / stride).

    The skip has no weights: it takes every second place and adds empty channels on both sides.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.added = ((c_out - c_in) // 2, c_out - c_in - (c_out - c_in) // 2)
        self.conv1 = SameConv(c_in, c_out, stride=stride)
        self.norm1 = nn.BatchNorm1d(c_out)
        self.conv2 = SameConv(c_out, c_out)
        self.norm2 = nn.BatchNorm1d(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        skip = F.pad(x[:, :, :: self.stride], (0, 0, *self.added))  # (B, c_out, n / stride)
        return F.relu(skip + y)


class ResNet(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    A convolution, 2-3-4-3-2-2 blocks of 16-32-64-128-256-512 channels, a head, the output.
    """

    def __init__(self, config: ResNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ResNetConfig()
        channels = scaled(STAGES[0][0], config.width)
        self.stem = nn.Sequential(SameConv(1, channels), nn.BatchNorm1d(channels), nn.ReLU())
        blocks, length = [], N_CHANNELS
        for stage, (size, n_blocks) in enumerate(STAGES):
            for block in range(n_blocks):
                stride = 2 if stage and block == 0 else 1
                c_in, channels = channels, scaled(size, config.width)
                length //= stride
                blocks.append(ResidualBlock(c_in, channels, stride))
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(config.head, channels, length)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(he_normal)
        self.output = Output(self.head.n_features)

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.stem(paper_input(spectrum, mask))  # (B, 16, 3072)
        x = self.blocks(x)  # (B, 512, 96)
        return self.output(self.dropout(self.head(x)))
