"""Data sets: measured files with the labels of a manifest, and stored simulated benchmark sets."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from coreloss.axis import N_CHANNELS
from coreloss.benchmark_file import Benchmark, read_benchmark, write_benchmark
from coreloss.edges import ELEMENT_INDEX, ELEMENTS, identifying_sets
from coreloss.spectra import NetworkInput, Spectrum, preprocess, read_spectrum

__all__ = [
    "Benchmark",
    "ExperimentalRecord",
    "ExperimentalSet",
    "data_dir",
    "experimental_set",
    "load_record",
    "read_benchmark",
    "read_manifest",
    "scored_elements",
    "write_benchmark",
]

DATA_DIR_VARIABLE = "CORELOSS_DATA_DIR"
NO_DATA = (
    f"no measured data: set {DATA_DIR_VARIABLE} to a folder that holds experimental/manifest.csv"
)
"""What tests and notebooks say when `data_dir` is None."""
MARGIN_BEFORE_EV = 5.0
"""A measured spectrum shows an edge when it starts this far before the onset ..."""
MARGIN_AFTER_EV = 20.0
"""... and ends this far behind it."""
NEUTRAL_ELEMENTS = ("C",)
"""Support films and contamination put carbon into most measurements: never scored."""
QUALITIES = ("A", "B", "C")
KINDS = ("spectrum", "linescan", "spectrum_image", "low_loss")


def data_dir() -> Path | None:
    """The folder with the measured data, None when there is none.

    It is named by the environment variable CORELOSS_DATA_DIR, else ``../shared/data`` beside the
    checkout.
    """
    named = os.environ.get(DATA_DIR_VARIABLE)
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    return folder if (folder / "experimental" / "manifest.csv").is_file() else None


@dataclass(frozen=True)
class ExperimentalRecord:
    """One row of the manifest: a measured file, what it shows, and where it can be trusted.

    ``usable_start_ev`` and ``usable_end_ev`` are on the file's own axis, which lies
    ``energy_offset_ev`` above the true energy. ``quality`` is A (raw counts, at least 150 eV),
    B (raw but narrow, noisy or off by more than about 5 eV) or C (processed or very narrow).
    ``elements_nominal`` is what the specimen contains and the window shows,
    ``elements_trace_visible`` film, contamination or oxide.
    """

    id: str
    file: str
    kind: str
    quality: str
    material: str
    elements_nominal: tuple[str, ...]
    elements_trace_visible: tuple[str, ...]
    out_of_vocabulary: tuple[str, ...]
    energy_start_ev: float
    energy_end_ev: float
    usable_start_ev: float
    usable_end_ev: float
    energy_offset_ev: float
    dispersion_ev: float
    n_spectra: int
    beam_energy_kev: float | None
    convergence_mrad: float | None
    collection_mrad: float | None
    source: str
    license: str
    sha256: str
    notes: str

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("quality", QUALITIES)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{self.id}: {name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}"
                )
        unknown = set(self.elements_nominal + self.elements_trace_visible) - set(ELEMENTS)
        if unknown:
            raise ValueError(
                f"{self.id}: elements {', '.join(sorted(unknown))} are not among the 80; "
                "list them in out_of_vocabulary"
            )
        if not self.usable_start_ev < self.usable_end_ev:
            raise ValueError(
                f"{self.id}: usable window is {self.usable_start_ev:g}..{self.usable_end_ev:g} eV; "
                "its start must be below its end"
            )

    @property
    def window_ev(self) -> tuple[float, float]:
        """The usable window on the true energy axis."""
        offset = self.energy_offset_ev
        return self.usable_start_ev - offset, self.usable_end_ev - offset


def read_manifest(directory: str | Path) -> tuple[ExperimentalRecord, ...]:
    """The records of ``experimental/manifest.csv`` below the data folder, in file order."""
    path = _experimental(directory) / "manifest.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest; {NO_DATA}")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        return tuple(_record(row) for row in rows)
    except KeyError as error:
        raise ValueError(f"{path}: column {error} is missing") from None


def _experimental(directory: str | Path) -> Path:
    folder = Path(directory)
    return folder if (folder / "manifest.csv").is_file() else folder / "experimental"


def _record(row: dict[str, str]) -> ExperimentalRecord:
    def number(column: str) -> float | None:
        return float(row[column]) if row[column].strip() else None

    return ExperimentalRecord(
        **{name: row[name] for name in ("id", "file", "kind", "quality", "material")},
        elements_nominal=tuple(row["elements_nominal"].split()),
        elements_trace_visible=tuple(row["elements_trace_visible"].split()),
        out_of_vocabulary=tuple(row["out_of_vocabulary"].split()),
        energy_start_ev=float(row["energy_start_eV"]),
        energy_end_ev=float(row["energy_end_eV"]),
        usable_start_ev=float(row["usable_start_eV"]),
        usable_end_ev=float(row["usable_end_eV"]),
        energy_offset_ev=float(row["energy_offset_eV"]),
        dispersion_ev=float(row["dispersion_eV"]),
        n_spectra=int(row["n_spectra"]),
        beam_energy_kev=number("beam_energy_keV"),
        convergence_mrad=number("convergence_mrad"),
        collection_mrad=number("collection_mrad"),
        source=row["source_repo"],
        license=row["license"],
        sha256=row["sha256"],
        notes=row["notes"],
    )


def load_record(record: ExperimentalRecord, directory: str | Path) -> Spectrum:
    """The spectra of a record: cropped to the usable window, on the true energy axis.

    The manifest fills in what the file does not say about the microscope.
    """
    path = _experimental(directory) / record.file
    measured = read_spectrum(path)
    names = ("beam_energy_kev", "convergence_mrad", "collection_mrad")
    known = {name: getattr(measured, name) or getattr(record, name) for name in names}
    try:
        usable = measured.crop(record.usable_start_ev, record.usable_end_ev).mended()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return replace(usable.shift(-record.energy_offset_ev), **known)


def scored_elements(record: ExperimentalRecord) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of a record: ``present`` (80,) bool and ``counted`` (80,) bool.

    An element counts where one of its identifying edge sets lies inside the usable window (onset
    at least 5 eV after its start and 20 eV before its end). Carbon and the visible traces count
    on neither side. Present are the nominal elements that count; the others that count are absent.
    """
    start, end = record.window_ev
    counted = torch.zeros(len(ELEMENTS), dtype=torch.bool)
    for edge in identifying_sets():
        highest = min(end, N_CHANNELS - 1) - MARGIN_AFTER_EV
        if start + MARGIN_BEFORE_EV <= edge.onset_ev <= highest:
            counted[ELEMENT_INDEX[edge.element]] = True
    traces = set(record.elements_trace_visible) - set(record.elements_nominal)
    for element in (*NEUTRAL_ELEMENTS, *traces):
        counted[ELEMENT_INDEX[element]] = False
    present = torch.zeros_like(counted)
    for element in record.elements_nominal:
        present[ELEMENT_INDEX[element]] = counted[ELEMENT_INDEX[element]]
    return present, counted


class ExperimentalSet(NamedTuple):
    """Measured spectra to score: inputs (m, 3072), labels (m, 80), scored pairs (m, 80)."""

    inputs: NetworkInput
    present: torch.Tensor
    counted: torch.Tensor
    records: tuple[ExperimentalRecord, ...]


def experimental_set(directory: str | Path, *, quality: str = "A") -> ExperimentalSet:
    """All records of these qualities ("A", "AB", ...) with at least one element that counts.

    A line scan or map enters as the sum of its spectra; low-loss files are left out.

    Raises
    ------
    ValueError
        When the quality is unknown or no record qualifies.
    """
    if not quality or set(quality) - set(QUALITIES):
        raise ValueError(f"quality is {quality!r}; allowed: letters out of {''.join(QUALITIES)}")
    labelled = [
        (record, *scored_elements(record))
        for record in read_manifest(directory)
        if record.quality in quality and record.kind != "low_loss"
    ]
    labelled = [item for item in labelled if item[1].any()]
    if not labelled:
        raise ValueError(f"no record of quality {quality} with an element that counts")
    records, present, counted = zip(*labelled, strict=True)
    spectra = [load_record(record, directory).sum() for record in records]
    inputs = [preprocess(spectrum.counts, spectrum.energy_ev) for spectrum in spectra]
    stacked = NetworkInput(
        torch.cat([item.spectrum for item in inputs]), torch.cat([item.mask for item in inputs])
    )
    return ExperimentalSet(stacked, torch.stack(present), torch.stack(counted), records)
