"""The stream of simulated spectra: reproducible, labelled as it says, physical."""

import hashlib

import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, edge_shells, observable_elements
from coreloss.materials import load_materials, query_table, split_materials
from coreloss.sampling import chance, generator_for, log_uniform, normal, pick, uniform
from coreloss.settings import SimulationSettings
from coreloss.simulate import BLOCK, Simulator, concatenate
from coreloss.simulate_specimen import Pairs, Window


def make(seed=5, settings=None, device="cpu"):
    materials = load_materials("embedded")
    rows = split_materials(materials, seed=0)["train"]
    return Simulator(
        materials, query_table(materials, rows), seed=seed, settings=settings, device=device
    )


@pytest.fixture(scope="module")
def simulator():
    return make()


@pytest.fixture(scope="module")
def batch(simulator):
    return simulator.batch(0, 2 * BLOCK)


def digest(batch):
    parts = (batch.counts, batch.mask, batch.present, batch.snr, batch.amount)
    return hashlib.sha256(b"".join(p.contiguous().numpy().tobytes() for p in parts)).hexdigest()


def test_the_same_seed_gives_the_same_spectra_whatever_the_batches(simulator, batch):
    middle = simulator.batch(300, 400)
    assert digest(middle) == digest(batch[slice(300, 700)])
    again = concatenate([make().batch(300, 100), make().batch(400, 300)])
    assert digest(again) == digest(middle)
    assert digest(make(seed=6).batch(300, 400)) != digest(middle)


def test_the_stream_is_the_one_it_was():
    """Windows and labels of the first spectra; counts may differ by rounding on other machines."""
    first = make().batch(0, 128)
    drawn = b"".join(p.contiguous().numpy().tobytes() for p in (first.mask, first.present))
    assert hashlib.sha256(drawn).hexdigest() == (
        "044b15d8c1ab39909f145d5896721d8d8c0ddba8944acf497cff489491b8a3b4"
    )
    assert first.counts.double().sum().item() == pytest.approx(8.589765e10, rel=1e-5)


def test_the_number_of_threads_does_not_matter(simulator, batch):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert digest(simulator.batch(0, 64)) == digest(batch[slice(0, 64)])
    finally:
        torch.set_num_threads(threads)


def test_counts_are_finite_and_stay_inside_the_window(batch):
    assert torch.isfinite(batch.counts).all()
    assert torch.isfinite(batch.snr).all()
    assert (batch.counts >= 0).all()
    assert (batch.counts[~batch.mask] == 0).all()
    assert (batch.counts.sum(1) > 0).all()


def test_every_spectrum_shows_an_edge_set_of_an_element_in_it(batch):
    assert (batch.present & batch.observable).any(1).all()
    assert not (batch.present & ~batch.observable).any()
    assert (batch.snr[~batch.present] == 0).all()
    torch.testing.assert_close(batch.amount.sum(1), torch.ones(len(batch)))
    assert (batch.amount[batch.present] > 0).all()


def test_observable_is_what_the_edge_table_says(batch):
    lo = batch.mask.int().argmax(1).float()
    hi = lo + batch.mask.sum(1) - 1
    assert torch.equal(batch.observable, observable_elements(lo, hi))


def test_queries_reach_every_element(simulator):
    present = torch.cat([simulator.block(n).present for n in range(8)]).sum(0)
    assert (present >= 8).all(), [ELEMENTS[i] for i in (present < 8).nonzero().flatten()]


def test_noise_follows_the_dose(simulator):
    """Second differences of a high-dose spectrum hold little noise, of a low-dose one much."""
    batch = simulator.batch(0, BLOCK)
    mean = batch.counts.sum(1) / batch.mask.sum(1)
    step = (batch.counts[:, 1:] - batch.counts[:, :-1]) * (batch.mask[:, 1:] & batch.mask[:, :-1])
    roughness = step.abs().sum(1) / batch.mask.sum(1) / mean
    assert roughness[mean > 1e5].median() < 0.2 * roughness[mean < 1e3].median()


def one_edge(shell, *, height, onset_ev):
    """The same edge in every spectrum of a block, and the step that it is."""
    number = [(edge.element, edge.shell) for edge in edge_shells()].index(shell)
    ones = torch.ones(BLOCK)
    yes = torch.ones(BLOCK, dtype=torch.bool)
    pairs = Pairs(
        spectrum=torch.arange(BLOCK),
        shell=torch.full((BLOCK,), number),
        element=torch.full((BLOCK,), ELEMENT_INDEX[shell[0]]),
        onset_ev=onset_ev * ones,
        shift_step=torch.zeros(BLOCK, dtype=torch.long),
        coefficients=torch.zeros(BLOCK, 3),
        height=height * ones,
        inside=yes,
        near=yes,
    )
    step = height * (torch.arange(N_CHANNELS) >= onset_ev).float()
    return pairs, step.repeat(BLOCK, 1)


def test_snr_is_the_formula_of_the_theory_page(simulator):
    height, background = 200.0, 5000.0
    pairs, step = one_edge(("O", "K"), height=height, onset_ev=532.0)
    window = Window(pairs.element, torch.full((BLOCK,), 400.0), torch.full((BLOCK,), 900.0))
    nothing, ones = torch.zeros(BLOCK), torch.ones(BLOCK)
    snr = simulator._snr(step + background, pairs, nothing, ones, window)
    edge, below = 40 * height, 40 * background
    expected = edge / (edge + 10 * below + (0.003 * below) ** 2) ** 0.5
    assert snr[:, ELEMENT_INDEX["O"]].tolist() == pytest.approx([expected] * BLOCK, rel=1e-4)
    assert (snr.sum(1) == snr[:, ELEMENT_INDEX["O"]]).all()


def test_the_jump_ratio_is_that_of_the_chosen_edge():
    settings = SimulationSettings(jump_ratio=(0.5, 0.5), background_offset_probability=0.0)
    pairs, step = one_edge(("O", "K"), height=3.0, onset_ev=532.0)
    mask = torch.zeros(BLOCK, N_CHANNELS, dtype=torch.bool)
    mask[:, 400:900] = True
    expected, scale = make(settings=settings)._with_background(
        step, pairs, mask, generator_for(0, 0)
    )
    background = expected / scale[:, None] - step
    assert background[:, 532].tolist() == pytest.approx([3.0 / 0.5] * BLOCK, rel=1e-4)
    exponent = (background[:, 522] / background[:, 542]).log() / torch.tensor(542 / 522).log()
    assert exponent.min() > settings.background_exponent[0] - 0.01
    assert exponent.max() < settings.background_exponent[1] + 0.01
    mean = (expected * mask).sum(1) / mask.sum(1)
    assert mean.log10().mean().item() == pytest.approx(4.35, abs=0.2)  # 50 to 1e7, log-uniform


def test_the_paper_settings_use_counting_noise_only():
    settings = SimulationSettings.paper()
    batch = make(settings=settings).batch(0, 64)
    assert (batch.counts == batch.counts.round()).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jump_ratio": (2.0, 0.1)}, "jump_ratio"),
        ({"carbon_probability": 1.5}, "carbon_probability"),
        ({"thickness_mfp": (0.0, 1.0)}, "thickness_mfp"),
        ({"readout_noise": (0.0, 1.0)}, "readout_noise"),
        ({"window_width_ev": (80.0, 500.0)}, "window_width_ev"),
        ({"window_start_min_ev": -3.0}, "window_start_min_ev"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SimulationSettings(**change)


def test_the_stream_has_no_negative_numbers(simulator):
    with pytest.raises(ValueError, match="start"):
        simulator.batch(-1, 10)


def test_draws_follow_their_laws():
    g = generator_for(0, 0)
    n = 100_000
    assert uniform((n,), (2.0, 4.0), generator=g).mean().item() == pytest.approx(3, abs=0.01)
    logs = log_uniform((n,), (1e-2, 1e2), generator=g).log10()
    assert logs.mean().item() == pytest.approx(0, abs=0.02)
    assert logs.std().item() == pytest.approx(4 / 12**0.5, rel=0.01)
    deviates = normal((n,), 2.0, generator=g)
    assert deviates.std().item() == pytest.approx(2.0, rel=0.03)
    assert deviates.abs().max() <= 6.0
    assert chance((n,), 0.3, generator=g).float().mean().item() == pytest.approx(0.3, abs=0.01)
    valid = torch.tensor([[False, True, True]]).repeat(n, 1)
    picked = pick(valid, generator=g)
    assert set(picked.tolist()) == {1, 2}
    assert (picked == 1).float().mean().item() == pytest.approx(0.5, abs=0.01)
