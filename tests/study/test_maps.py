"""Scores, tables and figures of maps and amounts, against answers known by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coreloss.identification.identify import beam_of
from coreloss.quantification.low_loss import measured_low_loss
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.spectra.spectrum import Spectrum
from coreloss.study import results
from coreloss.study.maps import figures as lattice_figures
from coreloss.study.maps import superlattice as bench
from coreloss.study.maps.figures import draw_superlattice
from coreloss.study.maps.peers import common_task, exspy_amounts, ours, pyeelsmodel_amounts
from coreloss.study.maps.tables import (
    lattice_table,
    layer_table,
    peers_table,
    ratio_table,
    speed_table,
)


@pytest.fixture(scope="module")
def image():
    return simulate_superlattice(Superlattice(map_shape=(2, 150)), seed=3)


@pytest.fixture(scope="module")
def stored():
    return results.read("maps")


def test_pixel_scores_count_hits_and_mistakes_away_from_interfaces(image):
    truth = {e: image.present[:, image.elements.index(e)] for e in ("La", "Ba")}
    assert bench.pixel_scores(image, truth)["f1"] == 1.0
    assert bench.pixel_scores(image, truth)["false_la"] == 0.0
    far = image.distance_nm > bench.FAR_NM
    wrong = truth | {"La": truth["La"] | far}
    scores = bench.pixel_scores(image, wrong)
    hit, false = (truth["La"] & far).sum(), (~truth["La"] & far).sum()
    assert scores["f1_of"]["La"] == pytest.approx(2 * hit / (2 * hit + false))
    assert scores["f1_of"]["Ba"] == scores["false_la"] == 1.0
    near = truth | {"La": truth["La"] ^ ~far}  # mistakes that are not counted
    assert bench.pixel_scores(image, near)["f1"] == 1.0


def test_a_row_for_network_and_fit_of_a_lattice():
    network, fit = bench.lattice_rows(Superlattice(map_shape=(2, 150)), seed=3)
    assert network["exact"]
    assert network["f1"] > 0.95
    assert fit["f1"] > 0.95
    assert all(0.8 < ratio < 1.2 for ratio in fit["ratio"].values())
    assert "exactly" in lattice_table([network, fit])
    wrong = network | {"present": ["Co", "O"], "true": ["O", "Ti"]}
    assert "and Co, not Ti" in lattice_table([wrong])
    del wrong["false_la"]  # as of a stack without La or Ba
    assert "| – | and Co" in lattice_table([wrong])


@pytest.mark.parametrize(
    ("peer", "package", "tolerance"),
    [(exspy_amounts, "exspy", 0.05), (pyeelsmodel_amounts, "pyEELSMODEL", 0.005)],
)
def test_the_same_model_has_the_same_amounts_elsewhere(image, peer, package, tolerance):
    pytest.importorskip(package)
    core = image.core_loss
    total = Spectrum(core.energy_ev, core.counts[image.layer == 0].sum(0))
    task = common_task(
        total,
        ("Ti", "O"),
        measured_low_loss(image.low_loss).mean(),
        window_ev=(400.0, 639.0),
        shifts_ev={"Ti": 0.0, "O": 0.0},
        beam=beam_of(core),
    )
    np.testing.assert_allclose(peer(task) / ours(task), 1.0, rtol=tolerance)


def test_stored_results_make_tables_and_figures(stored):
    ratios = stored["real"]["ratios"]
    for rows, make in ((ratios, ratio_table), (ratios, peers_table)):
        assert len(make(rows).splitlines()) == len(rows) + 2
    assert "eXSpy" in speed_table(results.read("speed"))
    figure, (left, right) = plt.subplots(1, 2)
    lattice_figures.plot_scores(stored["doses"], left, x="counts", label="Counts")
    lattice_figures.plot_ratios(ratios, right)
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["network", "fit"]
    assert len(right.get_xticklabels()) == len(ratios)
    plt.close(figure)


def test_coverage_counts_what_lies_within_one_error(image):
    z = {"O": np.array([-2.0, -0.5, 0.5, 2.0])}
    figure, ax = plt.subplots()
    lattice_figures.plot_coverage(z, ax)
    assert "50% within one error" in ax.get_legend().get_texts()[0].get_text()
    plt.close(figure)


def test_layers_have_their_mean_composition():
    shares = {"O": np.array([0.5, 0.7, 0.2]), "Ti": np.array([0.5, 0.3, 0.8])}
    text = layer_table(shares, {"A": np.array([True, True, False])})
    assert text.splitlines()[-1] == "| A | 2 | 60.0 | 40.0 |"


def test_figure_of_a_superlattice_has_a_map_for_each_element_and_column(image):
    shape = image.core_loss.map_shape
    truth = {e: image.areal_density[:, k].reshape(shape) for k, e in enumerate(image.elements)}
    figure = draw_superlattice(
        image.core_loss, {"first": 0, "last": 299}, ("O", "Ti"), [("in truth", truth)] * 2
    )
    titles = [ax.get_title(loc="left") for part in figure.subfigs for ax in part.axes]
    assert titles.count("Ti  in truth") == 2
