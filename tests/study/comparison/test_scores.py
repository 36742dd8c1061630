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
from coreloss.edges import ELEMENTS
from coreloss.networks.architectures import build, config_of
from coreloss.networks.ensemble import Ensemble
from coreloss.scoring.calibration import threshold_precision_equals_recall
from coreloss.scoring.metrics import scores
from coreloss.study.comparison import answers as asked
from coreloss.study.comparison import learning, plan, tables
from coreloss.study.comparison import scores as networks
from coreloss.study.comparison.costs import cost_of
from coreloss.study.comparison.examples import examples


class Oracle(nn.Module):
    """Knows the labels of the spectra that it is shown, by their content, more or less surely."""

    def __init__(self, sets, noise: float = 0.0) -> None:
        super().__init__()
        self.known, self.noise = {}, noise
        for batch in (sets.validation, sets.test, sets.single):
            inputs = asked.inputs_of(batch)
            for spectrum, present in zip(inputs.spectrum, batch.present, strict=True):
                self.known[spectrum.numpy().tobytes()] = present

    def forward(self, spectrum, mask, axis_error_ev=None):
        labels = torch.stack([self.known[x.numpy().tobytes()] for x in spectrum]).float()
        noise = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
        return 12 * labels - 6 + self.noise * noise


@pytest.fixture(scope="module")
def sets():
    return asked.load_sets(n_test=512, n_validation=256, n_single=2, directory=None)


def answers(sets, noise: float = 0.0):
    return asked.answers_of("oracle", Oracle(sets, noise), sets)


def test_an_oracle_is_perfect(sets):
    row = networks.score(answers(sets), sets)
    for part in ("simulated", "simulated_visible"):
        assert row[part]["f1"] == row[part]["exact_match_ratio"] == 1.0
        assert row[part]["ece"] < 1e-3
    assert row["decisions"]["simulated_visible"]["wrong_of_present"] == 0.0
    assert row["decisions"]["simulated_visible"]["missed"] == 0.0
    json.dumps(row, allow_nan=False)


def test_scores_are_those_of_the_threshold_from_validation(sets):
    found = answers(sets, 3.0)
    row = networks.score(found, sets)
    assert 0.4 < row["simulated_visible"]["f1"] < 0.98
    chance = found.probability("test", asked.inputs_of(sets.test))
    counted = sets.test.counted.numpy()
    wanted = scores(
        sets.test.present.numpy(), chance, subset="", counted=counted,
        threshold=row["simulated_visible"]["threshold"],
    )  # fmt: skip
    assert row["simulated_visible"]["f1"] == wanted.f1
    low, high = row["simulated_visible"]["intervals"]["f1"]
    assert low < wanted.f1 < high
    rates = row["decisions"]["simulated_visible"]
    named = (chance >= found.present_threshold) & counted
    wrong = named & ~sets.test.present.numpy()
    assert rates["wrong_of_present"] == pytest.approx(wrong.sum() / named.sum())


def test_an_ensemble_answers_with_the_mean_of_its_members(sets):
    right, noisy = answers(sets), answers(sets, 4.0)
    both = asked.together("both", [right, noisy], sets)
    mean = sum(torch.sigmoid(one.logits["test"].double()) for one in (right, noisy)) / 2
    torch.testing.assert_close(torch.sigmoid(both.logits["test"]), mean)
    network = Ensemble([Oracle(sets), Oracle(sets, 4.0)])
    inputs = asked.inputs_of(sets.validation)
    wanted = network(inputs.spectrum, inputs.mask).double()
    torch.testing.assert_close(both.logits["validation"], wanted, atol=1e-4, rtol=1e-4)


def test_answers_survive_a_file_and_belong_to_their_spectra(sets, tmp_path):
    told = answers(sets, 3.0)
    asked.write_answers(told, tmp_path, sets)
    again = asked.read_answers("oracle", tmp_path, sets)
    before, after = (networks.score(one, sets)["simulated"] for one in (told, again))
    for name in ("f1", "exact_match_ratio", "rmse"):
        assert after[name] == pytest.approx(before[name], abs=2e-3)
    other = asked.load_sets(n_test=512, n_validation=256, n_single=2, directory=None, seed=1)
    with pytest.raises(ValueError, match="answers about other spectra"):
        asked.read_answers("oracle", tmp_path, other)
    (tmp_path / asked.ANSWERS).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no answers of a network"):
        asked.read_answers("oracle", tmp_path, sets)


def test_answers_about_spectra_of_another_simulator_are_refused(sets, tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(asked, "simulator_fingerprint", lambda: "another")
        asked.write_answers(answers(sets), tmp_path, sets)
    with pytest.raises(ValueError, match=r"other spectra .simulator another"):
        asked.read_answers("oracle", tmp_path, sets)


def test_answers_of_a_later_version_are_refused(sets, tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(asked, "VERSION", 2)
        asked.write_answers(answers(sets), tmp_path, sets)
    with pytest.raises(ValueError, match=r"its format has version 2.*update coreloss"):
        asked.read_answers("oracle", tmp_path, sets)


def test_an_oracle_confuses_nothing(sets):
    found = networks.confused(answers(sets), sets)
    assert found["confused_pairs"] == []
    np.testing.assert_array_equal(found["confusion"], np.eye(len(ELEMENTS)))


def test_the_plan_names_each_run_once_and_reduces_sizes_without_a_gpu():
    reduced = plan.runs(full=False, cpu_minutes=30, materials="embedded")
    full = plan.runs(full=True, cpu_minutes=30, materials="embedded", device="cuda")
    assert [run.name for run in reduced] == [run.name for run in full]
    assert len({run.name for run in full}) == len(full)
    for small, large in zip(reduced, full, strict=True):
        assert small.config.cpu_minutes == 30
        assert small.config.spectra == 10**9
        assert large.config.spectra == 1_120_000
        assert large.config.cpu_minutes is None
        assert small.config.model.width <= large.config.model.width
    names = {run.name for run in full}
    members = {member for members in plan.ENSEMBLES.values() for member in members}
    assert {member.removesuffix(", reduced") for member in members} <= names
    assert [run.name for run in full[:7]] == [f"{name} 0" for name in plan.PUBLISHED]
    assert {run.name.split(",")[0].split(" ")[0] for run in full} == set(plan.REDUCED)
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
    row = networks.score(answers(sets, 3.0), sets)
    row |= {"architecture": "edgenet", "spectra": 1024, "minutes": 2.0, "device": "cpu (here)"}
    row["parameters"] = 130_000
    row |= {"recipe": "masked_bce", "started": False, "config": {}, "model": "edgenet 0"}
    text = tables.networks_table([row], "simulated")
    assert f"{row['simulated']['f1']:.2f} (" in text
    assert text.startswith("| network | F1 | EMR |")
    assert "| edgenet 0 | 0." in text
    assert text.endswith("| 0.13 | 1k spectra, 2.0 min, CPU |")
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
        inputs=asked.inputs_of(sets.test),
        present=sets.test.present,
        counted=sets.test.counted,
        records=tuple(SimpleNamespace(id=f"lab{n % 7}_{n}") for n in range(len(sets.test))),
        sources=(),
        dose=np.ones(len(sets.test)),
    )
    measured = replace(sets, measured={"A": files}, choosing=files)
    found = asked.answers_of("oracle", Oracle(sets, 3.0), measured)
    row = networks.score(found, measured)
    part = row["measured_A"]
    chosen, *fixed = part["other_thresholds"]
    assert chosen["origin"] == "measured validation half"
    assert [entry["threshold"] for entry in fixed] == list(networks.PAPER_THRESHOLDS)
    chance = found.probability("measured_A", files.inputs)
    called = (chance >= part["threshold"]) & files.counted.numpy()
    for record, names, one in zip(files.records, row["named"].values(), called, strict=True):
        assert row["named"][record.id] == names == [ELEMENTS[k] for k in np.flatnonzero(one)]
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
    row = networks.score(answers(sets, 3.0), sets)
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


def row_of(name, **more):
    small = {"architecture": "unet", "config": {"width": 0.125}, "device": "cpu (here)"}
    return {"model": name, "started": False, "note": "", "spectra": 1} | small | more


def test_curves_that_mean_nothing_are_not_drawn():
    log = {"spectra": [512, 1024], "cpu_minutes": [1, 2], "minutes": [3, 4], "f1_visible": [0, 1]}
    rows = [
        row_of("unet 0, reduced"),
        row_of("vit 0, reduced", note="batch-norm statistics recomputed"),
        row_of("mlp 0, reduced", started=True),
        row_of("unet, average head 0, reduced"),
        row_of("cnn 0, reduced"),  # without a log
    ]
    logs = {row["model"]: log for row in rows[:-1]}
    found = learning.curves_of(rows, logs)
    assert list(found) == ["unet 0, reduced"]
    (curve,) = found.values()
    assert curve["minutes"].tolist() == [1, 2]
    gflop = learning.gflop_of(rows[0])
    np.testing.assert_allclose(curve["tflop"], 3 * gflop * np.array([512, 1024]) / 1000)
    on_a_gpu = learning.curves_of([row_of("unet 0", device="a GPU")], {"unet 0": log})
    assert on_a_gpu["unet 0"]["minutes"].tolist() == [3, 4]
    text = learning.effort_table(found | {"twice": curve | {"f1_visible": np.array([0, 0.5])}})
    assert "| unet 0, reduced | **1.000** | **1.000** | **1.000** |" in text


def test_six_files_are_chosen_for_what_they_are():
    names = ["O Ti", "La O", "B N", "O Fe", "Mg O", "Si O", "Al O"]
    present = torch.zeros(7, 80, dtype=torch.bool)
    for row, elements in enumerate(names):
        present[row, [ELEMENTS.index(e) for e in elements.split()]] = True
    mask = torch.zeros(7, N_CHANNELS, dtype=torch.bool)
    for row, width in enumerate([500, 500, 500, 500, 500, 900, 90]):
        mask[row, 300 : 300 + width] = True
    inputs = asked.NetworkInput(mask.float(), mask)
    records = tuple(SimpleNamespace(id=str(i), material=f"{n} (here)") for i, n in enumerate(names))
    files = ExperimentalSet(inputs, present, torch.ones_like(present), records, (), np.ones(7))
    named = {str(i): n.split() for i, n in enumerate(names)} | {"4": ["Mg", "Ge"]}
    found = examples(files, [{"named": named}])
    assert {what: example["id"] for what, example in found.items()} == {
        "most mistakes": "4",
        "a lanthanide": "1",
        "white lines of a 3d metal": "0",
        "light elements": "2",
        "the widest window": "5",
        "the narrowest window": "6",
    }
    text = tables.examples_table(found, [{"model": "one", "named": named}])
    assert "| most mistakes | Mg O | O Mg | Mg **Ge** <s>O</s> |" in text


def test_choices_and_what_is_missing_are_said():
    ends = {"spectra": 512.0, "f1_visible": 0.5}
    rates = [ends | {"learning_rate": r, "average_precision": r} for r in (1e-3, 3e-3)]
    lines = tables.choices_table({"unet 0": rates}, "learning_rate").splitlines()
    assert lines[-1] == "| unet 0 | 0.003 | 512 | **0.003** | 0.500 |"
    assert tables.choices_table({}, "head") == ""
    assert tables.missing_text({"a": ["b"], "c": []}) == "- **a** lacks b"
    assert tables.missing_text({"c": []}) == "All ensembles have their members."
