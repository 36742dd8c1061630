"""The network sees what its design says: power laws vanish, anchors lie on the onsets."""

import pytest
import torch

from coreloss.axis import N_CHANNELS, energy_ev
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, observable_elements
from coreloss.networks import edgenet
from coreloss.networks.edgenet import EdgeNet, EdgeNetConfig, over_rows
from coreloss.networks.front_end import (
    BOXES_EV,
    MARGIN,
    FrontEnd,
    Windows,
    box_sums,
    noise_gain,
)
from coreloss.simulation.sampling import generator_for


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
    x = torch.rand(200, generator=generator_for(0, 0))
    for width, total in zip(BOXES_EV, box_sums(x), strict=True):
        assert total[50].item() == pytest.approx(x[50 : 50 + width].sum().item(), rel=1e-5)
        assert total[199].item() == pytest.approx(x[199].item(), rel=1e-6)


def test_windows_are_packed_with_empty_margins():
    masks = torch.cat([window(101, 700), window(0, 60), window(2500, 3071)])
    windows = Windows.of(masks)
    packed = windows.pack((energy_ev() + 1).expand(3, -1))
    for i, (lo, hi) in enumerate(((101, 700), (0, 60), (2500, 3071))):
        begin, length = int(windows.begin[i]), int(windows.length[i])
        assert begin % 2 == 0
        piece = packed[begin : begin + length]
        at = lo - int(windows.first[i])
        assert at >= MARGIN
        assert length - at - (hi - lo + 1) >= MARGIN
        torch.testing.assert_close(piece[at : at + hi - lo + 1], energy_ev()[lo : hi + 1] + 1)
        assert piece.count_nonzero() == hi - lo + 1
    assert int(windows.length.sum()) == len(packed)
    mean = windows.mean(packed - 1, windows.measured)
    torch.testing.assert_close(mean, torch.tensor([400.5, 30.0, 2785.5]))


def test_the_margin_is_wider_than_the_reach_of_the_stem(network):
    channels = torch.zeros(400, FrontEnd.n_channels)
    touched = channels.clone()
    touched[200] = 1.0
    with torch.inference_mode():
        difference = (network._features(touched) - network._features(channels)).abs().sum(1)
    reach = network.stride * difference.nonzero().flatten() - 200
    assert reach.abs().max() < MARGIN


@pytest.mark.parametrize("training", [True, False])
def test_convolution_over_rows_is_that_of_channels(training):
    convolution, norm = torch.nn.Conv1d(5, 7, 5, 2, padding=2, bias=False), torch.nn.BatchNorm1d(7)
    norm.running_mean.uniform_(-1, 1), norm.running_var.uniform_(0.5, 2)
    norm.weight.data.uniform_(0.5, 2), norm.bias.data.uniform_(-1, 1)
    norm.train(training)
    x = torch.randn(101, 5, generator=generator_for(0, 3))
    expected = norm(convolution(x.T[None]))[0].T
    torch.testing.assert_close(over_rows(x, convolution, norm), expected, rtol=1e-4, atol=1e-5)


def test_equal_windows_give_the_answers_of_mixed_ones(network):
    """Spectra of one window take a shorter way through the attention."""
    masks = window(400, 900, 3)
    spectrum = torch.rand(3, N_CHANNELS, generator=generator_for(0, 4)) + 1
    spectrum = normalised(spectrum, masks)
    mixed = torch.cat([masks, window(300, 1500)])
    more = torch.cat([spectrum, normalised(spectrum[:1] + 1, window(300, 1500))])
    with torch.inference_mode():
        together = network(more, mixed)[:3]
        torch.testing.assert_close(network(spectrum, masks), together, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gain", [1e-4, 1e-2])
def test_noise_gain_is_recovered(gain):
    mask = window(300, 1500, 4)
    mean = (energy_ev().clamp(min=1) / 600) ** -2.5
    noise = torch.randn(4, N_CHANNELS, generator=generator_for(0, 1))
    windows = Windows.of(mask)
    packed = windows.pack(mean + (gain * mean).sqrt() * noise)
    assert noise_gain(packed, windows).mean().item() == pytest.approx(gain, rel=0.15)


def test_a_power_law_has_no_contrast_and_an_edge_has():
    mask = window(300, 900)
    power_law = (energy_ev().clamp(min=1) / 300) ** -3.0
    step = power_law * (1 + 0.3 * (energy_ev() >= 532))
    index = 5 + 2 * BOXES_EV.index(16)
    windows = Windows.of(mask)
    flat, edge = (
        FrontEnd()(normalised(x[None], mask), windows)[0][:, index] for x in (power_law, step)
    )
    assert flat.abs().max() < 0.06
    assert windows.channel[edge.argmax()].item() in (531, 532, 533)
    assert edge.max() > 0.5


def test_anchors_follow_a_known_shift(network):
    """A feature at an onset is looked at by the token of that edge, at offset zero."""
    offsets = torch.tensor(network.config.offsets_ev)
    wanted = (network.onset_ev[:, None] + offsets) / network.stride
    assert (network.place - wanted).abs().max() <= 0.5


@pytest.mark.parametrize(("symbol", "onset_ev"), [("O", 532), ("Ti", 456), ("Fe", 708)])
def test_tokens_look_where_their_edge_is(symbol, onset_ev):
    """Features that are their own energy: the token of an edge reads onset + offsets."""
    network = EdgeNet().eval()
    masks = torch.cat([window(100, 700), window(301, 1200)])
    windows = Windows.of(masks)
    energy = windows.first.repeat_interleave(windows.length) + torch.arange(len(windows.row))
    energy = (energy - windows.begin.repeat_interleave(windows.length)).float()
    edges = (network.element == ELEMENT_INDEX[symbol]).nonzero().flatten()
    edge = edges[(network.onset_ev[edges] - onset_ev).abs().argmin()]
    features = torch.nn.functional.pad(energy, (MARGIN, MARGIN))[:: network.stride, None]
    with torch.inference_mode():
        around = network._around(
            features.expand(-1, network.config.channels),
            windows,
            *torch.stack([torch.tensor([0, 1]), edge.repeat(2)]),
        )
    looked = around.view(2, -1, network.config.channels)[..., 0]
    wanted = network.onset_ev[edge] + torch.tensor(network.config.offsets_ev)
    for row, (lo, hi) in enumerate(((100, 700), (301, 1200))):
        inside = (wanted >= lo) & (wanted <= hi)
        assert inside.sum() > 5
        assert (looked[row] - wanted)[inside].abs().max() <= 1


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


def test_groups_suit_the_device_and_change_no_answer(network, monkeypatch):
    assert edgenet.group_size(torch.device("cpu")) < edgenet.group_size(torch.device("cuda"))
    windows = [window(100 + 40 * k, 900 + 60 * k) for k in range(6)]
    mask = torch.cat(windows)
    counts = torch.rand(mask.shape, generator=generator_for(0, 5)) + 0.5
    answers = []
    for size in (2, 256):
        monkeypatch.setattr(edgenet, "group_size", lambda _, size=size: size)
        with torch.inference_mode():
            answers.append(network(normalised(counts, mask), mask))
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-4)


def test_a_window_without_any_edge_is_answered(network):
    mask = window(2990, 3005)
    with torch.inference_mode():
        logits = network(normalised(torch.ones(1, N_CHANNELS), mask), mask)
    assert torch.isfinite(logits).all()


def test_the_answer_follows_the_stated_error_of_the_axis(network):
    masks = torch.cat([window(100, 700), window(400, 900)])
    x = normalised(torch.rand(2, N_CHANNELS, generator=generator_for(0, 5)) + 0.5, masks)
    with torch.inference_mode():
        silent = network(x, masks)
        typical, good, bad, beyond = (
            network(x, masks, torch.full((2,), error_ev)) for error_ev in (1.5, 0.1, 20.0, 500.0)
        )
        mixed = network(x, masks, torch.tensor([0.1, 20.0]))
    torch.testing.assert_close(silent, typical)
    assert min((good - typical).abs().max(), (bad - typical).abs().max()) > 1e-3
    torch.testing.assert_close(bad, beyond)  # no further than it was trained
    torch.testing.assert_close(mixed, torch.stack([good[0], bad[1]]), rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_parameter():
    network = EdgeNet(EdgeNetConfig(channels=8, dim=16, blocks=1, layers=1)).train()
    mask = window(60, 3000, 2)
    x = normalised(torch.rand(2, N_CHANNELS, generator=generator_for(0, 4)) + 0.5, mask)
    network(x, mask, torch.tensor([0.5, 5.0])).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="blocks"):
        EdgeNetConfig(blocks=4)
    with pytest.raises(ValueError, match="dim"):
        EdgeNetConfig(dim=50, heads=4)
