"""A run that has gone wrong stops at once, before it overwrites its last good checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn.utils import get_total_norm


def finite_losses(
    losses: Sequence[torch.Tensor], norms: Sequence[torch.Tensor], model: torch.nn.Module
) -> list[float]:
    """Losses of some steps as numbers, read from the device at once.

    ``norms`` are those of the gradients before they were clipped.

    Raises
    ------
    FloatingPointError
        When a loss, a norm, or then a weight or running statistic of ``model`` is not finite.
    """
    state = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
    largest = get_total_norm(state.values(), norm_type=math.inf)
    read = torch.stack([*losses, *norms, largest]).tolist()
    found, gradients = read[: len(losses)], read[len(losses) : -1]
    for step, numbers in enumerate(zip(found, gradients, strict=True), 1):
        for name, value in zip(("loss", "norm of the gradient"), numbers, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(f"{name} is {value} in step {step} of {len(found)}")
    if not math.isfinite(read[-1]):
        name = next(name for name, value in state.items() if not value.isfinite().all())
        raise FloatingPointError(
            f"{name} of the network is not finite after {len(losses)} more steps"
        )
    return found
