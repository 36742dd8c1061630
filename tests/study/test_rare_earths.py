"""Windows with N45 of one rare earth alone, and what is said of a network that reads them."""

import numpy as np
import pytest
import torch

from coreloss.axis import window_of
from coreloss.edges import ELEMENT_INDEX, edge_shells
from coreloss.identification.trained_model import Model
from coreloss.study import rare_earths

ELEMENTS = ("La", "Er")
LABELS = [ELEMENT_INDEX[element] for element in ELEMENTS]


@pytest.fixture(scope="module")
def windows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rare_earths, "RARE_EARTHS", ELEMENTS)
        yield rare_earths.n45_windows(3, axis_error_ev=1.5, seed=4)


def test_windows_hold_one_visible_n45_edge_and_no_m45_edge(windows):
    lo, hi = window_of(windows.mask)
    onset = {e.element: e.onset_ev for e in edge_shells() if e.shell == "N45"}
    for row, element in enumerate(np.repeat(ELEMENTS, 3)):
        assert lo[row] + 10 <= onset[element] <= hi[row] - 25
        assert windows.present[row].nonzero().squeeze(1).tolist() == [ELEMENT_INDEX[element]]
        assert windows.counted[row, ELEMENT_INDEX[element]]
    assert (hi < 832).all()
    assert windows.axis_error_ev.tolist() == pytest.approx([1.5] * 6)


class Answers(torch.nn.Module):
    """Erbium for everything."""

    def forward(self, spectrum, mask, axis_error_ev=None):
        logits = torch.full((len(spectrum), 80), -9.0)
        logits[:, ELEMENT_INDEX["Er"]] = 9.0
        return logits


def test_what_a_network_takes_each_for_is_told(windows, monkeypatch):
    monkeypatch.setattr(rare_earths, "RARE_EARTHS", ELEMENTS)
    found = rare_earths.told_apart(Model("er", Answers(), {}, 0.5, 0.1, 1.0), windows)
    la, er = found["rows"]
    assert found["n"] == 6
    assert (la["f1"], la["named"]) == (0.0, 0.0)
    assert er["named"] == 1.0
    seen = windows.observable[:3, ELEMENT_INDEX["Er"]].float().mean()
    assert la["taken_for_share"] == pytest.approx(float(seen))
    row = {"model": "er", "axis_error_ev": 1.5, **found}
    assert "| La |" in rare_earths.apart_table([row])


def test_more_windows_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr(rare_earths, "RARE_EARTHS", ("La",))
    monkeypatch.setattr(rare_earths, "_MOST_BLOCKS", 1)
    with pytest.raises(ValueError, match="ask for fewer"):
        rare_earths.n45_windows(5000, axis_error_ev=1.5, seed=0)
