"""Groups of neighbours: certain is that one of several elements is there, and not which one.

Elements are rivals where the same counts can be the edge of either. Few specimens hold two of them,
so that the probability of one of them is the sum of theirs.
"""

from collections.abc import Iterator

import numpy as np


def group_certainty(
    probability: np.ndarray, rivals: np.ndarray, *, present: float, absent: float
) -> np.ndarray:
    """Probability that an element or one of its rivals is there, (n, 80).

    ``p_k + sum over its rivals of p``, at most 1, over those that are not absent. It stands at the
    likeliest of them, and is 0 at the others, where an element has no such rival, and where one of
    them is present by itself.

    Parameters
    ----------
    probability : (n, 80), without NaN
    rivals : (80, 80) bool, symmetric, see `edges.rivals`
    present, absent : thresholds of an element by itself

    >>> p, rivals = np.array([[0.5, 0.45, 0.1]]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    >>> group_certainty(p, rivals, present=0.7, absent=0.01)
    array([[0.95, 0.  , 0.  ]])
    """
    open_ones = np.where((probability >= absent) & (probability < present), probability, 0.0)
    beside = open_ones @ rivals
    taken = (probability >= present) @ rivals.astype(int) > 0
    strongest = np.stack([open_ones.max(1, where=row, initial=0.0) for row in rivals], 1)
    earlier = np.tri(len(rivals), k=-1, dtype=bool) & rivals  # of two that are equal, one
    before = np.stack([open_ones.max(1, where=row, initial=0.0) for row in earlier], 1)
    first = (open_ones >= strongest) & (open_ones > before) & (beside > 0) & ~taken
    return np.where(first, np.minimum(open_ones + beside, 1.0), 0.0)


def ranked(
    element: int, probability: np.ndarray, rivals: np.ndarray, *, absent: float
) -> np.ndarray:
    """Indices of an element and of its rivals that are not absent, the likeliest rival first.

    ``probability`` (80,).
    """
    near = np.flatnonzero(rivals[element] & (probability >= absent))
    return np.append(element, near[np.argsort(-probability[near], kind="stable")])


def groups_of(
    probability: np.ndarray,
    rivals: np.ndarray,
    *,
    present: float,
    absent: float,
    least: float = 0.0,
) -> Iterator[tuple[float, np.ndarray]]:
    """Certainty and members, the first one first, of every group in one spectrum.

    ``probability`` (80,); ``least`` : of the certainty; the others as for `group_certainty`.
    """
    (certainty,) = group_certainty(probability[None], rivals, present=present, absent=absent)
    for k in np.flatnonzero((certainty > 0) & (certainty >= least)).tolist():
        yield float(certainty[k]), ranked(k, probability, rivals, absent=absent)
