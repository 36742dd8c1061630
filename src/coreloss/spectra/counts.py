"""What counts tell of themselves."""

from __future__ import annotations

import numpy as np


def are_whole(counts: np.ndarray) -> np.ndarray:
    """Which spectra (..., n) are whole numbers, (...) bool: counted, not scaled or subtracted.

    Exactly so: sums of events are whole to the bit. Missing values are not.

    >>> are_whole(np.array([[3.0, 0.0, -2.0], [3.0, 0.5, 2.0], [3.0, np.nan, 2.0]])).tolist()
    [True, False, False]
    """
    return (counts == np.rint(counts)).all(axis=-1)
