"""Reading measured spectra, and the one path that they share with simulated ones."""

import logging
import warnings

import h5py
import numpy as np
import pytest
import torch
from helpers import hyperspy_dictionary

from coreloss.axis import N_CHANNELS, energy_ev
from coreloss.spectra.network_input import NetworkInput, normalise, preprocess, resample
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

FIRST_EV, LAST_EV = 430, 780


def edge_counts(energy, *, jump_ev=532.0):
    """A decaying background with an edge, per eV."""
    return 4e4 * (energy / 430) ** -3 + 6e3 * (energy > jump_ev) * (energy / jump_ev) ** -2.5


@pytest.fixture
def simulated():
    """Integer counts on the whole axis, 0 outside a window, as the simulator makes them."""
    energy = energy_ev().double().numpy()
    counts = np.zeros((1, N_CHANNELS))
    window = slice(FIRST_EV, LAST_EV + 1)
    counts[0, window] = np.random.default_rng(1).poisson(edge_counts(energy[window]))
    mask = torch.zeros(1, N_CHANNELS, dtype=torch.bool)
    mask[:, window] = True
    return torch.from_numpy(counts), mask


def write_text(path, energy, *columns, separator=",", header="Energy (eV),counts\n", comma=False):
    rows = [separator.join(f"{value:.10g}" for value in row) for row in zip(energy, *columns)]  # noqa: B905
    text = "\n".join(rows) + "\n"
    path.write_text(header + (text.replace(".", ",") if comma else text))
    return path


def write_msa(path, energy, counts, *, units="eV", n_points=None, extra=""):
    step = energy[1] - energy[0]
    lines = "\n".join(f"{value:.10g}" for value in counts)
    path.write_text(
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#TITLE       : oxide\n"
        f"#NPOINTS     : {n_points or len(counts)}\n#NCOLUMNS    : 1\n#XUNITS      : {units}\n"
        f"#DATATYPE    : Y\n#XPERCHAN    : {step:.10g}\n#OFFSET      : {energy[0]:.10g}\n"
        f"#SIGNALTYPE  : ELS\n{extra}#SPECTRUM    : Spectral Data Starts Here\n{lines}\n"
        "#ENDOFDATA   :\n"
    )
    return path


def write_hspy(path, data, axes, *, microscope=None):
    """A HyperSpy file with (name, units, scale, offset, navigate) per axis."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rsciio.hspy import file_writer
    file_writer(str(path), hyperspy_dictionary(data, axes, microscope=microscope))
    return path


# --- preprocess -------------------------------------------------------------------------------


def test_simulated_counts_pass_unchanged(simulated):
    counts, mask = simulated
    inputs = preprocess(counts, energy_ev())
    assert torch.equal(inputs.mask, mask)
    assert torch.equal(inputs.spectrum, normalise(counts, mask))
    assert torch.equal(inputs.spectrum, normalise(counts.float(), mask))
    assert inputs.spectrum.dtype == torch.float32
    assert inputs.spectrum[mask].double().mean().item() == pytest.approx(1, abs=1e-6)
    assert not inputs.spectrum[~mask].any()


@pytest.mark.parametrize("form", ["csv", "semicolon", "msa", "hspy"])
def test_saving_and_reading_changes_nothing(form, simulated, tmp_path):
    counts, mask = simulated
    energy, values = energy_ev()[mask[0]].numpy(), counts[mask].numpy()
    if form == "csv":
        path = write_text(tmp_path / "s.csv", energy, values)
    elif form == "semicolon":
        path = write_text(tmp_path / "s.txt", energy, values, separator=";", comma=True)
    elif form == "msa":
        path = write_msa(tmp_path / "s.msa", energy, values)
    else:
        axes = [("Energy loss", "eV", 1.0, float(FIRST_EV), False)]
        path = write_hspy(tmp_path / "s.hspy", values, axes)
    spectrum = read_spectrum(path)
    again = preprocess(spectrum.counts, spectrum.energy_ev)
    direct = preprocess(counts, energy_ev())
    assert spectrum.warnings == ()
    assert torch.equal(again.spectrum, direct.spectrum)
    assert torch.equal(again.mask, direct.mask)


@pytest.mark.parametrize("step", [0.05, 0.2881, 0.5, 0.99])
def test_finer_axes_are_binned_without_losing_counts(step):
    energy = np.arange(425.3, 800, step)
    counts = np.random.default_rng(2).poisson(edge_counts(energy) * step, (3, len(energy)))
    per_ev, covered = resample(counts.astype(float), energy)
    channels = np.flatnonzero(covered)
    assert np.array_equal(np.diff(channels), np.ones(len(channels) - 1))
    assert channels[0] - 0.5 == pytest.approx(energy[0] - step / 2, abs=1.0)
    edges = np.concatenate([energy - step / 2, energy[-1:] + step / 2])
    cumulative = np.concatenate([np.zeros((3, 1)), counts.cumsum(axis=1)], axis=1)
    for row in range(3):
        low, high = np.interp([channels[0] - 0.5, channels[-1] + 0.5], edges, cumulative[row])
        assert per_ev[row].sum() == pytest.approx(high - low, rel=1e-12)
        expected = np.diff(np.interp(np.append(channels, channels[-1] + 1) - 0.5, edges,
                                     cumulative[row]))  # fmt: skip
        np.testing.assert_allclose(per_ev[row, channels], expected, rtol=1e-9, atol=1e-6)


def test_axis_within_rounding_of_whole_ev_is_not_resampled(simulated):
    counts = simulated[0][0, FIRST_EV:LAST_EV].numpy()
    drifting = FIRST_EV + 1e-5 + 0.9999998211860657 * np.arange(len(counts))
    per_ev, covered = resample(counts[None], drifting)
    assert np.flatnonzero(covered)[[0, -1]].tolist() == [FIRST_EV, LAST_EV - 1]
    np.testing.assert_array_equal(per_ev[0, covered], counts)


@pytest.mark.parametrize("step", [0.1, 0.25, 1.5, 4.0])
def test_resampled_density_follows_a_smooth_spectrum(step):
    energy = np.arange(400, 1000, step)
    truth = energy_ev().double().numpy()
    per_ev, mask = resample(edge_counts(energy, jump_ev=1e9)[None] * step, energy)
    wanted = edge_counts(truth[mask], jump_ev=1e9)
    np.testing.assert_allclose(per_ev[0, mask], wanted, rtol=2e-4)


def test_finer_axis_does_not_move_an_edge():
    fine = np.arange(400, 700, 0.1)
    inputs = preprocess(np.where(fine > 532.0, 3.0, 1.0) + 1e-7 * fine, fine, (420, 650))
    ratio = inputs.spectrum[0] / inputs.spectrum[0, 450]
    assert ratio[531].item() == pytest.approx(1, abs=1e-3)
    assert ratio[532].item() == pytest.approx(2, abs=0.11)
    assert ratio[533].item() == pytest.approx(3, abs=1e-3)


def test_window_and_crop_agree(simulated):
    counts, _ = simulated
    spectrum = Spectrum(energy_ev=energy_ev(), counts=counts)
    window = preprocess(spectrum.counts, spectrum.energy_ev, (500, 600))
    cropped = spectrum.crop(500, 600)
    crop = preprocess(cropped.counts, cropped.energy_ev)
    assert torch.equal(window.spectrum, crop.spectrum)
    assert window.mask[0].nonzero()[[0, -1], 0].tolist() == [500, 600]


def test_padding_at_the_ends_is_no_data():
    energy = np.arange(400, 700, 0.5)
    counts = edge_counts(energy)
    counts[:40], counts[-60:] = 0, 17.0
    inputs = preprocess(counts, energy)
    assert inputs.mask[0].nonzero()[[0, -1], 0].tolist() == [421, 669]


def test_map_is_treated_as_its_pixels_are():
    energy = np.arange(400, 700, 0.7)
    counts = np.random.default_rng(3).poisson(edge_counts(energy) / 50, (40, len(energy)))
    together = preprocess(counts, energy)
    assert together.spectrum.shape == together.mask.shape == (40, N_CHANNELS)
    for row in (0, 17, 39):
        alone = preprocess(counts[row], energy)
        torch.testing.assert_close(together.spectrum[row], alone.spectrum[0], rtol=1e-6, atol=0)


def test_channels_outside_the_axis_are_left_out():
    energy = np.arange(-50.0, 120.0, 0.5)
    inputs = preprocess(np.random.default_rng(4).poisson(90, len(energy)), energy)
    assert inputs.mask[0].nonzero()[[0, -1], 0].tolist() == [0, 119]
    energy = np.arange(3000.0, 3200.0)
    inputs = preprocess(np.random.default_rng(4).poisson(90, len(energy)), energy)
    assert inputs.mask[0].nonzero()[[0, -1], 0].tolist() == [3000, 3071]


def test_normalise_survives_empty_and_background_free_spectra():
    counts = torch.zeros(3, N_CHANNELS)
    counts[1, 100:200] = torch.tensor([1.0, -0.98]).repeat(50)
    counts[2, 100:200] = 5
    mask = torch.zeros(3, N_CHANNELS, dtype=torch.bool)
    mask[:, 100:200] = True
    result = normalise(counts, mask)
    assert torch.isfinite(result).all()
    assert not result[0].any()
    assert result[1].max().item() == pytest.approx(1 / 0.99)
    assert (result[2, 100:200] == 1).all()


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((100, 200), "holds 0 channels"),
        ((600, 500), "start must be below its end"),
        ((500, 510), "at least 23"),
        ((float("nan"), 500), "start must be below its end"),
    ],
)
def test_impossible_windows_are_refused(window, message):
    energy = np.arange(400.0, 700.0)
    with pytest.raises(ValueError, match=message):
        preprocess(edge_counts(energy), energy, window)


def test_constant_and_unfit_counts_are_refused():
    energy = np.arange(400.0, 700.0)
    with pytest.raises(ValueError, match="same value 0"):
        preprocess(np.zeros(300), energy)
    with pytest.raises(ValueError, match="do not fit"):
        preprocess(np.ones(299), energy)
    with pytest.raises(ValueError, match="NaN"):
        preprocess(np.full(300, np.nan), energy)
    with pytest.raises(ValueError, match="ascending and uniform"):
        preprocess(edge_counts(energy), energy[::-1])


# --- Spectrum ---------------------------------------------------------------------------------


def test_spectrum_methods():
    energy = np.arange(400, 700, 0.5)
    counts = np.random.default_rng(5).poisson(edge_counts(energy), (2, 3, len(energy)))
    spectrum = Spectrum(energy_ev=energy, counts=counts.reshape(6, -1), map_shape=(2, 3))
    assert len(spectrum) == 6
    assert spectrum.dispersion_ev == 0.5
    assert spectrum.crop(450, 500).energy_ev[[0, -1]].tolist() == [450, 500]
    assert spectrum.shift(-3).energy_ev[0] == 397
    total = spectrum.sum()
    assert (len(total), total.map_shape) == (1, ())
    np.testing.assert_array_equal(total.counts[0], counts.sum(axis=(0, 1)))
    with pytest.raises(ValueError, match=r"covers 400..699.5 eV"):
        spectrum.crop(800, 900)
    with pytest.raises(ValueError, match="map_shape"):
        Spectrum(energy_ev=energy, counts=counts.reshape(6, -1), map_shape=(2, 2))


# --- reading: text ----------------------------------------------------------------------------

ENERGY = np.arange(400, 500, 0.5)
COUNTS = np.round(edge_counts(ENERGY), 1)


@pytest.mark.parametrize(
    ("separator", "header", "comma"),
    [
        (",", "Energy (eV), counts\n", False),
        (", ", "# eV, counts\n", False),
        ("\t", "Loss [eV]\tI\n", True),
        (";", "énergie (eV);coups\n", True),
        ("   ", "# a comment\n# E/eV I\n", False),
        ("  ", "eV counts\n", True),
    ],
)
def test_layouts_of_text(separator, header, comma, tmp_path):
    path = write_text(
        tmp_path / "s.txt", ENERGY, COUNTS, separator=separator, header=header, comma=comma
    )
    spectrum = read_spectrum(path)
    np.testing.assert_allclose(spectrum.energy_ev, ENERGY, atol=1e-9)
    np.testing.assert_array_equal(spectrum.counts, [COUNTS])
    assert spectrum.warnings == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_of_text(encoding, tmp_path):
    path = write_text(tmp_path / "s.csv", ENERGY, COUNTS, header="Énergie (eV),coups\n")
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    np.testing.assert_array_equal(read_spectrum(path).counts, [COUNTS])


def test_units_directions_and_several_columns(tmp_path):
    path = write_text(
        tmp_path / "k.csv", ENERGY / 1000, COUNTS, 2 * COUNTS, header="Energy (keV),a,b\n"
    )
    in_kev = read_spectrum(path)
    np.testing.assert_allclose(in_kev.energy_ev, ENERGY, atol=1e-9)
    np.testing.assert_array_equal(in_kev.counts, [COUNTS, 2 * COUNTS])
    path = write_text(tmp_path / "d.csv", ENERGY[::-1], COUNTS[::-1], header="")
    descending = read_spectrum(path)
    np.testing.assert_array_equal(descending.energy_ev, ENERGY)
    np.testing.assert_array_equal(descending.counts, [COUNTS])
    assert descending.warnings == ("the first column has no unit: eV assumed",)


def test_single_missing_values_are_filled(tmp_path):
    counts = np.linspace(100, 299, len(ENERGY))
    holes = counts.copy()
    holes[[50, 120]] = np.nan, np.inf
    spectrum = read_spectrum(write_text(tmp_path / "s.csv", ENERGY, holes))
    assert np.flatnonzero(np.isnan(spectrum.counts[0])).tolist() == [50, 120]
    assert spectrum.warnings == ()
    mended = spectrum.mended()
    np.testing.assert_allclose(mended.counts, [counts], rtol=1e-9)
    assert mended.warnings == ("2 of 200 values were missing: filled from their neighbours",)
    assert mended.mended() is mended
    with pytest.raises(ValueError, match=r"use Spectrum.mended\(\)"):
        preprocess(spectrum.counts, spectrum.energy_ev)


@pytest.mark.parametrize(
    ("holes", "message"),
    [
        ([5, 50, 99], "3 values between 402.5 and 449.5 eV"),  # of 200, 2 are allowed
        ([0, 1, 2, 3], "for instance 402..499.5 eV"),
        ([196, 197, 198, 199], "for instance 400..497.5 eV"),
        (range(200), "all 200 values"),
        (range(0, 200, 2), "choose a window without them$"),
    ],
)
def test_many_missing_values_are_refused(holes, message):
    counts = COUNTS.copy()
    counts[list(holes)] = np.nan
    with pytest.raises(ValueError, match=message):
        Spectrum(ENERGY, counts).mended()


def test_run_of_missing_values_is_refused_however_long_the_spectrum():
    energy = np.arange(100.0, 2000.0)
    counts = edge_counts(energy)
    counts[700:703] = np.nan
    assert "3 of 1900" in Spectrum(energy, counts).mended().warnings[0]
    counts[703] = -np.inf
    with pytest.raises(ValueError, match="4 values between 800 and 803 eV"):
        Spectrum(energy, counts).mended()


def test_missing_values_outside_the_window_do_no_harm():
    counts = COUNTS.copy()
    counts[:60] = np.nan
    cropped = Spectrum(ENERGY, counts).crop(430, 499).mended()
    np.testing.assert_array_equal(cropped.counts[0], COUNTS[60:199])
    assert cropped.warnings == ()


def test_blank_spectrum_of_a_map_becomes_zero():
    counts = np.tile(COUNTS, (3, 1))
    counts[1] = np.nan
    mended = Spectrum(ENERGY, counts).mended()
    np.testing.assert_array_equal(mended.sum().counts[0], 2 * COUNTS)
    assert mended.warnings == ("1 of 3 spectra without any value: taken as zero",)


def test_missing_value_on_an_uneven_axis_stays_missing(tmp_path):
    uneven = 400 + 200 * np.linspace(0, 1, 900) ** 1.2
    counts = 2 * uneven
    counts[450] = np.nan
    spectrum = read_spectrum(write_text(tmp_path / "u.csv", uneven, counts))
    assert 1 <= np.isnan(spectrum.counts).sum() <= 3
    np.testing.assert_allclose(spectrum.mended().counts[0], 2 * spectrum.energy_ev, rtol=1e-9)


def test_uneven_and_rounded_axes_become_uniform(tmp_path):
    rounded = read_spectrum(write_text(tmp_path / "r.csv", np.round(np.arange(400, 500, 0.0985), 2),
                                       np.arange(400, 500, 0.0985)))  # fmt: skip
    assert rounded.warnings == ()
    assert rounded.dispersion_ev == pytest.approx(0.0985, rel=1e-4)
    uneven = 400 + 200 * np.linspace(0, 1, 300) ** 1.2
    spectrum = read_spectrum(write_text(tmp_path / "u.csv", uneven, 2 * uneven))
    np.testing.assert_allclose(spectrum.counts[0], 2 * spectrum.energy_ev, rtol=1e-9)
    assert "steps of the axis vary" in spectrum.warnings[0]


def test_negative_values_are_kept(tmp_path):
    counts = np.linspace(-5, 50, len(ENERGY))
    spectrum = read_spectrum(write_text(tmp_path / "s.csv", ENERGY, counts))
    np.testing.assert_allclose(spectrum.counts, [counts], rtol=1e-9)
    assert spectrum.warnings == ()  # what a window makes of them is said by `identify`


# --- reading: MSA and HyperSpy ----------------------------------------------------------------


def test_msa_header(tmp_path):
    extra = "#BEAMKV      : 200.0\n#CONVANGLE   : 10.0\n#COLLANGLE   : 33.0\n"
    spectrum = read_spectrum(write_msa(tmp_path / "s.msa", ENERGY, COUNTS, extra=extra))
    assert (spectrum.beam_energy_kev, spectrum.convergence_mrad) == (200, 10)
    assert (spectrum.collection_mrad, spectrum.title) == (33, "oxide")
    assert spectrum.file == str(tmp_path / "s.msa")
    in_kev = read_spectrum(write_msa(tmp_path / "k.emsa", ENERGY / 1000, COUNTS, units="keV"))
    np.testing.assert_allclose(in_kev.energy_ev, ENERGY, atol=1e-6)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_energy_axis_of_a_map_is_found_by_its_unit(position, tmp_path):
    counts = np.random.default_rng(6).poisson(COUNTS, (3, 4, len(COUNTS)))
    axes = [("y", "nm", 1.0, 0.0, True), ("x", "nm", 1.0, 0.0, True)]
    axes.insert(position, ("Energy loss", "eV", 0.5, 400.0, False))
    microscope = {"beam_energy": 80.0, "Detector": {"EELS": {"collection_angle": 20.0}}}
    data = np.moveaxis(counts, -1, position)
    path = write_hspy(tmp_path / "map.hspy", data, axes, microscope=microscope)
    spectrum = read_spectrum(path)
    assert spectrum.map_shape == (3, 4)
    np.testing.assert_array_equal(spectrum.counts, counts.reshape(12, -1))
    assert (spectrum.beam_energy_kev, spectrum.collection_mrad) == (80, 20)
    assert spectrum.convergence_mrad is None


def test_energy_axis_is_found_although_flagged_as_position(tmp_path):
    axes = [("Energy loss", "eV", 0.5, 400.0, True), ("x", "nm", 1.0, 0.0, False)]
    data = np.random.default_rng(8).poisson(COUNTS[:, None], (len(COUNTS), 30))
    spectrum = read_spectrum(write_hspy(tmp_path / "line.hspy", data, axes))
    np.testing.assert_array_equal(spectrum.counts, data.T)


def test_reading_is_silent(tmp_path, capfd, caplog):
    extra = "#DATE        : 3/16/2005\n#TIME        : 5:41:44 PM\n"
    path = write_msa(tmp_path / "s.msa", ENERGY, COUNTS, extra=extra)
    with warnings.catch_warnings(record=True) as raised, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        read_spectrum(path)
    captured = capfd.readouterr()
    assert (captured.out, captured.err, raised, caplog.records) == ("", "", [], [])


# --- bad input --------------------------------------------------------------------------------


def bad_files(folder):
    """Name, file, what the message says."""
    junk = np.random.default_rng(7).integers(0, 256, 20000, dtype=np.uint8).tobytes()
    for suffix in ("dm3", "dm4", "msa", "emsa", "hspy", "emd", "nxs", "ser", "csv", "txt", "tif"):
        (folder / f"junk.{suffix}").write_bytes(junk)
        yield folder / f"junk.{suffix}", "damaged|is a .tif file"
        (folder / f"empty.{suffix}").write_bytes(b"")
        yield folder / f"empty.{suffix}", "is empty"
        yield folder / f"missing.{suffix}", "no such file"
    yield folder, "is not a file"
    texts = {
        "words.csv": ("hello\nworld\n", "no numbers"),
        "one_column.txt": ("\n".join(map(str, range(200))), "one column"),
        "ragged.csv": ("400,2\n401,3,4\n402,3\n" * 20, "line 2 has 3 columns"),
        "break.csv": ("400,2\n401,3\nsaved by x\n402,3\n", "line 3 is 'saved by x'"),
    }
    for name, (text, message) in texts.items():
        (folder / name).write_text(text)
        yield folder / name, message
    grids = {
        "nm.csv": (ENERGY, COUNTS, "Wavelength (nm),I\n", "is in nm; allowed: energy loss in eV"),
        "frequency.csv": (ENERGY, COUNTS, "frequency,I\n", "is in frequency"),
        "kev_without_unit.csv": (ENERGY / 1000, COUNTS, "", "if the axis is in keV"),
        "nan.csv": (ENERGY, COUNTS * np.nan, "", "all 200 values are NaN"),
        "short.csv": (ENERGY[:10], COUNTS[:10], "", "too short: 10 points"),
        "narrow.csv": (ENERGY[:30], COUNTS[:30], "", "span 14.5 eV"),
        "far.csv": (ENERGY + 5000, COUNTS, "", "within 0..3071 eV"),
        "unsorted.csv": (np.roll(ENERGY, 20), COUNTS, "", "do not ascend"),
        "gap.csv": (np.r_[ENERGY, ENERGY + 900], np.r_[COUNTS, COUNTS], "", "gap of 800.5 eV"),
    }
    for name, (energy, counts, header, message) in grids.items():
        yield write_text(folder / name, energy, counts, header=header), message
    yield write_msa(folder / "nm.msa", ENERGY, COUNTS, units="nm"), "is in nm"
    yield write_msa(folder / "cut.msa", ENERGY, COUNTS, n_points=1024), "truncated: 200 points"
    whole = write_hspy(folder / "whole.hspy", COUNTS, [("Energy loss", "eV", 0.5, 400.0, False)])
    for share in (0.01, 0.5, 0.99):
        cut = folder / f"cut{share}.hspy"
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        yield cut, "truncated"
    image = [("y", "nm", 1.0, 0.0, False), ("x", "nm", 1.0, 0.0, False)]
    yield write_hspy(folder / "image.hspy", np.ones((50, 60)), image), "no energy axis"
    line = [("x", "nm", 1.0, 0.0, False)]
    yield write_hspy(folder / "profile.hspy", COUNTS, line), "is in nm"


def test_bad_files_give_one_clear_line(tmp_path):
    seen = 0
    for path, message in bad_files(tmp_path):
        with pytest.raises(ValueError, match=message) as failure:
            read_spectrum(path)
        assert str(failure.value).startswith(f"{path}: ")
        assert "\n" not in str(failure.value)
        seen += 1
    assert seen > 50


def test_core_loss_is_chosen_among_several_signals(tmp_path, monkeypatch):
    import rsciio.hspy

    def signal(title, first_ev, name="Energy loss", unit="eV"):
        axis = {"name": name, "units": unit, "scale": 0.5, "offset": first_ev, "size": len(COUNTS)}
        metadata = {"General": {"title": title}, "Signal": {"signal_type": "EELS"}}
        return {"data": COUNTS + first_ev, "axes": [axis | {"navigate": False}]} | {
            "metadata": metadata
        }

    several = [signal("low", -20.0), signal("core", 400.0), signal("profile", 0.0, "x", "nm")]
    monkeypatch.setattr(rsciio.hspy, "file_reader", lambda path: several)
    path = tmp_path / "s.hspy"
    h5py.File(path, "w").close()
    spectrum = read_spectrum(path)
    assert (spectrum.title, spectrum.energy_ev[0]) == ("core", 400.0)
    assert spectrum.warnings == (
        "the file holds the spectra 0 'low' (EELS, -20..79.5 eV), 1 'core' (EELS, 400..499.5 eV);"
        " read 1, the highest in energy",
    )
    assert read_spectrum(path, signal="low").energy_ev[0] == -20
    assert read_spectrum(path, signal=0).title == "low"
    with pytest.raises(ValueError, match="is in nm"):
        read_spectrum(path, signal=2)


def test_signal_must_exist(tmp_path):
    axes = [("Energy loss", "eV", 0.5, 400.0, False)]
    path = write_hspy(tmp_path / "s.hspy", COUNTS, axes)
    assert read_spectrum(path, signal="map").title == "map"
    with pytest.raises(ValueError, match="signal 3 is not in the file; allowed: 0 'map'"):
        read_spectrum(path, signal=3)


def test_network_input_has_a_length():
    inputs = NetworkInput(torch.zeros(2, N_CHANNELS), torch.zeros(2, N_CHANNELS, dtype=torch.bool))
    assert len(inputs) == 2


def test_rows_of_a_network_input_keep_the_error_of_their_energies():
    inputs = preprocess(np.linspace(300.0, 100.0, 401), np.arange(401) + 400.0, axis_error_ev=4.0)
    assert inputs.axis_error_ev.tolist() == [4.0]
    assert inputs[:1].axis_error_ev.tolist() == [4.0]
    typical = NetworkInput(inputs.spectrum, inputs.mask)
    assert typical[:1].axis_error_ev is None
    assert len(typical[[0, 0]]) == 2


@pytest.mark.parametrize("axis_error_ev", [0.09, 20.5, float("nan")])
def test_errors_of_the_energies_out_of_their_limits_are_refused(axis_error_ev):
    with pytest.raises(ValueError, match=r"axis_error_ev = .* allowed: 0.1..20"):
        preprocess(np.ones(401), np.arange(401) + 400.0, axis_error_ev=axis_error_ev)
