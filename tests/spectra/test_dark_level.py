"""Dark levels in front of zero-loss peaks that are put together here."""

import numpy as np
import pytest

from coreloss.spectra.dark_level import channels_before, without_dark_level
from coreloss.spectra.spectrum import Spectrum

ENERGY = -40 + 0.2 * np.arange(1200)


def zero_loss(energy=ENERGY, fwhm_ev=1.2):
    return np.exp(-4 * np.log(2) * (energy / fwhm_ev) ** 2)


def low_loss(energy=ENERGY, fwhm_ev=1.2):
    """Height 1, a plasmon at 22 eV and what it leaves behind."""
    plasmon = 0.06 * np.exp(-0.5 * ((energy - 22) / 6) ** 2)
    behind = 0.04 * (np.maximum(energy, 22) / 22) ** -3.0
    rest = np.where(energy > 2, plasmon, 0) + np.where(energy > 22, behind, 0)
    return zero_loss(energy, fwhm_ev) + rest


def drawn(rng, level: float) -> tuple[Spectrum, float] | None:
    """A low loss with one of four kinds of tails on a level relative to its maximum, and that."""
    step_ev, first_ev = rng.choice([0.05, 0.2, 0.5, 1.0]), -rng.choice([15, 20, 30, 60.0])
    energy = np.arange(first_ev, 200, step_ev)
    fwhm_ev = rng.uniform(0.4, 2.0) if step_ev < 1 else rng.uniform(1.2, 2.5)
    away, shape = np.abs(energy), low_loss(energy, fwhm_ev)
    tails = (
        lambda: 0.0,
        lambda: rng.uniform(0.05, 1) / (1 + (2 * away / fwhm_ev) ** 2),
        lambda: 10 ** rng.uniform(-5, -2) * np.exp(-away / rng.uniform(2, 10)),
        lambda: 10 ** rng.uniform(-4, -2) * np.maximum(away, 1) ** -rng.uniform(1.2, 3),
    )
    top = 10 ** rng.uniform(2.5, 8)
    shape = shape + tails[rng.integers(4)]()
    spectrum = Spectrum(energy, rng.poisson(top * (shape + level)).astype(float))
    return (spectrum, level * top) if channels_before(spectrum).stop else None


def test_no_level_is_found_where_none_is():
    rng = np.random.default_rng(0)
    several = [found for _ in range(400) if (found := drawn(rng, 0.0))]
    assert len(several) > 300
    false = [without_dark_level(spectrum) is not spectrum for spectrum, _ in several]
    assert np.mean(false) < 0.015


@pytest.mark.parametrize(("level", "least"), [(1e-3, 0.75), (1e-2, 0.93), (0.1, 0.99), (1.0, 0.99)])
def test_levels_are_found_and_little_of_them_is_left(level, least):
    rng = np.random.default_rng(1)
    left = []
    for spectrum, counts in (found for _ in range(150) if (found := drawn(rng, level))):
        taken = (spectrum.counts - without_dark_level(spectrum).counts)[0, 0]
        left.append(abs(taken / counts - 1))
    assert np.mean(np.array(left) < 1) >= least
    assert np.median(left) < 0.03


def test_a_detector_that_counts_below_zero_is_set_right():
    dark = without_dark_level(Spectrum(ENERGY, 1e6 * low_loss() - 2000))
    np.testing.assert_allclose(dark.counts[0], 1e6 * low_loss(), atol=1)
    assert "-0.2% of the maximum" in dark.warnings[0]


def test_what_strays_in_front_of_the_peak_only_is_not_taken_off_behind_it():
    counts = 1e6 * low_loss() + np.where(ENERGY < -5, 500.0, 200.0)
    counts[-30:] = 0.0  # padding says nothing
    taken = counts - without_dark_level(Spectrum(ENERGY, counts)).counts[0]
    np.testing.assert_allclose(taken, 200 + 1e6 * low_loss()[-100], rtol=0.3)
    clean = 1e6 * low_loss() + np.where(ENERGY < -5, 500.0, 0.0)
    clean[600:] = np.random.default_rng(4).normal(0, 10, 600)
    spectrum = Spectrum(ENERGY, clean)
    assert without_dark_level(spectrum) is spectrum


def test_x_rays_and_a_dead_channel_do_not_change_the_level():
    rng = np.random.default_rng(2)
    counts = rng.poisson(1e6 * low_loss() + 500).astype(float)
    counts[[10, 60, 90]] = 3e5, 9e4, 0.0
    taken = counts - without_dark_level(Spectrum(ENERGY, counts)).counts[0]
    np.testing.assert_allclose(taken, 500, rtol=0.02)


def test_equal_levels_of_an_image_stay_equal_and_different_ones_do_not():
    rng = np.random.default_rng(3)
    shape = 1e4 * low_loss() * rng.uniform(0.5, 1.5, (200, 1))
    equal = rng.poisson(shape + 20.0).astype(float)
    taken = (equal - without_dark_level(Spectrum(ENERGY, equal)).counts)[:, 0]
    assert np.std(taken) < 0.1  # noise of a mean of 180 channels alone: 0.33
    levels = rng.uniform(10, 30, 200)
    different = rng.poisson(shape + levels[:, None]).astype(float)
    taken = (different - without_dark_level(Spectrum(ENERGY, different)).counts)[:, 0]
    assert np.std(taken - levels) < 0.5


@pytest.mark.parametrize(
    ("energy", "centre_ev"), [(np.arange(300.0, 700.0), 400), (np.arange(-6.0, 200.0), 0)]
)
def test_without_channels_in_front_of_a_zero_loss_peak_nothing_is_done(energy, centre_ev):
    spectrum = Spectrum(energy, 1e5 * low_loss(energy - centre_ev) + 1e3)
    assert without_dark_level(spectrum) is spectrum


def test_missing_values_are_told():
    counts = low_loss()
    counts[5] = np.nan
    with pytest.raises(ValueError, match=r"use Spectrum.mended\(\)"):
        without_dark_level(Spectrum(ENERGY, counts))
