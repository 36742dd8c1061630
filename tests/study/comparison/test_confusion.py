"""Confusion of networks whose mistakes are known, and the spectra of one element each."""

import numpy as np
import pytest
import torch

from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.datasets.published_streams import PARTS, SetPlan, stream_seed
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.trained_model import Model, load_model
from coreloss.simulation.batch import Batch
from coreloss.simulation.settings import SimulationSettings
from coreloss.spectra.network_input import NetworkInput
from coreloss.study.comparison import confusion as bc

N = len(ELEMENTS)
MN, FE, CO, O = (ELEMENT_INDEX[e] for e in ("Mn", "Fe", "Co", "O"))  # noqa: E741


class Reads(torch.nn.Module):
    """Stands in for a network: reads the element off the highest channel, answers from a table."""

    def __init__(self, answers) -> None:
        super().__init__()
        self.logits = 20.0 * torch.as_tensor(answers, dtype=torch.float32) - 10.0

    def forward(self, spectrum, mask, axis_error_ev=None):
        return self.logits[spectrum.argmax(1) - mask.int().argmax(1) - 20]


def model_of(answers) -> Model:
    return Model("reads", Reads(answers), {}, 0.5, 0.1, 1.0)


def confusion_of(model, batch):
    chance = observed_probability(model, inputs_of(batch))
    return bc.confusion(chance, batch, threshold=model.present_threshold)


def marked_batch(n_per_element=2, *, lo=25, hi=3071, elements=range(N)) -> Batch:
    """Flat spectra with a spike 20 channels + label above the start of the window."""
    label = torch.tensor([k for k in elements for _ in range(n_per_element)])
    n = len(label)
    counts = torch.ones(n, 3072)
    counts[torch.arange(n), lo + 20 + label] = 50.0
    mask = torch.zeros(n, 3072, dtype=torch.bool)
    mask[:, lo : hi + 1] = True
    present = torch.nn.functional.one_hot(label, N).bool()
    observable = observed_probability(model_of(torch.ones(N, N)), NetworkInput(counts, mask))
    observable = torch.from_numpy(observable > 0.5)
    zeros, processed = torch.zeros(n, N), torch.zeros(n).bool()
    labels = (present, observable, zeros, zeros, processed)
    return Batch(counts * mask, mask, *labels, torch.ones(n))


def test_a_perfect_network_confuses_nothing():
    found = confusion_of(model_of(torch.eye(N)), marked_batch())
    np.testing.assert_array_equal(found.rates, np.eye(N))
    np.testing.assert_array_equal(found.shares, np.eye(N, N + 1))
    assert bc.confused_pairs(found.rates) == ()
    assert {one.rate for one in bc.scores_by_distance(found.rates)} == {0.0}
    assert found.n.tolist() == [2] * N


def test_a_network_that_takes_manganese_for_iron():
    answers = torch.eye(N)
    answers[MN] = answers[FE]
    found = confusion_of(model_of(answers), marked_batch())
    assert (found.rates[MN, MN], found.rates[MN, FE], found.rates[FE, MN]) == (0, 1, 0)
    (pair,) = bc.confused_pairs(found.rates)
    assert pair == bc.ConfusedPair("Mn", "Fe", 1.0, 68.0, "Mn L23 640 eV", "Fe L23 708 eV")
    rates = {(one.low_ev, one.high_ev): one for one in bc.scores_by_distance(found.rates)}
    assert rates[50, 100].rate == pytest.approx(1 / rates[50, 100].n_pairs)
    assert sum(one.rate for one in rates.values()) == rates[50, 100].rate
    assert sum(one.n_pairs for one in rates.values()) == N * (N - 1)


def test_several_predictions_share_one_unit_and_none_has_a_column():
    answers = torch.eye(N)
    answers[MN, [MN, FE, CO]] = 1
    answers[O] = 0
    found = confusion_of(model_of(answers), marked_batch())
    np.testing.assert_array_equal(found.rates[MN, [MN, FE, CO]], [1, 1, 1])
    np.testing.assert_allclose(found.shares[MN, [MN, FE, CO]], 1 / 3)
    assert found.shares[O, N] == 1
    np.testing.assert_allclose(found.shares.sum(1), 1)
    assert [pair.predicted for pair in bc.confused_pairs(found.shares, 2)] == ["Fe", "Co"]


def test_elements_outside_the_window_are_not_predicted():
    window = {"lo": 600, "hi": 700, "elements": [MN]}
    found = confusion_of(model_of(torch.ones(N, N)), marked_batch(**window))
    assert found.rates[MN, MN] == 1
    assert found.rates[MN, FE] == found.observable[MN, FE] == 0  # Fe L at 708 eV
    assert np.isnan(found.rates[FE]).all()
    assert np.isnan(found.shares[FE]).all()


def test_rates_count_where_the_second_element_could_be_seen():
    rates, observable = np.zeros((2, N, N))
    rates[MN, FE], observable[MN, FE], observable[FE, MN] = 0.25, 0.5, 0.5
    by_distance = {one.low_ev: one for one in bc.scores_by_distance(rates, observable=observable)}
    assert np.isnan(by_distance[20].rate)
    assert (by_distance[50].n_pairs, by_distance[50].rate) == (2, 0.25)


def test_onset_distances_are_those_of_the_closest_edges():
    distance = bc.onset_distance_ev()
    assert distance[MN, FE] == distance[FE, MN] == 68
    assert (np.diag(distance) == 0).all()
    np.testing.assert_array_equal(distance, distance.T)
    palladium = ELEMENT_INDEX["Pd"]
    assert distance[palladium, O] > 100
    assert bc.onset_distance_ev(nuisance=True)[palladium, O] == 1  # Pd M3 531 eV, O K 532 eV
    rates = np.zeros((N, N))
    rates[palladium, O] = 0.5
    (pair,) = bc.confused_pairs(rates, nuisance=True)
    assert (pair.true_edge, pair.distance_ev) == ("Pd M23 531 eV", 1.0)


def test_shares_need_one_element_per_spectrum():
    with pytest.raises(ValueError, match="exactly one element"):
        bc.confusion_shares([[1, 1]], [[0.5, 0.5]], threshold=0.5)


@pytest.mark.parametrize("shape", [(N,), (N, N - 1), (3, N)])
def test_matrices_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        bc.confused_pairs(np.zeros(shape))


@pytest.fixture(scope="module")
def simulated():
    return bc.single_element_batch(2, seed=0, settings=SimulationSettings.paper())


def test_every_spectrum_has_its_element_alone_with_an_edge_in_the_window(simulated):
    label = torch.arange(N).repeat_interleave(2)
    expected = torch.nn.functional.one_hot(label, N).bool()
    assert torch.equal(simulated.present, expected)
    assert (simulated.observable[expected]).all()
    assert torch.equal(simulated.amount, expected.float())


def test_paper_spectra_are_those_of_the_published_layout(simulated):
    single = PARTS[-1]
    plan = SetPlan(scale=0.02)
    source = bc.bare_source(plan.settings_of(single), block_size=plan.n(single))
    stream = source.stream("O", seed=stream_seed(plan.seed, single, "O"))
    assert torch.equal(stream.batch(0, 2).counts, simulated.counts[2 * O : 2 * O + 2])


def test_wide_windows_hold_the_edge_too():
    with pytest.raises(ValueError, match="at least 1"):
        bc.single_element_batch(0, seed=0)
    batch = bc.single_element_batch(1, seed=1)
    assert torch.equal(batch.present, torch.eye(N).bool())


def test_the_shipped_network_finds_most_elements(simulated):
    found = confusion_of(load_model(), simulated)
    assert np.diag(found.rates).mean() > 0.6
    np.testing.assert_allclose(found.shares.sum(1), 1)
