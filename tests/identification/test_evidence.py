"""The joint score of network and fit, alternatives, contamination, and unknown calibration."""

import numpy as np
import pytest
import torch
from helpers import spectrum
from sklearn.linear_model import LogisticRegression

from coreloss.edges import ELEMENT_INDEX
from coreloss.identification.axis_shift import moved, over_shifts, posterior
from coreloss.identification.edge_fit import TYPICAL_BEAM, EdgeEvidence, edge_evidence
from coreloss.identification.evidence import (
    Combination,
    alternatives,
    best_z,
    findings,
    fit_combination,
)
from coreloss.spectra.network_input import NetworkInput, observable


def test_combination_is_logistic_regression():
    rng = np.random.default_rng(0)
    p, z = rng.uniform(0.02, 0.98, 4000), rng.exponential(4, 4000)
    truth = rng.random(4000) < Combination(-1.0, 0.8, 0.9, -0.1).probability(p, z)
    ours = fit_combination(p, z, truth)
    features = np.stack([np.log(p / (1 - p)), np.log1p(z), np.log1p(z) ** 2], 1)
    theirs = LogisticRegression(C=1.0).fit(features, truth)
    weights = [ours.network, ours.fit, ours.fit_squared]
    np.testing.assert_allclose(weights, theirs.coef_[0], atol=0.01)
    np.testing.assert_allclose(
        ours.probability(p, z), theirs.predict_proba(features)[:, 1], atol=0.005
    )


def test_combination_needs_both_kinds_of_decisions():
    with pytest.raises(ValueError, match="100% of the decisions"):
        fit_combination([0.4, 0.6], [1, 2], [True, True])


def test_best_z_keeps_the_strongest_edge():
    rows = [EdgeEvidence("La", "La N45", 99, 99, 3.0), EdgeEvidence("La", "La M45", 832, 832, 9.0)]
    z = best_z(rows)
    assert z[ELEMENT_INDEX["La"]] == 9
    assert np.count_nonzero(z) == 1


def test_alternatives_are_edges_at_the_same_place_that_cannot_be_excluded():
    y, window, _ = spectrum(("N", "K", 0.4), lo=350, hi=600)
    evidence = edge_evidence(y, window, ["N"])
    assert "Sc" in alternatives(y, window, evidence, {"Sc", "O"})["N"]
    assert alternatives(y, window, evidence, {"O"}) == {}
    assert alternatives(y, window, evidence, set()) == {}


def test_findings_tell_offset_and_background():
    y, window, _ = spectrum(("Ti", "L23", 0.5), shift_ev=5.0)
    found = findings(y, window, edge_evidence(y, window, ["Ti"]), ["Ti"], beam=TYPICAL_BEAM)
    assert found.offset[0] == pytest.approx(4.2, abs=1.1)
    assert np.isfinite(found.background[400:701]).all()


def inputs_at(onset):
    """A step at ``onset`` in a window from 400 to 700 eV."""
    grid = torch.arange(3072)
    mask = (grid >= 400) & (grid <= 700)
    return NetworkInput(((grid >= onset) & mask).float()[None], mask[None])


def only_at_532(inputs):
    """Certain of oxygen when a step lies at 532 eV, in doubt of everything otherwise."""
    step = inputs.spectrum[:, 532] - inputs.spectrum[:, 531]
    p = np.full((len(inputs), 80), 0.3)
    p[step.numpy() > 0] = 0.01
    p[:, ELEMENT_INDEX["O"]] = np.where(step.numpy() > 0, 0.99, 0.3)
    return p


@pytest.mark.parametrize("offset", [-6, 0, 4])
def test_the_shift_that_makes_sense_is_found(offset):
    found = over_shifts(only_at_532, inputs_at(532 + offset))
    assert found.correction_ev[0] == pytest.approx(-offset, abs=0.2)
    assert found.spread_ev[0] < 1
    assert found.probability[0, ELEMENT_INDEX["O"]] > 0.95
    assert np.isnan(found.probability[0, ELEMENT_INDEX["La"]])


def test_without_information_the_prior_decides():
    answers = np.full((3, 1, 80), 0.4)
    weight = posterior(answers, np.array([-4.0, 0.0, 4.0]))[0]
    np.testing.assert_allclose(weight[1] / weight[0], np.exp(0.5))


def test_moved_spectra_lose_what_leaves_the_axis():
    inputs = NetworkInput(torch.ones(1, 3072), torch.ones(1, 3072, dtype=torch.bool))
    up, down = moved(inputs, 3), moved(inputs, -2)
    assert (up.mask[0, :3].any(), down.mask[0, -2:].any()) == (False, False)
    assert up.spectrum.sum() == 3069
    assert down.spectrum.sum() == 3070
    assert observable(up)[0, ELEMENT_INDEX["O"]]
