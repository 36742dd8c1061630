"""MSA files as the standard and as programs write them."""

import warnings

import numpy as np
import pytest

from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.spectra.msa import read_msa
from coreloss.spectra.reading import read_spectrum

ENERGY = 400 + 0.5 * np.arange(240)
COUNTS = np.round(1e4 * (ENERGY / 400) ** -3, 1)
HEADER = {
    "FORMAT": "EMSA/MAS Spectral Data File",
    "VERSION": "1.0",
    "TITLE": "oxide",
    "NPOINTS": "240",
    "NCOLUMNS": "1",
    "XUNITS": "eV",
    "DATATYPE": "Y",
    "XPERCHAN": "0.5",
    "OFFSET": "400",
    "BEAMKV": "200",
    "CONVANGLE": "10",
    "COLLANGLE": "33",
}
Y = [f"{count:.1f}," for count in COUNTS]
XY = [f"{energy:.1f}, {count:.1f}" for energy, count in zip(ENERGY, COUNTS, strict=True)]


def text_of(header, lines=Y, extra=(), form="#{:<12}: {}"):
    head = [form.format(key, value) for key, value in header.items()]
    return "\n".join(
        [*head, *extra, "#SPECTRUM    : Spectral Data Starts Here", *lines, "#ENDOFDATA   : "]
    )


def read(path, *arguments, **options):
    path.write_text(text_of(*arguments, **options))
    return read_spectrum(path)


def without(*keys):
    return {key: value for key, value in HEADER.items() if key not in keys}


@pytest.mark.parametrize(
    "text",
    [
        text_of(HEADER),
        text_of(HEADER | {"TITLE": "2021-03-04: film"}),
        text_of(HEADER | {"XUNITS": "Energy Loss (eV)"}),
        text_of(HEADER | {"XPERCHAN": "0,5", "OFFSET": "400,0"}),
        text_of(HEADER | {"XPERCHAN": "0.5 eV", "OFFSET": "400 eV", "BEAMKV": "200 kV"}),
        text_of(HEADER | {"XUNITS": "keV", "XPERCHAN": "0.5 eV", "OFFSET": "0.4"}),
        text_of(HEADER | {"BEAMKV": "0.2 MV", "CONVANGLE": "0.01 rad", "COLLANGLE": "33 mrad"}),
        text_of(HEADER | {"XPERCHAN": "5 E-01", "OFFSET": "4.0e+002"}),
        text_of(
            {
                {"XPERCHAN": "XPERCHAN -eV", "OFFSET": "OFFSET   -eV", "BEAMKV": "BEAMKV   -kV",
                 "CONVANGLE": "CONVANGLE-mR", "COLLANGLE": "COLLANGLE-mR"}.get(key, key): value
                for key, value in without("XUNITS").items()
            }
        ),
        text_of(HEADER, extra=["##calib     : step 1: gain -1e-2, shift -3", "#COMMENT : a: b-c"]),
        text_of(without("DATATYPE")),
        text_of(without("DATATYPE", "NPOINTS")),
        text_of(without("DATATYPE"), XY),
        text_of(without("DATATYPE", "NPOINTS", "XPERCHAN", "OFFSET"), XY),
        text_of({key.lower(): value for key, value in HEADER.items()}),
        text_of(HEADER, form="#{}:{}"),
        text_of(HEADER | {"DATATYPE": "XY"}, XY),
        text_of(HEADER | {"NCOLUMNS": "4"}, [" ".join(Y[i : i + 4]) for i in range(0, 240, 4)]),
        text_of(HEADER, [line.replace(".", ",") for line in Y]),
        text_of(
            HEADER | {"DATATYPE": "XY", "OFFSET": "400,0"},
            [line.replace(", ", "; ").replace(".", ",") for line in XY],
        ),
    ],
)  # fmt: skip
def test_headers_of_the_standard_and_of_programs(text, tmp_path):
    (tmp_path / "a.msa").write_text(text)
    found = read_spectrum(tmp_path / "a.msa")
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-9)
    np.testing.assert_array_equal(found.counts, [COUNTS])
    assert found.warnings == ()
    known = found.beam_energy_kev, found.convergence_mrad, found.collection_mrad
    assert known == (200, 10, 33)
    assert found.title in ("oxide", "2021-03-04: film")


def test_energies_beside_the_counts_win_over_the_header(tmp_path):
    wrong = HEADER | {"DATATYPE": "XY", "XPERCHAN": "1.0", "OFFSET": "0.0"}
    found = read(tmp_path / "a.msa", wrong, XY)
    np.testing.assert_allclose(found.energy_ev, ENERGY, atol=1e-9)
    assert found.warnings == (
        "energies beside the counts, 400..519.5, are not those of the header, 0..239: read as"
        " beside the counts",
    )
    rounded = [f"{energy:.0f} {count}" for energy, count in zip(ENERGY, COUNTS, strict=True)]
    fine = HEADER | {"DATATYPE": "XY", "OFFSET": "400.02"}
    assert read(tmp_path / "b.msa", fine, XY).energy_ev[0] == 400.02
    assert "beside the counts" in read(tmp_path / "c.msa", fine, rounded).warnings[0]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER | {"XUNITS": "nm"}, "is in nm; allowed: energy loss in eV"),
        (HEADER | {"SIGNALTYPE": "EDS"}, "signal type is EDS_TEM"),
        (HEADER | {"NPOINTS": "1024"}, "truncated: 240 points"),
        (HEADER | {"DATATYPE": "Z"}, "DATATYPE is Z; allowed: Y or XY"),
        (without("OFFSET"), "no number after OFFSET"),
        (without("XUNITS") | {"XPERCHAN": "1", "OFFSET": "0"}, "channel numbers, not energies"),
    ],
)
def test_what_an_msa_file_lacks_is_named(header, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.msa", header)


def test_more_points_than_stated_are_taken_and_said(tmp_path):
    found = read(tmp_path / "a.msa", HEADER | {"NPOINTS": "200"})
    assert found.counts.shape == (1, 240)
    assert found.warnings == ("240 points, and NPOINTS says 200: all are taken",)


def same_as_rosettasciio(path):
    from rsciio.msa import file_reader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = file_reader(str(path))[0]
    ours = read_msa(path.read_text("latin-1"))[0]
    np.testing.assert_array_equal(ours["data"], theirs["data"])
    for key in ("units", "scale", "offset"):
        assert ours["axes"][0][key] == theirs["axes"][0][key]
    general, kind = theirs["metadata"]["General"], theirs["metadata"]["Signal"]["signal_type"]
    assert ours["metadata"]["General"]["title"] == general["title"]
    assert ours["metadata"]["Signal"]["signal_type"] == kind


@pytest.mark.parametrize("form", ["Y", "XY"])
def test_files_of_rosettasciio_read_as_it_reads_them(form, tmp_path):
    from rsciio.msa import file_writer
    from rsciio.utils._dictionary import DTBox

    axis = {"name": "Energy loss", "units": "eV", "scale": 0.5, "offset": 400.0, "size": 240}
    metadata = DTBox({"General": {"title": "made"}, "Signal": {"signal_type": "EELS"}})
    made = {"data": COUNTS, "axes": [axis], "metadata": metadata, "original_metadata": {}}
    file_writer(str(tmp_path / "a.msa"), made, format=form)
    same_as_rosettasciio(tmp_path / "a.msa")
    found = read_spectrum(tmp_path / "a.msa")
    np.testing.assert_allclose(found.energy_ev, ENERGY)


@pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
def test_measured_files_read_as_rosettasciio_reads_them():
    files = [f for f in data_dir().rglob("*.msa") if "#FORMAT" in f.read_text("latin-1")[:4096]]
    assert files
    for file in files:
        same_as_rosettasciio(file)
