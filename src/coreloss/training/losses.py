"""What training minimises: cross-entropy, the soft F1 of the paper, and what counts in them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from coreloss.simulation.batch import Batch


def masked_bce(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Binary cross-entropy per spectrum, summed over the entries of `Batch.counted`."""
    loss = F.binary_cross_entropy_with_logits(logits, batch.present.float(), reduction="none")
    return (loss * batch.counted).sum() / len(logits)


def macro_soft_f1(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """1 - mean over the elements of 2 tp / (2 tp + fp + fn), with probabilities as shares.

    An element that is in no spectrum of the batch counts as F1 = 0 and has hardly a gradient:
    batches of less than about a thousand spectra leave rare elements to the cross-entropy.
    """
    probability, present = logits.sigmoid(), present.to(logits.dtype)
    hits = (probability * present).sum(0)
    f1 = 2 * hits / (probability.sum(0) + present.sum(0)).clamp(min=1e-6)
    return 1 - f1.mean()


def bce_soft_f1(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Loss of the paper: mean binary cross-entropy of everything present, plus macro soft F1.

    Annys, Jannis and Verbeeck, Sci. Rep. 13, 13724 (2023). An element outside the window is absent;
    one in the noise is present.
    """
    present = batch.present.float()
    return F.binary_cross_entropy_with_logits(logits, present) + macro_soft_f1(logits, present)


LOSSES = {"masked_bce": masked_bce, "bce_soft_f1": bce_soft_f1}
