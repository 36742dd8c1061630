"""Scores equal scikit-learn's; neutral entries, thresholds, intervals and calibration."""

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.calibration import calibration_curve

from coreloss.scoring import calibration as calibrate
from coreloss.scoring import metrics as evaluate


def predictions(*, n=300, n_elements=12, share=0.15, seed=0):
    generator = np.random.default_rng(seed)
    present = generator.random((n, n_elements)) < share
    logits = 2.2 * (2 * present - 1) + generator.normal(0, 2.0, present.shape)
    return present.astype(int), np.round(1 / (1 + np.exp(-logits)), 2)


def cases():
    present, probability = predictions()
    one_present, one_probability = predictions(n_elements=1, seed=3)
    return {
        "mixed": (present, probability),
        "no positives": (np.zeros_like(present), probability),
        "no negatives": (np.ones_like(present), probability),
        "nothing predicted": (present, np.zeros_like(probability)),
        "everything predicted": (present, np.ones_like(probability)),
        "single class": (one_present, one_probability),
        "one spectrum": (present[:1], probability[:1]),
        "one class never": (present * (np.arange(12) > 3), probability),
    }


@pytest.fixture(params=list(cases()))
def case(request):
    return cases()[request.param]


def by_scikit_learn(present, probability, threshold):
    predicted = (probability >= threshold).astype(int)
    if present.shape[1] == 1:  # scikit-learn reads (n, 1) as two classes
        present, predicted = present[:, 0], predicted[:, 0]
        options = {"average": "binary", "zero_division": 0}
        ratios = dict.fromkeys(("weighted", "macro", "micro"), options)
    else:
        ratios = {a: {"average": a, "zero_division": 0} for a in ("weighted", "macro", "micro")}
    return {
        "f1": metrics.f1_score(present, predicted, **ratios["weighted"]),
        "precision": metrics.precision_score(present, predicted, **ratios["weighted"]),
        "recall": metrics.recall_score(present, predicted, **ratios["weighted"]),
        "macro_f1": metrics.f1_score(present, predicted, **ratios["macro"]),
        "micro_f1": metrics.f1_score(present, predicted, **ratios["micro"]),
        "micro_precision": metrics.precision_score(present, predicted, **ratios["micro"]),
        "micro_recall": metrics.recall_score(present, predicted, **ratios["micro"]),
        "exact_match_ratio": metrics.accuracy_score(present, predicted),
    }


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.73])
def test_scores_equal_scikit_learn(case, threshold):
    present, probability = case
    ours = evaluate.scores(present, probability, threshold=threshold, subset="all")
    expected = by_scikit_learn(present, probability, threshold)
    if present.sum() == 0:  # a weighted mean without any weight
        expected |= {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert {k: getattr(ours, k) for k in expected} == pytest.approx(expected, abs=1e-12)
    assert ours.rmse == pytest.approx(
        metrics.root_mean_squared_error(present.ravel(), probability.ravel()), abs=1e-12
    )
    assert (ours.subset, ours.threshold, ours.n) == ("all", threshold, len(present))


def test_average_precision_equals_scikit_learn(case):
    present, probability = case
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No positive class found")
        for average in ("weighted", "macro", "micro"):
            if present.sum() == 0 and average == "weighted":
                expected = 0.0
            elif present.shape[1] == 1:
                expected = metrics.average_precision_score(present[:, 0], probability[:, 0])
            else:
                expected = metrics.average_precision_score(present, probability, average=average)
            ours = evaluate.average_precision(present, probability, average=average)
            assert ours == pytest.approx(expected, abs=1e-12)


def test_per_element_equals_scikit_learn():
    present, probability = predictions(seed=5)
    ours = evaluate.per_element(present, probability, threshold=0.4)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        present, probability >= 0.4, zero_division=0
    )
    np.testing.assert_allclose(ours.precision, precision, atol=1e-12)
    np.testing.assert_allclose(ours.recall, recall, atol=1e-12)
    np.testing.assert_allclose(ours.f1, f1, atol=1e-12)
    np.testing.assert_array_equal(ours.support, support)


def test_entries_that_are_not_counted_are_neutral():
    present, probability = predictions(seed=1)
    counted = np.random.default_rng(2).random(present.shape) < 0.7
    reference = evaluate.scores(present, probability, threshold=0.5, subset="part", counted=counted)
    turned = np.where(counted, probability, 1 - probability)
    flipped = np.where(counted, present, 1 - present)
    assert reference == evaluate.scores(
        flipped, turned, threshold=0.5, subset="part", counted=counted
    )
    agrees = np.where(counted, probability >= 0.5, present.astype(bool)) == present
    assert reference.exact_match_ratio == pytest.approx(agrees.all(1).mean(), abs=1e-12)
    k = 4
    assert evaluate.per_element(present, probability, threshold=0.5, counted=counted).f1[
        k
    ] == pytest.approx(
        metrics.f1_score(present[counted[:, k], k], probability[counted[:, k], k] >= 0.5)
    )


def test_exact_match_among_spectra_with_an_element():
    present = np.array([[0, 0], [1, 0], [0, 1]])
    probability = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]])
    ours = evaluate.scores(present, probability, threshold=0.5, subset="three")
    assert ours.exact_match_ratio == pytest.approx(2 / 3)
    assert ours.exact_match_ratio_nonempty == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("present", "probability", "message"),
    [
        ([[1, 0]], [[np.nan, 0.2]], "NaN"),
        ([[1, np.nan]], [[0.5, 0.2]], "other than 0 and 1"),
        ([[1, 0]], [[1.5, 0.2]], "allowed 0..1"),
        ([[1, 2]], [[0.5, 0.2]], "other than 0 and 1"),
        ([[1, 0]], [[0.5, 0.2, 0.1]], "shape"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "n >= 1"),
    ],
)
def test_bad_input_is_refused(present, probability, message):
    with pytest.raises(ValueError, match=message):
        evaluate.scores(present, probability, threshold=0.5, subset="bad")


def test_torch_tensors_are_accepted():
    present, probability = predictions()
    arrays = evaluate.scores(present, probability, threshold=0.5, subset="s")
    tensors = evaluate.scores(
        torch.tensor(present), torch.tensor(probability), threshold=0.5, subset="s"
    )
    assert arrays == tensors


@pytest.mark.parametrize("average", ["weighted", "micro"])
def test_threshold_where_precision_equals_recall(average):
    present, probability = predictions(n=2000, seed=7)
    found = calibrate.threshold_precision_equals_recall(present, probability, average=average)
    gaps = {
        t: abs(
            metrics.precision_score(present, probability >= t, average=average)
            - metrics.recall_score(present, probability >= t, average=average)
        )
        for t in np.arange(0.05, 0.95, 0.01)
    }
    at_found = abs(
        metrics.precision_score(present, probability >= found, average=average)
        - metrics.recall_score(present, probability >= found, average=average)
    )
    assert at_found <= min(gaps.values()) + 1e-12


def test_thresholds_that_keep_a_stated_error_rate():
    present, probability = predictions(n=2000, seed=9)
    high = calibrate.threshold_for_precision(present, probability, precision=0.95)
    low = calibrate.threshold_for_miss_rate(present, probability, miss_rate=0.02)
    at_high = evaluate.scores(present, probability, threshold=high, subset="high")
    at_low = evaluate.scores(present, probability, threshold=low, subset="low")
    assert at_high.micro_precision >= 0.95
    assert at_low.micro_recall >= 0.98
    lower = evaluate.scores(present, probability, threshold=high - 0.02, subset="high")
    higher = evaluate.scores(present, probability, threshold=low + 0.02, subset="low")
    assert lower.micro_precision < 0.95
    assert higher.micro_recall < 0.98


def test_threshold_without_positives_is_one_half():
    present, probability = predictions()
    assert calibrate.threshold_precision_equals_recall(0 * present, probability) == 0.5


def test_bootstrap_interval_is_seeded_and_covers():
    present, probability = predictions(n=400, seed=10)
    first, again, other = (
        evaluate.bootstrap_intervals(
            present, probability, threshold=0.5, generator=np.random.default_rng(s)
        )
        for s in (0, 0, 1)
    )
    assert first == again != other
    reference = evaluate.scores(present, probability, threshold=0.5, subset="all")
    for name, (low, high) in first.items():
        assert low < getattr(reference, name) < high
    width = first["exact_match_ratio"][1] - first["exact_match_ratio"][0]
    p = reference.exact_match_ratio
    assert width == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / 400), rel=0.1)


def test_bins_of_signal_to_noise():
    present = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
    probability = np.array([[0.9, 0.1], [0.2, 0.1], [0.7, 0.8], [0.1, 0.1]])
    snr = np.array([[20.0, 0], [2.0, 0], [0, 30.0], [0, 0]])
    weak, strong = evaluate.scores_by_snr(
        present, probability, snr, snr_edges=[0, 10, np.inf], threshold=0.5
    )
    assert (weak.n_positive, weak.recall) == (1, 0.0)
    assert (strong.n_positive, strong.recall) == (2, 1.0)
    assert strong.micro_precision == pytest.approx(2 / 3)
    assert strong.subset == "SNR 10..inf"


def test_reliability_equals_scikit_learn():
    present, probability = predictions(n=1000, seed=11)
    ours = calibrate.reliability(present, probability, n_bins=10)
    share, mean = calibration_curve(present.ravel(), probability.ravel(), n_bins=10)
    filled = ours.count > 0
    np.testing.assert_allclose(ours.observed_share[filled], share, atol=1e-12)
    np.testing.assert_allclose(ours.mean_probability[filled], mean, atol=1e-12)
    expected = np.sum(ours.count[filled] * np.abs(share - mean)) / present.size
    assert ours.ece == pytest.approx(expected, abs=1e-12)


def test_ece_of_perfect_and_of_inverted_probabilities():
    present, _ = predictions()
    assert calibrate.reliability(present, present).ece == 0
    assert calibrate.reliability(present, 1 - present).ece == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature):
    generator = np.random.default_rng(12)
    logits = generator.normal(0, 2, (40000, 5))
    present = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    found = calibrate.fit_temperature(temperature * logits, present)
    assert found == pytest.approx(temperature, rel=0.02)


def test_confusion_of_single_element_spectra():
    present = np.eye(3)[[0, 0, 1]]
    probability = np.array([[0.9, 0.6, 0.1], [0.9, 0.1, 0.1], [0.1, 0.2, 0.8]])
    rates = evaluate.confusion_rates(present, probability, threshold=0.5)
    np.testing.assert_array_equal(rates[:2], [[1, 0.5, 0], [0, 0, 1]])
    assert np.isnan(rates[2]).all()
