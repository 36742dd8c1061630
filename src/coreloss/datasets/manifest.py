"""The manifest of a folder of measured files: reading, checking, and a template to fill in.

``manifest.csv`` has one row per file. Only ``file`` and ``elements_nominal`` are needed; what the
other columns mean and what an empty cell stands for is in `MANIFEST_COLUMNS`.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.datasets.records import ExperimentalRecord
from coreloss.runtime.border import border
from coreloss.runtime.files import replacing
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

MANIFEST_FILE = "manifest.csv"
REQUIRED = ("file", "elements_nominal")
LABEL_COLUMNS = ("elements_nominal", "elements_trace_visible", "out_of_vocabulary")
MANIFEST_COLUMNS = {
    "id": "name of the record; the name of the file without its suffix",
    "file": "path below the folder; needed",
    "source_repo": "repository or collection it comes from",
    "source_path": "where it lies there",
    "commit": "version there",
    "license": "terms of use",
    "kind": "spectrum, linescan, spectrum_image or low_loss; by the number of spectra",
    "material": "what was measured",
    "elements_nominal": "what the specimen contains and the window shows; needed",
    "elements_trace_visible": "film, contamination, oxide: neutral in every score; none",
    "elements_present_in_range": "for the reader only",
    "energy_start_eV": "first energy of the file; from the file",
    "energy_end_eV": "last energy of the file; from the file",
    "usable_start_eV": "start of the window to crop to; first channel that holds data",
    "usable_end_eV": "end of the window to crop to; last channel that holds data",
    "energy_offset_eV": "file axis minus true energy; 0",
    "dispersion_eV": "width of a channel; from the file",
    "n_spectra": "number of spectra; from the file",
    "beam_energy_keV": "unknown",
    "convergence_mrad": "semi-angle; unknown",
    "collection_mrad": "semi-angle; unknown",
    "quality": "A, B or C; A",
    "edges_in_usable_range": "for the reader only",
    "out_of_vocabulary": "elements of the specimen outside the 80; none",
    "notes": "",
    "how_known": "where the labels come from; 'analyst NAME' names an author",
    "sha256": "checksum of the file; not checked",
    "author": "who measured; decides what is one source",
    "citation": "how to cite it",
}
"""Columns of a manifest: meaning; value of an empty cell or missing column ("" where not said)."""
FROM_FILE = ("energy_start_eV", "energy_end_eV", "dispersion_eV", "n_spectra")
AXIS_TOLERANCE_EV = 0.1
"""Rounding that energies of a manifest may have, beside one channel of the file."""


def manifest_path(directory: str | Path) -> Path:
    """The manifest in a folder or in its subfolder ``experimental``; ValueError if neither."""
    for folder in (Path(directory), Path(directory) / "experimental"):
        if (folder / MANIFEST_FILE).is_file():
            return folder / MANIFEST_FILE
    raise ValueError(
        f"{Path(directory) / MANIFEST_FILE}: no such manifest; name a folder with one, "
        "or write one with `coreloss data manifest`"
    )


def read_manifest(directory: str | Path) -> tuple[ExperimentalRecord, ...]:
    """The records of ``manifest.csv`` in a folder or its subfolder ``experimental``, in file order.

    What the columns of the energy axis leave open is read from the files themselves.

    Raises
    ------
    ValueError
        For a missing or misspelt column, or a cell that cannot be, with the number of its row
        (the header is row 1).
    """
    path = manifest_path(directory)
    records: list[ExperimentalRecord] = []
    seen: dict[str, int] = {}
    for number, row in _rows(path):
        try:
            record = _record(row, path.parent)
            if record.id in seen:
                raise ValueError(
                    f"id is {record.id!r} as in row {seen[record.id]}; give each its own"
                )
        except ValueError as error:
            raise ValueError(f"{path}: row {number}: {error}") from None
        seen[record.id] = number
        records.append(record)
    return tuple(records)


def write_manifest(directory: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows (column: value, what is missing stays empty) as the manifest of a folder."""
    path = Path(directory) / MANIFEST_FILE
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(MANIFEST_COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def measured_extent_ev(spectrum: Spectrum) -> tuple[float, float]:
    """First and last energy that hold data: without missing values or a repeated one at the ends.

    >>> measured_extent_ev(Spectrum(np.arange(40.0), np.r_[np.zeros(5), np.arange(35.0)]))
    (5.0, 39.0)
    """
    steps = np.diff(spectrum.counts, axis=1)
    changes = np.flatnonzero((np.isfinite(steps) & (steps != 0)).any(axis=0))
    if len(changes) == 0:
        raise ValueError("all channels hold the same value or none; nothing was measured")
    return float(spectrum.energy_ev[changes[0]]), float(spectrum.energy_ev[changes[-1] + 1])


def described(spectrum: Spectrum) -> dict[str, Any]:
    """What the columns of a manifest that a file answers itself should hold, as text."""
    start, end = measured_extent_ev(spectrum)
    energy = spectrum.energy_ev
    kinds = {0: "spectrum", 1: "linescan"}
    return {
        "kind": kinds.get(len(spectrum.map_shape), "spectrum_image"),
        "energy_start_eV": f"{energy[0]:.8g}",
        "energy_end_eV": f"{energy[-1]:.8g}",
        "usable_start_eV": f"{start:.8g}",
        "usable_end_eV": f"{end:.8g}",
        "dispersion_eV": f"{spectrum.dispersion_ev:.8g}",
        "n_spectra": str(len(spectrum)),
        "beam_energy_keV": spectrum.beam_energy_kev or "",
        "convergence_mrad": spectrum.convergence_mrad or "",
        "collection_mrad": spectrum.collection_mrad or "",
    }


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def template_manifest(directory: str | Path) -> tuple[Path, dict[str, str]]:
    """Write a manifest of all readable files below a folder; the labels are left to fill in.

    Returns its path and, for each file that was left out, the reason. ValueError when the folder
    has a manifest already or no readable file.
    """
    folder = Path(directory)
    if (folder / MANIFEST_FILE).exists():
        raise ValueError(f"{folder / MANIFEST_FILE} exists; move it away to make a new one")
    rows, left_out, ids = [], {}, set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in name.split("/")):
            continue
        try:
            found = described(read_spectrum(path))
        except ValueError as error:
            left_out[name] = str(error).removeprefix(f"{path}: ")
            continue
        identifier = path.stem if path.stem not in ids else name
        ids.add(identifier)
        rows.append({"id": identifier, "file": name, "sha256": sha256_of(path), **found})
    if not rows:
        raise ValueError(f"{folder}: none of its {len(left_out)} files is a readable spectrum")
    return write_manifest(folder, rows), left_out


def check_manifest(directory: str | Path) -> tuple[str, ...]:
    """All that is wrong with a manifest and its files, one line each; empty when all is right.

    ValueError when the manifest is missing or its columns are wrong.
    """
    path = manifest_path(directory)
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, row in _rows(path):
        name = row["id"] or row["file"]
        where = f"{path}: row {number} ({name})" if name else f"{path}: row {number}"
        problems += [f"{where}: {problem}" for problem in _row_problems(row, path.parent)]
        identifier = _identifier(row)
        if identifier in seen:
            problems.append(f"{where}: id is the same as in row {seen[identifier]}")
        seen.setdefault(identifier, number)
    return tuple(problems)


def _row_problems(row: dict[str, str], folder: Path) -> Iterator[str]:
    try:
        record = _record(row, folder)
    except ValueError as error:
        yield str(error)
        record = None
    path = folder / row["file"]
    if not row["file"] or not path.is_file():
        if record is not None:
            yield f"file {row['file']} does not exist below {folder}"
        return
    if row["sha256"] and (found := sha256_of(path)) != row["sha256"].lower():
        yield f"sha256 of {row['file']} is {found}, the manifest says {row['sha256']}"
    if record is None:
        return
    try:
        spectrum = read_spectrum(path)
    except ValueError as error:
        yield str(error)
        return
    yield from _disagreements(record, spectrum)


def _disagreements(record: ExperimentalRecord, spectrum: Spectrum) -> Iterator[str]:
    first, last = map(float, spectrum.energy_ev[[0, -1]])
    tolerance = spectrum.dispersion_ev + AXIS_TOLERANCE_EV
    covers = f"the file covers {first:g}..{last:g} eV"
    for name, value, found in (
        ("energy_start_eV", record.energy_start_ev, first),
        ("energy_end_eV", record.energy_end_ev, last),
    ):
        if abs(value - found) > tolerance:
            yield f"{name} is {value:g}; {covers}"
    start, end = record.usable_start_ev, record.usable_end_ev
    if start < first - tolerance or end > last + tolerance:
        yield f"usable window is {start:g}..{end:g} eV; {covers}"
    elif start >= last or end <= first:
        yield f"usable window is {start:g}..{end:g} eV and holds no channel; {covers}"
    if record.n_spectra != len(spectrum):
        yield f"n_spectra is {record.n_spectra}; the file holds {len(spectrum)}"


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each row, every known column filled; ValueError for bad columns."""
    with border(path, what="a manifest"), path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        _check_columns(path, names)
        rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if None in row:
            raise ValueError(
                f"{path}: row {number} has {len(names) + len(row[None])} cells for "
                f"{len(names)} columns; put cells with commas into quotes"
            )
        yield number, {name: (row.get(name) or "").strip() for name in MANIFEST_COLUMNS}


def _check_columns(path: Path, names: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    lower = {column.lower(): column for column in MANIFEST_COLUMNS if column not in names}
    for name in names:
        close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.8)
        if name not in MANIFEST_COLUMNS and close:
            raise ValueError(
                f"{path}: row 1: column {name!r} is unknown; did you mean {lower[close[0]]!r}?"
            )
        if names.count(name) > 1:
            raise ValueError(f"{path}: row 1: column {name!r} is there twice; keep one")
    if missing:
        raise ValueError(
            f"{path}: row 1: column {missing[0]!r} is missing; needed: {', '.join(REQUIRED)}"
        )


def _identifier(row: Mapping[str, str]) -> str:
    return row["id"] or Path(row["file"]).stem


def _record(row: dict[str, str], folder: Path) -> ExperimentalRecord:
    if not row["file"]:
        raise ValueError("file is empty; give its path below the folder")
    labels = {name: _symbols(row[name]) for name in LABEL_COLUMNS}
    if row["kind"] != "low_loss" and not any(labels.values()):
        raise ValueError(
            "elements_nominal is empty; give the elements of the specimen, such as 'Ti O'"
        )
    row = _completed(row, folder)
    return ExperimentalRecord(
        id=_identifier(row),
        file=row["file"],
        kind=row["kind"],
        quality=row["quality"] or "A",
        material=row["material"],
        **labels,
        energy_start_ev=_number(row, "energy_start_eV"),
        energy_end_ev=_number(row, "energy_end_eV"),
        usable_start_ev=_number(row, "usable_start_eV"),
        usable_end_ev=_number(row, "usable_end_eV"),
        energy_offset_ev=_number(row, "energy_offset_eV", default=0.0),
        dispersion_ev=_number(row, "dispersion_eV", above=0.0),
        n_spectra=_count(row["n_spectra"]),
        beam_energy_kev=_known(row, "beam_energy_keV"),
        convergence_mrad=_known(row, "convergence_mrad"),
        collection_mrad=_known(row, "collection_mrad"),
        source=row["source_repo"],
        license=row["license"],
        sha256=row["sha256"],
        notes=row["notes"],
        author=row["author"] or _analyst(row["how_known"]),
        citation=row["citation"],
    )


def _completed(row: dict[str, str], folder: Path) -> dict[str, str]:
    """The row with what the file says in the place of empty cells; it is read only when needed."""
    row = dict(row)
    if not all(row[name] for name in (*FROM_FILE, "usable_start_eV", "usable_end_eV")):
        found = described(read_spectrum(folder / row["file"]))
        for name in (*FROM_FILE, "usable_start_eV", "usable_end_eV", "kind"):
            row[name] = row[name] or found[name]
    row["kind"] = row["kind"] or ("spectrum" if row["n_spectra"] == "1" else "linescan")
    return row


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[\s,;]+", text)))


def _known(row: dict[str, str], column: str) -> float | None:
    """A number above 0; None where the cell is empty."""
    return _number(row, column, above=0.0) if row[column] else None


def _number(
    row: dict[str, str], column: str, *, default: float = math.nan, above: float = -math.inf
) -> float:
    if not row[column]:
        return default
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= above:
        allowed = "a number" if above == -math.inf else f"a number above {above:g}"
        raise ValueError(f"{column} is {row[column]!r}; allowed: {allowed}, or empty")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"n_spectra is {text!r}; allowed: a whole number from 1, or empty")
    return int(text)


def _analyst(how_known: str) -> str:
    found = re.search(r"\banalyst ([^;]+)", how_known)
    return found[1].strip() if found else ""
