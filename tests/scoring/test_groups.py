"""Groups of neighbours: who is first, what makes a group certain, and the threshold of a card."""

import numpy as np
import pytest
import torch

from coreloss.edges import ELEMENT_INDEX, rivals
from coreloss.scoring.groups import group_certainty, ranked
from coreloss.simulation.batch import Batch
from coreloss.training.export import group_decisions


def probabilities(**known):
    p = np.zeros((1, 80))
    for element, value in known.items():
        p[0, ELEMENT_INDEX[element]] = value
    return p


def certain(p, window):
    found = group_certainty(p, rivals(*window), present=0.7, absent=0.02)[0]
    return {e: found[k] for e, k in ELEMENT_INDEX.items() if found[k]}


def test_rivals_have_edges_at_the_same_place_inside_the_window():
    near = rivals(700.0, 1300.0)
    ba, co, fe = (ELEMENT_INDEX[e] for e in ("Ba", "Co", "Fe"))
    assert near[ba, co]
    assert not near[fe, co]  # 708 and 779 eV
    assert not near.diagonal().any()
    np.testing.assert_array_equal(near, near.T)
    assert not rivals(800.0, 850.0)[ba].any()  # its edge is not in the window


def test_the_likeliest_stands_for_its_group():
    assert certain(probabilities(Ba=0.5, Co=0.45), (700, 1300)) == {"Ba": pytest.approx(0.95)}
    assert certain(probabilities(Ba=0.6, Co=0.6), (700, 1300)) == {"Co": 1.0}  # one, and capped


def test_no_group_beside_a_present_rival_nor_with_absent_or_distant_ones():
    assert certain(probabilities(Ba=0.5, Co=0.8), (700, 1300)) == {}
    assert certain(probabilities(Ba=0.5, Co=0.019), (700, 1300)) == {}
    assert certain(probabilities(Fe=0.5, Co=0.5), (600, 1300)) == {}


def test_a_present_rival_says_enough_whoever_else_is_open():
    everyone = ~np.eye(80, dtype=bool)
    for present, groups in ((0.8, 0), (0.6, 1)):
        p = probabilities(Ba=0.5, Co=present, La=0.4)
        found = group_certainty(p, everyone, present=0.7, absent=0.02)
        assert np.count_nonzero(found) == groups


def test_members_are_ranked():
    p, near = probabilities(Si=0.2, Be=0.01, Pr=0.3, Cu=0.4)[0], np.ones((80, 80), bool)
    np.fill_diagonal(near, False)
    names = ranked(ELEMENT_INDEX["Cu"], p, near, absent=0.02)
    assert names.tolist() == [ELEMENT_INDEX[e] for e in ("Cu", "Pr", "Si")]


def batch_of(present, snr):
    """Spectra from 700 to 1300 eV; ``present`` and ``snr`` list one element of each."""
    n = len(present)
    there, ratio = torch.zeros(n, 80, dtype=torch.bool), torch.zeros(n, 80)
    for row, (element, value) in enumerate(zip(present, snr, strict=True)):
        there[row, ELEMENT_INDEX[element]] = True
        ratio[row, ELEMENT_INDEX[element]] = value
    mask = torch.zeros(n, 3072, dtype=torch.bool)
    mask[:, 700:1301] = True
    everything = torch.ones_like(there)
    counts = torch.ones(n, 3072)
    return Batch(
        counts,
        mask,
        there,
        everything,
        ratio,
        ratio,
        torch.zeros(n, dtype=torch.bool),
        torch.ones(n),
    )


def test_the_threshold_lies_above_the_groups_that_are_wrong():
    """Certain ones at 0.95 hold Ba or Co; those at 0.85 hold iron, too often for right names."""
    p = np.concatenate([probabilities(Ba=0.55, Co=0.4)] * 100 + [probabilities(Ba=0.5, Co=0.35)])
    batch = batch_of(["Ba"] * 60 + ["Co"] * 40 + ["Fe"], [20.0] * 101)
    fixed = group_decisions(np.concatenate([p] + [p[-1:]] * 9), concatenated(batch, 9), **LIMITS)
    assert 0.85 < fixed.pop("group_threshold") <= 0.95
    assert fixed == {"groups": 100, "groups_right": 100, "first_right": 0.6}


def test_groups_with_a_hidden_member_are_neutral_and_bad_ones_have_no_threshold():
    p = np.concatenate([probabilities(Ba=0.55, Co=0.4)] * 3)
    hidden = group_decisions(p, batch_of(["Ba", "Ba", "Co"], [20.0, 20.0, 0.1]), **LIMITS)
    assert (hidden["groups"], hidden["groups_right"]) == (2, 2)
    wrong = group_decisions(p, batch_of(["Fe", "Ba", "Co"], [20.0] * 3), **LIMITS)
    assert wrong["group_threshold"] is None
    nothing = group_decisions(0 * p, batch_of(["Fe"] * 3, [20.0] * 3), **LIMITS)
    assert nothing["group_threshold"] is None


LIMITS = {"present": 0.7, "absent": 0.02}


def concatenated(batch, n):
    return batch[torch.cat([torch.arange(len(batch)), torch.full((n,), len(batch) - 1)])]
