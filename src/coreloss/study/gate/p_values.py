"""How likely is a measurement under a simulator? p-values from features, without a model of them.

Every test compares ranks of one statistic among draws of the simulator, so it holds whatever the
distribution of the features is. Under the hypothesis that the simulator made the measurement, a
p-value of 0.05 or less turns up once in twenty times, and no p-value is below 1 / (draws + 1). A
high p-value proves nothing: the features may miss the difference, and one spectrum says little.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

N_NEIGHBOURS = 2
SHRINKAGE = 0.03
"""Share of the diagonal in the covariance that whitens: features are many, draws are few."""
SCALE_FLOOR = 0.01
"""Smallest scale of a feature: what the simulator never changes, it changes by this much."""
_MIN_DEFINED = 0.5
_N_REFERENCE = 500


def percentiles(pool, measured) -> np.ndarray:
    """Ranks of ``measured`` (m,) in ``pool`` (n,) as 0..1, ties in their middle; NaN if undefined.

    >>> percentiles(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0, 9.0, np.nan]))
    array([0.5, 1. , nan])
    """
    pool, measured = np.asarray(pool, float), np.asarray(measured, float)
    pool = np.sort(pool[np.isfinite(pool)])
    if not len(pool):
        return np.full(measured.shape, np.nan)
    below = np.searchsorted(pool, measured, "left") + np.searchsorted(pool, measured, "right")
    return np.where(np.isfinite(measured), below / (2 * len(pool)), np.nan)


def standardise(pool, measured) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, k) and (m, k) in robust standard deviations from the pool's median, compressed.

    ``asinh((x - median) / scale)``: linear in the bulk, logarithmic far out, so that one wild
    feature does not hide the others. Undefined values are put at the median; a feature that is
    undefined in the first measured row or in half of the pool is 0 everywhere.
    """
    pool, measured = np.asarray(pool, float), np.asarray(measured, float)
    defined = np.isfinite(pool)
    used = (defined.mean(0) > _MIN_DEFINED) & np.isfinite(measured[0])
    low, middle, high = np.zeros((3, pool.shape[1]))
    low[used], middle[used], high[used] = np.nanquantile(pool[:, used], (0.16, 0.5, 0.84), axis=0)
    scale = np.maximum((high - low) / 2, SCALE_FLOOR)
    both = (np.arcsinh((x - middle) / scale) for x in (pool, measured))
    pool_z, measured_z = (np.where(np.isfinite(z) & used, z, 0.0) for z in both)
    return pool_z, measured_z


def distance_p_values(pool_z, measured_z) -> np.ndarray:
    """p-values (m,) of standardised features (m, k) among draws of the simulator (n, k).

    The statistic is the mean distance to the `N_NEIGHBOURS` nearest draws after whitening; a draw
    is not its own neighbour. p = (1 + number of draws that lie as far out) / (n + 1).

    Raises
    ------
    ValueError
        When there are too few draws for neighbours.
    """
    n = len(pool_z)
    if n < 4 * N_NEIGHBOURS:
        raise ValueError(f"{n} draws of the simulator; give at least {4 * N_NEIGHBOURS}")
    covariance = np.cov(pool_z, rowvar=False)
    diagonal = np.diag(np.diag(covariance))
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal + 1e-3 * np.eye(len(diagonal))
    root = np.linalg.inv(np.linalg.cholesky(covariance)).T
    pool, measured = pool_z @ root, measured_z @ root
    own = np.sqrt(_squares(pool, pool))
    np.fill_diagonal(own, np.inf)
    draws = np.sort(own, axis=1)[:, :N_NEIGHBOURS].mean(1)
    found = np.sort(np.sqrt(_squares(measured, pool)), axis=1)[:, :N_NEIGHBOURS].mean(1)
    farther = n - np.searchsorted(np.sort(draws), found, "left")
    return (1 + farther) / (n + 1)


def fisher(p_values) -> float:
    """Fisher's p-value of several independent ones: chi2 of -2 sum ln p, 2 m degrees of freedom.

    Dependent ones make it too small: combine those by `cauchy` first.

    >>> round(fisher([0.5, 0.5]), 2), round(fisher([0.01, 0.02]), 4)
    (0.6, 0.0019)
    """
    p = np.asarray(p_values, float)
    return float(chi2.sf(-2 * np.log(p).sum(), 2 * len(p)))


def cauchy(p_values) -> float:
    """p-value of several dependent ones, by the mean of their Cauchy deviates tan(pi (1/2 - p)).

    Exact for independent values and nearly so in its lower tail for dependent ones (Liu and Xie,
    J. Am. Stat. Assoc. 115 (2020) 393).

    >>> round(cauchy([0.02, 0.02, 0.02]), 3), round(cauchy([0.01, 0.8]), 2)
    (0.02, 0.02)
    """
    p = np.asarray(p_values, float)
    deviate = np.tan(np.pi * (0.5 - np.minimum(p, 0.999))).mean()
    return float(0.5 - np.arctan(deviate) / np.pi)


def median_p_value(p_values) -> float:
    """p-value of many spectra of one specimen, however dependent: twice their median, at most 1.

    Rueger, Metrika 25 (1978) 171. It asks whether most of them are unlikely.
    """
    return float(min(1.0, 2 * np.median(p_values)))


def energy_test(measured_z, pools_z, *, rng: np.random.Generator, n_draws: int = 999) -> float:
    """p-value of a set of files: energy distance from the pools of the simulator.

    ``measured_z`` (m, k) has one spectrum per file, ``pools_z`` the m pools (n, k) they are
    compared with, all standardised. The null distribution puts one random draw of each pool in the
    place of its file, so files are exchanged, never the spectra of a line scan. The statistic is
    2 <|x - y|> - <|x - x'|>, x measured and y simulated: a maximum mean discrepancy without a
    width to choose (Szekely and Rizzo, J. Stat. Plan. Inference 143 (2013) 1249). Where `fisher`
    asks whether any file lies far out, this also finds files that lie on the same side of their
    pools, which files of one microscope do if the simulator varies from spectrum to spectrum what
    that microscope never changes. With one file it asks how far out that lies.
    """
    m = len(measured_z)
    orders = [rng.permutation(len(pool)) for pool in pools_z]
    halves = [(order[: len(order) // 2], order[len(order) // 2 :]) for order in orders]
    per_file = max(_N_REFERENCE // m, 20)
    pairs = list(zip(pools_z, halves, strict=True))
    reference = np.concatenate([pool[half[:per_file]] for pool, (half, _) in pairs])
    draws = np.stack([pool[rng.choice(half, n_draws)] for pool, (_, half) in pairs], 1)
    sets = np.concatenate([np.asarray(measured_z)[None], draws])  # (n_draws + 1, m, k)
    between = np.array([np.sqrt(_squares(x, reference)).mean() for x in sets])
    among = np.array([np.sqrt(_squares(x, x)).sum() / max(m * (m - 1), 1) for x in sets])
    statistic = 2 * between - among
    return float((1 + (statistic[1:] >= statistic[0]).sum()) / (n_draws + 1))


def _squares(a, b) -> np.ndarray:
    """Squared distances between rows, (n, k) and (m, k) -> (n, m)."""
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return np.maximum(square, 0)
