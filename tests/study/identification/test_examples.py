"""Figures of networks, the tables beside them, and the checks on single spectra."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from coreloss.datasets.evaluation import Evaluation
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.trained_model import Model, load_model
from coreloss.scoring import metrics as evaluate
from coreloss.spectra.spectrum import Spectrum
from coreloss.study.identification import examples as robustness
from coreloss.study.identification.figures import plot_outcomes, plot_window_scan
from coreloss.study.identification.tables import INTERVAL_KEYS, comparison_table, spectra_table
from coreloss.study.training import figures as plot_networks
from coreloss.study.training.tables import (
    card_table,
    decision_text,
    hardest_elements_table,
    score_table,
    stages_of,
)


@pytest.fixture
def axes():
    figure, axes = plt.subplots(2)
    yield axes
    figure.canvas.draw()
    plt.close("all")


ENERGY_EV = np.arange(350.0, 750.0)
ROWS = (
    {"id": "a", "material": "TiO2", "present": ["O", "Ti"], "predicted": ["O", "Sc"]}
    | {"missed": ["Ti"], "false": ["Sc"]},
    {"id": "b", "material": "BN", "present": ["B", "N"], "predicted": ["B", "N"]}
    | {"missed": [], "false": []},
)


class Fixed(torch.nn.Module):
    """Stands in for a network: the same logits for every spectrum."""

    def __init__(self, *found: str) -> None:
        super().__init__()
        self.logits = torch.full((len(ELEMENTS),), -5.0)
        self.logits[[ELEMENT_INDEX[element] for element in found]] = 5.0

    def forward(self, spectrum, mask, axis_error_ev=None):
        return self.logits.repeat(len(spectrum), 1)


def model_that_finds(*found: str) -> Model:
    return Model("fixed", Fixed(*found), {}, 0.5, 0.1, 1.0)


def example(*present: str, lo_ev: float = 350.0, hi_ev: float = 750.0) -> robustness.Example:
    energy = np.arange(lo_ev, hi_ev)
    labels = np.isin(ELEMENTS, present)
    counted = np.isin(ELEMENTS, ("O", "Ti", "Sc", "N"))
    spectrum = Spectrum(energy, 1e5 * (energy / lo_ev) ** -3.0)
    return robustness.Example(
        "x", "x", None, (lo_ev, hi_ev), 0.0, spectrum, labels, counted, "here", "none"
    )


def test_outcomes_are_found_missed_and_false(axes):
    plot_outcomes(ROWS, axes[0])
    found, missed, false = axes[0].lines
    names = [text.get_text() for text in axes[0].get_xticklabels()]
    assert names == ["B", "N", "O", "Sc", "Ti"]
    assert sorted(zip(found.get_xdata(), found.get_ydata(), strict=True)) == [
        (0, -1), (1, -1), (2, 0)
    ]  # fmt: skip
    assert (*missed.get_xdata(), *missed.get_ydata()) == (names.index("Ti"), 0)
    assert (*false.get_xdata(), *false.get_ydata()) == (names.index("Sc"), 0)


def test_anchors_lie_on_the_channel_at_their_offsets(axes):
    channel = ENERGY_EV**2
    given = {"onset_ev": 456.0, "offsets_ev": (-200, -10, 0, 40), "name": "Ti L23"}
    plot_networks.plot_anchors(ENERGY_EV, channel, axes[0], **given)
    dots = axes[0].lines[1]
    assert dots.get_xdata().tolist() == [446, 456, 496]  # the first lies outside the window
    np.testing.assert_allclose(dots.get_ydata(), dots.get_xdata() ** 2)


def test_front_end_image_has_a_row_per_box(axes):
    image = np.zeros((2, 400))
    image[1, 106] = 3.0
    parts = ENERGY_EV, ENERGY_EV**-3.0, image
    plot_networks.plot_front_end(*parts, axes, boxes_ev=(2, 4), elements=("Ti",))
    (mesh,) = axes[1].collections
    np.testing.assert_array_equal(np.ravel(mesh.get_array()), image.ravel())
    assert [line.get_xdata()[0] for line in axes[1].lines] == [456]


def test_window_scan_leaves_gaps_where_nothing_is_observable(axes):
    curves = {"O": [np.nan, 0.5, 0.9]}
    plot_window_scan([500, 560, 600], curves, axes[0], threshold=0.4)
    assert np.isnan(axes[0].lines[0].get_ydata()[0])
    assert axes[0].lines[1].get_ydata()[0] == 0.4


def test_mistakes_name_the_nearest_edge_that_is_present():
    missed, false = sorted(
        robustness.mistakes([example("O", "N")], model=model_that_finds("O", "Sc")),
        key=lambda m: m.kind,
        reverse=True,
    )
    assert (missed.element, missed.kind, missed.probability < 0.1) == ("N", "missed", True)
    assert (false.element, false.kind, false.neighbour) == ("Sc", "false", "N K 401 eV")
    assert abs(false.distance_ev) < 5
    assert robustness.mistakes([example("O", "N")], model=model_that_finds("O", "N")) == ()


def test_a_shift_can_push_an_edge_out_of_the_window():
    examples, model = [example("O", "Ti", lo_ev=440.0, hi_ev=600.0)], model_that_finds("O", "Ti")
    assert robustness.scores_at_shift(examples, model=model, shift_ev=0.0).micro_recall == 1
    assert robustness.scores_at_shift(examples, model=model, shift_ev=10.0).micro_recall == 0.5


def test_probability_by_window_is_nan_where_not_observable():
    windows = [(440.0, 520.0), (440.0, 600.0)]
    spectrum = example("O", "Ti").spectrum
    found = robustness.probability_by_window(spectrum, windows, model=model_that_finds("O"))
    assert np.isnan(found[0, ELEMENT_INDEX["O"]])
    assert found[1, ELEMENT_INDEX["O"]] > 0.9


def test_simulated_examples_come_back_from_their_files(tmp_path):
    examples = robustness.simulated_examples(tmp_path, n=6)
    for one in examples:
        assert len(one.elements) >= 2
        assert (one.present <= one.counted).all()
        assert one.spectrum.file == str(one.file)


def test_tables_hold_the_numbers():
    present = np.array([[1, 0], [0, 1]])
    probability = np.array([[0.9, 0.2], [0.6, 0.8]])
    part = evaluate.scores(present, probability, threshold=0.5, subset="toy")
    limits = dict.fromkeys((*INTERVAL_KEYS, "micro_f1"), (0.25, 0.75))
    result = Evaluation("net", "toy", (part,), limits, 0.0, ROWS)
    line = comparison_table({"test half": result}).splitlines()[2]
    assert line.startswith("| net, test half, 2 spectra | 0.83 (0.25–\u20600.75) |")
    assert line.endswith(f"| {part.micro_f1:.2f} (0.25–\u20600.75) |")
    assert "| a | TiO2 | O Ti | O Sc | missed Ti, false Sc |" in spectra_table(result)
    assert "| toy | 0.500 | 2 | 0.833 |" in score_table([part])


def test_card_adds_up_the_stages_of_a_training():
    card = dict(load_model().card)
    stages = stages_of(card)
    assert len(stages) == len(card["training"]["stages"]) > 1
    text = card_table(card)
    assert f"| {sum(stages):,} in {len(stages)} stages, each of them once; last stage" in text
    del card["training"]["stages"]
    assert stages_of(card) == [card["validation"]["spectra"]]


def test_decisions_are_told_from_the_card():
    card = load_model().card
    text = decision_text(card | {"right_names": 0.9, "present_threshold": 0.61})
    assert "from a probability of 0.610" in text
    assert "90 % of the names" in text


def test_hardest_elements_come_first_with_what_was_found_instead():
    present, predicted = np.zeros((2, 4, len(ELEMENTS)), bool)
    carbon, nitrogen, oxygen = (ELEMENT_INDEX[e] for e in "CNO")
    present[:2, nitrogen] = present[2:, oxygen] = True
    predicted[0, carbon] = predicted[1, nitrogen] = predicted[2:, oxygen] = True
    counted = np.ones_like(present)
    by_element = evaluate.per_element(present, predicted, threshold=0.5)
    labels = present, predicted, counted
    lines = hardest_elements_table(by_element, labels, n_shown=2).splitlines()
    assert lines[2] == "| N | 2 | 0.67 | 1.00 | 0.50 | C (1) |"
    assert lines[3].startswith("| O | 2 | 1.00 |")
