"""The joint score of network and fit, alternatives, contamination."""

import numpy as np
import pytest
from helpers import spectrum
from sklearn.linear_model import LogisticRegression

from coreloss.edges import ELEMENT_INDEX
from coreloss.identification.edge_fit import TYPICAL_BEAM, EdgeEvidence, edge_evidence
from coreloss.identification.evidence import (
    Combination,
    alternatives,
    best_z,
    findings,
    fit_combination,
)


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
