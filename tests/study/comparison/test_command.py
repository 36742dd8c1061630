"""The command of the comparison: what it trains, what it leaves behind, what it finds to score."""

import json
import shutil
import sys

import pytest
import torch

from coreloss.networks.mlp import MLPConfig
from coreloss.simulation.simulator import BLOCK
from coreloss.study.comparison import __main__ as command
from coreloss.study.comparison import scores as networks
from coreloss.study.comparison.predictions import read_predictions
from coreloss.training.loop import TrainConfig

TINY = TrainConfig(
    model=MLPConfig(width=0.02), spectra=2 * BLOCK, report_every=BLOCK, validation_spectra=64
)
BAD = TrainConfig(**vars(TINY) | {"learning_rate": 1e30, "warmup": 1})


@pytest.fixture
def comparison(monkeypatch):
    """Run the command on a plan of tiny networks, without measured files and priorities."""
    plan = (networks.Run("mlp 1", BAD), networks.Run("mlp 0", TINY))
    monkeypatch.setattr(networks, "runs", lambda **_: plan)
    monkeypatch.setattr(command, "data_dir", lambda: None)
    monkeypatch.setattr(command.os, "nice", lambda _: 0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["comparison", *map(str, arguments)])
        command.main()

    return run


def test_a_run_that_breaks_down_leaves_the_others_their_turn(tmp_path, comparison, capsys):
    with pytest.raises(SystemExit, match="not trained to the end: mlp 1"):
        comparison("train", tmp_path, "--test", 32)
    assert "training stopped after 0 spectra" in capsys.readouterr().err
    assert not (tmp_path / "mlp 1" / "card.json").exists()
    logits = read_predictions(tmp_path / "mlp 0")
    assert {name: tuple(x.shape) for name, x in logits.items()} == {
        "validation": (32, 80),
        "test": (32, 80),
    }
    sets = networks.load_sets(n_test=32, n_validation=32, directory=None)
    model = command.load_model(str(tmp_path / "mlp 0"))
    with torch.inference_mode():
        inputs = networks.inputs_of(sets.test)
        wanted = model.network(inputs.spectrum, inputs.mask)
    torch.testing.assert_close(logits["test"], wanted, rtol=1e-3, atol=1e-3)


def test_a_slot_ends_before_a_run_that_it_has_no_time_for(tmp_path, comparison):
    comparison("train", tmp_path, "--only", "mlp 0", "--slot", 0.5)
    assert not (tmp_path / "mlp 0").exists()
    with pytest.raises(SystemExit, match="no run unet 0; there are: mlp 1, mlp 0"):
        comparison("train", tmp_path, "--only", "unet 0")


def test_networks_from_elsewhere_take_their_place(tmp_path, comparison):
    comparison("train", tmp_path / "runs", "--only", "mlp 0", "--test", 32)
    elsewhere = tmp_path / "from a GPU"
    shutil.copytree(tmp_path / "runs" / "mlp 0", elsewhere)
    card = json.loads((elsewhere / "card.json").read_text())
    card["training"]["seed"], card["provenance"]["device"] = 5, "a GPU"
    (elsewhere / "card.json").write_text(json.dumps(card))
    found = command._sources([tmp_path / "runs", elsewhere])
    assert list(found) == ["mlp 0", "mlp 5", command.DEFAULT_MODEL]
    row = command._training(found["mlp 5"])
    assert (row["device"], row["spectra"], row["full_size"]) == ("a GPU", 2 * BLOCK, False)
    assert row["seconds"] == pytest.approx(60 * row["minutes"], abs=0.1)
    with pytest.raises(SystemExit, match=r"mlp 0 is in .* and in"):
        command._sources([tmp_path / "runs", tmp_path / "runs" / "mlp 0"])
    with pytest.raises(SystemExit, match=r"no finished run in it; needed: a folder with card.json"):
        command._sources([tmp_path / "none"])
