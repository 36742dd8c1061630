"""Scores on stored and on measured spectra, with a network whose answers are known."""

import json

import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.datasets import evaluation as benchmark
from coreloss.datasets.evaluation import make_benchmark, score_benchmark, score_experimental
from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.datasets.simulated_set import read_set, write_set
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, observable_elements
from coreloss.identification.trained_model import Model
from coreloss.reports.terminal import evaluation_table
from coreloss.simulation.batch import Batch
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator


def stored(path, *, n=200, window_ev=(350.0, 800.0)):
    """Spectra whose channel 400 + k is high when element k is present with an SNR above 3."""
    generator = torch.Generator().manual_seed(0)
    low, high = torch.full((n,), window_ev[0]), torch.full((n,), window_ev[1])
    channel = torch.arange(N_CHANNELS)
    mask = (channel >= low[:, None]) & (channel <= high[:, None])
    observable = observable_elements(low, high)
    present = (torch.rand(n, 80, generator=generator) < 0.15) & observable
    snr = torch.where(present, torch.rand(n, 80, generator=generator).mul(6), torch.zeros(()))
    counts = 100.0 * mask
    counts[:, 400:480] += 900.0 * (snr > 3)
    amount = present / present.sum(1, keepdim=True).clamp(min=1)
    processed = torch.zeros(n, dtype=torch.bool)
    batch = Batch(counts, mask, present, observable, snr, amount, processed, torch.ones(n))
    write_set(path, [batch], config={}, seed=0)


class Reader(torch.nn.Module):
    """Reads the mark of each element; says yes to all elements that cannot be observed."""

    def forward(self, spectrum, mask, axis_error_ev=None):
        marked = spectrum[:, 400:480] > 1.5 * spectrum[:, 480:500].mean(1, keepdim=True)
        low = torch.argmax(mask.byte(), 1).float()
        high = low + mask.sum(1) - 1
        yes = marked | ~observable_elements(low, high)
        return torch.where(yes, 4.0, -4.0)


@pytest.fixture
def model():
    return Model("reader", Reader(), {}, 0.5, 0.1, 1.0)


def test_scores_of_a_stored_set(tmp_path, model):
    stored(tmp_path / "set.h5")
    result = score_benchmark(tmp_path / "set.h5", model=model)
    everything, visible, *bins = result.scores
    truth = read_set(tmp_path / "set.h5").batch
    share = (truth.snr > 3).sum() / truth.present.sum()
    assert everything.recall == pytest.approx(float(share), abs=1e-6)
    assert everything.micro_precision == 1.0
    assert (visible.f1, visible.exact_match_ratio) == (1.0, 1.0)
    assert [part.recall for part in bins[:3]] == [0.0, 0.0, 1.0]
    assert sum(part.n_positive for part in bins) == everything.n_positive
    low, high = result.intervals["recall"]
    assert low < everything.recall < high
    assert result.to_dict()["scores"][0]["subset"] == "simulated, all"


def test_unobservable_elements_are_never_predicted(tmp_path, model):
    stored(tmp_path / "set.h5", window_ev=(350.0, 520.0))
    truth = read_set(tmp_path / "set.h5").batch
    inputs = benchmark.NetworkInput(benchmark.normalise(truth.counts, truth.mask), truth.mask)
    probability = benchmark.observed_probability(model, inputs)
    assert probability[:, ELEMENT_INDEX["O"]].max() == 0  # O K 532 eV
    assert probability[:, ELEMENT_INDEX["Ti"]].max() > 0.9


def test_measured_files_and_their_table(model):
    if data_dir() is None:
        pytest.skip(NO_DATA)
    result = score_experimental(data_dir(), model=model)
    assert result.scores[0].n == len(result.spectra)
    for row in result.spectra:
        predicted = set(row["present"]) - set(row["missed"]) | set(row["false"])
        assert predicted == set(row["predicted"])
        assert set(row["missed"]) <= set(row["present"])
        assert not set(row["false"]) & set(row["present"])
    exact = np.mean([not row["missed"] and not row["false"] for row in result.spectra])
    assert result.scores[0].exact_match_ratio == pytest.approx(exact)
    assert evaluation_table(result).renderables


def test_a_set_is_the_same_for_the_same_seed(tmp_path):
    first, again, other = (
        make_benchmark(tmp_path / f"{i}.h5", n=40, seed=seed) for i, seed in enumerate((0, 0, 1))
    )
    assert first == again != other
    written = read_set(tmp_path / "0.h5")
    assert len(written) == 40
    assert written.config["split"] == "test"
    assert written.batch.present.any(1).float().mean() > 0.5
    assert written.batch.present.shape == (40, len(ELEMENTS))


def test_a_set_holds_the_stream_of_its_split_in_whole_electrons(tmp_path):
    settings = SimulationSettings.paper()
    make_benchmark(tmp_path / "set.h5", n=520, seed=2, split="train", settings=settings)
    stored = read_set(tmp_path / "set.h5")
    drawn = Simulator.of_split("train", seed=2, settings=settings).batch(0, 520)
    assert torch.equal(stored.batch.counts, drawn.counts.round())
    for name in ("mask", "present", "observable", "snr", "amount", "processed"):
        assert torch.equal(getattr(stored.batch, name), getattr(drawn, name)), name
    assert stored.config["settings"] == json.loads(json.dumps(settings.as_dict()))


@pytest.mark.parametrize(
    ("changes", "message"), [({"n": 0}, "at least 1"), ({"split": "all"}, "train, validation")]
)
def test_impossible_sets_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make_benchmark(tmp_path / "set.h5", **({"n": 10, "seed": 0} | changes))
    assert not list(tmp_path.iterdir())


def test_the_first_of_a_group_counts_as_present():
    model = Model("groups", Reader(), {}, 0.7, 0.02, 1.0, group_threshold=0.9)
    mask = torch.zeros(3, N_CHANNELS, dtype=torch.bool)
    mask[:, 900:1101] = True  # Cu L23 and Pr M45 both at 931 eV, Nd M45 at 978 eV
    cu, pr, nd = (ELEMENT_INDEX[e] for e in ("Cu", "Pr", "Nd"))
    probability = np.zeros((3, 80))
    probability[:2, [cu, pr]] = 0.5, 0.45  # certain together, the second of them is there in row 1
    probability[2, [cu, nd]] = 0.5, 0.45  # no neighbours
    present = np.zeros((3, 80), bool)
    present[0, cu] = present[1, pr] = True
    raised, groups = benchmark.with_groups(model, mask, probability, present)
    assert raised[:, cu].tolist() == [0.7, 0.7, 0.5]
    assert raised[0, pr] == 0.45
    assert (groups.named, groups.right, groups.first_right) == (2, 2, 1)
    alone = Model("none", Reader(), {}, 0.7, 0.02, 1.0)
    untouched, none = benchmark.with_groups(alone, mask, probability, present)
    assert (untouched == probability).all()
    assert none.named == 0
