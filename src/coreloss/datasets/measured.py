"""Data sets: measured files with the labels of a manifest, and stored simulated benchmark sets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from coreloss.datasets.manifest import manifest_path, read_manifest
from coreloss.datasets.records import (
    QUALITIES,
    ExperimentalRecord,
    absent_elements,
    scored_elements,
)
from coreloss.datasets.split import records_of_split, sources_of
from coreloss.runtime.provenance import CHECKOUT, digest_of
from coreloss.spectra.counts import are_whole
from coreloss.spectra.network_input import NetworkInput, observable, preprocess
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.usable import usable_part

DATA_DIR_VARIABLE = "CORELOSS_DATA_DIR"
MEASURED_SETS = {"A test": ("A", "test"), "A": ("A", "all"), "AB": ("AB", "all")}
"""Quality and split of the measured sets that the study scores, by name; the first one holds the
files that have chosen nothing."""
NO_DATA = (
    f"no measured data: set {DATA_DIR_VARIABLE} to a folder that holds experimental/manifest.csv"
)
"""What tests and notebooks say when `data_dir` is None."""


def data_dir() -> Path | None:
    """The folder with the measured data, None when there is none.

    It is named by the environment variable CORELOSS_DATA_DIR, else ``../shared/data`` beside the
    checkout.
    """
    named = os.environ.get(DATA_DIR_VARIABLE)
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    return folder if (folder / "experimental" / "manifest.csv").is_file() else None


def measured_fingerprint(directory: str | Path) -> str:
    """Sixteen letters for a manifest and the files that it names."""
    path = manifest_path(directory)
    files = sorted(record.file for record in read_manifest(directory))
    return digest_of(path.read_bytes(), *((path.parent / file).read_bytes() for file in files))


def load_record(
    record: ExperimentalRecord, directory: str | Path, *, whole: bool = False
) -> Spectrum:
    """The spectra of a record: cropped to the usable window, on the true energy axis.

    The window is that of the manifest or, with ``whole``, the one that is found in the file as it
    is. The manifest fills in what the file does not say about the microscope.
    """
    path = manifest_path(directory).parent / record.file
    measured = read_spectrum(path)
    names = ("beam_energy_kev", "convergence_mrad", "collection_mrad")
    known = {name: getattr(measured, name) or getattr(record, name) for name in names}
    window = None if whole else (record.usable_start_ev, record.usable_end_ev)
    try:
        usable = usable_part(measured, window)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return replace(usable.shift(-record.energy_offset_ev), **known)


class ExperimentalSet(NamedTuple):
    """Measured spectra to score: inputs (m, 3072), labels (m, 80), scored pairs (m, 80).

    ``sources`` (m) names the source of each file (`sources_of` over the whole manifest), ``dose``
    (m,) is the median of the counts per channel, NaN where the file holds no whole counts.
    """

    inputs: NetworkInput
    present: torch.Tensor
    counted: torch.Tensor
    records: tuple[ExperimentalRecord, ...]
    sources: tuple[str, ...]
    dose: np.ndarray


def experimental_set(
    directory: str | Path, *, quality: str = "A", split: str = "all", whole: bool = False
) -> ExperimentalSet:
    """All records of these qualities ("A", "AB", ...) with at least one element that counts.

    A line scan or map enters as the sum of its spectra; low-loss files are left out. ``split`` is
    "validation" or "test", the halves of `split_by_source`, or "all".

    With ``whole`` the windows are those that are found in the files. What counts is what counts in
    the windows of the manifest, and all others that could be named: they are absent.

    Raises
    ------
    ValueError
        When the quality or split is unknown or no record qualifies.
    """
    if not quality or set(quality) - set(QUALITIES):
        raise ValueError(f"quality is {quality!r}; allowed: letters out of {''.join(QUALITIES)}")
    everything = read_manifest(directory)
    source_of = dict(zip((r.id for r in everything), sources_of(everything), strict=True))
    labelled = [
        (record, *scored_elements(record))
        for record in records_of_split(everything, split)
        if record.quality in quality and record.kind != "low_loss"
    ]
    labelled = [item for item in labelled if item[1].any()]
    if not labelled:
        where = "" if split == "all" else f" in the {split} half"
        raise ValueError(f"no record of quality {quality} with an element that counts{where}")
    records, present, counted = zip(*labelled, strict=True)
    spectra = [load_record(record, directory, whole=whole) for record in records]
    sums = [spectrum.sum() for spectrum in spectra]
    inputs = [preprocess(spectrum.counts, spectrum.energy_ev) for spectrum in sums]
    stacked = NetworkInput(
        torch.cat([item.spectrum for item in inputs]), torch.cat([item.mask for item in inputs])
    )
    scored = torch.stack(counted)
    if whole:
        scored |= torch.from_numpy(observable(stacked)) & torch.stack(
            [absent_elements(record) for record in records]
        )
    return ExperimentalSet(
        inputs=stacked,
        present=torch.stack(present),
        counted=scored,
        records=records,
        sources=tuple(source_of[record.id] for record in records),
        dose=np.array([counts_per_channel(spectrum) for spectrum in spectra]),
    )


def measured_set(directory: str | Path, name: str) -> ExperimentalSet:
    """One of the sets that scores are given for, see `MEASURED_SETS`."""
    quality, split = MEASURED_SETS[name]
    return experimental_set(directory, quality=quality, split=split)


def counts_per_channel(spectrum: Spectrum) -> float:
    """Median over the channels of the counts of all spectra together, NaN if not whole counts.

    >>> counts_per_channel(Spectrum(np.arange(40.0), np.full(40, 7.0)))
    7.0
    >>> counts_per_channel(Spectrum(np.arange(40.0), np.full(40, 0.5)))
    nan
    """
    counts = spectrum.counts
    if (counts < 0).any() or not are_whole(counts).all():
        return float("nan")
    return float(np.median(counts.sum(axis=0)))
