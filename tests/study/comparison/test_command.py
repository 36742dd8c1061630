"""The command of the comparison: what it trains, what it leaves behind, what it finds to score."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from helpers import BLOCK, short_training

from coreloss.networks.architectures import config_of
from coreloss.study.comparison import __main__ as command
from coreloss.study.comparison import plan as networks
from coreloss.study.comparison.answers import load_sets, read_answers
from coreloss.training.loop import TrainConfig

TINY = short_training(blocks=2, batch_size=16)
FEW = ("--test", 32, "--single", 1)
BAD = TrainConfig(**vars(TINY) | {"learning_rate": 1e30, "warmup": 1})


@pytest.fixture
def comparison(monkeypatch):
    """Run the command on a plan of tiny networks, without measured files and priorities."""
    runs = (networks.Run("mlp 1", BAD), networks.Run("mlp 0", TINY))
    monkeypatch.setattr(networks, "runs", lambda **_: runs)
    monkeypatch.setattr(command, "data_dir", lambda: None)
    monkeypatch.setattr(command.os, "nice", lambda _: 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["comparison", *map(str, arguments)])
        command.main()

    return run


def test_a_run_that_breaks_down_leaves_the_others_their_turn(tmp_path, comparison, capsys):
    with pytest.raises(SystemExit, match="not trained to the end: mlp 1"):
        comparison("train", tmp_path, *FEW)
    assert "training stopped after 0 spectra" in capsys.readouterr().err
    assert not (tmp_path / "mlp 1" / "card.json").exists()
    sets = load_sets(n_test=32, n_validation=32, n_single=1, directory=None)
    found = read_answers("mlp 0", tmp_path / "mlp 0", sets)
    sizes = {name: tuple(x.shape) for name, x in found.logits.items()}
    assert sizes == {"validation": (32, 80), "test": (32, 80), "single": (80, 80)}
    model = command.load_model(str(tmp_path / "mlp 0"))
    with torch.inference_mode():
        inputs = sets.inputs["test"]
        wanted = model.network(inputs.spectrum, inputs.mask)
    torch.testing.assert_close(found.logits["test"], wanted, rtol=1e-3, atol=1e-3)


def test_a_slot_ends_before_a_run_that_it_has_no_time_for(tmp_path, comparison):
    comparison("train", tmp_path, "--only", "mlp 0", "--slot", 0.5)
    assert not (tmp_path / "mlp 0").exists()
    with pytest.raises(SystemExit, match="no run unet 0; there are: mlp 1, mlp 0"):
        comparison("train", tmp_path, "--only", "unet 0")


def test_heads_and_learning_rates_are_compared_by_short_runs(tmp_path, comparison, monkeypatch):
    unet = replace(TINY, model=config_of("unet", width=0.0625))
    plan = (networks.Run("unet 0", unet), networks.Run("mlp 0", TINY))
    monkeypatch.setattr(networks, "runs", lambda **_: plan)
    monkeypatch.setattr(networks, "RATES", (1e-3, 1e-4))
    few = ("--only", "unet 0", "--spectra", BLOCK)
    comparison("heads", tmp_path, *few)
    comparison("rates", tmp_path, *few)
    out = tmp_path / "networks.json"
    comparison("train", tmp_path / "runs", "--only", "mlp 0", *FEW)
    for choices in ("heads", "learning_rates"):
        (tmp_path / choices).rename(tmp_path / "runs" / choices)
    comparison("score", tmp_path / "runs", *FEW, "--out", out)
    stored = json.loads(out.read_text())
    assert [row["head"] for row in stored["heads"]["unet 0"]] == ["conv", "flatten", "average"]
    assert len({row["loss"] for row in stored["heads"]["unet 0"]}) == 3
    assert [row["learning_rate"] for row in stored["learning_rates"]["unet 0"]] == [1e-4, 1e-3]
    with pytest.raises(SystemExit, match="mlp 0: heads are compared for unet, vit"):
        comparison("heads", tmp_path, "--only", "mlp 0")


def test_networks_from_elsewhere_take_their_place(tmp_path, comparison):
    comparison("train", tmp_path / "runs", "--only", "mlp 0", *FEW)
    elsewhere = tmp_path / "from a GPU"
    shutil.copytree(tmp_path / "runs" / "mlp 0", elsewhere)
    card = json.loads((elsewhere / "card.json").read_text())
    card["training"]["seed"], card["provenance"]["device"] = 5, "a GPU"
    (elsewhere / "card.json").write_text(json.dumps(card))
    found = command._sources([tmp_path / "runs", elsewhere])
    assert list(found) == ["mlp 0, reduced", "mlp 5, reduced", command.DEFAULT_MODEL]
    row = command._training(found["mlp 5, reduced"])
    assert (row["device"], row["spectra"], row["full_size"]) == ("a GPU", 2 * BLOCK, False)
    assert row["seconds"] == pytest.approx(60 * row["minutes"], abs=0.1)
    with pytest.raises(SystemExit, match=r"mlp 0, reduced is in .* and in"):
        command._sources([tmp_path / "runs", tmp_path / "runs" / "mlp 0"])
    with pytest.raises(SystemExit, match=r"no finished run in it; needed: a folder with card.json"):
        command._sources([tmp_path / "none"])


def test_weights_are_not_needed_once_a_network_has_answered(tmp_path, comparison):
    comparison("train", tmp_path / "runs", "--only", "mlp 0", *FEW)
    (tmp_path / "runs" / "mlp 0" / "weights.safetensors").unlink()
    out = tmp_path / "networks.json"
    comparison("score", tmp_path / "runs", *FEW, "--out", out)
    stored = json.loads(out.read_text())
    rows = {row["model"]: row for row in stored["networks"]}
    assert list(rows) == ["mlp 0, reduced", command.DEFAULT_MODEL]
    assert rows["mlp 0, reduced"]["parameters"] == 385_520
    assert stored["missing"]["one U-Net and one ViT"] == ["unet 0", "vit 0"]
    assert len(stored["curves"]["mlp 0, reduced"]["spectra"]) == 2
    comparison("score", tmp_path / "runs", *FEW, "--out", tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["networks"] == stored["networks"]


def test_what_was_scored_before_on_the_same_spectra_stays(tmp_path, comparison, monkeypatch):
    out = tmp_path / "networks.json"
    both, alone = ("mlp 0, reduced", "mlp 7, reduced"), ("mlp 0, reduced",)
    monkeypatch.setattr(command.plan, "ENSEMBLES", {"both": both, "alone": alone})
    comparison("train", tmp_path / "one", "--only", "mlp 0", *FEW)
    comparison("score", tmp_path / "one", *FEW, "--out", out)
    shutil.copytree(tmp_path / "one" / "mlp 0", tmp_path / "two" / "mlp 0")
    card = tmp_path / "two" / "mlp 0" / "card.json"
    about = json.loads(card.read_text())
    about["training"]["seed"] = 7
    card.write_text(json.dumps(about))
    (tmp_path / "two" / "mlp 0").rename(tmp_path / "two" / "another")
    comparison("score", tmp_path / "two", *FEW, "--out", out)
    stored = json.loads(out.read_text())
    names = [row["model"] for row in stored["networks"]]
    assert names == ["mlp 0, reduced", command.DEFAULT_MODEL, "mlp 7, reduced", "alone"]
    assert stored["missing"] == {"both": ["mlp 0, reduced"], "alone": []}  # has not answered again
    with pytest.raises(SystemExit, match="answers about other spectra"):
        comparison("score", tmp_path / "two", "--test", 16, "--single", 1, "--out", out)
