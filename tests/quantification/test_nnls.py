import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from coreloss.quantification.nnls import nonnegative, restricted, solve_free


def problems(n: int, k: int, seed: int = 0):
    """Columns like those of a spectrum: collinear power laws, steps, peaks."""
    rng = np.random.default_rng(seed)
    energy = np.arange(400.0, 700.0)
    columns = [(energy / 550) ** -r for r in (1, 2, 3, 4, 5)]
    columns += [np.where(energy > o, (energy / o) ** -3, 0) for o in np.linspace(420, 650, k - 5)]
    matrix = np.stack(columns, 1)
    truth = rng.uniform(0, 1, (n, k)) * (rng.random((n, k)) > 0.5)
    data = rng.poisson(50 * truth @ matrix.T + 1).astype(float)
    weight = 1 / np.maximum(data, 1)
    return matrix, data, weight


def normal(matrix, data, weight):
    gram = np.einsum("mn,ni,nj->mij", weight, matrix, matrix)
    return torch.from_numpy(gram), torch.from_numpy((weight * data) @ matrix)


def test_equals_scipy_on_collinear_columns():
    matrix, data, weight = problems(60, 12)
    found = nonnegative(*normal(matrix, data, weight)).numpy()
    for x, y, w in zip(found, data, weight, strict=True):
        expected, _ = nnls(matrix * np.sqrt(w)[:, None], y * np.sqrt(w))
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6 * expected.max())
    assert (found >= 0).all()
    assert (found == 0).any()


def test_meets_the_optimality_conditions():
    gram, rhs = normal(*problems(200, 14, seed=3))
    x = nonnegative(gram, rhs)
    slope = torch.einsum("bij,bj->bi", gram, x) - rhs
    scale = rhs.abs().amax(1, keepdim=True)
    assert (slope / scale)[x > 0].abs().max() < 1e-8
    assert (slope / scale)[x == 0].min() > -1e-8


def test_one_matrix_for_all():
    gram, rhs = normal(*problems(5, 8))
    every = nonnegative(gram[:1].expand(5, -1, -1), rhs)
    torch.testing.assert_close(nonnegative(gram[0], rhs), every)


def test_scale_of_the_columns_does_not_matter():
    gram, rhs = normal(*problems(20, 9))
    scale = torch.logspace(-8, 8, 9, dtype=torch.float64)
    scaled = nonnegative(gram * scale[:, None] * scale, rhs * scale) * scale
    torch.testing.assert_close(scaled, nonnegative(gram, rhs), rtol=1e-6, atol=1e-9)


def test_empty_column_stays_at_zero():
    gram = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = nonnegative(gram, torch.tensor([[3.0, 0.0]], dtype=torch.float64))
    assert found[0].tolist() == pytest.approx([1.5, 0.0], abs=1e-12)


def test_solve_free_leaves_the_others_at_zero():
    gram, rhs = normal(*problems(3, 7))
    free = torch.tensor([[True, False] * 3 + [True]]).expand(3, -1)
    x = solve_free(gram, rhs, free)
    assert (x[~free] == 0).all()
    part = torch.linalg.solve(gram[0][free[0]][:, free[0]], rhs[0][free[0]])
    torch.testing.assert_close(x[0][free[0]], part)
    assert (torch.diagonal(restricted(gram, free)[0])[~free[0]] == 1).all()


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"\(2, 3, 3\).*\(2, 4\)"):
        nonnegative(torch.zeros(2, 3, 3), torch.zeros(2, 4))
