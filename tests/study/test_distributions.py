"""Figures of many numbers show all of them."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt

from coreloss.simulation.simulator import Simulator
from coreloss.study import distributions

pytest.importorskip("seaborn")


def test_quantities_are_those_of_the_batch():
    batch = Simulator.of_split("test", seed=0).batch(0, 64)
    drawn = distributions.drawn_quantities(batch)
    start, width = (drawn[f"{name} of the window (eV)"] for name in ("Start", "Width"))
    assert (start[0], width[0]) == (batch.mask[0].nonzero()[0, 0], batch.mask[0].sum())
    assert drawn["Elements present"].sum() == batch.present.sum()
    figure, axes = plt.subplots(2, 3)
    distributions.plot_quantities(drawn, axes)
    for ax, values in zip(axes.flat, drawn.values(), strict=True):
        assert sum(bar.get_height() for bar in ax.patches) == (np.asarray(values) > 0).sum()
    plt.close(figure)


def test_pairs_of_features_are_coloured_by_quality():
    rng = np.random.default_rng(0)
    files = [
        SimpleNamespace(percentile=dict.fromkeys(distributions.PAIRED, x), quality=quality)
        for x, quality in zip(rng.uniform(size=12), "ABC" * 4, strict=True)
    ]
    figure = distributions.draw_feature_pairs(files)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", "C"]
    plt.close(figure)


def test_heat_map_needs_every_element():
    _, ax = plt.subplots()
    distributions.plot_cooccurrence(np.eye(80), ax)
    assert ax.get_xticklabels()[0].get_text() == "Be"
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        distributions.plot_cooccurrence(np.eye(3), ax)
    plt.close("all")
