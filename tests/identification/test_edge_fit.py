"""Local fits of edges, against spectra whose content is known and against counting statistics."""

import numpy as np
import pytest
import torch
from helpers import GRID, cross_section, spectrum

from coreloss.edges import ELEMENT_INDEX, edge_shells
from coreloss.identification.edge_fit import (
    EdgeEvidence,
    background_below,
    edge_evidence,
    element_z,
    energy_offset,
)
from coreloss.physics.multiplets import cumulative, multiplets_of
from coreloss.spectra.network_input import NetworkInput


@pytest.mark.parametrize("seed", [0, 1])
def test_a_weak_edge_has_the_significance_that_counting_allows(seed):
    """A two-parameter fit that knows everything but the amounts is the bound."""
    y, window, background = spectrum(("O", "K", 0.05), seed=seed)
    shape = cross_section("O", "K")
    part = (GRID >= 482) & (GRID <= 592)
    columns = np.stack([background[part], shape[part] * background[532] / shape[537]], 1)
    fisher = columns.T @ (columns / background[part, None])
    bound = 0.05 * np.linalg.inv(fisher)[1, 1] ** -0.5
    (found,) = edge_evidence(y, window, ["O"])
    assert 0.3 * bound < found.z < bound + 3  # many more parameters are free in ours


def test_noise_without_an_edge_is_no_evidence():
    z = [edge_evidence(*spectrum(seed=s)[:2], ["O"])[0].z for s in range(40)]
    assert np.quantile(z, 0.9) < 3.5
    assert np.median(z) < 2


def test_strong_edges_are_strong_and_found_where_they_are():
    y, window, _ = spectrum(("O", "K", 0.5), ("Ti", "L23", 0.5), lo=370, shift_ev=4.0)
    found = {e.element: e for e in edge_evidence(y, window, ["O", "Ti", "N"])}
    assert min(found["O"].z, found["Ti"].z) > 8 > 4 > found["N"].z
    assert found["O"].shift_ev == pytest.approx(4, abs=1)
    assert found["Ti"].shift_ev == pytest.approx(4, abs=1)
    assert (found["O"].edge, found["O"].onset_ev) == ("O K", 532)


def test_an_edge_under_another_adds_nothing():
    y, window, _ = spectrum(("Ti", "L23", 0.5))
    (alone,) = edge_evidence(y, window, ["Ti"], known=[])
    (beside,) = edge_evidence(y, window, ["Sn"], known=["Ti"])
    (wrong,) = edge_evidence(y, window, ["Ti"], known=["Ti", "O"])
    assert beside.z < 0.35 * alone.z
    assert wrong.z > 0.7 * alone.z


def test_scale_does_not_matter():
    y, window, _ = spectrum(("O", "K", 0.2))
    (a,), (b,) = (edge_evidence(scale * y, window, ["O"]) for scale in (1.0, 1e-4))
    assert b.z == pytest.approx(a.z, rel=1e-3)


def test_background_runs_below_the_edges():
    y, window, background = spectrum(("O", "K", 0.6), ("Ti", "L23", 0.4), counts=1e6)
    below = background_below(y, window, ["O", "Ti"])
    assert np.isnan(below[[399, 701]]).all()
    inside = slice(410, 690)
    assert np.abs(below[inside] / background[inside] - 1).max() < 0.12
    assert np.abs(y[inside] / background[inside] - 1).max() > 0.5


def test_element_z_takes_the_candidates_and_the_best_edge():
    y, window, _ = spectrum(("La", "M45", 0.5), lo=700, hi=1000)
    inputs = NetworkInput(torch.tensor(y)[None], torch.tensor(window)[None])
    chosen = np.zeros((1, 80), bool)
    chosen[0, [ELEMENT_INDEX["La"], ELEMENT_INDEX["Ne"]]] = True
    z = element_z(inputs, chosen)
    assert z.shape == (1, 80)
    assert z[0, ELEMENT_INDEX["La"]] > 8
    assert np.flatnonzero(z).tolist() in ([ELEMENT_INDEX["La"]], sorted(np.flatnonzero(chosen[0])))


def row(element, shift_ev, z):
    return EdgeEvidence(element, f"{element} L23", 500.0, 500.0 + shift_ev, z)


def test_offset_is_the_shift_that_bonds_do_not_explain():
    offset, error = energy_offset([row("Ti", 5.8, 20), row("Fe", 5.8, 30), row("Fe", -3, 9)])
    assert offset == pytest.approx(5.0)
    assert error == pytest.approx(1.8 / 2**0.5, abs=0.06)
    assert energy_offset([row("Ti", 3.0, 2.0)]) is None
    light, _ = energy_offset([row("O", 2.0, 20)])
    assert light == pytest.approx(0.0)


def test_too_narrow_a_window_is_refused():
    with pytest.raises(ValueError, match="30 channels"):
        edge_evidence(np.ones(3072), (GRID >= 500) & (GRID < 530), ["O"])


@pytest.mark.parametrize("element", ["Ce", "Dy", "Er"])
def test_giant_resonances_are_found_where_ions_have_them(element):
    edge = next(e for e in edge_shells() if (e.element, e.shell) == (element, "N45"))
    ion = multiplets_of(element, "N45")[1]
    lines = np.diff(cumulative(ion, edge, np.arange(3073) - 0.5 - edge.onset_ev))
    y = np.maximum(GRID, 1.0) ** -3.0
    y = y / y[int(edge.onset_ev)] + 2.0 * lines / ion.oscillator_strength
    mask = np.abs(GRID - edge.onset_ev - 25) < 65
    noisy = np.random.default_rng(0).poisson(2e4 * y) * mask
    values = torch.from_numpy(noisy / noisy[mask].mean()).float()
    (best,) = edge_evidence(values, torch.from_numpy(mask), [element])
    assert abs(best.shift_ev) <= 1
    assert best.z > 15
