"""Methods without a network find clean edges, and nothing where there is none."""

import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, observable_elements
from coreloss.identification.edge_fit import TYPICAL_BEAM, element_z, scattered_shapes
from coreloss.spectra.network_input import NetworkInput, normalise
from coreloss.study.identification.baselines import (
    FIT_Z,
    SENSITIVITY,
    TOLERANCE_EV,
    edge_finder,
    edge_fit,
    nearest_elements,
    steep_rises,
)

PUBLISHED = 0.5  # score of an edge at the sensitivity that pyTEMlib sets


def spectrum(low_ev=350, high_ev=800, amounts=None, counts=1e6, seed=0, noise=True) -> NetworkInput:
    """A power law and cross-sections of some elements, with counting noise."""
    energy = np.arange(N_CHANNELS, dtype=float)
    inside = (energy >= low_ev) & (energy <= high_ev)
    expected = counts * (np.maximum(energy, 1.0) / low_ev) ** -3.0
    for element, amount in (amounts or {}).items():
        shells = scattered_shapes(element, TYPICAL_BEAM).values()
        shape = sum(columns[0, :N_CHANNELS] for columns in shells)
        expected = expected + amount * counts * shape / np.ptp(shape[inside])
    if noise:
        expected = np.random.default_rng(seed).poisson(expected)
    mask = torch.from_numpy(inside)[None]
    return NetworkInput(normalise(torch.from_numpy(expected * inside)[None], mask), mask)


def names(score: np.ndarray, threshold: float) -> set[str]:
    return {ELEMENTS[k] for k in np.flatnonzero(score >= threshold)}


OXIDE = {"Ti": 0.5, "O": 0.3}
"""Heights of the edges over the background at the start of the window."""


def test_the_edge_finder_finds_titanium_and_oxygen():
    assert names(edge_finder(spectrum(amounts=OXIDE))[0], PUBLISHED) == {"Ti", "O"}


def test_the_fit_finds_titanium_and_oxygen():
    score = edge_fit(spectrum(amounts=OXIDE))[0]
    assert names(score, 0.8) == {"Ti", "O"}
    assert sorted(score)[-3] < 0.5


@pytest.mark.parametrize(("method", "threshold"), [(edge_finder, PUBLISHED), (edge_fit, 0.5)])
def test_nothing_is_found_in_a_power_law(method, threshold):
    for seed in range(3):
        assert names(method(spectrum(counts=1e5, seed=seed))[0], threshold) == set()


@pytest.mark.parametrize("method", [edge_finder, edge_fit])
def test_scores_are_those_of_observable_elements_and_of_single_spectra(method):
    one, other = spectrum(amounts=OXIDE), spectrum(500, 700, {"O": 0.5})
    both = NetworkInput(*(torch.cat(pair) for pair in zip(*map(_parts, (one, other)), strict=True)))
    score = method(both)
    assert score.shape == (2, len(ELEMENTS))
    assert score.min() >= 0
    assert score.max() < 1
    np.testing.assert_array_equal(score[1], method(other)[0])
    seen = observable_elements(torch.tensor([350.0, 500.0]), torch.tensor([800.0, 700.0])).numpy()
    assert not score[~seen].any()
    assert score[1, ELEMENT_INDEX["O"]] > 0


def test_a_rise_is_measured_by_the_scatter_of_the_first_channels():
    rng = np.random.default_rng(0)
    values = rng.normal(100.0, 1.0, 400)
    values[200:] += 30.0
    places, rise = steep_rises(values)
    assert abs(places[rise.argmax()] - 200) <= 2
    assert rise.max() > 10 * SENSITIVITY
    quieter = values.copy()
    quieter[:60] = 100 + (values[:60] - 100) / 10
    assert steep_rises(quieter)[1].max() > 3 * rise.max()


def test_elements_are_the_nearest_within_the_tolerance():
    oxygen = 532.0
    assert nearest_elements(np.array([oxygen + TOLERANCE_EV]), np.ones(1)) == {"O": 1.0}
    assert nearest_elements(np.array([oxygen + TOLERANCE_EV + 0.5]), np.ones(1)) == {}
    cerium_m5, cerium_m3 = 883.0, 1185.0
    assert nearest_elements(np.array([cerium_m3]), np.ones(1)) == {"Gd": 1.0}
    both = np.array([cerium_m3, cerium_m5])
    assert nearest_elements(both, np.array([1.0, 5.0])) == {"Ce": 5.0}


def test_what_one_element_explains_is_no_evidence_for_another_in_the_fit():
    inputs = spectrum(450, 800, {"Cr": 0.5})
    alone = element_z(inputs, known=np.zeros((1, len(ELEMENTS)), bool))[0]
    assert alone[ELEMENT_INDEX["Te"]] > 2 * FIT_Z
    assert names(edge_fit(inputs)[0], 0.5) == {"Cr"}


def test_an_edge_too_near_to_the_end_of_the_window_is_not_observable():
    oxygen = ELEMENT_INDEX["O"]
    for method in (edge_finder, edge_fit):
        near, far = (method(spectrum(350, end, {"O": 0.5}))[0, oxygen] for end in (550, 600))
        assert near == 0
        assert far > 0.5


def _parts(inputs: NetworkInput):
    return inputs.spectrum, inputs.mask
