"""Non-negative least squares for many small problems at once, from their normal equations."""

from __future__ import annotations

import torch
from scipy.optimize import nnls

_TOLERANCE = 1e-10  # of a gradient, relative to the largest right-hand side
_RIDGE = 1e-13  # of a diagonal of ones: equal columns share what one of them would have
_ROUNDING = 1e-12  # of the largest of the variables
_FULL_EXCHANGES = 3
_MAX_STEPS = 25


def nonnegative(gram: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
    """Minimise ``x' G x / 2 - b' x`` over x >= 0 for each of many problems.

    Block principal pivoting (J. Kim and H. Park, SIAM J. Sci. Comput. 33 (2011) 3261): all
    variables of the wrong sign change sides at once; after three rounds without progress only the
    last of them does. The few problems that are still open then, with columns so alike that this
    takes ages, are left to the active-set method of scipy.

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
    x, left = _pivoted(gram, rhs)
    for row in left.tolist():
        x[row] = _active_set(gram[row], rhs[row])
    return x / norm


def _pivoted(gram: torch.Tensor, rhs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Solutions (n, k), and which of the problems have none yet."""
    n, k = rhs.shape
    result = torch.zeros_like(rhs)
    free = gram.diagonal(dim1=1, dim2=2) > 0.5
    fewest = torch.full((n,), k + 1)
    tries = torch.full((n,), _FULL_EXCHANGES)
    open_ones = torch.arange(n)
    order = torch.arange(k)
    tolerance = _TOLERANCE * rhs.abs().amax(1, keepdim=True)
    for _ in range(_MAX_STEPS):
        g, b, f = gram[open_ones], rhs[open_ones], free[open_ones]
        x = solve_free(g, b, f)
        slope = torch.einsum("bij,bj->bi", g, x) - b
        wrong = (f & (x < -_ROUNDING * x.abs().amax(1, keepdim=True))) | (
            ~f & (slope < -tolerance[open_ones])
        )
        count = wrong.sum(1)
        done = count == 0
        result[open_ones[done]] = x[done].clamp(min=0)
        better = count < fewest[open_ones]
        fewest[open_ones[better]] = count[better]
        tries[open_ones] = torch.where(better, _FULL_EXCHANGES, tries[open_ones] - 1)
        last = (wrong * order).amax(1, keepdim=True) == order
        change = torch.where((tries[open_ones] >= 0)[:, None], wrong, wrong & last)
        free[open_ones] = f ^ change
        open_ones = open_ones[~done]
        if not len(open_ones):
            break
    return result, open_ones


def _active_set(gram: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
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
