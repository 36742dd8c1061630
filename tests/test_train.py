"""Training learns, and a resumed run is the run that was never interrupted."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from coreloss.models.edgenet import EdgeNetConfig
from coreloss.simulate import BLOCK, Batch
from coreloss.train import CHECKPOINT, TrainConfig, train
from coreloss.train_losses import loss_mask, masked_bce

TINY = EdgeNetConfig(channels=8, blocks=1, dim=16, heads=2, layers=1)


def config(**changes):
    common = {"model": TINY, "batch_size": 128, "validation_spectra": 128, "bf16": False}
    common |= {"report_every": BLOCK}
    return TrainConfig(**(common | {"spectra": 4 * BLOCK} | changes))


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    whole = train(config(), out_dir=tmp_path / "whole")

    calls = {"n": 0}
    from coreloss.simulate import Simulator

    original = Simulator.block

    def dies_in_third_block(self, number):
        calls["n"] += 1
        if number == 2 and calls["n"] > 2:
            raise KeyboardInterrupt
        return original(self, number)

    monkeypatch.setattr(Simulator, "block", dies_in_third_block)
    with pytest.raises(KeyboardInterrupt):
        train(config(), out_dir=tmp_path / "parts")
    monkeypatch.setattr(Simulator, "block", original)
    parts = train(config(), out_dir=tmp_path / "parts")

    a, b = (load_file(folder / "weights.safetensors") for folder in (whole, parts))
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    card = json.loads((parts / "card.json").read_text())
    assert card["validation"]["spectra"] == 4 * BLOCK
    assert card["config"]["dim"] == TINY.dim


def test_the_loss_falls(tmp_path):
    changes = {"spectra": 6 * BLOCK, "warmup": 2, "learning_rate": 1e-2}
    folder = train(config(**changes), out_dir=tmp_path)
    with (folder / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 6
    assert max(losses[-3:]) < 0.9 * losses[0]
    validation = json.loads((folder / "card.json").read_text())["validation"]
    assert validation["loss"] == pytest.approx(losses[-1])
    train(config(**changes), out_dir=tmp_path)  # nothing left to do: no loss, but valid JSON
    assert "loss" not in json.loads((folder / "card.json").read_text())["validation"]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    train(config(spectra=BLOCK), out_dir=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    with pytest.raises(ValueError, match="another configuration"):
        train(config(spectra=2 * BLOCK, seed=3), out_dir=tmp_path)


def test_the_loss_ignores_what_cannot_be_seen():
    present = torch.tensor([[True, True, False, False]])
    observable = torch.tensor([[True, True, True, False]])
    snr = torch.tensor([[10.0, 1.0, 0.0, 0.0]])
    empty = torch.zeros(1, 0)
    batch = Batch(empty, empty, present, observable, snr, empty, empty)
    assert loss_mask(batch).tolist() == [[True, False, True, False]]
    logits = torch.zeros(1, 4)
    expected = 2 * torch.log(torch.tensor(2.0))
    assert masked_bce(logits, batch).item() == pytest.approx(expected.item())
    logits = torch.tensor([[0.0, 50.0, 0.0, -50.0]])
    assert masked_bce(logits, batch).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("change", [{"batch_size": 100}, {"spectra": 10}, {"minutes": -1.0}])
def test_impossible_configurations_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        config(**change)
