"""The stream of simulated spectra: reproducible, labelled as it says, physical."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coreloss.axis import window_of
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, edge_shells, observable_elements
from coreloss.materials.split import query_table, split_materials
from coreloss.materials.table import load_materials
from coreloss.physics import bank as banks
from coreloss.physics.gos_table import read_gosh, write_gosh
from coreloss.simulation.bands import AFTER_EV, BAND_LEAD_EV, continuum, sorted_bands
from coreloss.simulation.batch import concatenate
from coreloss.simulation.instrument import (
    background_shape,
    draw_axis,
    draw_background,
    draw_low_loss,
    plasmon_tail,
    subtract_power_law,
)
from coreloss.simulation.near_edge import oscillations
from coreloss.simulation.sampling import chance, generator_for, log_uniform, normal, pick, uniform
from coreloss.simulation.settings import INGREDIENTS, SimulationSettings
from coreloss.simulation.simulator import BLOCK, Simulator
from coreloss.simulation.specimen import Pairs, Window, draw_pairs, draw_specimen, draw_window
from coreloss.simulation.tables import SHIFT_STEP_EV, SHIFT_STEPS, TERMS, TILE, TILES

BANK = banks.CrossSectionBank(*(torch.zeros(1) for _ in range(3)))


def make(seed=5, **options):
    materials = load_materials("embedded")
    rows = split_materials(materials, seed=0)["train"]
    return Simulator(materials, query_table(materials, rows), seed=seed, **options)


@pytest.fixture(scope="module")
def simulator():
    return make()


@pytest.fixture(scope="module")
def batch(simulator):
    return simulator.batch(0, 2 * BLOCK)


def digest(batch):
    parts = (batch.counts, batch.mask, batch.present, batch.snr, batch.amount, batch.axis_error_ev)
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
        "8c1a86ec4311046a163f70401822beb09446b219b3bf32cf657c57659be1bb80"
    )
    assert first.counts.double().sum().item() == pytest.approx(129955320822.1707, rel=1e-5)


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
    assert (batch.counts[~batch.mask] == 0).all()
    assert (batch.counts.abs().sum(1) > 0).all()
    assert (batch.counts[~batch.processed] < 0).float().mean() < 0.01  # read-out noise


def test_all_but_free_windows_show_an_edge_set_of_an_element_in_it(batch):
    assert 0.9 < batch.present.any(1).float().mean() < 1
    bound = make(settings=SimulationSettings().without("recorded windows")).block(0)
    assert bound.present.any(1).all()
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
    batch = batch[~batch.processed]
    mean = batch.counts.sum(1) / batch.mask.sum(1)
    step = (batch.counts[:, 1:] - batch.counts[:, :-1]) * (batch.mask[:, 1:] & batch.mask[:, :-1])
    roughness = step.abs().sum(1) / batch.mask.sum(1) / mean
    assert roughness[mean > 1e5].median() < 0.2 * roughness[mean < 1e3].median()


def one_edge(shell, *, height, onset_ev):
    """The same edge in every spectrum of a block, in a window from 400 to 900 eV."""
    number = [(edge.element, edge.shell) for edge in edge_shells()].index(shell)
    ones, yes = torch.ones(BLOCK), torch.ones(BLOCK, dtype=torch.bool)
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
    window = Window(pairs.element, 400 * ones, 900 * ones, 0 * pairs.shell, 0 * ones, ~yes)
    _, window, bands = sorted_bands(window)
    energy_ev = bands.first_ev[:, None] + torch.arange(bands.groups[0][2])
    return pairs, window, bands, energy_ev, height * (energy_ev >= onset_ev).float()


def test_snr_is_the_formula_of_the_theory_page(simulator):
    height, background = 200.0, 5000.0
    pairs, window, bands, _, step = one_edge(("O", "K"), height=height, onset_ev=532.0)
    nothing, ones = torch.zeros(BLOCK), torch.ones(BLOCK)
    expected = (step + background).view(-1)
    shells = simulator.shells[0]
    snr = simulator._snr(expected, pairs, nothing, ones, window, bands, shells)
    edge, below = 40 * height, 40 * background
    expected = edge / (edge + 10 * below + (0.003 * below) ** 2) ** 0.5
    assert snr[:, ELEMENT_INDEX["O"]].tolist() == pytest.approx([expected] * BLOCK, rel=1e-4)
    assert (snr.sum(1) == snr[:, ELEMENT_INDEX["O"]]).all()


def test_the_snr_of_one_spectrum_does_not_depend_on_the_others(simulator):
    pairs, window, bands, _, step = one_edge(("O", "K"), height=200.0, onset_ev=532.0)
    expected = step + 5000.0
    expected[::2] *= 1e-6
    nothing, ones = torch.zeros(BLOCK), torch.ones(BLOCK)
    parts = (pairs, nothing, torch.where(torch.arange(BLOCK) % 2 == 0, 1e-6, ones), window, bands)
    alike = simulator._snr(expected.view(-1), *parts, simulator.shells[0])[:, ELEMENT_INDEX["O"]]
    for same in (alike[::2], alike[1::2]):
        torch.testing.assert_close(same, same[:1].expand_as(same), rtol=1e-3, atol=0)
    assert alike[0] < 0.01 * alike[1]


def background(settings, *, thick=False):
    """Backgrounds over 400 to 900 eV with the reference at 532 eV, and what they were drawn as."""
    _, window, _, energy_ev, _ = one_edge(("O", "K"), height=3.0, onset_ev=532.0)
    low_loss = draw_low_loss(window, settings, generator=generator_for(0, 0))
    drawn = draw_background(window, low_loss, settings, generator=generator_for(0, 1))
    mask, onset = window.mask(energy_ev), torch.full((BLOCK,), 532.0)
    shape = background_shape(
        drawn, energy_ev, mask, transfer=low_loss.transfer(1024), reference_ev=onset
    )
    return drawn, energy_ev[0], shape


def test_a_plain_background_is_one_at_its_reference_and_has_its_exponent():
    settings = SimulationSettings().without("real backgrounds")
    drawn, energy_ev, shape = background(settings)
    at = int(532 - energy_ev[0])
    assert shape[:, at].tolist() == pytest.approx([1.0] * BLOCK, rel=1e-4)
    found = (shape[:, at - 90] / shape[:, at + 200]).log() / torch.tensor(732 / 442).log()
    torch.testing.assert_close(found, drawn.exponent, rtol=1e-3, atol=0)
    low, high = settings.background_exponent
    assert low <= found.min() < low + 0.1 < high - 0.1 < found.max() <= high


def test_an_offset_and_an_afterglow_are_what_they_say():
    settings = replace(
        SimulationSettings().without("real backgrounds"),
        background_offset_probability=1.0,
        background_offset=(0.5, 0.5),
        background_exponent=(3.0, 3.0),
    )
    _, energy_ev, shape = background(settings)
    end = (900 / 532) ** -3.0
    at = (torch.tensor([450.0, 800.0]) - energy_ev[0]).long()
    expected = (torch.tensor([450.0, 800.0]) / 532) ** -3 + 0.5 * end
    torch.testing.assert_close(shape[:, at], expected.repeat(BLOCK, 1), rtol=1e-3, atol=0)


def test_thick_specimens_have_steeper_backgrounds():
    plain = replace(SimulationSettings().without("real backgrounds"), thickness_mfp=(1.5, 1.5))
    _, energy_ev, thin = background(plain)
    _, _, thick = background(replace(plain, background_thickness=True))
    start, end = (int(e - energy_ev[0]) for e in (400, 900))
    assert (thick[:, start] / thick[:, end] > 1.005 * thin[:, start] / thin[:, end]).all()


def test_the_tail_of_the_plasmons_ends_in_a_power_law():
    low_loss = draw_low_loss(
        one_edge(("O", "K"), height=1.0, onset_ev=532.0)[1],
        SimulationSettings(),
        generator=generator_for(0, 0),
    )
    energy_ev = torch.arange(40.0, 600.0).repeat(BLOCK, 1)
    tail = plasmon_tail(low_loss.transfer(1024), energy_ev, torch.full((BLOCK, 1), 60.0))
    assert tail[:, 20].tolist() == pytest.approx([1.0] * BLOCK)
    assert torch.isfinite(tail).all()
    slope = tail[:, 130:].log().diff(dim=1) / energy_ev[0, 130:].log().diff()
    assert (slope < -1).all()  # no step and no rise where the computed part ends
    assert (slope > -12).all()


def test_a_subtracted_power_law_leaves_nothing_but_the_edge():
    energy_ev = torch.arange(450.0, 900.0).repeat(2, 1)
    mask = energy_ev >= torch.tensor([[460.0], [500.0]])
    edge = 300.0 * (energy_ev >= 532) * mask
    counts = 1e4 * (energy_ev / 450) ** -3.3 + edge
    left = subtract_power_law(counts, mask, energy_ev, torch.tensor([528.0, 528.0]))
    torch.testing.assert_close(left, edge, rtol=0, atol=30.0)  # of 10,000


def test_the_continuum_is_the_sum_of_its_cross_sections(simulator):
    """Tiles against whole rows of the bank, in the band of each spectrum."""
    generator = generator_for(9, 0)
    s, shells = simulator.settings, simulator.shells[0]
    window = draw_window(BLOCK, shells, simulator.materials, s, generator=generator)
    _, window, bands = sorted_bands(window)
    specimen = draw_specimen(window.query, simulator.materials, s, generator=generator)
    pairs = draw_pairs(specimen, window, shells, s, generator=generator)
    pairs = replace(pairs, shift_step=torch.zeros_like(pairs.shift_step))
    rows = shells.shifted_rows.view(len(shells.onset_ev), TERMS, -1, TILES * TILE)
    whole = rows[:, :, -SHIFT_STEPS[0]]
    flat = continuum(pairs, bands, shells)
    assert len(bands.groups) == 5
    for spectra, _, band in bands.matrices(flat):
        spectrum = spectra.start
        mine = pairs.spectrum == spectrum
        total = torch.einsum("pr,prc->c", pairs.coefficients[mine], whole[pairs.shell[mine]])
        first = int(bands.first_ev[spectrum])
        expected = total[first : first + band.shape[1]]
        scale = float(expected.abs().max())
        torch.testing.assert_close(band[0], expected, rtol=1e-4, atol=2e-3 * scale)


def test_bands_hold_their_windows_and_what_comes_before(simulator):
    window = draw_window(
        BLOCK, simulator.shells[0], simulator.materials, simulator.settings,
        generator=generator_for(0, 0),
    )  # fmt: skip
    order, window, bands = sorted_bands(window)
    assert sorted(order.tolist()) == list(range(BLOCK))
    end = bands.first_ev + bands.n_tiles * TILE
    assert (bands.first_ev <= (window.lo_ev - BAND_LEAD_EV).clamp(min=0)).all()
    assert (end > window.hi_ev + AFTER_EV).all()


def test_extended_oscillations_have_the_period_of_their_distance():
    settings = SimulationSettings(exelfs_probability=1.0, exelfs_amplitude=(0.1, 0.1))
    onset = torch.full((64,), 532.0)
    edge, first, values = oscillations(onset, settings, generator=generator_for(0, 0))
    assert torch.equal(edge, torch.arange(64))
    past = first[0].item() - 532.0 + torch.arange(values.shape[1])
    k = (past * 0.262468).sqrt()  # 2 m E / hbar^2 in 1/Angstrom^2 per eV
    grid = torch.arange(100, 400) / 100  # trial distances
    power = ((values * k**3) @ torch.exp(2j * k[:, None] * grid).real).abs()
    power += ((values * k**3) @ torch.exp(2j * k[:, None] * grid).imag).abs()
    best = grid[power.argmax(1)]
    assert ((best > 1.25) & (best < 3.4)).all()
    assert best.std() > 0.3
    assert 0.02 < values.abs().amax(1).median() < 0.2


def test_published_tables_take_the_place_of_calculated_ones(tmp_path, monkeypatch):
    tables = read_gosh()
    oxygen = tables["O", "K"]
    write_gosh(tmp_path / "other.gosh", [replace(oxygen, gos_per_ev=1.1 * oxygen.gos_per_ev)])
    monkeypatch.setattr(banks, "fetch_published", lambda name: tmp_path / "other.gosh")
    mixed = banks.tables_with(tmp_path / "other.gosh")
    assert mixed.keys() == tables.keys()
    ratio = mixed["O", "K"].gos_per_ev / tables["O", "K"].gos_per_ev
    assert ratio.mean() == pytest.approx(1.1, rel=1e-3)
    assert mixed["N", "K"] is tables["N", "K"]
    built = []
    monkeypatch.setenv("CORELOSS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(banks, "build_bank", lambda tables: built.append(tables) or BANK)
    banks.bank_of.__wrapped__("dirac")
    assert built[0]["O", "K"].gos_per_ev.mean() > 1.05 * oxygen.gos_per_ev.mean()
    assert banks.bank_key(tmp_path / "other.gosh") != banks.bank_key()


def test_each_ingredient_can_be_switched_off():
    everything = SimulationSettings()
    for name, values in INGREDIENTS.items():
        off = everything.without(name)
        assert {key: getattr(off, key) for key in values} == values
        assert off != everything, name
        block = make(settings=off, block_size=64).block(0)
        assert torch.isfinite(block.counts).all(), name
    with pytest.raises(ValueError, match="ingredients"):
        everything.without("magic")


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


def test_light_elements_begin_late_in_bonds(simulator):
    generator = generator_for(3, 0)
    s, shells = simulator.settings, simulator.shells[0]
    shifts = {"O": [], "C": [], "Fe": [], "Ba": [], "Gd": []}
    for _ in range(4):
        window = draw_window(BLOCK, shells, simulator.materials, s, generator=generator)
        specimen = draw_specimen(window.query, simulator.materials, s, generator=generator)
        pairs = draw_pairs(specimen, window, shells, s, generator=generator)
        shift = pairs.onset_ev - shells.onset_ev[pairs.shell]
        for element, found in shifts.items():
            found += shift[pairs.element == ELEMENT_INDEX[element]].tolist()
    mean = {element: float(np.mean(found)) for element, found in shifts.items()}
    late = s.bonded_shift_probability * np.mean(s.bonded_shift_ev)
    for element in ("O", "C"):
        assert mean[element] == pytest.approx(late, abs=0.4)
        assert np.quantile(shifts[element], 0.9) > 5.5  # borates, silica
    for element in ("Fe", "Ba"):
        assert mean[element] == pytest.approx(s.bonded_shift_others * late, abs=0.4)
    # The open shell of a rare earth takes no part in bonds.
    assert mean["Gd"] == pytest.approx(0.0, abs=0.3)
    assert np.std(shifts["Gd"]) < 0.8 * np.std(shifts["Ba"])
    assert max(map(max, shifts.values())) <= SHIFT_STEPS[1] * SHIFT_STEP_EV
    assert min(map(min, shifts.values())) >= SHIFT_STEPS[0] * SHIFT_STEP_EV


def axes(**changes):
    """200000 axes, with stated errors and offsets."""
    n = 200_000
    window = SimpleNamespace(
        lo_ev=torch.full((n,), 300.0),
        hi_ev=torch.full((n,), 900.0),
        dispersion=torch.zeros(n, dtype=torch.long),
    )
    settings = replace(SimulationSettings(), **changes)
    return draw_axis(window, settings, generator=generator_for(3, 0))


def test_offsets_have_the_standard_deviation_that_is_stated():
    axis = axes(axis_understated_probability=0.0)
    assert axis.error_ev.aminmax() == pytest.approx((0.3, 8.0), rel=1e-3)
    assert axis.error_ev.log().mean().exp().item() == pytest.approx(2.4**0.5, rel=0.01)
    for low_ev, high_ev in ((0.3, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 6.0)):
        some = (axis.error_ev >= low_ev) & (axis.error_ev < high_ev)
        ratio = axis.offset_ev[some] / axis.error_ev[some]
        assert ratio.mean().abs() < 0.03
        assert ratio.std().item() == pytest.approx(0.989, abs=0.02)  # cut off at 2.5


def test_some_axes_are_worse_than_stated_and_none_is_far_off():
    axis = axes(axis_error_ev=(1.0, 1.0))
    assert (axis.offset_ev.abs() > 2.501).float().mean().item() == pytest.approx(0.02, abs=0.002)
    assert axes().offset_ev.abs().max() == 16.0


def test_stated_errors_stay_with_their_spectra(simulator, monkeypatch):
    """Spectra are sorted inside a block: here the error is where the window begins."""

    def marked(window, settings, *, generator):
        return replace(draw_axis(window, settings, generator=generator), error_ev=window.lo_ev)

    monkeypatch.setattr("coreloss.simulation.simulator.draw_axis", marked)
    batch = simulator.block(0)
    begin_ev, _ = window_of(batch.mask)
    assert (batch.axis_error_ev - begin_ev).abs().max() <= 1
