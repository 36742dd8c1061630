"""Training learns, and a resumed run is the run that was never interrupted."""

import csv
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from coreloss.networks.edgenet import EdgeNetConfig
from coreloss.networks.mlp import MLPConfig
from coreloss.networks.vit import ViTConfig
from coreloss.simulation.batch import Batch
from coreloss.simulation.simulator import Simulator
from coreloss.training.loop import (
    CHECKPOINT,
    TrainConfig,
    backward_pass,
    new_state,
    simulators,
    train,
)
from coreloss.training.losses import bce_soft_f1, macro_soft_f1, masked_bce
from coreloss.training.search import search_learning_rate

TINY = EdgeNetConfig(channels=4, blocks=1, dim=8, heads=2, layers=1)
BLOCK = 32


def config(**changes):
    common = {"model": TINY, "batch_size": 16, "validation_spectra": 32, "bf16": False}
    common |= {"block_size": BLOCK, "report_every": BLOCK}
    return TrainConfig(**(common | {"spectra": 4 * BLOCK} | changes))


def log_of(folder) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        # Dropout has random numbers of its own, and plateaus remember what was before.
        {"model": MLPConfig(width=0.02), "schedule": "plateau", "halve_after": 1},
    ],
)
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch, changes):
    whole = train(config(**changes), out_dir=tmp_path / "whole")

    calls = {"n": 0}
    original = Simulator.block

    def dies_in_third_block(self, number):
        calls["n"] += 1
        if number == 2 and calls["n"] > 2:
            raise KeyboardInterrupt
        return original(self, number)

    monkeypatch.setattr(Simulator, "block", dies_in_third_block)
    with pytest.raises(KeyboardInterrupt):
        train(config(**changes), out_dir=tmp_path / "parts")
    monkeypatch.setattr(Simulator, "block", original)
    assert not (tmp_path / "parts" / "card.json").exists()
    parts = train(config(**changes), out_dir=tmp_path / "parts")

    a, b = (load_file(folder / "weights.safetensors") for folder in (whole, parts))
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    times = ("minutes", "cpu_minutes", "spectra_per_s")
    logs = [
        [{k: v for k, v in row.items() if k not in times} for row in log_of(folder)]
        for folder in (whole, parts)
    ]
    assert logs[0] == logs[1]
    card = json.loads((parts / "card.json").read_text())
    assert card["validation"]["spectra"] == 4 * BLOCK


def test_a_paused_run_is_continued(tmp_path):
    small = config(spectra=2 * BLOCK)
    train(small, out_dir=tmp_path, pause_after_s=0.0)
    assert (tmp_path / CHECKPOINT).exists()
    assert not (tmp_path / "card.json").exists()
    train(small, out_dir=tmp_path)
    assert (tmp_path / "card.json").exists()


def test_the_loss_falls(tmp_path):
    changes = {"spectra": 6 * BLOCK, "warmup": 2, "learning_rate": 1e-2}
    folder = train(config(**changes), out_dir=tmp_path)
    losses = [row["loss"] for row in log_of(folder)]
    assert len(losses) == 6
    assert max(losses[-3:]) < 0.9 * losses[0]
    validation = json.loads((folder / "card.json").read_text())["validation"]
    assert validation["loss"] == pytest.approx(losses[-1])
    card = (folder / "card.json").read_text()
    train(config(**changes), out_dir=tmp_path)  # nothing left to do, and nothing lost
    assert (folder / "card.json").read_text() == card
    assert [row["loss"] for row in log_of(folder)] == losses


def test_a_longer_run_has_no_card_until_it_ends_and_a_fresh_one_no_history(tmp_path):
    train(config(spectra=BLOCK), out_dir=tmp_path)
    assert (tmp_path / "card.json").exists()
    train(config(spectra=3 * BLOCK), out_dir=tmp_path, pause_after_s=0.0)
    train(config(spectra=3 * BLOCK), out_dir=tmp_path)
    assert [row["spectra"] for row in log_of(tmp_path)] == [BLOCK, 2 * BLOCK, 3 * BLOCK]
    train(config(spectra=2 * BLOCK, report_every=2 * BLOCK), out_dir=tmp_path, resume=False)
    assert [row["spectra"] for row in log_of(tmp_path)] == [2 * BLOCK]


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    train(config(spectra=BLOCK), out_dir=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    for change in ({"seed": 3}, {"schedule": "plateau"}, {"model": MLPConfig()}):
        with pytest.raises(ValueError, match="another configuration"):
            train(config(spectra=2 * BLOCK, **change), out_dir=tmp_path)


def test_the_loss_ignores_what_cannot_be_seen():
    present = torch.tensor([[True, True, False, False]])
    observable = torch.tensor([[True, True, True, False]])
    snr = torch.tensor([[10.0, 1.0, 0.0, 0.0]])
    empty = torch.zeros(1, 0)
    batch = Batch(empty, empty, present, observable, snr, empty, empty, empty)
    assert batch.counted.tolist() == [[True, False, True, False]]
    logits = torch.zeros(1, 4)
    expected = 2 * torch.log(torch.tensor(2.0))
    assert masked_bce(logits, batch).item() == pytest.approx(expected.item())
    logits = torch.tensor([[0.0, 50.0, 0.0, -50.0]])
    assert masked_bce(logits, batch).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("change", [{"batch_size": 100}, {"spectra": 10}, {"minutes": -1.0}])
def test_impossible_configurations_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        config(**change)


def test_every_new_limit_is_checked():
    for change in ({"loss": "mse"}, {"schedule": "step"}, {"learning_rate": 0.0}, {"ema": 1.0}):
        with pytest.raises(ValueError, match=next(iter(change))):
            config(**change)


def test_soft_f1_of_certain_answers_is_f1():
    generator = np.random.default_rng(0)
    present = generator.random((50, 80)) < 0.2
    predicted = present ^ (generator.random((50, 80)) < 0.1)
    logits = torch.from_numpy(np.where(predicted, 60.0, -60.0))
    found = 1 - macro_soft_f1(logits, torch.from_numpy(present)).item()
    wanted = f1_score(present, predicted, average="macro", zero_division=0)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_the_loss_of_the_paper_counts_what_cannot_be_seen():
    present = torch.tensor([[True, False]])
    empty = torch.zeros(1, 0)
    batch = Batch(empty, empty, present, present, torch.zeros(1, 2), empty, empty, empty)
    good, bad = (torch.tensor([[sign * 5.0, -5.0]]) for sign in (1, -1))
    assert bce_soft_f1(bad, batch) > bce_soft_f1(good, batch) + 2
    assert masked_bce(bad, batch) == masked_bce(good, batch)


def test_plateaus_halve_the_learning_rate_and_patience_ends_the_run(tmp_path):
    changes = {"schedule": "plateau", "halve_after": 1, "patience": 3, "warmup": 1}
    # A rate so low that averaged weights hardly change: the score stays where it is.
    folder = train(config(**changes, spectra=20 * BLOCK, learning_rate=1e-12), out_dir=tmp_path)
    rows = log_of(folder)
    assert len(rows) < 20
    used = [row["learning_rate"] for row in rows]
    stale = [row["f1_visible"] for row in rows]
    expected, best, rate = [], -1.0, 1e-12
    for score in stale:
        expected.append(rate)
        rate, best = (rate, score) if score > best else (rate / 2, best)
    assert used == pytest.approx(expected, rel=1e-9)


def test_the_best_learning_rate_is_found(tmp_path):
    short = config(warmup=2, ema=0.5)
    best = search_learning_rate(short, [1e-9, 1e-2], spectra=3 * BLOCK, out_dir=tmp_path)
    assert best == 1e-2
    rows = json.loads((tmp_path / "learning_rates.json").read_text())
    assert [row["learning_rate"] for row in rows] == [1e-9, 1e-2]
    with pytest.raises(ValueError, match="rate"):
        search_learning_rate(short, [], spectra=BLOCK, out_dir=tmp_path)


VIT = ViTConfig(width=0.125, heads=2, layers=1, dropout=0.0)
TWO = """
import sys
import torch
from dataclasses import replace
from safetensors.torch import save_file
from test_loop import VIT, config
from coreloss.training.loop import new_state, backward_pass, simulators, train
from coreloss.training.parallel import ranks

torch.set_num_threads(1)
small = config(model=VIT)
with ranks("cpu") as group:
    state = new_state(small)
    network = group.wrap(state.model)
    batch = simulators(small)[0].block(group.rank)[slice(0, 16)]
    backward_pass(network, batch, small)
    if group.rank == 0:
        gradients = {name: p.grad for name, p in state.model.named_parameters()}
        save_file(gradients, sys.argv[1] + "/gradients.safetensors")
    train(replace(small, spectra=128), out_dir=sys.argv[1] + "/run")
"""


def test_two_processes_have_the_gradient_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common |= {"PYTHONPATH": os.path.dirname(__file__), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TWO, str(tmp_path)]
    started = [
        subprocess.Popen(command, env=common | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    try:
        assert [process.wait(timeout=240) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()

    small = config(model=VIT)
    state = new_state(small)
    stream = simulators(small)[0]
    parts = [stream.block(rank)[slice(0, 16)] for rank in (0, 1)]
    both = Batch(*(torch.cat([getattr(p, f) for p in parts]) for f in Batch.__dataclass_fields__))
    backward_pass(state.model, both, small)
    shared = load_file(tmp_path / "gradients.safetensors")
    for name, parameter in state.model.named_parameters():
        torch.testing.assert_close(shared[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=name)

    rows = log_of(tmp_path / "run")
    assert [row["spectra"] for row in rows] == [2 * BLOCK, 4 * BLOCK]  # two blocks at a time
    assert (tmp_path / "run" / "card.json").exists()
