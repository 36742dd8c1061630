"""The one energy axis that every spectrum entering a network lies on: 3072 channels of 1 eV."""

from __future__ import annotations

import torch

N_CHANNELS = 3072
TYPICAL_AXIS_ERROR_EV = 1.5
"""Standard deviation of the energies of a spectrum about which nothing else is known."""
UNCALIBRATED_AXIS_ERROR_EV = 6.0
"""That of an axis that nobody calibrated."""
AXIS_ERROR_LIMITS_EV = (0.1, 20.0)
"""Standard deviations that can be stated."""


def energy_ev() -> torch.Tensor:
    """Energy loss at the centre of each channel, E_i = i eV, (3072,) float32.

    Channel ``i`` covers ``i - 0.5`` to ``i + 0.5`` eV.

    >>> energy_ev()[[0, 532, -1]].tolist()
    [0.0, 532.0, 3071.0]
    """
    return torch.arange(N_CHANNELS, dtype=torch.float32)


def check_axis_error(axis_error_ev: float) -> None:
    """ValueError for a standard deviation of the energies outside `AXIS_ERROR_LIMITS_EV`."""
    low, high = AXIS_ERROR_LIMITS_EV
    if not low <= axis_error_ev <= high:
        raise ValueError(
            f"axis_error_ev = {axis_error_ev} eV; allowed: {low:g}..{high:g}, the standard"
            " deviation of the energies; correct a known error by a shift"
        )


def window_of(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last measured energy in eV of masks (B, 3072): float32, (B,) each.

    >>> window_of((energy_ev() >= 100)[None])
    (tensor([100.]), tensor([3071.]))
    """
    measured = mask.to(torch.uint8)
    last = mask.shape[1] - 1 - measured.flip(1).argmax(1)
    return measured.argmax(1).float(), last.float()
