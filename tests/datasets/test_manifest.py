"""Manifests that a person writes: defaults, errors with a row number, checks and templates."""

import csv

import numpy as np
import pytest

from coreloss.datasets.manifest import (
    MANIFEST_COLUMNS,
    check_manifest,
    described,
    measured_extent_ev,
    read_manifest,
    sha256_of,
    template_manifest,
    write_manifest,
)
from coreloss.datasets.measured import experimental_set
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

ENERGY_EV = np.arange(350.0, 750.0, 0.5)
COUNTS = np.rint(1e5 * (ENERGY_EV / 350) ** -3.0)


def write_spectrum(path, energy=ENERGY_EV, columns=1, counts=COUNTS):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        ",".join(f"{v:g}" for v in (e, *[c] * columns)) for e, c in zip(energy, counts, strict=True)
    )
    path.write_text("energy (eV)" + ",counts" * columns + "\n" + "\n".join(rows) + "\n")
    return path


def write_rows(folder, text):
    (folder / "manifest.csv").write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path):
    write_spectrum(tmp_path / "oxide.csv")
    write_spectrum(tmp_path / "lab" / "scan.csv", columns=3)
    return write_rows(tmp_path, 'file,elements_nominal\noxide.csv,Ti O\nlab/scan.csv,"Ti, O"\n')


def test_two_columns_are_enough(folder):
    oxide, scan = read_manifest(folder)
    assert (oxide.id, oxide.file, oxide.quality, oxide.kind) == (
        "oxide",
        "oxide.csv",
        "A",
        "spectrum",
    )
    assert (oxide.energy_start_ev, oxide.energy_end_ev, oxide.dispersion_ev) == (350, 749.5, 0.5)
    assert (oxide.usable_start_ev, oxide.usable_end_ev, oxide.energy_offset_ev) == (350, 749.5, 0)
    assert (oxide.sha256, oxide.beam_energy_kev, oxide.author) == ("", None, "")
    assert scan.elements_nominal == ("Ti", "O")
    assert (scan.id, scan.kind, scan.n_spectra) == ("scan", "linescan", 3)
    measured = experimental_set(folder)
    assert [record.id for record in measured.records] == ["oxide", "scan"]
    assert measured.sources == (".", "lab")
    assert check_manifest(folder) == ()


def test_the_files_are_left_alone_where_the_manifest_says_all(folder):
    text = "file,elements_nominal," + "energy_start_eV,energy_end_eV,usable_start_eV,usable_end_eV,"
    text += "dispersion_eV,n_spectra\nmissing.csv,O,350,749.5,360,700,0.5,4\n"
    (record,) = read_manifest(write_rows(folder, text))
    assert (record.kind, record.window_ev) == ("linescan", (360, 700))


def test_the_window_leaves_padding_and_missing_values_out(folder):
    counts = COUNTS.copy()
    counts[:20], counts[-31:] = 0, np.nan
    write_spectrum(folder / "oxide.csv", counts=counts)
    record = read_manifest(folder)[0]
    assert (record.usable_start_ev, record.usable_end_ev) == (359.5, 734)
    assert (record.energy_start_ev, record.energy_end_ev) == (350, 749.5)
    assert len(experimental_set(folder).records) == 2
    with pytest.raises(ValueError, match="nothing was measured"):
        measured_extent_ev(Spectrum(ENERGY_EV, 0 * ENERGY_EV))


HEAD = "file,elements_nominal,usable_start_eV,usable_end_eV,n_spectra,quality,beam_energy_keV\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\noxide.csv\n", "row 1: column 'elements_nominal' is missing"),
        ("file,element_nominal\n", "row 1: column 'element_nominal' is unknown; did you mean 'el"),
        ("File,elements_nominal\n", "row 1: column 'File' is unknown; did you mean 'file'"),
        (HEAD.replace("start_eV", "start_ev"), "did you mean 'usable_start_eV'"),
        ("file,elements_nominal,file\n", "column 'file' is there twice"),
        (HEAD + "oxide.csv,O\noxide.csv,Xx\n", "row 3: oxide: elements Xx are not among the 80"),
        (HEAD + "oxide.csv,ti\n", "row 2: oxide: elements ti"),
        (HEAD + "oxide.csv,O,wide\n", "row 2: usable_start_eV is 'wide'; allowed: a number"),
        (HEAD + "oxide.csv,O,nan\n", "row 2: usable_start_eV is 'nan'"),
        (HEAD + "oxide.csv,O,700,400\n", "row 2: oxide: usable window is 700..400 eV"),
        (HEAD + "oxide.csv,O,,,1.5\n", "row 2: n_spectra is '1.5'; allowed: a whole number"),
        (HEAD + "oxide.csv,O,,,,D\n", "row 2: oxide: quality is 'D'"),
        (
            HEAD + "oxide.csv,O,,,,,-3\n",
            "row 2: beam_energy_keV is '-3'; allowed: a number above 0",
        ),
        (HEAD + "oxide.csv,Ti, O,,,,,\n", "row 2 has 8 cells for 7 columns; put cells"),
        (HEAD + "oxide.csv,\n", "row 2: elements_nominal is empty"),
        (HEAD + ",O\n", "row 2: file is empty"),
        (HEAD + "no.csv,O\n", "row 2: .*no.csv: no such file"),
        (HEAD + "oxide.csv,O\noxide.csv,Ti\n", "row 3: id is 'oxide' as in row 2"),
    ],
)
def test_mistakes_are_named_with_their_row(folder, text, message):
    with pytest.raises(ValueError, match=message):
        read_manifest(write_rows(folder, text))


def test_columns_of_ones_own_are_no_mistake(folder):
    write_rows(folder, "\ufefffile , elements_nominal,operator\noxide.csv,O,me\n")
    assert [record.id for record in read_manifest(folder)] == ["oxide"]


def test_authors_come_from_their_column_or_from_how_known(folder):
    head = "file,elements_nominal,author,how_known,id\n"
    write_rows(folder, head + "oxide.csv,O,Ada,analyst Bo,a\noxide.csv,O,,of analyst Bo; 2008,b\n")
    assert [record.author for record in read_manifest(folder)] == ["Ada", "Bo"]


def test_check_finds_each_problem(folder):
    head = "id,file,elements_nominal,usable_start_eV,usable_end_eV,energy_end_eV,n_spectra,sha256\n"
    (folder / "broken.csv").write_text("words")
    right = sha256_of(folder / "oxide.csv")
    rows = (
        f"good,oxide.csv,O,,,,,{right}",
        "gone,gone.csv,O,,,,,",
        f"changed,lab/scan.csv,O,,,,,{right}",
        "wide,oxide.csv,O,300,740,,,",
        "outside,oxide.csv,O,900,990,,,",
        "axis,oxide.csv,O,,,800,,",
        "number,oxide.csv,O,,,,7,",
        "label,oxide.csv,Xx,,,,,",
        "broken,broken.csv,O,350,700,700,1,",
        "good,oxide.csv,Ti,,,,,",
    )
    problems = check_manifest(write_rows(folder, head + "\n".join(rows) + "\n"))
    expected = (
        ("row 3 (gone)", "no such file"),
        ("row 4 (changed)", "sha256 of lab/scan.csv is"),
        ("row 5 (wide)", "usable window is 300..740 eV; the file covers 350..749.5 eV"),
        ("row 6 (outside)", "usable window is 900..990 eV"),
        ("row 7 (axis)", "energy_end_eV is 800; the file covers"),
        ("row 8 (number)", "n_spectra is 7; the file holds 1"),
        ("row 9 (label)", "elements Xx are not among the 80"),
        ("row 10 (broken)", "broken.csv"),
        ("row 11 (good)", "id is the same as in row 2"),
    )
    assert len(problems) == len(expected)
    for problem, parts in zip(problems, expected, strict=True):
        assert all(part in problem for part in parts), problem
        assert "\n" not in problem


def test_check_names_a_missing_file_whose_row_is_complete(folder):
    spectrum = described(read_spectrum(folder / "oxide.csv"))
    write_manifest(folder, [spectrum | {"file": "gone.csv", "elements_nominal": "O"}])
    (problem,) = check_manifest(folder)
    assert "file gone.csv does not exist" in problem


def test_a_template_only_lacks_its_labels(folder):
    with pytest.raises(ValueError, match="exists; move it away"):
        template_manifest(folder)
    (folder / "manifest.csv").unlink()
    (folder / "notes.txt").write_text("not a spectrum")
    (folder / ".hidden.csv").write_text("not a spectrum")
    write_spectrum(folder / "lab" / "oxide.csv")
    path, left_out = template_manifest(folder)
    assert list(left_out) == ["notes.txt"]
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(MANIFEST_COLUMNS)
    assert [row["id"] for row in rows] == ["oxide", "scan", "oxide.csv"]
    assert {row["n_spectra"] for row in rows} == {"1", "3"}
    assert all(row["elements_nominal"] == "" for row in rows)
    assert len(check_manifest(folder)) == 3
    write_manifest(folder, [row | {"elements_nominal": "Ti O"} for row in rows])
    assert check_manifest(folder) == ()
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="none of its 0 files"):
        template_manifest(folder / "empty")
