"""Every architecture: shapes, gradients, heads, published sizes, and how it is built by name."""

import ast
from dataclasses import asdict
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

import coreloss.networks.architectures
from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENTS
from coreloss.networks.architectures import ARCHITECTURES, architecture_of, build, config_of
from coreloss.networks.ensemble import Ensemble
from coreloss.networks.front_end import FrontEnd, Windows
from coreloss.networks.heads import Head, scaled
from coreloss.networks.unet import Contrast, UNet, UNetConfig
from coreloss.simulation.sampling import generator_for

SMALL = {
    "mlp": {"width": 0.02},
    "cnn": {"width": 0.06},
    "unet": {"width": 0.25},
    "resnet": {"width": 0.06},
    "vit": {"width": 0.125, "layers": 2, "heads": 4},
    "cct": {"width": 0.125, "layers": 2, "heads": 4},
    "cnn_bilstm": {"width": 0.1},
    "edgenet": {"channels": 8, "dim": 16, "blocks": 1, "layers": 1},
    "edgenet_medium": {"width": 0.1, "blocks": 1, "layers": 1},
}
OURS = {"edgenet", "edgenet_medium"}
PUBLISHED_MILLIONS = {  # parameters counted in the published code of Annys et al. (2023)
    "mlp": 55.8,
    "cnn": 45.4,
    "unet": 19.8,
    "resnet": 40.8,
    "vit": 2.0,
    "cct": 5.2,
}
HEADS = [
    *((name, head) for name in ("unet", "resnet") for head in ("conv", "flatten", "average")),
    *(
        (name, head)
        for name in ("vit", "cct")
        for head in ("conv", "flatten", "average", "token", "sequence")
    ),
]


def small(name, *, seed=0, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config_of(name, **{**SMALL[name], **sizes}))


def batch(n, seed=0):
    """Spectra of mean 1 inside windows of several widths, (n, 3072), and their masks."""
    channel = torch.arange(N_CHANNELS)
    limits = torch.tensor([[100, 700], [60, 3000], [400, 900], [0, 3071]]).repeat(n, 1)[:n]
    mask = (channel >= limits[:, :1]) & (channel <= limits[:, 1:])
    spectrum = (0.5 + torch.rand(n, N_CHANNELS, generator=generator_for(seed, 0))) * mask
    return spectrum / (spectrum.sum(1, keepdim=True) / mask.sum(1, keepdim=True)), mask


def n_parameters(name, **sizes):
    with torch.device("meta"):
        return sum(p.numel() for p in build(config_of(name, **sizes)).parameters())


def assert_gradients_reach_every_parameter(network):
    network.train()(*batch(8)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-7, name


def assert_independent_of_batch(network):
    spectrum, mask = batch(4)
    with torch.inference_mode():
        together = network.eval()(spectrum, mask)
        alone = torch.cat([network(spectrum[i : i + 1], mask[i : i + 1]) for i in range(4)])
    assert together.shape == (4, len(ELEMENTS))
    assert together.dtype == torch.float32
    assert together.isfinite().all()
    assert together.std(0).max() > 1e-4  # the answer depends on the spectrum
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_answer_does_not_depend_on_the_batch(name):
    assert_independent_of_batch(small(name))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_reach_every_parameter(name):
    assert_gradients_reach_every_parameter(small(name))


@pytest.mark.parametrize(("name", "head"), HEADS)
def test_every_head_works(name, head):
    network = small(name, head=head)
    assert_independent_of_batch(network)
    assert_gradients_reach_every_parameter(network)


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - OURS))
def test_only_measured_channels_and_ratios_count(name):
    """What lies outside the window, and the scale of the spectrum, change nothing."""
    network = small(name).eval()
    spectrum, mask = batch(4)
    with torch.inference_mode():
        answer = network(spectrum, mask)
        other = network(torch.where(mask, 4 * spectrum, 7.0), mask)
        empty = network(torch.zeros_like(spectrum), mask)
    torch.testing.assert_close(answer, other)
    assert empty.isfinite().all()


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_logits_are_float32_under_autocast(name):
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = small(name).eval()(*batch(2))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_heads_do_what_their_names_say():
    x = torch.rand(2, 3, 5, generator=generator_for(0, 1))
    assert torch.equal(Head("flatten", 3, 5)(x), x.reshape(2, 15))
    assert torch.equal(Head("token", 3, 5)(x), x[..., 0])
    torch.testing.assert_close(Head("average", 3, 5)(x), x.sum(2) / 5)
    conv, sequence = Head("conv", 3, 5), Head("sequence", 3, 5)
    weight = torch.tensor([1.0, -2.0, 0.5])
    with torch.no_grad():
        for head in (conv, sequence):
            head.score.weight.copy_(weight[None, :, None])
    score = torch.einsum("c,bcn->bn", weight, x)
    torch.testing.assert_close(conv(x), score)
    wanted = torch.einsum("bn,bcn->bc", score.exp() / score.exp().sum(1, keepdim=True), x)
    torch.testing.assert_close(sequence(x), wanted)
    assert [Head(kind, 3, 5).n_features for kind in ("conv", "flatten", "average")] == [5, 15, 3]


@pytest.mark.parametrize(("name", "millions"), PUBLISHED_MILLIONS.items())
def test_sizes_are_the_published_ones(name, millions):
    assert n_parameters(name) == pytest.approx(1e6 * millions, rel=0.05)


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - OURS))
def test_parameters_grow_with_width(name):
    counts = [n_parameters(name, width=width) for width in (0.1, 0.25, 0.5, 1.0, 1.5)]
    assert all(a < b for a, b in pairwise(counts)), counts


def test_token_widths_stay_multiples_of_the_heads():
    for heads in (1, 3, 8, 16):
        assert scaled(128, 0.3, heads) % heads == 0
        assert n_parameters("vit", width=0.3, heads=heads, layers=1) > 0


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("mlp", {"width": 0}, r"width = 0 must lie in \(0, 4\]"),
        ("cnn", {"width": 9.0}, r"width = 9.0 must lie in"),
        ("cnn_bilstm", {"width": float("nan")}, "width = nan must lie in"),
        ("unet", {"dropout": 1.0}, r"dropout = 1.0 must lie in \[0, 1\)"),
        ("resnet", {"head": "token"}, "head = 'token' must be one of conv, flatten, average"),
        ("vit", {"head": "mean"}, "head = 'mean' must be one of conv, .*, sequence"),
        ("vit", {"heads": 0}, "heads = 0 must be a whole number from 1 to 64"),
        ("cct", {"layers": 2.5}, "layers = 2.5 must be a whole number from 1 to 64"),
        ("mlp", {"head": "conv"}, "mlp has no head; it has width, dropout"),
        ("vgg", {}, "architecture 'vgg' must be one of mlp, cnn, .*edgenet"),
    ],
)
def test_impossible_configurations_are_refused(name, sizes, message):
    with pytest.raises(ValueError, match=message):
        config_of(name, **sizes)


def test_an_unknown_configuration_is_refused():
    with pytest.raises(ValueError, match="configuration is a dict; it must be one of MLPConfig"):
        build({"width": 1.0})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_names_configurations_and_networks_belong_together(name):
    config = config_of(name, **SMALL[name])
    assert architecture_of(config) == name
    assert config_of(name, **asdict(config)) == config
    module, network_class, _ = ARCHITECTURES[name]
    with torch.device("meta"):
        network = build(config)
        default = getattr(import_module(module), network_class)()
    assert type(network) is getattr(import_module(module), network_class)
    assert network.config == config
    assert default.config == type(default.config)()
    assert isinstance(config_of(name), type(default.config))


def defines_network(path):
    """Does a module define a class whose forward takes what every network takes?"""
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    arguments = [[a.arg for a in f.args.args] for f in functions if f.name == "forward"]
    return ["self", "spectrum", "mask", "axis_error_ev"] in arguments


def test_every_network_has_a_name():
    folder = Path(coreloss.networks.architectures.__file__).parent
    networks = {path.stem for path in folder.glob("*.py") if defines_network(path)}
    assert networks - {"ensemble"} == {m.rsplit(".", 1)[1] for m, _, _ in ARCHITECTURES.values()}


class Fixed(nn.Module):
    """Answers the same logits whatever the spectrum."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.tensor([logits]))

    def forward(self, spectrum, mask, axis_error_ev=None):
        return self.logits.expand(len(spectrum), -1)


class Told(nn.Module):
    """Answers the stated error of the energies."""

    def forward(self, spectrum, mask, axis_error_ev=None):
        return axis_error_ev[:, None]


def test_an_ensemble_answers_the_mean_of_the_probabilities():
    members = [small("mlp", seed=seed) for seed in range(2)] + [small("cnn_bilstm")]
    ensemble = Ensemble(members).eval()
    spectrum, mask = batch(4)
    with torch.inference_mode():
        mean = torch.stack([member(spectrum, mask).sigmoid() for member in members]).mean(0)
        torch.testing.assert_close(ensemble(spectrum, mask).sigmoid(), mean)
    assert not members[0].training


def test_an_ensemble_tells_its_members_the_error_of_the_axis():
    ensemble, error_ev = Ensemble([Told(), Told()]), torch.tensor([0.5, 4.0])
    torch.testing.assert_close(ensemble(*batch(2), error_ev), error_ev[:, None])


def test_an_ensemble_is_exact_where_probabilities_round_to_0_or_1():
    ensemble = Ensemble([Fixed([50.0, -200.0, 0.0]), Fixed([50.0, -200.0, 90.0])])
    answer = ensemble(*batch(1))
    torch.testing.assert_close(answer, torch.tensor([[50.0, -200.0, 1.0986123]]))


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match="members is empty"):
        Ensemble([])


def test_the_contrast_front_end_puts_packed_channels_back_in_place():
    mask = torch.zeros(2, N_CHANNELS, dtype=torch.bool)
    mask[0, 100:700], mask[1, 0:3072] = True, True
    spectrum = (torch.rand(2, N_CHANNELS, generator=generator_for(0, 1)) + 0.5) * mask
    found = Contrast()(spectrum, mask)
    assert found.shape == (2, FrontEnd.n_channels, N_CHANNELS)
    assert found[0, :, ~mask[0]].abs().sum() == 0
    torch.testing.assert_close(found[:, 1], mask.float())  # the channel that is the mask
    windows = Windows.of(mask)
    packed, _ = FrontEnd()(spectrum, windows)
    own = (windows.row == 0) & windows.measured
    torch.testing.assert_close(found[0][:, mask[0]], packed[own].T)
    network = UNet(UNetConfig(width=0.0625, front="contrast")).eval()
    assert network(spectrum, mask).shape == (2, 80)
    with pytest.raises(ValueError, match="front"):
        UNetConfig(front="raw")
