"""Which axes are energies, which signal of several is read, and what other files are told."""

import importlib

import h5py
import numpy as np
import pytest
from helpers import hyperspy_dictionary

from coreloss.spectra.axes import ev_per_unit
from coreloss.spectra.formats import ELSEWHERE
from coreloss.spectra.hyperspy import as_spectrum
from coreloss.spectra.image import open_image
from coreloss.spectra.reading import from_signal_dictionaries, read_spectrum

N = 240
CORE = 1e4 * ((400 + 0.5 * np.arange(N)) / 400) ** -3
LOW = 1e5 * np.exp(-0.5 * ((0.5 * np.arange(N) - 20) / 2) ** 2) + 10


def signal(data, *, name="Energy loss", units="eV", scale=0.5, first=400.0, title="", kind="EELS"):
    """One spectrum, or an image of them, as the dictionary of a HyperSpy signal."""
    axes = [("x" if i else "y", "nm", 1.0, 0.0, True) for i in range(data.ndim - 1)]
    made = hyperspy_dictionary(data, [*axes, (name, units, scale, first, False)], title=title)
    made["metadata"]["Signal"]["signal_type"] = kind
    return made


def image():
    axes = [("y", "nm", 1.0, 0.0, False), ("x", "nm", 1.0, 0.0, False)]
    made = hyperspy_dictionary(np.ones((30, 40)), axes, title="HAADF")
    made["metadata"]["Signal"]["signal_type"] = ""
    return made


def core_and_low():
    return [signal(LOW, first=-20.0, title="low"), signal(CORE, title="core")]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("eV", 1), ("Energy Loss (eV)", 1), ("kEV", 1e3), ("meV", 1e-3), ("electron volts", 1),
     ("eV/channel", 1), ("MeV", None), ("1/eV", None), ("nm", None), ("level", None), ("", None)],
)  # fmt: skip
def test_units_in_words(unit, factor):
    assert ev_per_unit(unit) == factor


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ({"name": "", "units": "", "scale": 1.0, "first": 0.0}, "counts 0, 1, 2 ...: channel"),
        ({"name": "", "units": "", "scale": 1.0, "first": 1.0}, "counts 1, 2, 3 ...: channel"),
        ({"units": "", "scale": 1.0, "first": 0.0}, "set units='eV', offset and scale"),
        ({"units": "", "scale": -1.0, "first": 239.0}, "channel numbers"),
        ({"name": "x", "units": "", "scale": 0.5}, "'x' has no unit and the name of no energy"),
        ({"name": "Distance", "units": ""}, "set units='eV'"),
        ({"name": "x", "units": "nm"}, "is in nm; allowed: .*; set units='eV'"),
        ({"name": "k", "units": "1/nm"}, "is in 1/nm"),
        ({"name": "x", "units": "A"}, "is in A"),
    ],
)
def test_axes_that_are_no_energies_are_refused(axis, message):
    with pytest.raises(ValueError, match=message):
        from_signal_dictionaries([signal(CORE, **axis)])


@pytest.mark.parametrize(
    "axis",
    [
        {"units": ""},
        {"name": "", "units": ""},
        {"name": "", "units": "", "scale": 1.0, "first": 2.0},
        {"name": "", "units": "eV", "scale": 1.0, "first": 0.0},
    ],
)
def test_axes_that_may_be_energies_are_read(axis):
    found = from_signal_dictionaries([signal(CORE, **axis)])
    assert bool(found.warnings) == (axis["units"] == "")


def test_channel_numbers_give_no_image_either():
    exspy = pytest.importorskip("exspy")
    with pytest.raises(ValueError, match="channel numbers, not energies"):
        open_image(exspy.signals.EELSSpectrum(np.tile(CORE, (2, 3, 1))))


def test_the_core_loss_is_read_and_the_others_are_named():
    eds = signal(CORE, name="Energy", units="keV", scale=0.01, first=0.0, kind="EDS_TEM")
    found = from_signal_dictionaries([image(), eds, *core_and_low()])
    assert (found.title, found.energy_ev[0]) == ("core", 400)
    assert found.warnings[0].endswith(
        "3 'core' (EELS, 400..519.5 eV); read 3, the highest in energy"
    )
    with pytest.raises(ValueError, match="signal 'X' is not in the file") as failure:
        from_signal_dictionaries([image(), eds, *core_and_low()], signal="X")
    assert (
        "0 'HAADF' (image), 1 '' (EDS_TEM, 0..2390 eV), 2 'low' (EELS, -20..99.5 eV), "
        "3 'core' (EELS, 400..519.5 eV)" in str(failure.value)
    )


def test_the_low_loss_is_the_one_with_the_zero_loss_peak():
    early = signal(CORE, first=-5.0, title="starts at zero")
    early["data"] = CORE[::-1].copy()
    found = from_signal_dictionaries([early, *core_and_low()], zero_loss=True)
    assert found.title == "low"
    assert "read 1, the low loss" in found.warnings[0]
    maps = signal(np.tile(LOW, (4, 5, 1)), first=-20.0)
    assert from_signal_dictionaries([maps], zero_loss=True).map_shape == (4, 5)
    with pytest.raises(ValueError, match=r"no zero-loss peak: .* 0 'core' \(EELS, 400"):
        from_signal_dictionaries(core_and_low()[1:], zero_loss=True)


def test_equal_titles_ask_for_a_number():
    with pytest.raises(ValueError, match="2 signals are called 'EELS'; give the number of one: 0"):
        from_signal_dictionaries([signal(CORE, title="EELS")] * 2, signal="EELS")


def test_reasons_are_said_once():
    with pytest.raises(ValueError, match="is in nm") as failure:
        from_signal_dictionaries([signal(CORE, name="x", units="nm"), image()] * 3)
    assert str(failure.value).count("is in nm") == 1


def test_a_list_of_signals_is_like_a_file():
    exspy = pytest.importorskip("exspy")
    signals = []
    for data, first in ((LOW, -20.0), (CORE, 400.0)):
        made = exspy.signals.EELSSpectrum(data)
        axis = made.axes_manager[-1]
        axis.offset, axis.scale, axis.units = first, 0.5, "eV"
        signals.append(made)
    assert as_spectrum(signals).energy_ev[0] == 400
    assert as_spectrum(tuple(signals), zero_loss=True).energy_ev[0] == -20
    assert as_spectrum(signals, signal=0).energy_ev[0] == -20
    assert open_image(signals, signal=0).energy_ev[0] == -20
    with pytest.raises(ValueError, match="not list; give a Spectrum"):
        as_spectrum([])


def write_hspy(path):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("rsciio.hspy").file_writer(str(path), core_and_low()[1])
    return path


@pytest.mark.parametrize("suffix", ["hdf5", "h5"])
def test_hyperspy_files_with_another_suffix(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(write_hspy(tmp_path / "a.hspy").read_bytes())
    np.testing.assert_array_equal(read_spectrum(path).counts, [CORE])
    monkeypatch.setattr("coreloss.spectra.image.READ_WHOLE", 0)
    assert open_image(path).lazy
    with h5py.File(tmp_path / f"other.{suffix}", "w") as file:
        file["data"] = CORE
    with pytest.raises(ValueError, match="that HyperSpy has not written; allowed formats: dm3"):
        read_spectrum(tmp_path / f"other.{suffix}")


def test_other_formats_are_told_the_way(tmp_path):
    ways = {"rpl": "load.'a.rpl'.*save", "zspy": "load.'a.zspy'", "emi": "the .ser file beside it",
            "tif": "images, no spectra", "raw": "the .rpl file", "bcf": "X-ray spectra",
            "npy": "numpy.savez"}  # fmt: skip
    for suffix, way in ways.items():
        (tmp_path / f"a.{suffix}").write_text("key\tvalue\n")
        with pytest.raises(ValueError, match=way):
            read_spectrum(tmp_path / f"a.{suffix}")
    assert all(way.format("a") for way in ELSEWHERE.values())


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import rsciio.emd

    def fail(path):
        raise ModuleNotFoundError("The 'sparse' library was not found.")

    monkeypatch.setattr(rsciio.emd, "file_reader", fail)
    h5py.File(tmp_path / "a.emd", "w").close()
    with pytest.raises(ValueError, match=r"needs the package sparse, .*: pip install sparse"):
        read_spectrum(tmp_path / "a.emd")
