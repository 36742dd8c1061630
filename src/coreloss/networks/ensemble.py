"""Several networks as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn


class Ensemble(nn.Module):
    """Networks whose probabilities are averaged; used like a single network.

    With member logits l_k the answer is the logit of p = mean of sigmoid(l_k),

        log p - log(1 - p) = log sum_k sigmoid(l_k) - log sum_k sigmoid(-l_k),

    summed in logarithms, so that it stays exact where p rounds to 0 or 1.

    >>> class Sure(nn.Module):
    ...     def forward(self, spectrum, mask, axis_error_ev=None):
    ...         return torch.tensor([[60.0, -300.0]])
    >>> Ensemble([Sure(), Sure()])(None, None).tolist()
    [[60.0, -300.0]]
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("members is empty: an ensemble needs at least one network")

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        logits = torch.stack([m(spectrum, mask, axis_error_ev).float() for m in self.members])
        present, absent = F.logsigmoid(logits), F.logsigmoid(-logits)  # (members, B, 80) each
        return present.logsumexp(0) - absent.logsumexp(0)
