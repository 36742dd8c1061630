"""A run that is no longer finite stops, says where, and keeps its last good checkpoint."""

import math

import pytest
import torch
from helpers import BLOCK, short_training
from safetensors.torch import load_file

from coreloss.training import loop
from coreloss.training.export import MAX_BYTES, write_weights
from coreloss.training.loop import CHECKPOINT, TrainConfig, train
from coreloss.training.watch import finite_losses

CONFIG = short_training(blocks=4, batch_size=8)
STEPS = BLOCK // CONFIG.batch_size


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights of a run in which nothing went wrong."""
    folder = train(CONFIG, out_dir=tmp_path_factory.mktemp("whole"))
    return load_file(folder / "weights.safetensors")


def spoil(kind, network, loss):
    """The loss of a step after something in the network has ceased to be finite."""
    with torch.no_grad():
        if kind == "loss":
            return loss * math.nan
        if kind == "gradient":
            network.output.weight.grad[3, 5] = math.inf
        if kind == "weight":
            network.output.weight[3, 5] = math.nan
        if kind == "statistic":
            network.hidden[1].running_var[2] = math.inf
    return loss


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("loss", "loss is nan in step 3 of 4"),
        ("gradient", "norm of the gradient is (inf|nan) in step 3 of 4"),
        ("weight", "output.weight of the network is not finite"),
        ("statistic", "hidden.1.running_var of the network is not finite"),
    ],
)
def test_a_run_that_is_not_finite_stops_and_keeps_its_last_checkpoint(
    tmp_path, monkeypatch, kind, message, whole
):
    steps = {"n": 0}
    backward_pass = loop.backward_pass

    def once_wrong(network, batch, config):
        steps["n"] += 1
        loss = backward_pass(network, batch, config)
        late = steps["n"] == 2 * STEPS + (4 if kind == "weight" else 3)
        return spoil(kind, network, loss) if late else loss

    monkeypatch.setattr(loop, "backward_pass", once_wrong)
    with pytest.raises(ValueError, match=f"stopped after {2 * BLOCK} spectra: {message}") as error:
        train(CONFIG, out_dir=tmp_path)
    assert str(tmp_path / CHECKPOINT) in str(error.value)
    assert "\n" not in str(error.value)
    assert all(value.isfinite().all() for value in load_file(tmp_path / CHECKPOINT).values())
    assert not (tmp_path / "card.json").exists()

    monkeypatch.setattr(loop, "backward_pass", backward_pass)
    train(CONFIG, out_dir=tmp_path)
    continued = load_file(tmp_path / "weights.safetensors")
    assert continued.keys() == whole.keys()
    assert all(torch.equal(continued[name], whole[name]) for name in whole)


def test_a_learning_rate_beyond_all_reason_stops_the_run(tmp_path):
    config = TrainConfig(**vars(CONFIG) | {"learning_rate": 1e30, "warmup": 1})
    with pytest.raises(ValueError, match=r"no checkpoint yet.* learning_rate below 1e"):
        train(config, out_dir=tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_losses_are_read_as_they_are():
    losses = torch.tensor([0.1, 2.7]).unbind()
    assert finite_losses(losses, losses, torch.nn.BatchNorm1d(4)) == [x.item() for x in losses]


def test_half_precision_keeps_what_does_not_fit_into_it(tmp_path):
    large = torch.zeros(MAX_BYTES // 4 + 1)
    variance = torch.tensor([1.0, 1e6])
    write_weights({"weight": large, "variance": variance}, tmp_path / "weights.safetensors")
    stored = load_file(tmp_path / "weights.safetensors")
    assert stored["weight"].dtype == torch.float16
    assert torch.equal(stored["variance"], variance)
