"""Non-negative least squares for many small problems at once, from their normal equations."""

from __future__ import annotations

import torch
from scipy.optimize import nnls

_TOLERANCE = 1e-10  # of a gradient, relative to the largest right-hand side
_RIDGE = 1e-13  # of a diagonal of ones: equal columns share what one of them would have
_MAX_STEPS = 60


def nonnegative(gram: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """Minimise ``x' G x / 2 - b' x`` over x >= 0 for each of many problems.

    The active-set method of C. L. Lawson and R. J. Hanson (Solving Least Squares Problems, SIAM
    1995, chapter 23), a step for all problems at a time, from the solution of their mean on. A
    problem that rounding keeps open, with columns that are almost alike, is left to that of scipy.

    Parameters
    ----------
    gram
        (batch, k, k) or (k, k) for all, positive definite, ``A' W A``.
    rhs
        (batch, k), ``A' W y``.

    Returns
    -------
    (batch, k) solution; what is bound is 0 exactly.

    >>> gram = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]], dtype=torch.float64)
    >>> nonnegative(gram, torch.tensor([[1.0, -1.0]], dtype=torch.float64)).numpy().round(6)
    array([[0.5, 0. ]])
    """
    if gram.ndim == 2:
        gram = gram.expand(len(rhs), -1, -1)
    if gram.shape != (*rhs.shape, rhs.shape[1]):
        raise ValueError(
            f"normal matrices {tuple(gram.shape)} and right-hand sides {tuple(rhs.shape)} do not"
            " fit; allowed: (batch, k, k) and (batch, k)"
        )
    gram, norm = unit_diagonal(gram)
    gram = gram + _RIDGE * torch.eye(rhs.shape[1], dtype=gram.dtype)
    rhs = rhs / norm
    x, left = _together(gram, rhs)
    for row in left.tolist():
        x[row] = _alone(gram[row], rhs[row])
    return x / norm


def _together(gram: torch.Tensor, rhs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Solutions (n, k), and which of the problems have none yet."""
    result, open_ones = torch.zeros_like(rhs), torch.arange(len(rhs))
    tolerance = _TOLERANCE * rhs.abs().amax(1)
    x = _alone(gram.mean(0), rhs.mean(0)).repeat(len(rhs), 1)
    free = x > 0
    for _ in range(_MAX_STEPS):
        target = solve_free(gram, rhs, free)
        negative = free & (target <= 0)
        reach = torch.where(negative, x / (x - target), torch.inf)
        step = reach.amin(1, keepdim=True).clamp(max=1.0)  # to where the first one becomes 0
        free = free & ~(negative & (reach <= step))
        x = torch.where(free, x + step * (target - x), 0.0)
        gain = rhs - torch.einsum("bij,bj->bi", gram, x)
        most, which = torch.where(free, -torch.inf, gain).max(1)
        arrived = ~negative.any(1)
        done = arrived & (most <= tolerance)
        more = arrived & ~done
        free[more, which[more]] = True
        result[open_ones[done]] = x[done]
        open_ones, gram, rhs, x, free, tolerance = (
            t[~done] for t in (open_ones, gram, rhs, x, free, tolerance)
        )
        if not len(open_ones):
            break
    return result, open_ones


def _alone(gram: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    value, vector = torch.linalg.eigh(gram)
    root = value.clamp(min=_RIDGE).sqrt()
    matrix, data = root[:, None] * vector.T, (vector.T @ rhs) / root
    return torch.from_numpy(nnls(matrix.numpy(), data.numpy())[0])


def unit_diagonal(gram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal matrices (batch, k, k) of columns of norm 1, and the norms (batch, k)."""
    norm = gram.diagonal(dim1=1, dim2=2).clamp(min=1e-300).sqrt()
    return gram / norm[:, :, None] / norm[:, None, :], norm


def solve_free(gram: torch.Tensor, rhs: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Least squares over the ``free`` (batch, k) variables, the others are 0."""
    x = torch.linalg.solve(restricted(gram, free), rhs * free)
    return torch.where(free, x, 0.0)


def restricted(gram: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Normal matrices of the ``free`` variables, with the unit matrix for the others."""
    both = free[:, :, None] & free[:, None, :]
    return gram * both + torch.diag_embed((~free).to(gram.dtype))
