"""Measured files with labels."""

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from coreloss.axis import N_CHANNELS
from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import NO_DATA, data_dir, experimental_set, load_record
from coreloss.datasets.records import ExperimentalRecord, scored_elements
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.spectra.network_input import preprocess
from coreloss.spectra.reading import read_spectrum

needs_data = pytest.mark.skipif(data_dir() is None, reason=NO_DATA)


def oxide(**changes):
    """A titanium oxide with a carbon film, axis 6 eV too high."""
    record = ExperimentalRecord(
        id="oxide",
        file="oxide.csv",
        kind="linescan",
        quality="A",
        material="TiO2",
        elements_nominal=("Ti", "O"),
        elements_trace_visible=("C",),
        out_of_vocabulary=(),
        energy_start_ev=250.0,
        energy_end_ev=649.5,
        usable_start_ev=260.0,
        usable_end_ev=640.0,
        energy_offset_ev=6.0,
        dispersion_ev=0.5,
        n_spectra=2,
        beam_energy_kev=200.0,
        convergence_mrad=None,
        collection_mrad=None,
        source="made here",
        license="CC0",
        sha256="",
        notes="",
    )
    return replace(record, **changes)


def manifest_row(record):
    return {
        "id": record.id,
        "file": record.file,
        "source_repo": record.source,
        "license": record.license,
        "kind": record.kind,
        "material": record.material,
        "elements_nominal": " ".join(record.elements_nominal),
        "elements_trace_visible": " ".join(record.elements_trace_visible),
        "energy_start_eV": record.energy_start_ev,
        "energy_end_eV": record.energy_end_ev,
        "usable_start_eV": record.usable_start_ev,
        "usable_end_eV": record.usable_end_ev,
        "energy_offset_eV": record.energy_offset_ev,
        "dispersion_eV": record.dispersion_ev,
        "n_spectra": record.n_spectra,
        "beam_energy_keV": record.beam_energy_kev or "",
        "convergence_mrad": record.convergence_mrad or "",
        "collection_mrad": record.collection_mrad or "",
        "quality": record.quality,
        "out_of_vocabulary": " ".join(record.out_of_vocabulary),
        "notes": record.notes,
        "sha256": record.sha256,
    }


@pytest.fixture
def library(tmp_path):
    """A data folder with three records of one file: to score, of quality B, and low loss."""
    folder = tmp_path / "experimental"
    folder.mkdir()
    energy = np.arange(250, 650, 0.5)
    counts = np.random.default_rng(1).poisson(4e4 * (energy / 250) ** -3, (2, len(energy)))
    rows = "\n".join(f"{e},{a},{b}" for e, a, b in zip(energy, *counts, strict=True))
    (folder / "oxide.csv").write_text(f"energy (eV),a,b\n{rows}\n")
    records = [oxide(), oxide(id="b", quality="B"), oxide(id="low", kind="low_loss")]
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(manifest_row(oxide())))
        writer.writeheader()
        writer.writerows(manifest_row(record) for record in records)
    return tmp_path, records


def symbols(flags):
    return {ELEMENTS[index] for index in flags.nonzero()[:, 0].tolist()}


# --- where the data are -----------------------------------------------------------------------


def test_data_dir_follows_its_setting(library, monkeypatch, tmp_path):
    monkeypatch.setenv("CORELOSS_DATA_DIR", str(library[0]))
    assert data_dir() == library[0]
    monkeypatch.setenv("CORELOSS_DATA_DIR", str(tmp_path / "nowhere"))
    assert data_dir() is None


def test_manifest_round_trip(library):
    folder, records = library
    assert read_manifest(folder) == tuple(records)
    assert read_manifest(folder / "experimental") == tuple(records)


def test_bad_manifests_are_refused(library, tmp_path):
    folder, _ = library
    with pytest.raises(ValueError, match="no such manifest"):
        read_manifest(tmp_path / "nowhere")
    path = folder / "experimental" / "manifest.csv"
    path.write_text(path.read_text().replace("elements_nominal", "contents"))
    with pytest.raises(ValueError, match="column 'elements_nominal' is missing"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": "D"}, "quality is 'D'; allowed: A, B, C"),
        ({"kind": "image"}, "kind is 'image'"),
        ({"elements_nominal": ("Ti", "U")}, "elements U are not among the 80"),
        ({"usable_end_ev": 100.0}, "start must be below its end"),
    ],
)
def test_bad_records_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        oxide(**change)


# --- labels -----------------------------------------------------------------------------------


def test_scored_elements_of_an_oxide():
    present, counted = scored_elements(oxide())
    assert symbols(present) == {"Ti", "O"}
    assert {"Ti", "O", "N", "Sc", "V", "Pd"} <= symbols(counted)
    assert not {"C", "B", "Fe", "La"} & symbols(counted)
    assert not (present & ~counted).any()


@pytest.mark.parametrize(
    ("start", "end", "seen"),
    [(527.0, 900.0, True), (527.5, 900.0, False), (400.0, 552.0, True), (400.0, 551.5, False)],
)
def test_margins_around_an_onset(start, end, seen):
    for offset in (0.0, 6.0):
        record = oxide(
            usable_start_ev=start + offset, usable_end_ev=end + offset, energy_offset_ev=offset
        )
        present, counted = scored_elements(record)
        assert counted[ELEMENT_INDEX["O"]].item() is seen
        assert present[ELEMENT_INDEX["O"]].item() is seen


def test_traces_and_carbon_are_neutral():
    present, counted = scored_elements(oxide(elements_trace_visible=("N", "O")))
    assert "N" not in symbols(counted)
    assert {"Ti", "O"} == symbols(present)
    present, counted = scored_elements(oxide(elements_nominal=("C",)))
    assert not present.any()
    assert counted.any()


# --- measured spectra -------------------------------------------------------------------------


def test_load_record_is_on_the_true_axis(library):
    folder, records = library
    spectrum = load_record(records[0], folder)
    assert spectrum.energy_ev[[0, -1]].tolist() == [254.0, 634.0]
    assert (len(spectrum), spectrum.beam_energy_kev) == (2, 200.0)


def test_experimental_set_sums_and_filters(library):
    folder, records = library
    measured = experimental_set(folder)
    assert [record.id for record in measured.records] == ["oxide"]
    assert measured.inputs.spectrum.shape == measured.inputs.mask.shape == (1, N_CHANNELS)
    assert measured.present.shape == measured.counted.shape == (1, len(ELEMENTS))
    total = load_record(records[0], folder).sum()
    wanted = preprocess(total.counts, total.energy_ev)
    assert torch.equal(measured.inputs.spectrum, wanted.spectrum)
    assert len(experimental_set(folder, quality="AB").records) == 2
    for quality in ("C", "", "X"):
        with pytest.raises(ValueError, match="quality"):
            experimental_set(folder, quality=quality)


def test_a_set_knows_sources_dose_and_split(library):
    folder, records = library
    measured = experimental_set(folder)
    assert measured.sources == ("made here",)
    median = np.median(load_record(records[0], folder).counts.sum(axis=0))
    assert measured.dose.tolist() == [median]
    path = folder / "experimental" / "oxide.csv"
    path.write_text(path.read_text().replace("\n", ".5\n").replace("a,b.5", "a,b"))
    assert np.isnan(experimental_set(folder).dose).all()
    with pytest.raises(ValueError, match="split is 'half'; allowed: validation, test, all"):
        experimental_set(folder, split="half")
    with pytest.raises(ValueError, match="at least 2: fill in the column author or source_repo"):
        experimental_set(folder, split="test")


def test_whole_files_have_windows_of_their_own_and_more_that_can_be_false(library):
    folder, records = library
    whole = load_record(records[0], folder, whole=True)
    given = load_record(records[0], folder)
    assert whole.energy_ev[0] < given.energy_ev[0]
    one, other = experimental_set(folder, whole=True), experimental_set(folder)
    assert torch.equal(one.present, other.present)
    assert (one.counted >= other.counted).all()
    assert not one.counted[0, ELEMENT_INDEX["C"]]


@needs_data
def test_every_measured_file_agrees_with_the_manifest():
    records = read_manifest(data_dir())
    assert records
    for record in records:
        path = data_dir() / "experimental" / record.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256, record.id
        spectrum = read_spectrum(path)
        first, last = spectrum.energy_ev[[0, -1]]
        assert len(spectrum) == record.n_spectra, record.id
        assert first == pytest.approx(record.energy_start_ev, abs=0.01), record.id
        assert last == pytest.approx(record.energy_end_ev, abs=0.02), record.id
        assert spectrum.dispersion_ev == pytest.approx(record.dispersion_ev, rel=2e-4), record.id
        for name in ("beam_energy_kev", "convergence_mrad", "collection_mrad"):
            stated, listed = getattr(spectrum, name), getattr(record, name)
            assert None in (stated, listed) or stated == listed, (record.id, name)


@needs_data
def test_every_measured_spectrum_enters_a_network():
    measured = experimental_set(data_dir(), quality="ABC")
    mask, spectrum = measured.inputs.mask, measured.inputs.spectrum.double()
    assert torch.isfinite(spectrum).all()
    assert (mask.sum(dim=1) >= 25).all()
    assert not spectrum[~mask].any()
    for record, inside in zip(measured.records, mask, strict=True):
        start, end = record.window_ev
        channels = inside.nonzero()[:, 0]
        assert len(channels) == channels[-1] - channels[0] + 1, record.id
        assert channels[0] - 2.1 <= start <= channels[0] + 0.5, record.id
        assert channels[-1] - 0.5 <= min(end, N_CHANNELS - 1) <= channels[-1] + 2.1, record.id
