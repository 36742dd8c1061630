"""Thresholds and calibrated probabilities, both fixed on validation data.

``present``, ``probability`` and ``counted`` are those of `coreloss.scoring.metrics`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from coreloss.scoring.metrics import as_array, checked_labels, ratios_from_counts, weighted_average

THRESHOLDS = np.linspace(0.0, 1.0, 1001)[1:-1]


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: per probability bin the mean probability and the observed share."""

    mean_probability: np.ndarray
    observed_share: np.ndarray
    count: np.ndarray
    ece: float


def threshold_precision_equals_recall(
    present, probability, *, counted=None, average: str = "weighted"
) -> float:
    """Threshold at which precision and recall are closest, on a grid of 0.001.

    Among equally close thresholds those with the best F1 count, and the middle one is returned.
    """
    precision, recall, f1 = _threshold_curves(present, probability, counted, average)
    gap = np.round(np.abs(precision - recall), 9)
    gap[(precision == 0) & (recall == 0)] = np.inf
    if not np.isfinite(gap).any():
        return 0.5
    closest = np.flatnonzero(gap == gap.min())
    best = closest[f1[closest] >= f1[closest].max() - 1e-12]
    return float(THRESHOLDS[best[len(best) // 2]])


def threshold_for_precision(present, probability, *, precision: float, counted=None) -> float:
    """Lowest threshold from which on the micro precision stays at or above ``precision``.

    Falls back to the largest threshold of the grid, 0.999, where none reaches it.
    """
    reached, _, _ = _threshold_curves(present, probability, counted, "micro")
    predicted = _threshold_counts(*checked_labels(present, probability, counted))[1].sum(0)
    below = np.flatnonzero((reached < precision) & (predicted > 0))
    first = 0 if len(below) == 0 else min(below[-1] + 1, len(THRESHOLDS) - 1)
    return float(THRESHOLDS[first])


def threshold_for_miss_rate(present, probability, *, miss_rate: float, counted=None) -> float:
    """Highest threshold below which at most ``miss_rate`` of all counted positives fall."""
    _, recall, _ = _threshold_curves(present, probability, counted, "micro")
    allowed = np.flatnonzero(1 - recall <= miss_rate + 1e-12)
    return float(THRESHOLDS[allowed[-1] if len(allowed) else 0])


def reliability(present, probability, *, n_bins: int = 10, counted=None) -> Reliability:
    """Reliability diagram and ECE = sum_b (n_b / n) |share_b - mean p_b| over equal-width bins."""
    present, probability, counted = checked_labels(present, probability, counted)
    labels, p = present[counted].astype(float), probability[counted]
    bins = np.searchsorted(np.linspace(0.0, 1.0, n_bins + 1)[1:-1], p)
    count = np.bincount(bins, minlength=n_bins)
    filled = np.maximum(count, 1)
    mean_probability = np.bincount(bins, weights=p, minlength=n_bins) / filled
    observed = np.bincount(bins, weights=labels, minlength=n_bins) / filled
    ece = float((count * np.abs(observed - mean_probability)).sum() / max(count.sum(), 1))
    empty = count == 0
    mean_probability[empty] = observed[empty] = np.nan
    return Reliability(mean_probability, observed, count, ece)


def fit_temperature(logits, present, *, counted=None) -> float:
    """Temperature T that minimises the cross-entropy of sigmoid(logits / T) (Guo et al. 2017).

    The cross-entropy is convex in 1/T, so a bounded scalar search over 0.05..20 finds the minimum.
    """
    logits = as_array(logits).astype(float)
    present, _, counted = checked_labels(present, expit(logits), counted)
    if not counted.any():
        raise ValueError("no entry is counted; a temperature needs at least one label")
    x, y = logits[counted], present[counted]

    def cross_entropy(log_temperature: float) -> float:
        z = x * np.exp(-log_temperature)
        return float(np.mean(np.logaddexp(0.0, z) - y * z))

    found = minimize_scalar(
        cross_entropy,
        bounds=(np.log(0.05), np.log(20.0)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def _threshold_counts(present, probability, counted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits and predictions (n_elements, n_thresholds) and the support (n_elements,)."""
    n_elements = present.shape[1]
    hits, predicted = np.zeros((2, n_elements, len(THRESHOLDS)))
    for k in range(n_elements):
        for counts, chosen in ((hits, present & counted), (predicted, counted)):
            ranked = np.sort(probability[chosen[:, k], k])
            counts[k] = len(ranked) - np.searchsorted(ranked, THRESHOLDS, side="left")
    return hits, predicted, (present & counted).sum(0).astype(float)


def _threshold_curves(present, probability, counted, average: str):
    """Precision, recall and F1 at every threshold of the grid, each (n_thresholds,)."""
    hits, predicted, support = _threshold_counts(*checked_labels(present, probability, counted))
    if average == "micro":
        hits, predicted, support = hits.sum(0), predicted.sum(0), support.sum()
        ratios = ratios_from_counts(hits, predicted - hits, support - hits)
        return ratios.precision, ratios.recall, ratios.f1
    if average != "weighted":
        raise ValueError(f"average is {average!r}; allowed: 'weighted', 'micro'")
    ratios = ratios_from_counts(hits, predicted - hits, support[:, None] - hits)
    return tuple(
        weighted_average(r.T, support) for r in (ratios.precision, ratios.recall, ratios.f1)
    )
