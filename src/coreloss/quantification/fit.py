"""Weighted non-negative least squares of many spectra at once, with error bars."""

from __future__ import annotations

import torch
from scipy.ndimage import uniform_filter1d

from coreloss.quantification.linear_model import EdgeModel
from coreloss.quantification.nnls import nonnegative, restricted, unit_diagonal

BARN_PER_NM2 = 1e10
CHUNK = 128
"""Pixels that are fitted together: enough to be fast, few enough for the cache."""
SMOOTH = 9
"""Channels over which counts are averaged where their noise must not matter."""


def slices(n: int) -> list[slice]:
    """Pieces of n spectra that are fitted together."""
    return [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]


def fit(
    model: EdgeModel,
    noise: tuple[float, float],
    counts: torch.Tensor,
    columns: torch.Tensor,
    electrons: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Amounts (m, k), covariance (m, k, k), goodness (m,), coefficients (m, columns).

    ``noise`` as of `plan.Plan`, ``counts`` (m, n), ``columns`` (m or 1, c, n) of the
    model; with ``electrons`` (m,) or (1,) the amounts are areal densities.

    Weights come from the counts, smoothed so that their noise does not pull the fit.
    """
    constant, per_count = noise
    expected = torch.from_numpy(uniform_filter1d(counts.numpy(), SMOOTH, axis=1))
    floor = 1e-2 * expected.abs().mean(1, keepdim=True) + 1e-12
    weight = 1 / (constant + per_count * torch.maximum(expected, floor))
    gram, rhs = normal_equations(columns, weight, counts)
    x = nonnegative(gram, rhs)
    expected = counts_of(columns, x)
    free = x > 0
    degrees = (counts.shape[1] - free.sum(1)).clamp(min=1)
    goodness = (weight * (counts - expected) ** 2).sum(1) / degrees
    summing = model.amounts()
    amount = x @ summing.T
    free[:, model.n_background :] = True  # an element at zero has an error too
    covariance = summing @ _inverse(gram, free) @ summing.T
    covariance = covariance * goodness.clamp(min=1)[:, None, None]
    if electrons is not None:
        scale = BARN_PER_NM2 / electrons.expand(len(counts))
        amount, covariance = amount * scale[:, None], covariance * (scale**2)[:, None, None]
    return amount, covariance, goodness, x


def normal_equations(columns: torch.Tensor, weight: torch.Tensor, counts: torch.Tensor):
    """``A' W A`` (m, c, c) and ``A' W y`` (m, c) for columns (m or 1, c, n), weights (m, n)."""
    if len(columns) == 1:
        a = columns[0]
        i, j = torch.triu_indices(len(a), len(a))
        upper = weight @ (a[i] * a[j]).T
        gram = upper.new_empty(len(weight), len(a), len(a))
        gram[:, i, j] = upper
        gram[:, j, i] = upper
        return gram, (weight * counts) @ a.T
    weighted = columns * weight[:, None]
    return weighted @ columns.transpose(1, 2), (weighted @ counts[:, :, None])[..., 0]


def counts_of(columns: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Counts (m, n) of columns (m or 1, c, n) with coefficients (m, c)."""
    return x @ columns[0] if len(columns) == 1 else (x[:, None] @ columns)[:, 0]


def _inverse(gram: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Inverse of the normal matrices of the free columns, 0 for the others."""
    scaled, norm = unit_diagonal(gram)
    inverse = torch.linalg.inv(restricted(scaled, free)) / norm[:, :, None] / norm[:, None]
    return inverse * (free[:, :, None] & free[:, None])
