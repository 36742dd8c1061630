"""Simulated benchmark sets in HDF5: fixed, hashed, and readable with plain h5py.

Layout: ``counts`` (n, 3072) int64, electrons per 1 eV channel (read-out noise and subtracted
backgrounds make some negative); ``window`` (n, 2) int16, first and last measured channel;
``present`` and ``observable`` (n, 80) bool; ``snr`` and ``amount`` (n, 80) float32; ``processed``
(n, 1) bool, spectra whose background was subtracted. Attributes: ``format``, ``format_version``,
``elements``, ``config``, ``seed``, ``provenance`` (JSON) and ``sha256``, over all of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENTS
from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import provenance as made_here
from coreloss.simulation.batch import Batch

FORMAT = "coreloss benchmark"
FORMAT_VERSION = 2
CHUNK_ROWS = 64
COLUMNS = {
    "counts": (N_CHANNELS, np.dtype("<i8")),
    "window": (2, np.dtype("<i2")),
    "present": (len(ELEMENTS), np.dtype("?")),
    "observable": (len(ELEMENTS), np.dtype("?")),
    "snr": (len(ELEMENTS), np.dtype("<f4")),
    "amount": (len(ELEMENTS), np.dtype("<f4")),
    "processed": (1, np.dtype("?")),
}
LABELS = ("present", "observable", "snr", "amount")
HASHED_ATTRIBUTES = ("format", "format_version", "elements", "config", "seed")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark set in memory: its spectra with their labels, and where they come from."""

    batch: Batch
    config: dict[str, Any]
    seed: int
    provenance: dict[str, Any]
    sha256: str

    def __len__(self) -> int:
        return len(self.batch)


def write_benchmark(
    path: str | Path,
    batches: Iterable[Batch],
    *,
    config: Mapping[str, Any],
    seed: int,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """Write the batches to an HDF5 file and return the SHA-256 of its contents.

    Counts are rounded to whole electrons. The file appears under its name only when it is
    complete. ``provenance`` joins the versions of Python and the packages; it is not hashed, so
    that the same spectra made elsewhere have the same hash.

    Raises
    ------
    ValueError
        When there are no batches, or a mask is not one window, or counts exceed 32 bits.
    """
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        attributes = _attributes(config, seed, made_here() | dict(provenance or {}))
        file.attrs.update(attributes)
        file.attrs["sha256"] = digest = _write_rows(file, batches, attributes)
    return digest


def read_benchmark(path: str | Path, *, verify: bool = True) -> Benchmark:
    """Read a benchmark set; ``verify`` recomputes the SHA-256 of its contents.

    Raises
    ------
    ValueError
        When the file is missing, of another format or version, or its contents have changed.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            _check_format(path, attributes)
            columns = {name: np.asarray(file[name]) for name in COLUMNS}
    except (OSError, KeyError) as error:
        reason = "no such file" if not Path(path).exists() else f"not readable ({error})"
        raise ValueError(f"{path}: {reason}; write it with write_benchmark") from None
    if verify:
        hashes = _new_hashes()
        _update(hashes, columns)
        if _digest(hashes, len(columns["counts"]), attributes) != attributes["sha256"]:
            raise ValueError(f"{path}: contents differ from their SHA-256; get the file anew")
    channel = np.arange(N_CHANNELS)
    first, last = columns["window"][:, :1], columns["window"][:, 1:]
    batch = Batch(
        counts=torch.from_numpy(columns["counts"].astype(np.float32)),
        mask=torch.from_numpy((channel >= first) & (channel <= last)),
        **{name: torch.from_numpy(columns[name]) for name in LABELS},
        processed=torch.from_numpy(columns["processed"][:, 0]),
    )
    return Benchmark(
        batch=batch,
        config=json.loads(attributes["config"]),
        seed=int(attributes["seed"]),
        provenance=json.loads(attributes["provenance"]),
        sha256=str(attributes["sha256"]),
    )


def _attributes(
    config: Mapping[str, Any], seed: int, made_with: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "elements": " ".join(ELEMENTS),
        "config": json.dumps(dict(config), sort_keys=True),
        "seed": int(seed),
        "provenance": json.dumps(made_with, sort_keys=True),
    }


def _check_format(path: str | Path, attributes: Mapping[str, Any]) -> None:
    found = attributes.get("format"), attributes.get("format_version")
    if found[0] != FORMAT or found[1] != FORMAT_VERSION or "sha256" not in attributes:
        raise ValueError(
            f"{path}: format is {found[0]!r} version {found[1]}; allowed: {FORMAT!r} version "
            f"{FORMAT_VERSION}"
        )
    if attributes["elements"] != " ".join(ELEMENTS):
        raise ValueError(f"{path}: its elements are not the 80 of this version, in their order")


def _write_rows(file: h5py.File, batches: Iterable[Batch], attributes: Mapping[str, Any]) -> str:
    for name, (width, dtype) in COLUMNS.items():
        file.create_dataset(
            name,
            shape=(0, width),
            maxshape=(None, width),
            chunks=(CHUNK_ROWS, width),
            dtype=dtype,
            shuffle=True,
            compression="gzip",
            compression_opts=1,
        )
    rows, hashes = 0, _new_hashes()
    for batch in batches:
        columns = _columns(batch)
        end = rows + len(columns["counts"])
        for name, values in columns.items():
            file[name].resize(end, axis=0)
            file[name][rows:end] = values
        _update(hashes, columns)
        rows = end
    if rows == 0:
        raise ValueError("benchmark set has 0 spectra; allowed: at least 1; give it batches")
    return _digest(hashes, rows, attributes)


def _columns(batch: Batch) -> dict[str, np.ndarray]:
    counts = np.rint(batch.counts.cpu().to(torch.float64).numpy())
    limit = 2**53
    largest = np.abs(counts).max(initial=0.0)
    if not largest <= limit:
        raise ValueError(f"counts reach {largest:g}; allowed: finite and at most {limit}")
    columns = {"counts": counts, "window": _windows(batch.mask.cpu().numpy())}
    for name in LABELS:
        columns[name] = getattr(batch, name).cpu().numpy()
    columns["processed"] = batch.processed.cpu().numpy()[:, None]
    columns = {name: values.astype(COLUMNS[name][1]) for name, values in columns.items()}
    for name, values in columns.items():
        wanted = (len(counts), COLUMNS[name][0])
        if values.shape != wanted:
            raise ValueError(f"{name} has shape {values.shape}; allowed: {wanted}")
    return columns


def _windows(mask: np.ndarray) -> np.ndarray:
    """First and last channel of each mask, (b, 3072) -> (b, 2)."""
    first = mask.argmax(axis=1)
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    gaps = last - first + 1 - mask.sum(axis=1)
    if gaps.any():
        row = int(np.flatnonzero(gaps)[0])
        raise ValueError(
            f"mask of spectrum {row} marks {mask[row].sum()} channels in {first[row]}..{last[row]};"
            " allowed: one window without gaps"
        )
    return np.stack([first, last], axis=1)


def _new_hashes() -> dict[str, Any]:
    return {name: hashlib.sha256() for name in COLUMNS}


def _update(hashes: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    for name, values in columns.items():
        hashes[name].update(np.ascontiguousarray(values, dtype=COLUMNS[name][1]).tobytes())


def _digest(hashes: Mapping[str, Any], rows: int, attributes: Mapping[str, Any]) -> str:
    total = hashlib.sha256()
    for name in HASHED_ATTRIBUTES:
        total.update(f"{name}={attributes[name]}\n".encode())
    for name, part in hashes.items():
        total.update(f"{name}:{rows}:{part.hexdigest()}\n".encode())
    return total.hexdigest()
