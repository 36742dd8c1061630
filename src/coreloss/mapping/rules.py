"""Which elements does an image contain, and where? Rules for maps of probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label

from coreloss.edges import ELEMENTS

PAPER_SHARE = 0.01
"""Annys et al. (2023): an element counts when it is found in 1 % of the pixels."""
FALSE_ALARM_RATE = 2e-3
"""Share of the pixels in which a network calls an absent element, at least: where calls by chance
are rarer than could be measured."""
EXPECTED_FALSE = 0.05
"""Elements that are called in an image although they are absent, expected per image."""
FALSE_PIXELS = 0.05
"""Share of the pixels of a map that are claimed wrongly, expected."""
LARGEST = 1000
"""Pixels of the largest cluster that is asked of an element, if chance makes smaller ones."""
AROUND = 0.5
"""Probability that an element keeps in the sum of the spectra around its largest cluster."""
POLYPLETS = (1, 4, 20, 110, 638, 3832, 23592, 147941, 940982, 6053180)
"""Fixed clusters of 1, 2, 3 ... pixels that touch at sides or corners, per pixel (OEIS A006770)."""


@dataclass(frozen=True)
class Detection:
    """One element in an image.

    pixels, share : where it is called; largest : pixels of its largest cluster
    needed : cluster that chance makes in too few images; expected_false : clusters at least as
    large as ``largest`` that chance would make of so many calls
    around : probability in the sum of the spectra around the largest cluster, if it was asked for
    detected : largest >= needed, and around >= `AROUND`; see `consistent` for shared noise
    """

    element: str
    pixels: int
    share: float
    largest: int
    needed: int
    expected_false: float
    detected: bool
    around: float | None = None


def paper_rule(decision: np.ndarray) -> tuple[str, ...]:
    """Elements that are called in at least `PAPER_SHARE` of the pixels, (..., 80) bool."""
    calls = decision.reshape(-1, len(ELEMENTS)).mean(0)
    return tuple(e for e, found in zip(ELEMENTS, calls, strict=True) if found >= PAPER_SHARE)


def consistent(
    decision: np.ndarray,
    *,
    expected_false: float = EXPECTED_FALSE,
    false_alarm_rate: float = FALSE_ALARM_RATE,
    observable: np.ndarray | Sequence[bool] | None = None,
    around: Mapping[str, float] | None = None,
    independent: bool = True,
) -> tuple[Detection, ...]:
    """Elements whose calls hang together in space as those of chance do not.

    Calls of an absent element, independent with probability q in every one of m pixels, make about
    ``m a_s q^s`` clusters of s pixels, a_s the number of their shapes. An element is detected when
    its largest cluster is so large that the clusters expected by chance, of all observable
    elements together, are fewer than ``expected_false`` in an image. q is the share of its
    isolated calls in the image, at least ``false_alarm_rate``.

    Where the true elements make a mistake likely, such as a weak edge taken for its neighbour along
    an interface, calls hang together by chance more often. The sum of the spectra around the
    largest cluster has little noise, and was not chosen by it: an element must keep a probability
    of `AROUND` there, where ``around`` gives it.

    Where pixels share their noise, they are not ``independent``, and nothing tells how large a
    cluster chance makes: the published rule, `PAPER_SHARE`, takes the place of it.

    ``decision`` (rows, columns, 80) or (n, 80) bool. Elements that are never called are left out;
    the others by falling share.
    """
    maps = decision.reshape(*decision.shape[:-1], len(ELEMENTS))
    if maps.ndim not in (2, 3):
        raise ValueError(f"decisions have the shape {decision.shape}; allowed: a line or an image")
    if not expected_false > 0 or not 0 < false_alarm_rate < 1:
        raise ValueError(
            f"expected_false = {expected_false}, false_alarm_rate = {false_alarm_rate}; allowed:"
            " above 0, and between 0 and 1"
        )
    n_elements = len(ELEMENTS) if observable is None else int(np.sum(observable))
    found = []
    for k, element in enumerate(ELEMENTS):
        calls = maps[..., k]
        if not calls.any():
            continue
        sizes = cluster_sizes(calls)
        q = max(float((sizes == 1).sum()) / calls.size, false_alarm_rate)
        limit = expected_false / max(n_elements, 1)
        sizes_tried = range(1, min(calls.size, LARGEST) + 1)
        needed = next((s for s in sizes_tried if _by_chance(calls, s, q) <= limit), calls.size)
        largest, share = int(sizes.max()), float(calls.mean())
        near = (around or {}).get(element)
        enough = largest >= needed if independent else share >= PAPER_SHARE
        found.append(
            Detection(
                element=element,
                pixels=int(calls.sum()),
                share=share,
                largest=largest,
                needed=needed,
                expected_false=_by_chance(calls, largest, q),
                detected=enough and (near is None or near >= AROUND),
                around=near,
            )
        )
    return tuple(sorted(found, key=lambda d: -d.share))


def cluster_sizes(calls: np.ndarray) -> np.ndarray:
    """Pixels of every cluster of touching calls in an image (rows, columns) or line (n,) of bool.

    >>> cluster_sizes(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool)).tolist()
    [2, 1]
    """
    numbered, _ = label(calls, np.ones((3,) * calls.ndim))
    return np.bincount(numbered[calls])[1:]


def around_largest(calls: np.ndarray) -> np.ndarray:
    """The pixels of the largest cluster, and those that touch it, in an image or line of bool.

    >>> around_largest(np.array([1, 0, 0, 1, 1, 0, 0], bool)).astype(int).tolist()
    [0, 0, 1, 1, 1, 1, 0]
    """
    touching = np.ones((3,) * calls.ndim)
    numbered, _ = label(calls, touching)
    largest = np.bincount(numbered[calls]).argmax()
    return binary_dilation(numbered == largest, touching)


def expected_clusters(n_pixels: int, size: int, rate: float, *, dimensions: int = 2) -> float:
    """Clusters of at least ``size`` pixels that independent calls of ``rate`` make, about.

    >>> round(expected_clusters(10000, 2, 0.01), 2)
    4.0
    """
    ln_shapes = 0.0 if dimensions == 1 else _ln_shapes(size)
    return n_pixels * math.exp(min(ln_shapes + size * math.log(rate), 0.0))


def controlled(probability: np.ndarray, *, false_share: float = FALSE_PIXELS) -> np.ndarray:
    """The pixels of each element that can be claimed with an expected share of wrong ones.

    The likeliest pixels are claimed as long as the mean of 1 - p over them stays at most
    ``false_share`` (M. A. Newton et al., Biostatistics 5 (2004) 155). (..., 80) probabilities, NaN
    where not observable, to bool.

    >>> p = np.full((1, 3, 80), 0.0)
    >>> p[0, :, 5] = 0.99, 0.92, 0.7
    >>> controlled(p)[0, :, 5].tolist()
    [True, True, False]
    """
    flat = np.nan_to_num(probability).reshape(-1, probability.shape[-1])
    order = np.argsort(-flat, axis=0)
    wrong = np.cumsum(1 - np.take_along_axis(flat, order, 0), axis=0)
    keep = wrong / np.arange(1, len(flat) + 1)[:, None] <= false_share
    claimed = np.zeros_like(keep)
    np.put_along_axis(claimed, order, keep, 0)
    return claimed.reshape(probability.shape)


def _by_chance(calls: np.ndarray, size: int, rate: float) -> float:
    return expected_clusters(calls.size, size, rate, dimensions=calls.ndim)


def _ln_shapes(size: int) -> float:
    known, growth = POLYPLETS[min(size, len(POLYPLETS)) - 1], POLYPLETS[-1] / POLYPLETS[-2]
    return math.log(known) + max(size - len(POLYPLETS), 0) * math.log(growth)
