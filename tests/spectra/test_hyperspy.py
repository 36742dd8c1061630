"""HyperSpy and eXSpy signals, and NumPy archives."""

import numpy as np
import pytest

from coreloss.spectra.hyperspy import as_spectrum, from_signal
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

hs = pytest.importorskip("hyperspy.api")
ENERGY = 430 + 0.5 * np.arange(600)
COUNTS = np.random.default_rng(0).poisson(1e4 * (ENERGY / 430) ** -3, (2, 3, 600)).astype(float)


def signal(*, lazy=False, units="eV"):
    exspy = pytest.importorskip("exspy")
    made = exspy.signals.EELSSpectrum(COUNTS)
    axis = made.axes_manager[-1]
    axis.offset, axis.scale, axis.units, axis.name = 430.0, 0.5, units, "Energy loss"
    if units == "keV":
        axis.offset, axis.scale = 0.43, 0.0005
    made.set_microscope_parameters(beam_energy=200.0, convergence_angle=12.0, collection_angle=35.0)
    made.metadata.General.title = "map"
    return made.as_lazy() if lazy else made


@pytest.mark.parametrize("options", [{}, {"lazy": True}, {"units": "keV"}])
def test_a_signal_is_a_spectrum(options):
    found = from_signal(signal(**options))
    np.testing.assert_allclose(found.energy_ev, ENERGY)
    np.testing.assert_array_equal(found.counts, COUNTS.reshape(6, 600))
    assert found.map_shape == (2, 3)
    known = (found.beam_energy_kev, found.convergence_mrad, found.collection_mrad, found.title)
    assert known == (200.0, 12.0, 35.0, "map")


def test_reading_and_converting_agree(tmp_path):
    made = signal()
    made.save(tmp_path / "map.hspy")
    a, b = read_spectrum(tmp_path / "map.hspy"), from_signal(made)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert (a.map_shape, a.beam_energy_kev) == (b.map_shape, b.beam_energy_kev)


def test_signals_without_energy_are_refused():
    image = hs.signals.Signal2D(np.ones((20, 30)))
    with pytest.raises(ValueError, match="energy axis"):
        from_signal(image)
    with pytest.raises(ValueError, match="not list"):
        as_spectrum([1, 2, 3])


def test_as_spectrum_takes_what_there_is(tmp_path):
    spectrum = Spectrum(ENERGY, COUNTS[0, 0])
    assert as_spectrum(spectrum) is spectrum
    np.savetxt(tmp_path / "a.csv", np.stack([ENERGY, COUNTS[0, 0]], 1), delimiter=",")
    np.testing.assert_allclose(as_spectrum(str(tmp_path / "a.csv")).counts, COUNTS[:1, 0])
    np.testing.assert_array_equal(as_spectrum(signal()).counts, COUNTS.reshape(6, 600))


@pytest.mark.parametrize(
    "arrays",
    [
        {"energy_ev": ENERGY, "counts": COUNTS, "beam_energy_kev": 80.0},
        {"Energy": ENERGY[::-1], "data": COUNTS[..., ::-1]},
        {"arr_0": COUNTS, "arr_1": ENERGY},
    ],
)
def test_archives_of_arrays(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    found = read_spectrum(tmp_path / "a.npz")
    np.testing.assert_allclose(found.energy_ev, ENERGY)
    np.testing.assert_array_equal(found.counts, COUNTS.reshape(6, 600))
    assert found.map_shape == (2, 3)
    assert found.beam_energy_kev == arrays.get("beam_energy_kev")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"energy": ENERGY[:-1], "counts": COUNTS}, r"energy \(599,\), counts \(2, 3, 600\)"),
        ({"a": COUNTS}, r"holds a \(2, 3, 600\)"),
        ({"energy": ENERGY, "counts": COUNTS + 0j}, "real numbers"),
    ],
)
def test_unfit_archives_say_what_they_hold(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_spectrum(tmp_path / "a.npz")


def test_channel_numbers_in_an_archive_are_no_energies(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(600), counts=COUNTS)
    with pytest.raises(
        ValueError, match=r"channel numbers, .*; name the array of the energies ene"
    ):
        read_spectrum(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", energy_ev=np.arange(600), counts=COUNTS)
    assert read_spectrum(tmp_path / "b.npz").warnings == ()


def test_damaged_archives_are_one_line(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(ValueError, match="cannot be read as npz"):
        read_spectrum(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", energy=ENERGY, counts=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="cannot be read as npz"):
        read_spectrum(tmp_path / "b.npz")
