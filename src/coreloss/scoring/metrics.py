"""Scores of multi-label predictions: F1 and its relatives, with intervals.

Every function takes ``present`` (n, n_elements) with 0 or 1, ``probability`` of the same shape in
0..1 and, optionally, ``counted``, a boolean mask of that shape. Entries that are not counted are
neutral: neither hit nor false alarm nor miss, and without effect on an exact match. Averages follow
scikit-learn with ``zero_division=0``: a ratio without a denominator is 0.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Scores of one named subset at one threshold; ``f1``, ``precision``, ``recall`` are weighted.

    ``exact_match_ratio`` is the share of spectra whose counted entries are all right,
    ``exact_match_ratio_nonempty`` the same among spectra with at least one counted element.
    """

    subset: str
    threshold: float
    n: int
    n_positive: int
    f1: float
    precision: float
    recall: float
    macro_f1: float
    micro_f1: float
    micro_precision: float
    micro_recall: float
    exact_match_ratio: float
    exact_match_ratio_nonempty: float
    rmse: float
    average_precision: float

    def to_dict(self) -> dict:
        """Plain dictionary for JSON files."""
        return asdict(self)


@dataclass(frozen=True)
class PerElement:
    """Counts and ratios per element, each of shape (n_elements,)."""

    hits: np.ndarray
    misses: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def support(self) -> np.ndarray:
        """Number of spectra that contain the element, (n_elements,)."""
        return self.hits + self.misses


def scores(present, probability, *, threshold: float, subset: str, counted=None) -> Scores:
    """All scores of one subset at one threshold (an element is predicted when p >= threshold).

    >>> scores([[1, 0], [0, 1]], [[0.9, 0.2], [0.6, 0.8]], threshold=0.5, subset="toy").f1
    0.8333333333333333
    """
    present, probability, counted = checked_labels(present, probability, counted)
    threshold = checked_threshold(threshold)
    hits, false_alarms, misses = outcomes(present, probability, counted, threshold)
    per_element = ratios_from_counts(hits.sum(0), false_alarms.sum(0), misses.sum(0))
    micro = ratios_from_counts(hits.sum(), false_alarms.sum(), misses.sum())
    exact = ~(false_alarms | misses).any(axis=1)
    nonempty = (present & counted).any(axis=1)
    support = per_element.support
    return Scores(
        subset=subset,
        threshold=threshold,
        n=len(present),
        n_positive=int(support.sum()),
        f1=weighted_average(per_element.f1, support),
        precision=weighted_average(per_element.precision, support),
        recall=weighted_average(per_element.recall, support),
        macro_f1=float(per_element.f1.mean()),
        micro_f1=float(micro.f1),
        micro_precision=float(micro.precision),
        micro_recall=float(micro.recall),
        exact_match_ratio=float(exact.mean()),
        exact_match_ratio_nonempty=float(exact[nonempty].mean()) if nonempty.any() else 0.0,
        rmse=rmse(present, probability, counted=counted),
        average_precision=average_precision(present, probability, counted=counted),
    )


def per_element(present, probability, *, threshold: float, counted=None) -> PerElement:
    """Hits, false alarms, misses, precision, recall and F1 of each element."""
    present, probability, counted = checked_labels(present, probability, counted)
    counts = outcomes(present, probability, counted, checked_threshold(threshold))
    return ratios_from_counts(*(outcome.sum(0) for outcome in counts))


def rmse(present, probability, *, counted=None) -> float:
    """Root mean square of ``probability - present`` over all counted entries together."""
    present, probability, counted = checked_labels(present, probability, counted)
    if not counted.any():
        return 0.0
    return float(np.sqrt(np.mean((probability - present)[counted] ** 2)))


def average_precision(present, probability, *, counted=None, average: str = "weighted") -> float:
    """Area under precision-recall steps, AP = sum_n (R_n - R_(n-1)) P_n, averaged over elements.

    ``average``: 'weighted' by occurrence, 'macro' over all elements (0 for an element without a
    positive), 'micro' over all counted entries together.
    """
    present, probability, counted = checked_labels(present, probability, counted)
    if average == "micro":
        return _step_area(present[counted], probability[counted])
    if average not in ("weighted", "macro"):
        raise ValueError(f"average is {average!r}; allowed: 'weighted', 'macro', 'micro'")
    areas = np.array(
        [
            _step_area(present[counted[:, k], k], probability[counted[:, k], k])
            for k in range(present.shape[1])
        ]
    )
    if average == "macro":
        return float(areas.mean())
    return weighted_average(areas, (present & counted).sum(0))


def bootstrap_intervals(
    present,
    probability,
    *,
    threshold: float,
    generator: np.random.Generator,
    counted=None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of f1, precision, recall, macro_f1, micro_f1 and exact_match_ratio.

    Spectra, not single labels, are drawn with replacement: labels of one spectrum are correlated.
    """
    present, probability, counted = checked_labels(present, probability, counted)
    hits, false_alarms, misses = outcomes(
        present, probability, counted, checked_threshold(threshold)
    )
    n = len(present)
    draws = generator.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    per_element = ratios_from_counts(draws @ hits, draws @ false_alarms, draws @ misses)
    micro = ratios_from_counts(*(draws @ o.sum(1) for o in (hits, false_alarms, misses)))
    support = per_element.support
    samples = {
        "f1": weighted_average(per_element.f1, support),
        "precision": weighted_average(per_element.precision, support),
        "recall": weighted_average(per_element.recall, support),
        "macro_f1": per_element.f1.mean(axis=1),
        "micro_f1": micro.f1,
        "exact_match_ratio": draws @ ~(false_alarms | misses).any(axis=1) / n,
    }
    tails = [(1 - level) / 2, (1 + level) / 2]
    limits = {name: np.quantile(s, tails) for name, s in samples.items()}
    return {name: (float(low), float(high)) for name, (low, high) in limits.items()}


def scores_by_snr(
    present, probability, snr, *, snr_edges: Sequence[float], threshold: float, counted=None
) -> list[Scores]:
    """Scores per bin of the signal-to-noise ratio ``snr`` (n, n_elements) of the present elements.

    In each bin the positives of all other bins are neutral and every counted negative stays: the
    recall is that of the bin, the precision asks how its elements compare with all false alarms.
    """
    present, probability, counted = checked_labels(present, probability, counted)
    snr = as_array(snr)
    if snr.shape != present.shape:
        raise ValueError(f"snr has shape {snr.shape}; give one value per label, {present.shape}")
    result = []
    for low, high in pairwise(snr_edges):
        inside = (snr >= low) & (snr < high)
        result.append(
            scores(
                present,
                probability,
                threshold=threshold,
                subset=f"SNR {low:g}..{high:g}",
                counted=counted & (inside | ~present),
            )
        )
    return result


def confusion_rates(present, probability, *, threshold: float) -> np.ndarray:
    """Share of single-element spectra of row i in which element j was predicted, (n_el, n_el).

    ``present`` must hold exactly one element per spectrum; rows without a spectrum are NaN.
    """
    present, probability, _ = checked_labels(present, probability, None)
    if (present.sum(1) != 1).any():
        raise ValueError(
            "present must hold exactly one element per spectrum for a confusion matrix"
        )
    predicted = (probability >= checked_threshold(threshold)).astype(float)
    n_row = present.sum(0).astype(float)[:, None]
    n_row[n_row == 0] = np.nan
    return present.astype(float).T @ predicted / n_row


def as_array(values) -> np.ndarray:
    """Numpy array of an array, sequence or torch tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def checked_labels(present, probability, counted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and mask as bool, probabilities as float, each (n, n_elements), or ValueError."""
    present, probability = as_array(present), as_array(probability).astype(float)
    if present.ndim != 2 or present.shape != probability.shape or present.size == 0:
        raise ValueError(
            f"present has shape {present.shape} and probability {probability.shape};"
            " both must be (n, n_elements) with n >= 1"
        )
    if not np.isfinite(probability).all():
        raise ValueError("probability holds NaN or infinity; mask what is unknown with `counted`")
    if probability.min() < 0 or probability.max() > 1:
        raise ValueError(
            f"probability lies in {probability.min():g}..{probability.max():g}; allowed 0..1"
            " (apply a sigmoid to logits)"
        )
    if not np.isin(present, (0, 1)).all():
        raise ValueError("present holds values other than 0 and 1 (or NaN)")
    counted = np.ones(present.shape, bool) if counted is None else as_array(counted).astype(bool)
    if counted.shape != present.shape:
        raise ValueError(f"counted has shape {counted.shape}; needed {present.shape}")
    return present.astype(bool), probability, counted


def checked_threshold(threshold: float) -> float:
    """The threshold as a float; ValueError outside 0..1."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; allowed 0..1")
    return float(threshold)


def outcomes(present, probability, counted, threshold):
    """Boolean hits, false alarms and misses, each (n, n_elements)."""
    predicted = probability >= threshold
    return (
        predicted & present & counted,
        predicted & ~present & counted,
        ~predicted & present & counted,
    )


def ratios_from_counts(hits, false_alarms, misses) -> PerElement:
    """Precision, recall and F1 from counts of any shape; 0 where the denominator is 0."""
    hits, false_alarms, misses = (np.asarray(c, float) for c in (hits, false_alarms, misses))
    return PerElement(
        hits,
        misses,
        precision=_divide(hits, hits + false_alarms),
        recall=_divide(hits, hits + misses),
        f1=_divide(2 * hits, 2 * hits + false_alarms + misses),
    )


def _divide(numerator, denominator):
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def weighted_average(values: np.ndarray, support: np.ndarray):
    """Mean over the last axis weighted by occurrence; 0 where nothing occurs."""
    weighted = _divide(
        np.asarray((values * support).sum(-1), float), np.asarray(support.sum(-1), float)
    )
    return float(weighted) if weighted.ndim == 0 else weighted


def _step_area(present: np.ndarray, probability: np.ndarray) -> float:
    n_positive = int(present.sum())
    if n_positive == 0:
        return 0.0
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    hits = np.cumsum(present[order])[last_of_tie]
    predicted = np.flatnonzero(last_of_tie) + 1
    return float(np.sum(np.diff(hits, prepend=0) / n_positive * (hits / predicted)))
