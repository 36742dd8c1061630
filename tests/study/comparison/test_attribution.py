"""Integrated gradients: exact for linear networks, complete and in the right place for others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.datasets.published_streams import bare_source
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.trained_model import load_model
from coreloss.materials.split import query_table
from coreloss.materials.table import make_materials
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.network_input import normalise
from coreloss.study.comparison import attribution as at

ENERGY_EV = np.arange(N_CHANNELS)
O_K_EV = 532.0


class Linear(torch.nn.Module):
    """Logits w x, each element with its own weights."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(len(ELEMENTS), N_CHANNELS, generator=generator)

    def forward(self, spectrum, mask):
        return spectrum @ self.weight.T


class Cubed(Linear):
    def forward(self, spectrum, mask):
        return super().forward(spectrum**3, mask)


def window(lo=400, hi=800):
    mask = torch.zeros(N_CHANNELS, dtype=torch.bool)
    mask[lo : hi + 1] = True
    return mask


def noisy_edge(mask, *, at_ev=532, height=0.5, noise=0.01):
    energy = np.maximum(ENERGY_EV, 1)
    counts = (energy / 500.0) ** -3.0 * (1 + height * (energy > at_ev))
    counts += noise * np.sqrt(counts) * np.random.default_rng(0).standard_normal(N_CHANNELS)
    return normalise(torch.from_numpy(counts)[None], mask[None])[0]


@pytest.mark.parametrize("steps", [1, 2, 32])
def test_linear_networks_give_weight_times_difference(steps):
    network, mask = Linear(), window()
    x = noisy_edge(mask).double()
    network.weight = network.weight.double()
    found = at.attribution(network, x, mask, "O", steps=steps)
    difference = (x - at.edgeless(x, mask)) * mask
    expected = network.weight[ELEMENT_INDEX["O"]] * difference
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert at.completeness(network, x, mask, "O", found).error < 1e-9


def test_cubes_give_their_integral():
    network, mask = Cubed(), window()
    x = noisy_edge(mask)
    found = at.attribution(network, x, mask, "O", steps=200)
    expected = network.weight[ELEMENT_INDEX["O"]] * (x**3 - at.edgeless(x, mask) ** 3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_part_of_an_attribution_is_not_complete():
    network, mask = Linear(), window()
    x = noisy_edge(mask)
    found = at.attribution(network, x, mask, "O")
    halved = at.completeness(network, x, mask, "O", found / 2)
    assert halved.error == pytest.approx(0.5, abs=1e-3)


def test_nothing_outside_the_window_counts():
    class DividesByZero(Linear):
        def forward(self, spectrum, mask):
            return super().forward((spectrum * mask).abs().sqrt(), mask)

    mask = window()
    found = at.attribution(DividesByZero(), noisy_edge(mask), mask, "O")
    assert np.isfinite(found).all()
    assert (found[~mask.numpy()] == 0).all()
    assert np.abs(found[mask.numpy()]).sum() > 0


def test_the_baseline_is_a_power_law_through_both_ends():
    mask = window()
    line = at.edgeless(noisy_edge(mask, noise=0.0).double(), mask)
    inside = mask.numpy()
    log_energy, log_line = np.log(ENERGY_EV[inside]), np.log(line.numpy()[inside])
    straight = np.polynomial.Polynomial.fit(log_energy, log_line, 1)(log_energy)
    np.testing.assert_allclose(log_line, straight, atol=0.02)
    assert (line.numpy()[~inside] == 0).all()
    x = noisy_edge(mask, noise=0.0).numpy()[inside]
    np.testing.assert_allclose(line.numpy()[inside][[0, -1]], x[[0, -1]], rtol=0.1)


@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_the_baseline_is_as_noisy_as_the_spectrum(noise):
    mask = window()
    inside = mask.numpy()
    x = noisy_edge(mask, noise=noise)
    both = (part.numpy()[inside] for part in (x, at.edgeless(x, mask)))
    sizes = [np.median(np.abs(np.diff(y, 2)) / np.sqrt(y[1:-1])) for y in both]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_the_baseline_of_a_spectrum_without_background_is_finite():
    mask = window()
    x = noisy_edge(mask) - 1.5 * mask
    assert torch.isfinite(at.edgeless(x, mask)).all()
    assert torch.equal(at.edgeless(x, mask), at.edgeless(x, mask))
    assert not torch.equal(at.edgeless(x, mask), at.edgeless(x, mask, seed=1))


def test_shares_near_an_onset():
    mask = window(400, 799).numpy()
    attribution = np.zeros(N_CHANNELS)
    attribution[[530, 560, 700]] = 2.0, -1.0, 1.0
    near = at.share_near_onset(attribution, mask, onset_ev=O_K_EV)
    assert near == at.NearOnset(0.75, 61 / 400, 0.5)
    both = at.share_near_onset(attribution, mask, onset_ev=(O_K_EV, 690.0))
    assert (both.share, both.uniform) == (1.0, 122 / 400)
    even = at.share_near_onset(mask.astype(float), mask, onset_ev=O_K_EV)
    assert even.share == even.uniform == even.net
    assert at.share_near_onset(np.zeros(N_CHANNELS), mask, onset_ev=O_K_EV).share == 0


def test_onsets_inside_the_window():
    assert at.onsets_inside("O", window()) == (532.0,)
    assert at.onsets_inside("O", window(525, 800)) == ()
    assert at.onsets_inside("La", window(50, 2000)) == (99.0, 832.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"element": "Xx"}, "symbols from Be to Bi"),
        ({"steps": 0}, "at least 1"),
        ({"spectrum": torch.zeros(2, N_CHANNELS)}, "one spectrum"),
        ({"mask": torch.zeros(N_CHANNELS)}, "mask has 0 channels"),
    ],
)
def test_bad_input_is_refused(change, message):
    mask = window()
    given = {"network": Linear(), "spectrum": noisy_edge(mask), "mask": mask, "element": "O"}
    with pytest.raises(ValueError, match=message):
        at.attribution(**given | change)


# -- the shipped network --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    return load_model("edgenet-small").network


def clean(**changes):
    settings = {"jump_ratio": (0.3, 1.0), "mean_counts": (3e3, 3e4)} | changes
    return replace(SimulationSettings.paper(), **settings)


@pytest.fixture(scope="module")
def oxides():
    """Clean spectra around the O K edge of oxides without an edge close to it."""
    oxide = make_materials(
        ((f"{e}O", f"{e}1 O1", "oxide") for e in ("Be", "Mg", "Ca", "Zn")), source="oxides"
    )
    queries = query_table(oxide, np.arange(len(oxide)))
    only_oxygen = replace(
        queries,
        offsets=len(queries.rows_of("O")) * (np.arange(len(ELEMENTS) + 1) > ELEMENT_INDEX["O"]),
        rows=queries.rows_of("O"),
    )
    settings = clean(window_width_ev=(250.0, 500.0), wide_window_probability=0.0)
    batch = Simulator(oxide, only_oxygen, settings=settings, seed=3, block_size=8).block(0)
    return normalise(batch.counts, batch.mask), batch.mask


def test_attributions_of_oxygen_peak_at_its_edge(network, oxides):
    distance, near = [], []
    for x, mask in zip(*oxides, strict=True):
        found = at.attribution(network, x, mask, "O")
        distance.append(abs(np.argmax(found) - O_K_EV))
        near.append(at.share_near_onset(found, mask, onset_ev=O_K_EV))
    assert np.median(distance) < 15
    share, uniform, net = np.mean(near, axis=0)
    assert share > 1.5 * uniform
    assert net > 0.4  # edges may lie several eV from their tabulated onset


def test_attributions_of_the_shipped_network_are_complete(network, oxides):
    found = [
        at.completeness(network, x, mask, "O", at.attribution(network, x, mask, "O"))
        for x, mask in zip(*oxides, strict=True)
    ]
    assert all(one.logit_difference > 3 for one in found)
    assert np.median([one.error for one in found]) < 0.02
    assert max(one.error for one in found) < 0.06


def test_the_baseline_shows_no_element(network):
    source = bare_source(clean(), block_size=2)
    batch = [source.stream(e, seed=1).batch(0, 2) for e in ("C", "N", "O", "Si", "Fe", "La")]
    x, mask = (torch.cat([getattr(b, name) for b in batch]) for name in ("counts", "mask"))
    x = normalise(x, mask)
    own = torch.tensor([ELEMENT_INDEX[e] for e in ("C", "N", "O", "Si", "Fe", "La")])
    own, rows = own.repeat_interleave(2), torch.arange(12)
    without = torch.stack([at.edgeless(*pair) for pair in zip(x, mask, strict=True)])
    with torch.inference_mode():
        before, after = (torch.sigmoid(network(y, mask))[rows, own] for y in (without, x))
    assert after.median() > 0.9
    assert before.median() < 0.1
