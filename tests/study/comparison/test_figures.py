"""Figures that compare networks: the numbers are in them, the labels too, and nothing warns."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.scoring import metrics as evaluate
from coreloss.study.comparison import figures as plot_comparison
from coreloss.study.comparison.confusion import scores_by_distance

N = len(ELEMENTS)
MN, FE = ELEMENT_INDEX["Mn"], ELEMENT_INDEX["Fe"]


@pytest.fixture
def ax():
    figure, ax = plt.subplots(figsize=(9, 8), layout="constrained")
    yield ax
    assert ax.get_xlabel()
    figure.canvas.draw()  # warnings are errors
    plt.close("all")


def rates():
    matrix = np.eye(N)
    matrix[MN, FE] = 0.25
    return matrix


def texts(labels):
    return [label.get_text() for label in labels]


def legend(ax):
    return texts(ax.get_legend().get_texts())


def test_confusion_matrix_names_every_element(ax):
    plot_comparison.plot_confusion_matrix(rates(), ax)
    (image,) = ax.images
    halves = [texts(ax.get_xticklabels(minor=minor))[: N // 2] for minor in (False, True)]
    names = [name for pair in zip(*halves, strict=True) for name in pair]
    assert sorted(names) == sorted(ELEMENTS)
    assert names.index("Si") < names.index("B") < names.index("O") < names.index("Fe")
    for minor in (False, True):  # each name on one side
        labels = ax.get_yticklabels(minor=minor)
        assert [text.get_text() for text in labels if text.get_visible()] == halves[minor]
    shown = image.get_array()
    assert shown[names.index("Mn"), names.index("Fe")] == 0.25
    assert shown[names.index("Fe"), names.index("Mn")] == 0
    assert (np.diag(shown) == 1).all()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted", "Present")
    assert image.norm(0.25) == pytest.approx(0.5)


def test_confusion_matrix_has_a_column_for_none(ax):
    shares = np.full((N, N + 1), np.nan)
    plot_comparison.plot_confusion_matrix(shares, ax)
    assert texts(ax.get_xticklabels())[-1] == "none"
    assert ax.images[0].get_array().mask.all()
    with pytest.raises(ValueError, match="shape"):
        plot_comparison.plot_confusion_matrix(np.eye(3), ax)


def test_confusion_against_distance_shows_and_names_the_pair(ax):
    observable = np.full((N, N), 0.5)
    plot_comparison.plot_confusion_against_distance(rates(), ax, observable=observable)
    dots, mean = ax.lines
    assert (dots.get_xdata().tolist(), dots.get_ydata().tolist()) == ([68], [0.5])
    assert list(mean.get_xdata()) == [50, 100]
    by_distance = scores_by_distance(rates(), observable=observable)
    expected = next(one.rate for one in by_distance if one.low_ev == 50)
    assert list(mean.get_ydata()) == [expected, expected]
    assert texts(ax.texts) == ["Mn as Fe"]


def test_confusion_against_distance_without_any(ax):
    plot_comparison.plot_confusion_against_distance(np.eye(N), ax)
    assert not ax.texts


def test_names_that_would_overlap_are_left_out(ax):
    matrix = rates()
    matrix[FE, MN] = 0.24
    plot_comparison.plot_confusion_against_distance(matrix, ax)
    assert texts(ax.texts) == ["Mn as Fe"]


def test_training_curves_over_any_column(ax):
    logs = {f"net {i}": {"minutes": [1, 2, 40], "f1": [0.1, 0.2, i]} for i in range(9)}
    plot_comparison.plot_training_curves(
        logs, ax, column="f1", y_label="F1", x="minutes", x_label="Minutes"
    )
    assert list(ax.lines[7].get_ydata()) == [0.1, 0.2, 7]
    assert legend(ax) == list(logs)
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.lines}
    assert len(looks) == len(logs)


def test_scores_have_intervals(ax):
    rows = [
        {"model": "cnn", "f1": 0.8, "intervals": {"f1": [0.7, 0.85]}},
        {"model": "vit", "f1": 0.9, "intervals": {}},
    ]
    plot_comparison.plot_scores(rows, ax, column="f1")
    interval, value, none, other = ax.lines
    assert (list(interval.get_xdata()), list(value.get_xdata())) == ([0.7, 0.85], [0.8])
    assert (list(none.get_xdata()), list(other.get_ydata())) == ([0.9, 0.9], [1])
    assert texts(ax.get_yticklabels()) == ["cnn", "vit"]


def test_scores_over_the_signal_to_noise_ratio(ax):
    present = np.array([[1, 0], [1, 0], [0, 1]])
    probability = np.array([[0.9, 0.1], [0.2, 0.1], [0.7, 0.8]])
    snr = np.array([[20.0, 0], [2.0, 0], [0, 30.0]])
    bins = evaluate.scores_by_snr(
        present, probability, snr, snr_edges=[0, 1, 10, np.inf], threshold=0.5
    )
    plot_comparison.plot_snr({"cnn": bins, "vit": bins[1:]}, ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [np.nan, 0, 1])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1, 2])
    assert texts(ax.get_xticklabels()) == ["0–1", "1–10", "≥ 10"]
    assert (ax.get_ylabel(), legend(ax)) == ("Recall", ["cnn", "vit"])


@pytest.mark.parametrize("below_zero", [False, True])
def test_attribution_lies_in_a_band_below_the_spectrum(ax, below_zero):
    energy = np.arange(350.0, 750.0)
    counts = 1e5 * (energy / 350) ** -3 - 6e4 * below_zero
    attribution = np.zeros(400)
    attribution[180:184] = 1.0, 2.0, -4.0, 3.0
    plot_comparison.plot_attribution(energy, counts, attribution, {"O K": 532.0}, ax)
    (mesh,) = ax.collections
    shown = np.ravel(mesh.get_array())
    assert shown.sum() == pytest.approx(attribution.sum())
    assert len(shown) == 200
    assert texts(ax.texts) == ["O K"]
    assert ax.get_yscale() == ("linear" if below_zero else "log")
    lowest = ax.transAxes.inverted().transform(ax.transData.transform((400.0, counts.min())))[1]
    assert lowest > 0.1
