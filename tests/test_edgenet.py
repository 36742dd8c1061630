"""The network sees what its design says: power laws vanish, anchors lie on the onsets."""

import pytest
import torch

from coreloss.axis import N_CHANNELS, energy_ev
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, observable_elements
from coreloss.models.edgenet import (
    BOXES_EV,
    EdgeNet,
    EdgeNetConfig,
    FrontEnd,
    box_sums,
    noise_gain,
)
from coreloss.sampling import generator_for


def window(lo, hi, n=1):
    mask = torch.zeros(n, N_CHANNELS, dtype=torch.bool)
    mask[:, lo : hi + 1] = True
    return mask


def normalised(counts, mask):
    counts = counts * mask
    return counts / (counts.sum(1, keepdim=True) / mask.sum(1, keepdim=True))


@pytest.fixture(scope="module")
def network():
    return EdgeNet().eval()


def test_box_sums_are_sums_of_boxes():
    x = torch.rand(3, 200, generator=generator_for(0, 0))
    for width, total in zip(BOXES_EV, box_sums(x), strict=True):
        assert total[1, 50].item() == pytest.approx(x[1, 50 : 50 + width].sum().item(), rel=1e-5)
        assert total[2, 199].item() == pytest.approx(x[2, 199].item(), rel=1e-6)


@pytest.mark.parametrize("gain", [1e-4, 1e-2])
def test_noise_gain_is_recovered(gain):
    mask = window(300, 1500, 4)
    mean = (energy_ev().clamp(min=1) / 600) ** -2.5
    noise = torch.randn(4, N_CHANNELS, generator=generator_for(0, 1))
    spectrum = (mean + (gain * mean).sqrt() * noise) * mask
    assert noise_gain(spectrum, mask).mean().item() == pytest.approx(gain, rel=0.15)


def test_a_power_law_has_no_contrast_and_an_edge_has():
    mask = window(300, 900)
    power_law = (energy_ev().clamp(min=1) / 300) ** -3.0
    step = power_law * (1 + 0.3 * (energy_ev() >= 532))
    index = 5 + 2 * BOXES_EV.index(16)
    flat, edge = (FrontEnd()(normalised(x[None], mask), mask)[0, index] for x in (power_law, step))
    assert flat.abs().max() < 0.06
    assert edge.argmax().item() in (531, 532, 533)
    assert edge.max() > 0.5


def test_anchors_follow_a_known_shift(network):
    """A feature at an onset is looked at by the token of that edge, at offset zero."""
    offsets = torch.tensor(network.config.offsets_ev)
    zero = int((offsets == 0).nonzero())
    expected = network.onset_ev / network.stride
    inside = network.onset_ev < N_CHANNELS - 200
    difference = (network.position[:, zero] - expected)[inside]
    assert difference.abs().max() <= 0.5
    spacing = (network.position[:, 1:] - network.position[:, :-1])[
        inside & (network.onset_ev > 200)
    ]
    wanted = (offsets[1:] - offsets[:-1]) / network.stride
    assert (spacing - wanted).abs().max() <= 1


def test_only_elements_with_an_edge_in_the_window_get_evidence(network):
    mask = window(400, 700)
    spectrum = normalised(torch.rand(1, N_CHANNELS, generator=generator_for(0, 2)) + 1, mask)
    with torch.inference_mode():
        logits = network(spectrum, mask)[0]
    assert logits.shape == (len(ELEMENTS),)
    silent = [symbol for symbol in ("B", "Si", "Al", "Be") if symbol in ELEMENTS]
    for symbol in silent:
        index = ELEMENT_INDEX[symbol]
        assert logits[index].item() == pytest.approx(network.bias[index].item())
    assert observable_elements(400.0, 700.0)[ELEMENT_INDEX["O"]]
    assert logits[ELEMENT_INDEX["O"]] != network.bias[ELEMENT_INDEX["O"]]


def test_the_answer_does_not_depend_on_the_batch(network):
    masks = torch.cat([window(100, 700), window(400, 900), window(60, 3000), window(1200, 2200)])
    x = normalised(torch.rand(4, N_CHANNELS, generator=generator_for(0, 3)) + 0.5, masks)
    with torch.inference_mode():
        together = network(x, masks)
        alone = torch.cat([network(x[i : i + 1], masks[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_a_window_without_any_edge_is_answered(network):
    mask = window(2990, 3005)
    with torch.inference_mode():
        logits = network(normalised(torch.ones(1, N_CHANNELS), mask), mask)
    assert torch.isfinite(logits).all()


def test_gradients_reach_every_parameter():
    network = EdgeNet(EdgeNetConfig(channels=8, dim=16, blocks=1, layers=1)).train()
    mask = window(60, 3000, 2)
    x = normalised(torch.rand(2, N_CHANNELS, generator=generator_for(0, 4)) + 0.5, mask)
    network(x, mask).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="dim"):
        EdgeNetConfig(dim=50, heads=4)
