"""After training, a network answers in evaluation mode as well as in training mode."""

from dataclasses import replace

import pytest
import torch

from coreloss.networks.architectures import ARCHITECTURES, config_of
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.network_input import normalise
from coreloss.training.loop import TrainConfig, backward_pass, new_state
from coreloss.training.losses import masked_bce

STEPS = 200
BATCH = {name: 8 for name in ARCHITECTURES} | {"resnet": 4}  # the slowest of them
TOLERANCE = 0.1
"""Of the loss: batch norm takes 64 spectra in training mode, and in evaluation the last ones."""
SMALL = {
    "mlp": {"width": 0.02, "dropout": 0.0},
    "cnn": {"width": 0.03, "dropout": 0.0},
    "unet": {"width": 0.03, "dropout": 0.0},
    "resnet": {"width": 0.03},
    "vit": {"width": 0.125, "heads": 2, "layers": 1, "dropout": 0.0},
    "cct": {"width": 0.03, "heads": 2, "layers": 1, "dropout": 0.0},
    "cnn_bilstm": {"width": 0.06, "dropout": 0.0},
    "edgenet": {"channels": 4, "dim": 8, "blocks": 1, "layers": 1},
    "edgenet_medium": {"width": 0.05, "blocks": 1, "layers": 1},
}


@pytest.fixture(scope="module")
def spectra():
    """Simulated spectra, one of them with a single channel above zero that is tiny."""
    block = Simulator.of_split("train").block(0)[slice(0, 128)]
    counts, row = block.counts.clone(), 100
    channel = int(block.mask[row].nonzero()[0])
    counts[row] = -(block.counts[row].abs() + 1) * block.mask[row]
    counts[row, channel] = 1e-20
    return replace(block, counts=counts)


def loss_of(network, batch) -> float:
    """Loss in the mode that the network is in; running statistics stay as they are."""
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        logits = network(normalise(batch.counts, batch.mask), batch.mask, batch.axis_error_ev)
    network.load_state_dict(kept)
    return masked_bce(logits, batch).item()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_evaluation_mode_scores_as_training_mode(name, spectra):
    n, model = BATCH[name], config_of(name, **SMALL[name])
    config = TrainConfig(model=model, batch_size=n, learning_rate=3e-3, bf16=False)
    state, shown = new_state(config), spectra[slice(0, 64)]
    network = state.model.train()
    before = loss_of(network, shown)
    for step in range(STEPS):
        first = step * n % len(spectra)
        state.optimiser.zero_grad()
        backward_pass(network, spectra[slice(first, first + n)], config)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        state.optimiser.step()
    trained = loss_of(network, shown)
    evaluated = loss_of(network.eval(), shown)
    assert trained < 0.9 * before
    assert evaluated == pytest.approx(trained, rel=TOLERANCE)
