"""Compact convolutional transformer of Annys et al. (2023), after Hassani et al. (2021)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.heads import KERNEL, Output, he_normal, paper_input, scaled
from coreloss.networks.vit import Encoder, ViTConfig

CHANNELS = (32, 64, 128)
KEY = 8
"""Length of all keys together in units of the token width: 8 heads of 128 for tokens of 128."""


@dataclass(frozen=True)
class CCTConfig(ViTConfig):
    """Sizes of a CCT, those of `vit.ViTConfig`; `width` is of the convolutions too."""

    head: str = "sequence"
    heads: int = 8


class CCT(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Three convolutions of kernel 32, without padding, each with a rectifier and a pooling by 2,
    make the tokens; 8 layers of 8 heads on tokens of 128, a head, the output.
    """

    def __init__(self, config: CCTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CCTConfig()
        dim = scaled(CHANNELS[-1], config.width, config.heads)
        channels = [1, *(scaled(n, config.width) for n in CHANNELS[:-1]), dim]
        layers: list[nn.Module] = []
        n_tokens = N_CHANNELS
        for c_in, c_out in pairwise(channels):
            layers += [nn.Conv1d(c_in, c_out, KERNEL, bias=False), nn.ReLU(), nn.MaxPool1d(2)]
            n_tokens = (n_tokens - KERNEL + 1) // 2
        self.tokenizer = nn.Sequential(*layers).apply(he_normal)
        self.encoder = Encoder(config, n_tokens=n_tokens, dim=dim, key=KEY)
        self.output = Output(self.encoder.n_features)

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.tokenizer(paper_input(spectrum, mask)).transpose(1, 2)  # (B, 356, 128)
        return self.output(self.encoder(x))
