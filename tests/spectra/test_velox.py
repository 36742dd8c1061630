"""Velox files with energy losses beside X-rays: the layout of the format, own counts."""

import numpy as np
import pytest
from helpers import handles
from made_files import write_velox

from coreloss.spectra.image import open_image
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.velox import counts_of

ROWS, COLUMNS, N = 3, 4, 300
LEVEL = 100
RNG = np.random.default_rng(0)
CORE = RNG.poisson(1e4 * ((300 + np.arange(N)) / 300) ** -3.0, (ROWS, COLUMNS, N))
LOW = RNG.poisson(1e4 * np.exp(-0.5 * ((np.arange(N) - 100) / 3) ** 2), (ROWS, COLUMNS, N))


@pytest.fixture
def velox(tmp_path):
    images = [("a", 300.0, CORE), ("b", -100.0, LOW)]
    return write_velox(tmp_path / "a.emd", images, level=LEVEL)


def test_energy_losses_beside_x_rays_lose_their_level(velox):
    pytest.importorskip("sparse")
    found = read_spectrum(velox)
    np.testing.assert_array_equal(found.counts, CORE.reshape(-1, N))
    np.testing.assert_allclose(found.energy_ev, 300 + np.arange(N))
    assert (found.map_shape, found.beam_energy_kev) == ((ROWS, COLUMNS), 200)
    assert found.warnings[1:] == (
        "the file states an intensity offset of 100 and a scale of 1: applied to the counts",
    )
    low = read_spectrum(velox, zero_loss=True)
    np.testing.assert_array_equal(low.counts, LOW.reshape(-1, N))
    np.testing.assert_array_equal(open_image(velox).read(0, 2).counts, found.counts[:2])
    with pytest.raises(ValueError, match=r"0 '\w+' \(image\), 1 'EELS' \(EELS, 300..599 eV\), 2"):
        read_spectrum(velox, signal=9)


def test_the_file_is_closed_once_its_counts_are_read(velox):
    pytest.importorskip("sparse")
    found = read_spectrum(velox), open_image(velox)
    assert handles(velox) == 0
    np.testing.assert_array_equal(found[1].read(0, len(found[1])).counts, found[0].counts)


@pytest.mark.parametrize(
    ("offset", "scale", "expected"),
    [(100, 1, [5, 1]), (-100, 1, [5, 1]), (100, 0.5, [2.5, 0.5]), (0, 2, [210, 202])],
)
def test_intensities_are_applied(offset, scale, expected):
    counts, notes = counts_of(np.array([[105, 101]], np.uint16), offset=offset, scale=scale)
    assert counts.tolist() == [expected]
    assert "applied to the counts" in notes[0]


def test_intensities_that_cannot_be_are_not_applied():
    stored = np.array([[105, 101]], np.uint16)
    assert counts_of(stored, offset=0, scale=1) == (stored, ())
    counts, notes = counts_of(stored, offset=500, scale=1)
    assert counts is stored
    assert "not applied, counts would be negative" in notes[0]


def test_noise_about_zero_is_no_wrong_level():
    noise = np.random.default_rng(1).normal(LEVEL, 3, (50, 200)).round().astype(np.uint16)
    noise[:, 100] = 5000
    counts, notes = counts_of(noise, offset=LEVEL, scale=1)
    np.testing.assert_array_equal(counts, noise.astype(float) - LEVEL)
    assert "applied to the counts" in notes[0]
