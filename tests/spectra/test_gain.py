"""Changes of gain and ragged ends: seen where they are, and nowhere else."""

import numpy as np
import pytest

from coreloss.simulation.whole_files import FileSettings, whole_files
from coreloss.spectra.gain import change_of_gain
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import NAMED_FROM_EV, usable_window

N = 200


def power_law(step_ev=0.5, noise=0.005, first_ev=80.0):
    energy = np.arange(first_ev, 800.0, step_ev)
    rng = np.random.default_rng(0)
    return energy, 1e5 * (energy / 80) ** -3.0 * (1 + noise * rng.standard_normal(len(energy)))


@pytest.mark.parametrize("factor", [2.0, 30.0, 1000.0, 0.5, 1e-3])
@pytest.mark.parametrize("at_ev", [92.0, 221.0, 260.0])
@pytest.mark.parametrize("step_ev", [0.1, 0.5, 1.0])
def test_a_sharp_change_is_found_where_it_is(factor, at_ev, step_ev):
    energy, y = power_law(step_ev)
    behind = int(np.searchsorted(energy, at_ev - 1e-6))
    y[behind:] *= factor
    found = change_of_gain(energy, y)
    assert abs(found.behind - behind) <= 1
    assert found.factor == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("channels", [3, 5])
def test_a_change_over_a_few_channels_is_found(channels):
    energy, y = power_law(1.0)
    share = np.clip((energy - 230 + channels) / channels, 0, 1)
    found = change_of_gain(energy, y * 20.0**share)
    assert energy[found.before] <= 230 - channels + 1
    assert 229 <= energy[found.behind] <= 233


def test_the_part_behind_the_change_is_used_and_told():
    energy, y = power_law(1.0, first_ev=30.0)
    y[energy >= 150] *= 40
    found = usable_window(Spectrum(energy, y))
    assert found.lo_ev == 150
    assert "factor of 40" in found.reasons[-1]
    assert "above" in found.reasons[-1]


def test_a_step_at_an_onset_is_an_edge_unless_none_is_so_high():
    energy, y = power_law(1.0)
    behind = energy >= 532
    assert change_of_gain(energy, y * np.where(behind, 2.5, 1.0)) is None
    assert change_of_gain(energy, y * np.where(behind, 6.0, 1.0)).behind == np.argmax(behind)


@pytest.mark.parametrize("noise", [0.003, 0.03, 0.2])
def test_a_plain_background_has_no_change(noise):
    assert change_of_gain(*power_law(noise=noise)) is None


def test_simulated_files_are_cut_at_their_changes_and_nowhere_else():
    kept, seen = [], []
    for file in whole_files(N, seed=5, settings=FileSettings(ragged_probability=0.0)):
        window = usable_window(file.spectrum)
        told = any("gain" in reason for reason in window.reasons)
        if file.gain == 1:
            seen.append(told)
        else:
            kept.append(window.lo_ev < file.start_ev - 1 and window.hi_ev >= file.start_ev)
    assert min(len(kept), len(seen)) > N / 3
    assert np.mean(kept) < 0.05
    assert np.mean(seen) < 0.02


@pytest.mark.parametrize("n", [2, 6])
@pytest.mark.parametrize("off", [0.6, 1.4, 2.5])
def test_ragged_ends_are_cut(n, off):
    energy, y = power_law(1.0)
    y[:n] *= off
    y[-n:] *= off
    found = usable_window(Spectrum(energy, y))
    assert (found.lo_ev, found.hi_ev) == (energy[n], energy[-n - 1])
    assert found.reasons


def test_a_whole_file_is_its_core_loss_and_what_is_in_front_of_it():
    plain = FileSettings(gain_probability=0.0, ragged_probability=0.0)
    for file in whole_files(20, seed=1, settings=plain):
        inside = file.spectrum.energy_ev >= file.start_ev
        np.testing.assert_array_equal(file.spectrum.counts[0, inside], file.core_loss.counts[0])
        assert file.gain == 1
        assert file.ragged == (0, 0)
    again, other = (next(whole_files(1, seed=seed)) for seed in (1, 2))
    assert not np.array_equal(again.core_loss.counts, other.core_loss.counts)
    assert NAMED_FROM_EV == 74
