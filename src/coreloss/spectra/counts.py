"""What counts tell of themselves."""

from __future__ import annotations

import numpy as np

MEDIAN_DIFFERENCE = 0.954
"""Median size of the difference of two standard normal deviates."""


def are_whole(counts: np.ndarray) -> np.ndarray:
    """Which spectra (..., n) are whole numbers, (...) bool: counted, not scaled or subtracted.

    Exactly so: sums of events are whole to the bit. Missing values are not.

    >>> are_whole(np.array([[3.0, 0.0, -2.0], [3.0, 0.5, 2.0], [3.0, np.nan, 2.0]])).tolist()
    [True, False, False]
    """
    return (counts == np.rint(counts)).all(axis=-1)


def noise_of(counts: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise in spectra (..., n), (...).

    From the median difference of neighbours, which edges and spikes do not disturb.

    >>> noise_of(np.random.default_rng(0).normal(100, 5, (2, 4000))).round().tolist()
    [5.0, 5.0]
    """
    return np.median(np.abs(np.diff(counts)), axis=-1) / MEDIAN_DIFFERENCE
