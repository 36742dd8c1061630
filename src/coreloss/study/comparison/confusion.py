"""Which elements a network takes for which: spectra of one element alone, and what it finds there.

Two definitions of a confusion matrix of many labels, both with one row per true element:

- *rates* (80, 80): share of the spectra of i in which j was predicted. An entry does not depend on
  what else was predicted; a row may add up to more than 1, or to less.
- *shares* (80, 81): the predictions of a spectrum share one unit, and the last column holds the
  spectra without any prediction, so that rows add up to 1 (a normalised confusion matrix).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from coreloss.datasets.published_streams import PARTS, bare_source, block_size, stream_seed
from coreloss.edges import ELEMENTS, EdgeShell, edge_shells, identifying_sets
from coreloss.scoring.metrics import as_array, checked_labels, checked_threshold, confusion_rates
from coreloss.simulation.batch import Batch, concatenate
from coreloss.simulation.settings import SimulationSettings

DISTANCE_EDGES_EV = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 3100.0)
_SINGLE = next(part for part in PARTS if part.split == "single")


@dataclass(frozen=True, eq=False)
class Confusion:
    """What was predicted in spectra of one element alone; rows are the true elements.

    rates : (80, 80), share of the spectra of i in which j was predicted
    shares : (80, 81), each spectrum's predictions share one unit; last column: none
    observable : (80, 80), share of the spectra of i whose window holds an identifying edge of j
    n : (80,), spectra per true element; rows without any are NaN in the three matrices
    """

    rates: np.ndarray
    shares: np.ndarray
    observable: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class ConfusedPair:
    """How often ``predicted`` was found where only ``true`` was, and the closest edges of both."""

    true: str
    predicted: str
    rate: float
    distance_ev: float
    true_edge: str
    predicted_edge: str


@dataclass(frozen=True)
class DistanceBin:
    """Mean rate of the ordered pairs whose closest edges lie ``low_ev`` to ``high_ev`` apart."""

    low_ev: float
    high_ev: float
    n_pairs: int
    rate: float


def single_element_batch(
    n_per_element: int, *, seed: int, settings: SimulationSettings | None = None
) -> Batch:
    """``n_per_element`` simulated spectra of each of the 80 elements alone, in that order.

    Each window holds an identifying edge of its element. With ``SimulationSettings.paper()`` these
    are the spectra of the CONFMAT files of `published_set` with as many spectra per file.
    """
    if n_per_element < 1:
        raise ValueError(f"n_per_element is {n_per_element} spectra; give at least 1")
    settings = (settings or SimulationSettings()).without("mixed specimens")
    settings = replace(settings, free_window_probability=0.0, nuisance_window_probability=0.0)
    source = bare_source(settings, block_size=block_size(n_per_element))
    return concatenate(
        source.stream(element, seed=stream_seed(seed, _SINGLE, element)).batch(0, n_per_element)
        for element in ELEMENTS
    )


def confusion(probability, batch: Batch, *, threshold: float) -> Confusion:
    """Confusion on spectra of one element each.

    ``probability`` (n, 80) is 0 for elements without an identifying edge in the window, which thus
    count as not predicted.
    """
    present = as_array(batch.present)
    return Confusion(
        rates=confusion_rates(present, probability, threshold=threshold),
        shares=confusion_shares(present, probability, threshold=threshold),
        observable=observable_rates(batch),
        n=present.sum(0),
    )


def observable_rates(batch: Batch) -> np.ndarray:
    """Share of the spectra of element i whose window holds an identifying edge of j, (80, 80)."""
    return confusion_rates(batch.present, as_array(batch.observable).astype(float), threshold=1.0)


def confusion_shares(present, probability, *, threshold: float) -> np.ndarray:
    """Confusion matrix with rows that add up to 1, (n_elements, n_elements + 1).

    A spectrum with k predictions adds 1/k to each of their columns, one with none adds 1 to the
    last column. ``present`` as for `metrics.confusion_rates`.

    >>> confusion_shares([[1, 0], [1, 0]], [[0.9, 0.8], [0.1, 0.1]], threshold=0.5)[0].tolist()
    [0.25, 0.25, 0.5]
    """
    present, probability, _ = checked_labels(present, probability, None)
    if (present.sum(1) != 1).any():
        raise ValueError("present must hold exactly one element per spectrum; use a batch of such")
    predicted = probability >= checked_threshold(threshold)
    assigned = np.column_stack([predicted, ~predicted.any(1)]).astype(float)
    assigned /= assigned.sum(1, keepdims=True)
    n_row = present.sum(0).astype(float)[:, None]
    n_row[n_row == 0] = np.nan
    return present.astype(float).T @ assigned / n_row


def edge_order() -> np.ndarray:
    """Labels of the 80 elements by the energy of their first identifying edge."""
    first = np.full(len(ELEMENTS), np.inf)
    for edge in identifying_sets():
        first[edge.label] = min(first[edge.label], edge.onset_ev)
    return np.argsort(first, kind="stable")


def onset_distance_ev(*, nuisance: bool = False) -> np.ndarray:
    """Smallest distance between identifying edges of two elements, (80, 80), 0 on the diagonal.

    With ``nuisance`` every edge of the row's element counts, since all of them are in its spectra:
    rows are the elements present, columns those that could be found in their place.
    """
    own = edge_shells() if nuisance else identifying_sets()
    distance = np.full((len(ELEMENTS), len(ELEMENTS)), np.inf)
    for true in own:
        for predicted in identifying_sets():
            place = true.label, predicted.label
            distance[place] = min(distance[place], abs(true.onset_ev - predicted.onset_ev))
    return distance


def confused_pairs(rates, n: int = 10, *, nuisance: bool = False) -> tuple[ConfusedPair, ...]:
    """The n pairs of different elements with the highest rates above 0, of equal ones the closest.

    ``rates`` (80, 80) or with more columns, such as `Confusion.shares`; ``nuisance`` as for
    `onset_distance_ev`.
    """
    rates, distance = _square(rates), onset_distance_ev(nuisance=nuisance)
    rates = np.where(np.eye(len(ELEMENTS), dtype=bool) | np.isnan(rates), 0.0, rates)
    order = np.lexsort((distance.ravel(), -rates.ravel()))[:n]
    pairs = zip(*np.unravel_index(order, rates.shape), strict=True)
    return tuple(
        _pair(int(i), int(j), float(rates[i, j]), nuisance) for i, j in pairs if rates[i, j] > 0
    )


def scores_by_distance(
    rates, *, observable=None, nuisance: bool = False
) -> tuple[DistanceBin, ...]:
    """Mean rate of confusion in bins of onset distance, over pairs of different elements.

    With ``observable`` (80, 80) of the same `Confusion` only spectra count in which the second
    element could be seen: distant edges are rarely in one window, which hides their confusion.
    Pairs without a rate (NaN) are left out, and a bin without pairs has rate NaN.
    """
    rates, distance = _square(rates), onset_distance_ev(nuisance=nuisance)
    weight = np.ones_like(rates) if observable is None else _square(observable)
    pairs = ~np.eye(len(ELEMENTS), dtype=bool) & np.isfinite(rates) & (weight > 0)
    bins = []
    for low, high in pairwise(DISTANCE_EDGES_EV):
        inside = pairs & (distance >= low) & (distance < high)
        mean = rates[inside].sum() / weight[inside].sum() if inside.any() else np.nan
        bins.append(DistanceBin(low, high, int(inside.sum()), float(mean)))
    return tuple(bins)


def _square(matrix) -> np.ndarray:
    matrix, n = as_array(matrix).astype(float), len(ELEMENTS)
    if matrix.ndim != 2 or len(matrix) != n or matrix.shape[1] < n:
        raise ValueError(f"rates have shape {matrix.shape}; needed ({n}, {n}) or more columns")
    return matrix[:, :n]


def _pair(i: int, j: int, rate: float, nuisance: bool) -> ConfusedPair:
    own = edge_shells() if nuisance else identifying_sets()
    true, predicted = min(
        ((a, b) for a in own if a.label == i for b in identifying_sets() if b.label == j),
        key=lambda edges: abs(edges[0].onset_ev - edges[1].onset_ev),
    )
    distance_ev = round(abs(true.onset_ev - predicted.onset_ev), 6)
    return ConfusedPair(
        ELEMENTS[i], ELEMENTS[j], rate, distance_ev, _edge_name(true), _edge_name(predicted)
    )


def _edge_name(edge: EdgeShell) -> str:
    return f"{edge.element} {edge.shell} {edge.onset_ev:.0f} eV"
