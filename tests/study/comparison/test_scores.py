"""The comparison scores every network alike, and its tables say what the stored numbers say."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.datasets.measured import ExperimentalSet
from coreloss.identification.trained_model import Model
from coreloss.networks.architectures import build, config_of
from coreloss.scoring.calibration import threshold_precision_equals_recall
from coreloss.scoring.metrics import scores
from coreloss.study.comparison import scores as networks
from coreloss.study.comparison import tables
from coreloss.study.comparison.costs import cost_of


class Oracle(nn.Module):
    """Knows the labels of the spectra that it is shown, by their content, more or less surely."""

    def __init__(self, batches, noise: float = 0.0) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.known, self.noise = {}, noise
        for batch in batches:
            inputs = networks.inputs_of(batch)
            for spectrum, present in zip(inputs.spectrum, batch.present, strict=True):
                self.known[spectrum.numpy().tobytes()] = present

    def forward(self, spectrum, mask, axis_error_ev=None):
        labels = torch.stack([self.known[x.numpy().tobytes()] for x in spectrum]).float()
        noise = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
        return 12 * labels - 6 + self.noise * noise


@pytest.fixture(scope="module")
def sets():
    return networks.load_sets(n_test=512, n_validation=256, directory=None)


def model_of(network, sets):
    return networks.decided(
        Model("oracle", network, {"parameters": 1}, 0.5, 0.1, 1.0), sets.validation
    )


def test_an_oracle_is_perfect(sets):
    row = networks.score(model_of(Oracle([sets.validation, sets.test]), sets), sets)
    for part in ("simulated", "simulated_visible"):
        assert row[part]["f1"] == row[part]["exact_match_ratio"] == 1.0
        assert row[part]["ece"] < 1e-3
    assert row["decisions"]["simulated_visible"]["wrong_of_present"] == 0.0
    assert row["decisions"]["simulated_visible"]["missed"] == 0.0
    json.dumps(row, allow_nan=False)


def test_scores_are_those_of_the_threshold_from_validation(sets):
    model = model_of(Oracle([sets.validation, sets.test], noise=3.0), sets)
    row = networks.score(model, sets)
    assert 0.4 < row["simulated_visible"]["f1"] < 0.98
    chance = networks.observed_probability(model, networks.inputs_of(sets.test))
    counted = sets.test.counted.numpy()
    wanted = scores(
        sets.test.present.numpy(), chance, subset="", counted=counted,
        threshold=row["simulated_visible"]["threshold"],
    )  # fmt: skip
    assert row["simulated_visible"]["f1"] == wanted.f1
    low, high = row["simulated_visible"]["intervals"]["f1"]
    assert low < wanted.f1 < high
    rates = row["decisions"]["simulated_visible"]
    named = (chance >= model.present_threshold) & counted
    wrong = named & ~sets.test.present.numpy()
    assert rates["wrong_of_present"] == pytest.approx(wrong.sum() / named.sum())


def test_an_ensemble_answers_with_the_mean_of_its_members(sets):
    right, noisy = (
        model_of(Oracle([sets.validation, sets.test], noise), sets) for noise in (0.0, 4.0)
    )
    both = networks.ensemble("both", [right, noisy], sets.validation)
    x, mask = networks.inputs_of(sets.test).spectrum[:4], sets.test.mask[:4]
    mean = sum(m.network(x, mask).double().sigmoid() for m in (right, noisy)) / 2
    torch.testing.assert_close(both.network(x, mask).double().sigmoid(), mean, atol=1e-5, rtol=1e-4)
    assert both.card["parameters"] == 2


def test_the_plan_names_each_run_once_and_reduces_sizes_without_a_gpu():
    reduced = networks.runs(full=False, cpu_minutes=30, materials="embedded")
    full = networks.runs(full=True, cpu_minutes=30, materials="embedded", device="cuda")
    assert [run.name for run in reduced] == [run.name for run in full]
    assert len({run.name for run in full}) == len(full)
    for small, large in zip(reduced, full, strict=True):
        assert small.config.cpu_minutes == 30
        assert large.config.spectra == 1_120_000
        assert large.config.cpu_minutes is None
        assert small.config.model.width <= large.config.model.width
    names = {run.name for run in full}
    assert all(set(members) <= names for members in networks.ENSEMBLES.values())
    assert [run.name for run in full[:7]] == [f"{name} 0" for name in networks.PUBLISHED]
    assert {run.name.split(",")[0].split(" ")[0] for run in full} == set(networks.REDUCED)
    theirs = [run.config for run in full if "paper" in run.name]
    assert [config.model for config in theirs] == [run.config.model for run in full[:7]]
    for config in theirs:
        assert (config.loss, config.schedule, config.weight_decay) == ("bce_soft_f1", "plateau", 0)
        assert (config.batch_size, config.learning_rate, config.ema) == (32, 1e-3, 0.0)


def test_operations_of_a_network():
    mask = torch.ones(2, N_CHANNELS, dtype=torch.bool)
    spectrum = torch.rand(2, N_CHANNELS) + 0.5
    network = build(config_of("mlp", width=0.02))
    cost = cost_of(network, spectrum, mask)
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Linear)]
    assert cost.gflop == pytest.approx(2e-9 * sum(w.numel() for w in weights))
    assert cost.parameters == sum(p.numel() for p in network.parameters())


def test_attention_counts_among_the_operations():
    mask = torch.ones(1, N_CHANNELS, dtype=torch.bool)
    small = {"width": 0.25, "heads": 2, "layers": 1}
    network = build(config_of("vit", **small))
    found = cost_of(network, torch.rand(1, N_CHANNELS) + 0.5, mask).gflop
    tokens, keys = network.encoder.position.shape[0], network.encoder.layers[0].qkv.out_features / 3
    assert found > 4e-9 * tokens**2 * keys
    linear = [m for m in network.encoder.layers.modules() if isinstance(m, nn.Linear)]
    dense = 2e-9 * tokens * sum(m.weight.numel() for m in linear)
    assert found > dense + 4e-9 * tokens**2 * keys


def test_tables_hold_the_stored_numbers(sets):
    row = networks.score(model_of(Oracle([sets.validation, sets.test], 3.0), sets), sets)
    row |= {"architecture": "edgenet", "spectra": 1024, "minutes": 2.0, "device": "cpu (here)"}
    row |= {"recipe": "masked_bce", "started": False, "config": {}, "model": "edgenet 0"}
    text = tables.networks_table([row], "simulated")
    assert f"{row['simulated']['f1']:.2f} (" in text
    assert "| edgenet 0 | cpu, 2.0 min | 1 |" in text
    assert networks.is_ours(row)
    assert not networks.is_ours(row | {"architecture": "unet"})
    assert networks.is_ours(row | {"architecture": "unet", "config": {"front": "contrast"}})
    assert not networks.is_ours({"members": ["edgenet 0", "unet 0"]})
    assert f"{row['temperature']:.2f}" in tables.calibration_table([row])
    rate = row["decisions"]["simulated_visible"]["wrong_of_present"]
    assert f"{rate:.1%}" in tables.decisions_table(row)
    cost = cost_of(build(config_of("edgenet")), *_one())
    line = tables.cost_table({"edgenet": (cost, cost)}).splitlines()[-1]
    assert line.endswith(f"| {cost.gflop:.3f} | {1 / cost.cpu_s:.0f} |")


def test_thresholds_of_measured_files_stand_beside_ours(sets):
    files = ExperimentalSet(
        inputs=networks.inputs_of(sets.test),
        present=sets.test.present,
        counted=sets.test.counted,
        records=tuple(SimpleNamespace(id=f"lab{n % 7}_{n}") for n in range(len(sets.test))),
        sources=(),
        dose=np.ones(len(sets.test)),
    )
    measured = replace(sets, measured={"A": files}, choosing=files)
    model = model_of(Oracle([sets.validation, sets.test], noise=3.0), sets)
    part = networks.score(model, measured)["measured_A"]
    chosen, *fixed = part["other_thresholds"]
    assert chosen["origin"] == "measured validation half"
    assert [entry["threshold"] for entry in fixed] == list(networks.PAPER_THRESHOLDS)
    chance = networks.observed_probability(model, files.inputs)
    labels = files.present.numpy(), chance
    counted = files.counted.numpy()
    assert chosen["threshold"] == threshold_precision_equals_recall(*labels, counted=counted)
    for entry in (chosen, *fixed):
        wanted = scores(*labels, threshold=entry["threshold"], subset="", counted=counted)
        assert (entry["f1"], entry["exact_match_ratio"]) == (wanted.f1, wanted.exact_match_ratio)
    text = tables.thresholds_table([{"model": "oracle", "measured_A": part}], "measured_A")
    assert "simulated spectra | measured validation half | 0.5 | 0.6 | 0.7" in text
    assert f"{chosen['f1']:.2f} / {chosen['exact_match_ratio']:.2f} (at" in text


def test_reliability_survives_storage(sets):
    row = networks.score(model_of(Oracle([sets.validation, sets.test], 3.0), sets), sets)
    part = json.loads(json.dumps(row["simulated_visible"]))
    diagram = networks.reliability_of(part)
    assert diagram.ece == part["ece"]
    empty = diagram.count == 0
    assert np.isnan(diagram.mean_probability[empty]).all()
    assert np.isfinite(diagram.observed_share[~empty]).all()
    assert diagram.count.sum() == sets.test.counted.sum()


def _one():
    mask = torch.zeros(1, N_CHANNELS, dtype=torch.bool)
    mask[:, 300:900] = True
    return torch.rand(1, N_CHANNELS) * mask + mask, mask
