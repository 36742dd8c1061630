"""Images as they come: series, pixels without values, ends that some of the spectra lack."""

import gc

import h5py
import numpy as np
import pytest
from helpers import handles
from made_files import MAP, signal, write

from coreloss.spectra.image import open_image
from coreloss.spectra.spectrum import Spectrum

ENERGY = np.arange(400.0, 500.0)


def image(map_shape=(3, 4), *, missing=(), blank=()) -> Spectrum:
    """Ones, ``missing`` pairs of pixel and channels, ``blank`` pixels."""
    counts = np.ones((int(np.prod(map_shape)), len(ENERGY)))
    for pixel, channels in missing:
        counts[pixel, channels] = np.nan
    counts[list(blank)] = np.nan
    return Spectrum(ENERGY, counts, map_shape=map_shape)


@pytest.mark.parametrize(
    ("shape", "one"),
    [
        ((5,), (5,)),
        ((1, 5), (1, 5)),
        ((3, 4), (3, 4)),
        ((2, 1, 4), (2, 4)),
        ((1, 1, 4), (4,)),
        ((1, 1, 1), (1,)),
    ],
)
def test_images_and_lines_stay_what_they_are(shape, one):
    found = open_image(image(shape)).as_one_map()
    assert (found.map_shape, found.sum().warnings) == (one, ())


@pytest.mark.parametrize(("shape", "one"), [((2, 3, 4), (6, 4)), ((2, 2, 3, 4), (12, 4))])
def test_a_series_is_one_image_and_says_so(shape, one):
    found = open_image(image(shape)).as_one_map()
    assert found.map_shape == one
    assert found.sum().warnings == (
        f"images of the series {shape} stand one below the other: {one}",
    )
    np.testing.assert_array_equal(found.read(0, 12).counts, image(shape).counts[:12])


def test_the_part_that_all_spectra_have_is_left():
    some = image(missing=[(0, slice(0, 4)), (1, slice(0, 9)), (2, slice(95, None)), (3, 50)])
    cut = some.without_missing_ends()
    assert (cut.energy_ev[0], cut.energy_ev[-1]) == (409, 494)
    note = "channels below 409 eV and above 494 eV are missing in one spectrum or more: cut off"
    assert cut.warnings == (note,)
    assert np.isnan(cut.counts).sum() == 1
    summed = open_image(some).sum().without_missing_ends()
    assert (summed.energy_ev[0], summed.warnings) == (409, (note,))
    whole = image(missing=[(3, 50)])
    assert whole.without_missing_ends() is whole


def test_pixels_without_any_value_count_as_zero():
    some = image(blank=(1, 7))
    assert some.sum().counts.tolist() == [[10.0] * 100]
    assert some.without_missing_ends() is some
    assert np.isnan(image(blank=range(12)).sum().counts).all()


def test_rows_without_any_value_are_read_and_summed():
    some = open_image(image(blank=range(4)))
    assert some.read(0, 4).counts.sum() == 0
    np.testing.assert_array_equal(some.sum().counts, 8 * np.ones((1, 100)))


def test_whole_numbers_cannot_be_missing():
    hyperspy = pytest.importorskip("hyperspy.api")
    for dtype, complete in (("uint16", True), ("float32", False)):
        made = hyperspy.signals.Signal1D(np.ones((2, 3, 100), dtype)).as_lazy()
        axis = made.axes_manager[-1]
        axis.name, axis.units, axis.offset = "Energy loss", "eV", 400.0
        assert open_image(made).complete is complete


@pytest.mark.parametrize("suffix", ["hspy", "emd"])
def test_the_file_of_a_large_image_is_closed_when_nobody_can_read_it(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("coreloss.spectra.image.READ_WHOLE", 0)
    path = write(tmp_path / f"a.{suffix}", signal(MAP))
    if suffix == "hspy":  # of two signals in it, one is read
        with h5py.File(path, "a") as file:
            file.copy("Experiments/core", "Experiments/other")
    counts = open_image(path).counts[:2]
    gc.collect()
    assert handles(path) == 1
    np.testing.assert_array_equal(counts, MAP.reshape(-1, MAP.shape[-1])[:2])
    del counts
    gc.collect()
    assert handles(path) == 0
    with pytest.raises(ValueError, match="signal 9 is not in the file"):
        open_image(path, signal=9)
    gc.collect()
    assert handles(path) == 0
