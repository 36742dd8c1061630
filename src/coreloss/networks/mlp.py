"""Multilayer perceptron of Annys et al. (2023): seven dense layers on the whole spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.heads import Output, check_sizes, he_normal, paper_input, scaled

HIDDEN = (6144, 3072, 3072, 1536, 1536, 768, 384)


@dataclass(frozen=True)
class MLPConfig:
    """Sizes of an MLP.

    width : of all hidden layers, 1 is the published size
    dropout : after each hidden layer but the last
    """

    width: float = 1.0
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(self)


def dense_stack(sizes: list[int], dropout: float) -> nn.Sequential:
    """Dense layers with batch norm and rectifier, dropout between them.

    (B, sizes[0]) -> (B, sizes[-1]). The batch norm makes a bias before it superfluous.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Dropout(dropout)] if layers else []
        layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
    return nn.Sequential(*layers)


class MLP(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Layers of 6144-3072-3072-1536-1536-768-384 units, batch norm, rectifier, dropout.
    """

    def __init__(self, config: MLPConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MLPConfig()
        sizes = [scaled(n, config.width, 8) for n in HIDDEN]
        self.hidden = dense_stack([N_CHANNELS, *sizes], config.dropout)
        self.apply(he_normal)
        self.output = Output(sizes[-1])

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = paper_input(spectrum, mask).squeeze(1)  # (B, 3072)
        return self.output(self.hidden(x))
