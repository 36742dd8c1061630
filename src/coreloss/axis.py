"""The one energy axis that every spectrum entering a network lies on: 3072 channels of 1 eV."""

from __future__ import annotations

import torch

N_CHANNELS = 3072


def energy_ev() -> torch.Tensor:
    """Energy loss at the centre of each channel, E_i = i eV, (3072,) float32.

    Channel ``i`` covers ``i - 0.5`` to ``i + 0.5`` eV.

    >>> energy_ev()[[0, 532, -1]].tolist()
    [0.0, 532.0, 3071.0]
    """
    return torch.arange(N_CHANNELS, dtype=torch.float32)
