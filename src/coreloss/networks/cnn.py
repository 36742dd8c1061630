"""Convolutional network of Annys et al. (2023): VGG-11 in one dimension."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.heads import Output, SameConv, check_sizes, he_normal, paper_input, scaled

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions between poolings: configuration A of Simonyan and Zisserman,
arXiv:1409.1556, table 1."""
DENSE = 256


@dataclass(frozen=True)
class CNNConfig:
    """Sizes of a CNN.

    width : of all layers, 1 is the published size
    dropout : before each of the two dense layers
    """

    width: float = 1.0
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_sizes(self)


class CNN(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Eight convolutions of kernel 32 with 64 to 512 channels in five stages, each followed by a
    pooling by 2, then dense layers 256-256. No batch norm, as published.
    """

    def __init__(self, config: CNNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CNNConfig()
        layers: list[nn.Module] = []
        channels = 1
        for stage in STAGES:
            for size in stage:
                c_in, channels = channels, scaled(size, config.width)
                layers += [SameConv(c_in, channels, bias=True), nn.ReLU()]
            layers.append(nn.MaxPool1d(2))
        self.features = nn.Sequential(*layers)
        n_features = channels * (N_CHANNELS // 2 ** len(STAGES))
        dense = scaled(DENSE, config.width)
        self.dense = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(n_features, dense),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(dense, dense),
            nn.ReLU(),
        )
        self.apply(he_normal)
        self.output = Output(dense)

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.features(paper_input(spectrum, mask))  # (B, 512, 96)
        return self.output(self.dense(x.flatten(1)))
