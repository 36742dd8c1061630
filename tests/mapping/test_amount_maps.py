"""What `quantify`, `map` and `identify` make of the same awkward image."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from coreloss.identification.identify import identify
from coreloss.mapping.amount_maps import quantify_image
from coreloss.mapping.element_maps import map_elements
from coreloss.quantification.quantify import quantify
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.spectra.spectrum import Spectrum

BELOW = "channels below 405 eV are missing in one spectrum or more: cut off"
NAMES = ("O", "Ti")


@pytest.fixture(scope="module")
def sample():
    return simulate_superlattice(Superlattice(map_shape=(2, 60)), seed=4)


@pytest.fixture(scope="module")
def aligned(sample):
    """Spectra that were moved onto each other by up to 5 eV and not cropped."""
    core = sample.core_loss
    counts = core.counts.copy()
    first = int(np.searchsorted(core.energy_ev, 400.0))
    for pixel, row in enumerate(counts):
        row[: first + pixel % 6] = np.nan
    return replace(core, counts=counts)


def stored(path, spectrum: Spectrum):
    signals = pytest.importorskip("exspy.signals")
    shape = spectrum.map_shape or ()
    signal = signals.EELSSpectrum(spectrum.counts.reshape(*shape, -1))
    axis = signal.axes_manager[-1]
    axis.name, axis.units, axis.offset = "Energy loss", "eV", float(spectrum.energy_ev[0])
    axis.scale = spectrum.dispersion_ev
    signal.save(path)
    return path


@pytest.mark.parametrize("lazy", [False, True])
def test_ends_that_some_spectra_lack_are_cut_off_and_told_by_all(aligned, tmp_path, lazy):
    data = stored(tmp_path / "aligned.hspy", aligned) if lazy else aligned
    assert BELOW in identify(data).warnings
    maps = map_elements(data)
    assert (maps.window_ev[0], maps.warnings.count(BELOW)) == (405, 1)
    amounts = quantify_image(data, elements=NAMES)
    assert (amounts.window_ev[0], amounts.warnings.count(BELOW)) == (405, 1)
    assert np.isfinite(amounts.amount).all()


def test_one_call_for_spectra_in_memory_cuts_them_too(aligned):
    found = quantify(aligned, elements=NAMES)
    assert BELOW in found.warnings
    assert found.plan.window_ev[0] == 405


def test_a_window_in_which_some_lack_an_end_is_refused_before_any_work(aligned, monkeypatch):
    monkeypatch.setattr("coreloss.mapping.element_maps.applied", None)
    for call in (map_elements, lambda data, **o: quantify_image(data, elements=NAMES, **o)):
        with pytest.raises(ValueError, match=r"between 400 and 404 eV are NaN.*405\.\."):
            call(aligned, window_ev=(400, 900))


def test_a_series_of_images_is_mapped_as_one(sample):
    series = replace(sample.core_loss, map_shape=(2, 3, 20))
    low_loss = replace(sample.low_loss, map_shape=(2, 3, 20))
    maps = map_elements(series)
    assert maps.map_shape == (6, 20)
    assert {"O", "Ti"} <= set(maps.present())
    amounts = quantify_image(series, low_loss=low_loss, elements=NAMES)
    assert amounts.amount.shape == (6, 20, 2)
    for result in (maps, amounts):
        assert any("stand one below the other: (6, 20)" in note for note in result.warnings)


def test_pixels_without_values_do_not_stop_an_image(sample):
    core = sample.core_loss
    counts = core.counts.copy()
    counts[:60] = np.nan  # a whole row
    low = sample.low_loss.counts.copy()
    low[60:70] = 0.0
    core, low_loss = replace(core, counts=counts), replace(sample.low_loss, counts=low)
    assert map_elements(core).probability.shape == (2, 60, 80)
    found = quantify_image(core, low_loss=low_loss, elements=NAMES)
    note = "low loss: 10 of 120 spectra are empty: the mean of the others is used"
    assert note in found.warnings
    assert np.isfinite(found.of("O")[0][1]).all()


def test_an_unusable_low_loss_is_told_before_any_work(sample, monkeypatch):
    monkeypatch.setattr("coreloss.mapping.amount_maps.found_elements", None)
    with pytest.raises(ValueError, match="zero-loss"):
        quantify_image(sample.core_loss, low_loss=sample.core_loss)


def test_a_low_loss_on_disk_is_treated_as_in_memory(sample, tmp_path):
    counts = sample.low_loss.counts.copy()
    counts[:10] = 0.0
    counts[10:] += 0.01 * counts.max()
    low_loss, options = replace(sample.low_loss, counts=counts), {"elements": NAMES}
    path = stored(tmp_path / "low.hspy", low_loss)
    lazily = quantify_image(sample.core_loss, low_loss=path, **options)
    expected = quantify_image(sample.core_loss, low_loss=low_loss, **options)
    clean = quantify_image(sample.core_loss, low_loss=sample.low_loss, **options)
    np.testing.assert_allclose(lazily.fraction, expected.fraction, atol=1e-3)
    assert lazily.overall["O"][0] == pytest.approx(clean.overall["O"][0], abs=5e-3)
    assert any("low loss: a dark level" in note for note in lazily.warnings)


def test_both_losses_are_found_in_one_file(sample, tmp_path):
    core, low = sample.core_loss.sum(), sample.low_loss.sum()
    both = tmp_path / "both.hspy"
    parts = stored(tmp_path / "core.hspy", core), stored(tmp_path / "low.hspy", low)
    with h5py.File(both, "w") as target:
        group = target.create_group("Experiments")
        for name, part in zip(("core", "low"), parts, strict=True):
            with h5py.File(part) as source:
                target.attrs.update(source.attrs)
                (signal,) = source["Experiments"].values()
                source.copy(signal, group, name)
    found = quantify_image(both, low_loss=both, elements=NAMES)
    expected = quantify_image(parts[0], low_loss=parts[1], elements=NAMES)
    np.testing.assert_allclose(found.amount, expected.amount, rtol=1e-6)
