"""Every format of files with bytes that its own software, or the format's description, makes."""

import h5py
import numpy as np
import pytest
from made_files import COUNTS, ENERGY, MAP, signal, write, write_ser

from coreloss.spectra.reading import read_spectrum


@pytest.mark.parametrize("suffix", ["hspy", "nxs", "emd"])
@pytest.mark.parametrize("data", [COUNTS, MAP], ids=["one", "map"])
def test_hierarchical_formats(suffix, data, tmp_path):
    found = read_spectrum(write(tmp_path / f"a.{suffix}", signal(data)))
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-6)
    np.testing.assert_array_equal(found.counts, data.reshape(-1, len(ENERGY)))
    assert found.map_shape == data.shape[:-1]
    if suffix != "emd":  # its writer keeps no metadata
        assert (found.beam_energy_kev, found.convergence_mrad) == (200, 20)


@pytest.mark.parametrize("suffix", ["hspy", "nxs", "emd"])
def test_kev_and_descending_axes(suffix, tmp_path):
    in_kev = signal(COUNTS, first_ev=0.4, scale=0.0005, units="keV")
    found = read_spectrum(write(tmp_path / f"k.{suffix}", in_kev))
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-6)
    falling = signal(COUNTS[::-1].copy(), first_ev=ENERGY[-1], scale=-0.5)
    found = read_spectrum(write(tmp_path / f"d.{suffix}", falling))
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-6)
    np.testing.assert_array_equal(found.counts, [COUNTS])


def test_core_loss_among_the_signals_of_a_nexus_file(tmp_path):
    low = signal(COUNTS[::-1].copy(), first_ev=-20.0, title="low")
    path = write(tmp_path / "dual.nxs", [signal(COUNTS), low])
    found = read_spectrum(path)
    assert (found.title, found.energy_ev[0]) == ("core", 400)
    assert "read" in found.warnings[0]
    assert "'low'" in found.warnings[0]
    assert read_spectrum(path, signal="low").energy_ev[0] == -20
    with pytest.raises(ValueError, match="signal 'high' is not in the file; allowed: 0 'core'"):
        read_spectrum(path, signal="high")


def test_uneven_nexus_axes_keep_their_values(tmp_path):
    path = write(tmp_path / "uneven.nxs", signal(COUNTS))
    uneven = 400 + 120 * np.linspace(0, 1, len(COUNTS)) ** 1.1
    with h5py.File(path, "a") as file:
        file["entry1/core/Energy loss"][...] = uneven
    found = read_spectrum(path)
    assert found.energy_ev[[0, -1]] == pytest.approx([400, 520], abs=1)
    at_460 = np.interp(460, found.energy_ev, found.counts[0])
    assert at_460 == pytest.approx(np.interp(460, uneven, COUNTS), rel=0.02)


def test_core_loss_among_the_signals_of_a_hyperspy_file(tmp_path):
    path = write(tmp_path / "dual.hspy", signal(COUNTS))
    other = write(tmp_path / "low.hspy", signal(2 * COUNTS, first_ev=-20.0, title="low"))
    with h5py.File(path, "a") as into, h5py.File(other) as source:
        source.copy("Experiments/low", into["Experiments"])
    found = read_spectrum(path)
    assert (found.title, found.energy_ev[0]) == ("core", 400)
    np.testing.assert_array_equal(read_spectrum(path, signal="low").counts, [2 * COUNTS])


def test_core_loss_among_the_data_sets_of_an_emd_file(tmp_path):
    """The format as its description has it, written without RosettaSciIO."""
    path = tmp_path / "dual.emd"
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        for name, first_ev, factor in (("core", 400.0, 1), ("low", -20.0, 2)):
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = factor * COUNTS
            group["dim1"] = first_ev + 0.5 * np.arange(len(COUNTS))
            group["dim1"].attrs["name"], group["dim1"].attrs["units"] = "Energy loss", "eV"
    found = read_spectrum(path)
    np.testing.assert_allclose(found.energy_ev, ENERGY)
    np.testing.assert_array_equal(found.counts, [COUNTS])
    assert read_spectrum(path, signal="low").counts[0, 0] == 2 * COUNTS[0]


def test_ser_spectrum(tmp_path):
    found = read_spectrum(write_ser(tmp_path / "a_1.ser", COUNTS))
    np.testing.assert_allclose(found.energy_ev, ENERGY)
    np.testing.assert_array_equal(found.counts, [COUNTS])
    assert (found.map_shape, found.warnings) == ((), ())


def test_ser_line_and_map(tmp_path):
    rows = MAP.reshape(6, -1)
    found = read_spectrum(write_ser(tmp_path / "line_1.ser", rows))
    np.testing.assert_array_equal(found.counts, rows)
    assert found.map_shape == (6,)
    found = read_spectrum(write_ser(tmp_path / "map_1.ser", rows, points=(3, 2)))
    np.testing.assert_array_equal(found.counts, rows)
    assert found.map_shape == (2, 3)


def test_ser_series_that_stopped_early(tmp_path):
    path = write_ser(tmp_path / "cut_1.ser", MAP.reshape(6, -1))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ValueError, match=r"cannot be read as ser|truncated"):
        read_spectrum(path)


def test_decimal_commas_in_kev_and_falling(tmp_path):
    rows = [f"{e / 1000:.4f};{c:.1f}" for e, c in zip(ENERGY[::-1], COUNTS[::-1], strict=True)]
    text = "Energie (keV);Anzahl\n" + "\n".join(rows).replace(".", ",")
    (tmp_path / "a.csv").write_text(text)
    found = read_spectrum(tmp_path / "a.csv")
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-6)
    np.testing.assert_array_equal(found.counts, [COUNTS])


def test_falling_msa_in_kev(tmp_path):
    lines = "\n".join(f"{value:g}" for value in COUNTS[::-1])
    (tmp_path / "a.msa").write_text(
        "#FORMAT : EMSA/MAS Spectral Data File\n#VERSION : 1.0\n#TITLE : falling\n"
        f"#NPOINTS : {len(COUNTS)}\n#NCOLUMNS : 1\n#XUNITS : keV\n#DATATYPE : Y\n"
        f"#XPERCHAN : -0.0005\n#OFFSET : {ENERGY[-1] / 1000}\n#SIGNALTYPE : ELS\n"
        f"#SPECTRUM : Spectral Data Starts Here\n{lines}\n#ENDOFDATA :\n"
    )
    found = read_spectrum(tmp_path / "a.msa")
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-6)
    np.testing.assert_array_equal(found.counts, [COUNTS])


@pytest.mark.parametrize("suffix", ["hspy", "nxs", "emd", "ser"])
def test_reading_prints_and_warns_nothing(suffix, tmp_path, capfd, recwarn):
    path = tmp_path / f"a_1.{suffix}"
    write_ser(path, COUNTS) if suffix == "ser" else write(path, signal(COUNTS))
    capfd.readouterr()
    recwarn.clear()
    read_spectrum(path)
    assert capfd.readouterr() == ("", "")
    assert not recwarn
