"""Denoised images are recognised, counted ones are not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from coreloss.mapping.element_maps import load_maps, map_elements
from coreloss.mapping.rules import consistent
from coreloss.mapping.shared_noise import noise_is_shared
from coreloss.spectra.spectrum import Spectrum

SHAPE = (12, 20)


def counted(mean=30.0, seed=0):
    """Counts (rows, columns, n) of an oxide whose titanium grows along the rows."""
    energy = np.arange(400.0, 700.0)
    share = np.linspace(0, 1, SHAPE[1])[None, :, None]
    y = (energy / 400) ** -3 + share * (energy > 456) * (energy / 456) ** -3
    y = y + 0.5 * (energy > 532) * (energy / 532) ** -3
    y = y + share * np.exp(-0.5 * ((energy - 460) / 1.5) ** 2)
    y = np.broadcast_to(y, (*SHAPE, len(energy)))
    return energy, np.random.default_rng(seed).poisson(mean * y).astype(float)


def components(counts, n=4):
    flat = counts.reshape(-1, counts.shape[-1])
    u, s, v = np.linalg.svd(flat, full_matrices=False)
    return ((u[:, :n] * s[:n]) @ v[:n]).reshape(counts.shape)


def filtered(counts):
    return gaussian_filter(counts, (1.5, 1.5, 0))


def flat(counts):
    return counts.reshape(-1, counts.shape[-1])


@pytest.mark.parametrize("denoised", [components, filtered])
@pytest.mark.parametrize("mean", [3.0, 30.0, 1000.0])
def test_denoised_images_share_noise(denoised, mean):
    _, counts = counted(mean)
    assert noise_is_shared(flat(denoised(counts)))
    assert not noise_is_shared(flat(counts))


@pytest.mark.parametrize("mean", [3.0, 30.0, 300.0])
def test_scaled_counts_and_their_point_spread_do_not(mean):
    _, counts = counted(mean)
    assert not noise_is_shared(flat(0.37 * counts))
    spread = 0.7 * counts + 0.15 * (np.roll(counts, 1, -1) + np.roll(counts, -1, -1))
    assert not noise_is_shared(flat(spread))


def test_maps_say_so_and_do_without_chance(tmp_path):
    energy, counts = counted()
    image = Spectrum(energy, flat(components(counts)), map_shape=SHAPE)
    maps = map_elements(image)
    assert not maps.independent
    assert any("share their noise" in warning for warning in maps.warnings)
    assert map_elements(Spectrum(energy, flat(counts), map_shape=SHAPE)).independent
    maps.save(tmp_path / "maps.h5")
    assert not load_maps(tmp_path / "maps.h5").independent


def test_without_independence_the_share_decides():
    calls = np.zeros((20, 20, 80), bool)
    calls[::5, ::5, 3] = True  # 16 single pixels, 4 %
    assert not consistent(calls)[0].detected
    assert consistent(calls, independent=False)[0].detected
