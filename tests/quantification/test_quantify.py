"""Amounts against truths that are put together here, from the exact cross-sections in numpy."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from coreloss.beam import Beam
from coreloss.edges import edge_shells
from coreloss.physics.cross_section import dsigma_de
from coreloss.physics.gos_table import read_gosh
from coreloss.quantification.fit import BARN_PER_NM2
from coreloss.quantification.low_loss import estimated_low_loss, measured_low_loss
from coreloss.quantification.near_edge import Structure, with_structures
from coreloss.quantification.plan import channel_noise, make_plan
from coreloss.quantification.quantify import apply_plan, quantify
from coreloss.spectra.spectrum import Spectrum

BEAM = Beam(energy_kev=300.0, convergence_mrad=20.0, collection_mrad=50.0)
INSTRUMENT = {
    "beam_energy_kev": BEAM.energy_kev,
    "convergence_mrad": BEAM.convergence_mrad,
    "collection_mrad": BEAM.collection_mrad,
}
ENERGY = np.arange(380.0, 800.0)
LOSS = np.arange(-20.0, 181.0)
ELEMENTS = ("Ti", "O")


def edge(element: str, structure=lambda excess: 1.0 + 0 * excess) -> np.ndarray:
    """dsigma/dE in barn/eV on 0..999 eV, mean over each channel, all shells from 380 eV on."""
    fine = np.arange(-0.5 + 1 / 16, 999.5, 1 / 8)
    total = np.zeros_like(fine)
    for shell in edge_shells():
        if shell.element == element and 380 < shell.onset_ev < 800:
            table = read_gosh()[shell.element, shell.shell]
            values = dsigma_de(
                table, fine, beam=BEAM, offsets_ev=shell.offsets_ev, ratios=shell.ratios
            ).numpy()
            total += values * structure(fine - shell.onset_ev)
    return total.reshape(-1, 8).mean(1)


def low_loss(thickness: float) -> np.ndarray:
    """Zero loss and Poisson-weighted plasmons of 20 eV, area 1, on -20..180 eV."""
    single = np.zeros(512)
    e = np.arange(1, 160.0)
    single[1:160] = e / ((e**2 - 400) ** 2 + (8 * e) ** 2)
    single /= single.sum()
    order, total = np.zeros(512), np.zeros(512)
    order[0] = 1.0
    for n in range(12):
        total += order * np.exp(-thickness) * thickness**n / max(np.prod(range(1, n + 1)), 1)
        order = np.convolve(order, single)[:512]
    zero_loss = np.exp(-4 * np.log(2) * (np.arange(-6, 7) / 1.5) ** 2)
    spread = np.convolve(np.pad(total, (20, 0)), zero_loss / zero_loss.sum(), "same")[:201]
    return spread / spread.sum()


@dataclass
class Truth:
    core: Spectrum
    low: Spectrum
    amount: np.ndarray


def sample(
    n: int,
    *,
    thickness=0.5,
    electrons: float = 3e7,
    noise: bool = True,
    structure=lambda excess: 1.0 + 0 * excess,
    seed: int = 0,
) -> Truth:
    """Spectra of 3..60 Ti and 9..180 O atoms/nm^2 over a power law that no exponent fits."""
    rng = np.random.default_rng(seed)
    amount = rng.uniform(0.05, 1, (n, 2)) * [60, 180]
    sharp = np.stack([edge(e, structure) for e in ELEMENTS])
    thick = np.broadcast_to(thickness, n)
    core, low = np.empty((n, len(ENERGY))), np.empty((n, len(LOSS)))
    kernels = {t: low_loss(t) for t in np.unique(thick)}
    columns = {
        t: np.stack([np.convolve(s, k)[20 : 20 + 1000][380:800] for s in sharp])
        for t, k in kernels.items()
    }
    for i, t in enumerate(thick):
        low[i] = electrons * kernels[t]
        background = 25 * electrons / BARN_PER_NM2 * amount[i].sum() * (ENERGY / 456) ** -3.3
        core[i] = background + electrons / BARN_PER_NM2 * amount[i] @ columns[t]
    core = rng.poisson(core).astype(float) if noise else core
    return Truth(Spectrum(ENERGY, core, **INSTRUMENT), Spectrum(LOSS, low), amount)


def at_rest(truth: Truth, **options):
    still = {"shifts_ev": {"Ti": 0.0, "O": 0.0}, "fine_structure": "none", "outer_elements": ()}
    options = still | options
    return quantify(truth.core, low_loss=truth.low, elements=ELEMENTS, **options)


def test_amounts_without_noise_are_areal_densities():
    truth = sample(20, noise=False)
    found = at_rest(truth)
    assert found.absolute
    np.testing.assert_allclose(found.amount, truth.amount, rtol=0.02, atol=0.7)


def test_error_bars_cover_the_truth():
    truth = sample(1500, noise=True, seed=1)
    found = at_rest(truth)
    z = (found.amount - truth.amount) / found.error
    share = (np.abs(z) < 1).mean(0)
    assert np.all(np.abs(share - 0.683) < 0.05), share
    assert np.all(np.abs(z.mean(0)) < 0.3)  # bounds at zero push a little
    assert np.median(found.goodness) == pytest.approx(1, abs=0.1)
    true_share = truth.amount / truth.amount.sum(1, keepdims=True)
    share = (np.abs(found.fraction - true_share) < found.fraction_error).mean(0)
    assert np.all(np.abs(share - 0.683) < 0.05), share
    ratio, error = found.ratio("O", "Ti")
    some = truth.amount[:, 0] > 20
    inside = np.abs(ratio - truth.amount[:, 1] / truth.amount[:, 0]) < error
    assert inside[some].mean() == pytest.approx(0.683, abs=0.05)


def test_each_pixel_is_fitted_with_its_own_low_loss():
    thickness = np.tile([0.1, 1.2], 15)
    truth = sample(30, thickness=thickness, noise=False)
    own = at_rest(truth).amount / truth.amount
    assert np.abs(own - 1).max() < 0.1
    mean = measured_low_loss(truth.low).mean()
    common = at_rest(Truth(truth.core, mean, truth.amount)).amount / truth.amount
    assert np.abs(np.median(common, 0) - np.median(own, 0)).max() > 0.03 or np.ptp(common) > 0.2


def test_exposures_may_differ():
    truth = sample(5, noise=False)
    shorter = Spectrum(LOSS, truth.low.counts / 100)
    found = at_rest(Truth(truth.core, shorter, truth.amount), exposure_ratio=100.0)
    np.testing.assert_allclose(found.amount, at_rest(truth).amount, rtol=1e-9)


def lines(excess):
    """Strong lines on the first 12 eV: more than the continuum there."""
    return 1 + 4 * np.exp(-(((excess - 5) / 3) ** 2))


def rearranged(excess):
    """A peak, and later as much less: the strength of the first 40 eV is the continuum's."""
    return 1 + np.where((excess > 0) & (excess < 40), 0.6 * np.sin(2 * np.pi * excess / 40), 0)


def test_white_lines_do_not_count_as_atoms():
    truth = sample(40, noise=False, structure=lines)
    biased = at_rest(truth).amount / truth.amount
    free = at_rest(truth, fine_structure="free").amount / truth.amount
    assert np.median(biased[:, 0]) > 1.2
    assert np.abs(np.median(free, 0) - 1).max() < 0.05


def test_equalised_near_edge_structure_keeps_its_strength_and_is_more_precise():
    truth = sample(300, structure=rearranged, seed=2)
    free, equal = (at_rest(truth, fine_structure=mode) for mode in ("free", "equalised"))
    some = truth.amount[:, 1] > 60
    o = [(found.amount / truth.amount)[some, 1] for found in (free, equal)]
    assert np.abs(np.median(o[1]) - 1) < 0.05
    assert np.median(equal.error[:, 1]) < np.median(free.error[:, 1])


def test_shifted_edges_are_found():
    truth = sample(40, electrons=3e9, seed=3)
    moved = Spectrum(ENERGY + 4.0, truth.core.counts, **INSTRUMENT)
    found = at_rest(Truth(moved, truth.low, truth.amount), shifts_ev=None, fine_structure="free")
    assert all(abs(shift - 4) <= 2 for shift in found.plan.model.shifts_ev.values())
    assert np.abs(found.amount.sum(0) / truth.amount.sum(0) - 1).max() < 0.04


def test_edges_are_not_moved_out_of_the_window():
    truth = sample(60, noise=False)
    moved = truth.core.sum().shift(-6.0)
    found = quantify(moved, elements=(*ELEMENTS, "N"), window_ev=(399.0, 790.0))
    assert found.plan.model.shifts_ev["O"] == pytest.approx(-6.0, abs=1.5)
    assert 402 + found.plan.model.shifts_ev["N"] > 399


def test_answers_do_not_depend_on_the_other_pixels():
    truth = sample(600)
    low = measured_low_loss(truth.low)
    plan = make_plan(truth.core.sum(), truth.core, elements=ELEMENTS, low_loss=low)
    every = apply_plan(plan, truth.core, low_loss=low)
    part = Spectrum(ENERGY, truth.core.counts[500:510])
    few = apply_plan(plan, part, low_loss=low[500:510])
    np.testing.assert_allclose(few.amount, every.amount[500:510], rtol=1e-8)


def test_without_low_loss_amounts_are_relative_and_the_thickness_is_a_guess():
    truth = sample(60, thickness=0.6, seed=4)
    found = quantify(truth.core.sum(), elements=ELEMENTS, fine_structure="none")
    assert not found.absolute
    assert any("no low loss" in note for note in found.warnings)
    ratio, _ = found.ratio("O", "Ti")
    expected = truth.amount[:, 1].sum() / truth.amount[:, 0].sum()
    assert ratio[0] == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("thickness", [0.2, 0.6, 1.0])
def test_errors_hold_what_an_estimated_thickness_is_off_by(thickness):
    truth = sample(60, thickness=thickness, seed=4)
    total, options = truth.core.sum(), {"elements": ELEMENTS, "fine_structure": "none"}
    expected = truth.amount[:, 1].sum() / truth.amount[:, 0].sum()
    known = quantify(total, low_loss=truth.low.sum(), **options)
    ratio, error = quantify(total, **options).ratio("O", "Ti")
    assert error[0] > 1.5 * known.ratio("O", "Ti")[1][0]
    assert abs(ratio[0] - expected) < 2 * error[0]


def test_channel_noise_of_a_camera():
    rng = np.random.default_rng(0)
    mean = np.linspace(2000, 100, 400)
    counts = 3.0 * rng.poisson(mean / 3.0, (200, 400)) + rng.normal(0, 20, (200, 400))
    constant, per_count = channel_noise(counts)
    assert per_count == pytest.approx(3.0, rel=0.1)
    assert constant == pytest.approx(400, rel=0.3)


def test_estimated_low_loss_has_its_thickness():
    found = estimated_low_loss(0.7)
    zero_loss = found.probability[0, 10:28].sum()
    assert float(-torch.log(zero_loss)) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elements": ()}, "elements"),
        ({"elements": ("Xx",)}, "Xx"),
        ({"elements": ("O", "Sr")}, "Sr: no edge between 380 and 799 eV"),
        ({"window_ev": (700.0, 400.0)}, "start must be below"),
        ({"window_ev": (500.0, 540.0)}, "O: no edge|35 channels"),
        ({"fine_structure": "splines"}, "splines.*free, equalised, none"),
        ({"low_loss": Spectrum(ENERGY, np.ones((1, len(ENERGY))))}, "zero-loss"),
        ({"exposure_ratio": 0.0}, "exposure ratio is 0"),
        ({"beam": replace(BEAM, energy_kev=500.0)}, "beam energy"),
    ],
)
def test_bad_input_is_told(change, message):
    truth = sample(2, noise=False)
    options = {"low_loss": truth.low, "elements": ELEMENTS} | change
    with pytest.raises(ValueError, match=message):
        quantify(truth.core, **options)


def test_number_of_low_losses_must_fit():
    truth = sample(4, noise=False)
    low = measured_low_loss(truth.low)
    plan = make_plan(truth.core.sum(), truth.core, elements=ELEMENTS, low_loss=low)
    with pytest.raises(ValueError, match="4 low losses for 2 spectra"):
        apply_plan(plan, Spectrum(ENERGY, truth.core.counts[:2]), low_loss=low)


def test_low_loss_per_pixel_centres_every_zero_loss_peak():
    peaks = np.stack([1e6 * np.exp(-4 * np.log(2) * ((LOSS - d) / 1.5) ** 2) for d in (-2.0, 3.0)])
    found = measured_low_loss(Spectrum(LOSS, peaks + 1.0))
    assert found.probability.argmax(1).tolist() == [20, 20]


def test_structure_that_takes_an_edge_away_leaves_the_model_finite():
    total = sample(60, seed=4).core.sum()
    options = {"elements": ELEMENTS, "low_loss": estimated_low_loss(0.5), "fine_structure": "none"}
    model = make_plan(total, total, **options).model
    gone = Structure(-2 * model.sharp[1], model.sharp[1] > 0)
    found = with_structures(model, {"O": gone}, "equalised")
    assert torch.isfinite(found.sharp).all()
    assert len(found.sharp) == len(model.sharp)
