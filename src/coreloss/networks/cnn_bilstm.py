"""CNN-BiLSTM in the manner of Kong, Ji and Xin, Sci. Rep. 12, 22183 (2022): the older reference.

Theirs, doi:10.1038/s41598-022-25870-3: a convolutional network reads shapes from the raw spectrum,
a bidirectional LSTM reads them along the energy axis in both directions, dense layers name the
edges. Adapted here: the input has 3072 channels, the 80 elements have one logit each (several
may be present), and the numbers of layers, channels and units are our own choice, since neither
those of theirs nor code was at hand. It is a network of that kind, not a copy of that network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.heads import Output, SameConv, check_sizes, he_normal, paper_input, scaled

CHANNELS = (32, 64, 128)
POOL = 4
STATE = 128
DENSE = 256


@dataclass(frozen=True)
class CNNBiLSTMConfig:
    """Sizes of a CNN-BiLSTM.

    width : of all layers; dropout : before and after the dense layer
    """

    width: float = 1.0
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(self)


class CNNBiLSTM(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Three convolutions of kernel 32 with 32-64-128 channels, each with a pooling by 4; an LSTM of
    128 units in either direction over the 48 steps; the outputs of all steps, a dense layer of 256.
    """

    def __init__(self, config: CNNBiLSTMConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CNNBiLSTMConfig()
        channels = [1, *(scaled(n, config.width) for n in CHANNELS)]
        state, dense = (scaled(n, config.width) for n in (STATE, DENSE))
        n_steps = N_CHANNELS // POOL ** len(CHANNELS)
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(channels):
            layers += [SameConv(c_in, c_out), nn.BatchNorm1d(c_out), nn.ReLU(), nn.MaxPool1d(POOL)]
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(channels[-1], state, batch_first=True, bidirectional=True)
        self.dense = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(n_steps * 2 * state, dense),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.apply(he_normal)
        self.output = Output(dense)

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.features(paper_input(spectrum, mask))  # (B, 128, 48)
        x, _ = self.lstm(x.transpose(1, 2))  # (B, 48, 256)
        return self.output(self.dense(x.flatten(1)))
