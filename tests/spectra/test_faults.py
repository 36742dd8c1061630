"""Windows and repairs of spectra in cases that tell a fault of the detector from an edge."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.edges import ATOMIC_NUMBER, identifying_sets
from coreloss.simulation import near_edge
from coreloss.simulation.settings import SimulationSettings
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import usable_window, without_faults


def counts_of(energy, *, mean=1e4, edges=(), seed=0):
    """Poisson counts of a power law with (onset, jump ratio) edges, which rise over 1.2 eV."""
    y = mean * (energy / energy[0]) ** -3.0
    for onset_ev, jump in edges:
        y += jump * np.interp(onset_ev, energy, y) * edge(energy, onset_ev)
    return np.random.default_rng(seed).poisson(y).astype(float)


def edge(energy, onset_ev):
    """An edge of height 1 with a resonance, in a spectrometer of 1.2 eV."""
    peak = 0.6 * np.exp(-0.5 * ((energy - onset_ev - 5) / 3) ** 2)
    return 0.5 * (1 + erf((energy - onset_ev) / 0.72)) * (energy / onset_ev) ** -3.0 * (1 + peak)


def window_of(energy, counts):
    found = usable_window(Spectrum(energy, counts))
    return found.lo_ev, found.hi_ev


# -- edges stay -----------------------------------------------------------------------------------


@pytest.mark.parametrize("after_ev", [10.5, 12.5])
@pytest.mark.parametrize("jump", [1.5, 4.0, 6.0])
def test_an_observable_edge_near_the_start_is_no_end_of_the_detector(after_ev, jump):
    energy = np.arange(400.0, 900.0)
    assert window_of(energy, counts_of(energy, edges=[(400 + after_ev, jump)]))[0] == 400


@pytest.mark.parametrize("step_ev", [0.1, 0.5, 1.0, 4.0])
def test_steep_edges_and_strong_lines_are_no_change_of_gain(step_ev):
    energy = np.arange(300.0, 900.0, step_ev)
    y = counts_of(energy, edges=[(532, 6.0)])
    y += 6e4 * np.exp(-0.5 * ((energy - 640) / 1.0) ** 2)
    assert window_of(energy, y) == (energy[0], energy[-1])


@pytest.mark.parametrize("seed", range(20))
def test_few_counts_are_no_change_of_gain(seed):
    """The simulator's worst: interpolated counts that nearly vanish between others."""
    coarse = np.random.default_rng(seed).poisson(3.0, 100) + 1e-3 * np.arange(1, 101)
    energy = np.arange(300.0, 890.0)
    y = np.interp((energy - 300) / 6, np.arange(100), coarse)
    assert not any("gain" in reason for reason in usable_window(Spectrum(energy, y)).reasons)


def test_a_line_at_the_end_and_a_fall_behind_an_edge_are_not_shaded():
    energy = np.arange(300.0, 700.0)
    line = counts_of(energy) + 2e4 * np.exp(-0.5 * ((energy - 650) / 6) ** 2)
    assert window_of(energy, line)[1] == 699
    broad = counts_of(energy, mean=1e3) + 2e4 * np.exp(-0.5 * ((energy - 500) / 30) ** 2)
    assert window_of(energy, broad)[1] == 699
    steep = np.random.default_rng(0).poisson(1e6 * (energy / 300) ** -7.0)
    assert window_of(energy, steep)[1] == 699


def test_a_fall_that_ends_at_an_edge_or_below_zero_is_not_shaded():
    energy = np.arange(400.0, 900.0)
    fall = 1e4 * (0.3 + 0.7 / (1 + np.exp((energy - 600) / 10)))
    assert window_of(energy, fall)[1] < 620
    assert window_of(energy, fall + 6e3 * edge(energy, 800)) == (400, 899)
    subtracted = np.random.default_rng(0).normal(fall - 3000, 50)
    assert window_of(energy, subtracted) == (400, 899)


# -- faults go ------------------------------------------------------------------------------------


def test_shading_goes():
    energy = np.arange(1700.0, 2800.0)
    y = 1e4 * (energy / 1700) ** -2.0 * (0.15 + 0.85 / (1 + np.exp((energy - 2380) / 30)))
    y = np.random.default_rng(0).poisson(y)
    found = usable_window(Spectrum(energy, np.rint(y)))
    assert 2150 < found.hi_ev < 2340
    assert "shaded" in found.reasons[0]


@pytest.mark.parametrize(("at", "window"), [(0, (401, 699)), (-1, (400, 698))])
def test_a_glitch_in_the_outermost_channel_goes(at, window):
    energy = np.arange(400.0, 700.0)
    y = counts_of(energy, mean=1e5)
    y[at] *= 0.8
    assert window_of(energy, y) == window


def test_missing_values_at_an_end_are_padding_and_others_change_nothing():
    energy = np.arange(400.0, 700.0)
    y = np.stack([counts_of(energy, seed=seed) for seed in range(2)])
    y[:, -40:] = np.nan
    y[0, 100:103] = y[1, 50] = np.nan
    lo, hi = window_of(energy, y)
    assert (lo, hi) == (400, 659)
    y[1, 150:] = np.nan  # one of two ends early: no change of gain
    assert window_of(energy, y) == (400, 659)


# -- spikes ---------------------------------------------------------------------------------------


def fine_edge(width_ev, step_ev=0.25, seed=0):
    energy = 400 + step_ev * np.arange(1200)
    line = 5e4 * np.exp(-4 * np.log(2) * ((energy - 460.1) / width_ev) ** 2)
    smooth = 1e4 * (energy / 400) ** -3 + line
    return energy, np.random.default_rng(seed).poisson(smooth).astype(float)


@pytest.mark.parametrize("width_ev", [0.8, 1.2, 3.0])
def test_sharp_lines_are_no_spikes(width_ev):
    spectrum = Spectrum(*fine_edge(width_ev))
    assert without_faults(spectrum) is spectrum


def test_noise_on_a_smooth_slope_is_no_spike():
    """Neighbours that share counts vary little: their noise must not be taken for zero."""
    energy = 100 + 0.3 * np.arange(1000)
    y = np.random.default_rng(3).poisson(1e5 * (energy / 100) ** -4.0).astype(float)
    y = np.convolve(y, [0.25, 0.5, 0.25], mode="same")[2:-2]
    spectrum = Spectrum(energy[2:-2], y)
    assert without_faults(spectrum) is spectrum


@pytest.mark.parametrize("channels", [(700,), (700, 701)])
@pytest.mark.parametrize("height", [0.8, -0.9])
def test_one_or_two_channels_are_mended(channels, height):
    energy, clean = fine_edge(2.0)
    y = clean.copy()
    y[list(channels)] += height * clean[700] + 9 * np.sign(height)
    mended = without_faults(Spectrum(energy, y))
    np.testing.assert_allclose(mended.counts[0, list(channels)], clean[700], rtol=0.05)
    np.testing.assert_array_equal(np.delete(mended.counts[0], channels), np.delete(clean, channels))
    assert f"{len(channels)} single channels stand out, the first at 575 eV" in mended.warnings[0]


def test_a_spike_counts_by_what_is_beside_it():
    """Far above the start of a wide spectrum, a small share of its maximum hides every edge."""
    energy = 100 + 0.4 * np.arange(4000)
    y = np.random.default_rng(0).poisson(1e6 * (energy / 100) ** -3.0).astype(float)
    y[3500] += 4e3
    mended = without_faults(Spectrum(energy, y))
    assert mended.counts[0, 3500] < 500
    assert len(mended.warnings) == 1


def test_counts_of_single_electrons_are_no_spikes():
    energy = 400 + 0.1 * np.arange(2000)
    for mean in (0.02, 0.3, 2.0):
        y = np.random.default_rng(1).poisson(mean, (20, 2000))
        spectrum = Spectrum(energy, y)
        assert without_faults(spectrum) is spectrum
    few = np.where(np.arange(2000) % 97 == 5, 0.9, 0.0)  # scaled: nothing says what an electron is
    np.testing.assert_array_equal(without_faults(Spectrum(5 * energy, few)).counts[0], few)


def test_saturation_of_scaled_counts_is_told_and_of_few_counts_not():
    energy, y = fine_edge(3.0)
    clipped = np.minimum(y, 4e4) / 1e5
    assert "from 459 eV" in without_faults(Spectrum(energy, clipped)).warnings[0]
    few = np.random.default_rng(2).poisson(0.7, len(y)).clip(max=1)
    assert without_faults(Spectrum(energy, few)).warnings == ()


# -- spikes and sharp lines in numbers ------------------------------------------------------------

SHARP = tuple(
    edge
    for edge in identifying_sets()
    if (edge.shell == "L23" and 20 <= ATOMIC_NUMBER[edge.element] <= 28)
    or (edge.shell == "M45" and 57 <= ATOMIC_NUMBER[edge.element] <= 70)
    or edge.element == "C"
)


def lines_of(edge, area_ev, generator):
    """Sharp structure of an edge as the simulator draws it: positions, widths (eV), heights."""
    onset, settings = torch.tensor([edge.onset_ev]), SimulationSettings()
    if edge.element == "C":
        found = near_edge.resonances(onset, torch.tensor([8.0]), settings, generator=generator)
    else:
        pair = (torch.tensor([values]) for values in (edge.offsets_ev, edge.ratios, edge.widths_ev))
        area = torch.tensor([float(area_ev)])
        found = near_edge.white_lines(onset, area, *pair, settings, generator=generator)
    centre = (found.onset_ev[:, None] + found.position_ev).flatten().numpy()
    return zip(centre, found.fwhm_ev.flatten().numpy(), found.height.flatten().numpy(), strict=True)


def sharp_lines(step_ev, n, seed):
    """Counts of steps with white lines or resonances, power laws below them, 0.4..3 eV resolved."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    areas = near_edge.white_line_areas_ev(SHARP)
    for _ in range(n):
        k = rng.integers(len(SHARP))
        onset_ev, resolution_ev = SHARP[k].onset_ev, np.exp(rng.uniform(np.log(0.4), np.log(3.0)))
        energy = onset_ev - rng.uniform(30, 100) + step_ev * np.arange(int(250 / step_ev))
        within = energy[:, None] + step_ev * (np.arange(4) - 1.5) / 4
        rise = 1 / (1 + np.exp(-2.5 * (within - onset_ev + 0.5)))
        y = rise * (np.maximum(within, 1) / onset_ev) ** -3
        for centre, fwhm, height in lines_of(SHARP[k], areas[k], generator):
            wide = np.hypot(fwhm, resolution_ev)
            y += (
                rise
                * height
                * fwhm
                / wide
                * np.exp(-4 * np.log(2) * ((within - centre) / wide) ** 2)
            )
        y = np.maximum(y, 0).mean(1)
        y += (energy / onset_ev) ** -rng.uniform(2, 4.5) / np.exp(
            rng.uniform(np.log(0.1), np.log(6))
        )
        dose = np.exp(rng.uniform(np.log(20), np.log(1e6)))
        yield Spectrum(energy, rng.poisson(y / y.mean() * dose).astype(float))


@pytest.mark.parametrize("step_ev", [1.0, 0.5, 0.1])
def test_sharp_lines_of_the_simulator_keep_their_heights(step_ev):
    """None of 300; of 1000 with other seeds, none either."""
    altered = sum(without_faults(s) is not s for s in sharp_lines(step_ev, 300, seed=1))
    assert altered == 0


@pytest.mark.parametrize("step_ev", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("dose", [30.0, 1e3, 1e4])
def test_spikes_of_twenty_standard_deviations_are_mended(step_ev, dose):
    """And nothing else, on power laws with an edge."""
    rng, mended, touched, n = np.random.default_rng(5), 0, 0, 60
    for seed in range(n):
        energy = 400 + step_ev * np.arange(400)
        y = counts_of(energy, mean=dose, edges=[(energy[150], rng.uniform(0, 1))], seed=seed)
        at = rng.choice([*range(20, 130), *range(170, 380)])
        clean = without_faults(Spectrum(energy, y)).counts[0]
        touched += (clean != y).any()
        high = y.copy()
        high[at] += np.rint(20 * max(y[at], 1) ** 0.5)
        found = without_faults(Spectrum(energy, high)).counts[0]
        mended += abs(found[at] - clean[at]) < 6 * max(clean[at], 1) ** 0.5
    assert mended >= 0.9 * n
    assert touched == 0


# -- measured -------------------------------------------------------------------------------------


@pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
def test_shading_and_spikes_of_measured_files():
    folder = data_dir() / "experimental"
    records = {record.id: record for record in read_manifest(data_dir())}
    shaded = records["eelsmodel_D3r2_Sr_L"]
    found = usable_window(read_spectrum(folder / shaded.file))
    assert found.hi_ev == pytest.approx(shaded.usable_end_ev, abs=25)
    spiky = without_faults(read_spectrum(folder / records["eelsdb_nomad_YAG_OK"].file))
    assert "the first at 581.9 eV" in spiky.warnings[-1]
