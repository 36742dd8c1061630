"""What a network reads is finite and bounded, whatever was measured or made of it."""

import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.networks.architectures import build, config_of
from coreloss.networks.front_end import FrontEnd, Windows
from coreloss.networks.heads import paper_input
from coreloss.networks.unet import Contrast
from coreloss.simulation.sampling import generator_for
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.network_input import LARGEST_INPUT, normalise

ROUNDING = 1 + 1e-5
EDGE_BOUND = ROUNDING * np.sqrt(N_CHANNELS)  # one channel unlike all others, in its own spread
SCALES = (1e-45, 1e-38, 1e-30, 1e-6, 1.0, 1e6, 1e30, 1e38)
TOPS = (0.0, 1e-30, 1e-6, 0.1, 0.9, 1.1)


def shapes() -> torch.Tensor:
    """Spectra of largest size about 1: noisy, negative, subtracted, empty, and with one channel.

    In the last ones the highest channel is small beside negative ones, (n, 3072).
    """
    noise = 0.1 + 0.9 * torch.rand(N_CHANNELS, generator=generator_for(0, 2))
    spike = torch.zeros(N_CHANNELS)
    spike[700] = 1.0
    pair = spike - 0.9999 * spike.roll(1)
    subtracted = noise - noise.mean()
    plain = [noise, -noise, subtracted, 0 * noise, spike, -spike, pair, spike - 1e-3 * noise]
    tops = [torch.where(spike > 0, top, -noise) for top in TOPS]
    return torch.stack([*plain, *tops])


def masks() -> torch.Tensor:
    """The whole axis, a window, two channels, one, a window with a hole, none: (6, 3072)."""
    mask = torch.zeros(6, N_CHANNELS, dtype=torch.bool)
    mask[0], mask[1, 600:900], mask[2, 700:702], mask[3, 700] = True, True, True, True
    mask[4, 300:1200], mask[4, 650:720] = True, False
    return mask


@pytest.fixture(scope="module")
def everything() -> tuple[torch.Tensor, torch.Tensor]:
    """Every shape at every scale under every mask, with values outside the mask left in."""
    scaled = torch.cat([shapes().double() * scale for scale in SCALES]).float()
    mask = masks()
    return scaled.repeat_interleave(len(mask), 0), mask.repeat(len(scaled), 1)


def assert_bounded(x: torch.Tensor, bound: float) -> None:
    assert x.isfinite().all()
    assert x.abs().max() <= bound


def test_a_normalised_spectrum_is_bounded(everything):
    spectrum, mask = everything
    x = normalise(spectrum, mask)
    assert_bounded(x, ROUNDING * LARGEST_INPUT)
    assert not x[~mask].any()


@pytest.mark.parametrize("normalised", [True, False])
def test_the_input_of_the_published_networks_is_bounded(everything, normalised):
    spectrum, mask = everything
    x = paper_input(normalise(spectrum, mask) if normalised else spectrum, mask).squeeze(1)
    assert_bounded(x, ROUNDING)
    assert not x[~mask].any()


@pytest.mark.parametrize("normalised", [True, False])
def test_the_channels_of_edgenet_are_bounded(everything, normalised):
    spectrum, mask = everything
    x = normalise(spectrum, mask) if normalised else spectrum
    channels, gain = FrontEnd()(x, Windows.of(mask))
    assert_bounded(channels, EDGE_BOUND)
    assert_bounded(gain.log(), 30.0)
    assert_bounded(Contrast()(x[::40], mask[::40]), EDGE_BOUND)


def test_the_published_definition_holds_wherever_it_can():
    spectrum = torch.tensor([[8.0, 1.0, 2.0, -1.0], [3.0, -2.0, -4.0, 1.0], [3.0, -2.0, -4.0, 0.1]])
    mask = torch.tensor([[False, True, True, True]]).repeat(3, 1)
    x = paper_input(spectrum.double(), mask)
    assert x.dtype == torch.float32
    wanted = [[0.0, 0.5, 1.0, -0.5], [0.0, -0.5, -1.0, 0.25], [0.0, -0.5, -1.0, 0.025]]
    torch.testing.assert_close(x, torch.tensor(wanted)[:, None])


def test_inputs_of_simulated_spectra_with_subtracted_background_are_bounded():
    settings = SimulationSettings(subtracted_probability=1.0)
    block = Simulator.of_split("test", settings=settings).block(0)
    assert block.processed.float().mean() > 0.8
    x = normalise(block.counts, block.mask)
    assert_bounded(paper_input(x, block.mask), ROUNDING)
    assert_bounded(FrontEnd()(x, Windows.of(block.mask))[0], EDGE_BOUND)


def test_no_few_spectra_hold_the_statistics_of_a_batch():
    batch = Simulator.of_split("train").batch(0, 4096)
    x = paper_input(normalise(batch.counts, batch.mask), batch.mask)
    squares = x.square().sum((1, 2)).sort(descending=True).values
    assert squares[: len(squares) // 100].sum() < 0.1 * squares.sum()


@pytest.mark.parametrize("name", ["unet", "edgenet"])
def test_answers_are_finite_for_every_input(everything, name):
    spectrum, mask = (part[::37] for part in everything)
    small = {"unet": {"width": 0.0625}, "edgenet": {"channels": 8, "dim": 16, "layers": 1}}
    network = build(config_of(name, **small[name])).eval()
    with torch.inference_mode():
        assert network(normalise(spectrum, mask), mask).isfinite().all()
