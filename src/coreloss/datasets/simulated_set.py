"""Simulated spectra with their labels in one HDF5 file: hashed, and readable with plain h5py.

Three datasets are those of Annys, Jannis and Verbeeck (Sci. Rep. 13, 13724 (2023); Zenodo,
doi:10.5281/zenodo.8004912), so that what reads the published files reads these:

- ``spectra`` (n, 3072) float32, electrons per 1 eV channel, 0 outside the window. Read-out noise
  and subtracted backgrounds make some negative;
- ``labels_identification`` (n, 80) uint8, 1 for the elements of `Batch.present`: in the specimen,
  with an edge set inside the window;
- ``labels_quantification`` (n, 80) float32, `Batch.amount` of these elements, divided by its sum:
  shares of the atoms that could be seen, 0 for the others; rows with a label add up to 1.

The others hold the rest of a `Batch`: ``window`` (n, 2) int16, first and last measured channel;
``observable`` (n, 80) uint8, ``snr`` and ``amount`` (n, 80) float32; ``processed`` (n,) uint8;
``axis_error_ev`` (n,) float32, stated standard deviation of the energies.

Labels are in the order of `edges.ELEMENTS`. Attributes: ``format``, ``format_version``,
``elements``, ``config`` (JSON), ``seed``, ``provenance`` (JSON) and ``sha256``, over all of these
but the provenance: the same spectra made elsewhere have the same hash.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENTS
from coreloss.runtime import hdf5
from coreloss.runtime.border import border
from coreloss.runtime.files import replacing
from coreloss.runtime.hdf5_room import hdf5_file, reserve
from coreloss.runtime.provenance import provenance as made_here
from coreloss.simulation.batch import Batch

FORMAT = "coreloss simulated set"
FORMAT_VERSION = 4
"""Above the 1 of the former files in the published layout and the 2 of the former benchmarks."""
CHUNK_ROWS = 64
CHUNKS_OPEN = 2_000_000  # bytes of chunks in the cache of the library
_LABELS = (len(ELEMENTS),)
COLUMNS: dict[str, tuple[tuple[int, ...], np.dtype]] = {  # shape of a row, type
    "spectra": ((N_CHANNELS,), np.dtype("<f4")),
    "labels_identification": (_LABELS, np.dtype("u1")),
    "labels_quantification": (_LABELS, np.dtype("<f4")),
    "window": ((2,), np.dtype("<i2")),
    "observable": (_LABELS, np.dtype("u1")),
    "snr": (_LABELS, np.dtype("<f4")),
    "amount": (_LABELS, np.dtype("<f4")),
    "processed": ((), np.dtype("u1")),
    "axis_error_ev": ((), np.dtype("<f4")),
}
HASHED_ATTRIBUTES = ("format", "format_version", "elements", "config", "seed")
_ANEW = "make it anew with `coreloss dataset`"


@dataclass(frozen=True)
class Header:
    """What a file says about itself without its contents being read; ``n`` spectra."""

    n: int
    config: dict[str, Any]
    seed: int
    provenance: dict[str, Any]
    sha256: str


@dataclass(frozen=True, eq=False)
class StoredSet:
    """A set in memory: its spectra with their labels, and where they come from."""

    batch: Batch
    config: dict[str, Any]
    seed: int
    provenance: dict[str, Any]
    sha256: str

    def __len__(self) -> int:
        return len(self.batch)


def write_set(
    path: str | Path,
    batches: Iterable[Batch],
    *,
    config: Mapping[str, Any],
    seed: int,
    provenance: Mapping[str, Any] | None = None,
) -> str:
    """Write the batches to an HDF5 file, which appears when it is complete; returns its SHA-256.

    ``provenance`` takes the place of `runtime.provenance.provenance`, which is asked if None.

    Raises
    ------
    ValueError
        When there are no batches, counts are not finite, a mask is not one window, or a label has
        another shape than its spectra need.
    """
    made_with = made_here() if provenance is None else provenance
    with replacing(path) as temporary, hdf5_file(temporary) as file:
        file.attrs.update(_attributes(config, seed, made_with))
        file.attrs["sha256"] = digest = _write_rows(file, batches)
    return digest


def read_header(path: str | Path) -> Header:
    """What a file says about itself; its contents are neither read nor compared with the hash.

    Raises
    ------
    ValueError
        When the file is missing, damaged, or of another format or version.
    """
    with _opened(path) as file:
        return _header(path, file)


def read_set(path: str | Path, *, verify: bool = True) -> StoredSet:
    """Read a set; ``verify`` compares its contents with its SHA-256.

    Raises
    ------
    ValueError
        When the file is missing, damaged, of another format or version, or has changed.
    """
    with _opened(path) as file:
        header, attributes = _header(path, file), dict(file.attrs)
        columns = {name: file[name][:] for name in COLUMNS}
    if verify:
        hashes = _new_hashes()
        _update(hashes, columns)
        if _digest(hashes, header.n, attributes) != header.sha256:
            raise ValueError(f"{path}: contents differ from their SHA-256; delete it and {_ANEW}")
    return StoredSet(
        batch=_batch(columns),
        config=header.config,
        seed=header.seed,
        provenance=header.provenance,
        sha256=header.sha256,
    )


def stored_bytes(batch: Batch) -> int:
    """Bytes that a file with this batch takes."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs.update(_attributes({}, 0, {}))
        _write_rows(file, [batch], reserved=False)
    return len(memory.getvalue())


# -- attributes -----------------------------------------------------------------------------------


def _attributes(
    config: Mapping[str, Any], seed: int, made_with: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "elements": " ".join(ELEMENTS),
        "config": json.dumps(dict(config), sort_keys=True),
        "seed": int(seed),
        "provenance": json.dumps(dict(made_with), sort_keys=True),
    }


@contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
    """A file of this format; what is wrong with it becomes a ValueError that says what to do."""
    if not Path(path).exists():
        raise ValueError(f"{path}: no such file; {_ANEW}")
    with border(path, what="a set of spectra"):
        try:
            with hdf5.opened(path) as file:
                _check_format(path, file.attrs)
                yield file
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not readable ({error}); delete it and {_ANEW}") from None


def _check_format(path: str | Path, attributes: Mapping[str, Any]) -> None:
    name, version = attributes.get("format"), attributes.get("format_version")
    if name != FORMAT or version != FORMAT_VERSION:
        newer = name == FORMAT and isinstance(version, np.integer) and version > FORMAT_VERSION
        raise ValueError(
            f"{path}: format is {name!r} version {version}; allowed: {FORMAT!r} version "
            f"{FORMAT_VERSION}; {'update coreloss' if newer else _ANEW}"
        )
    if attributes["elements"] != " ".join(ELEMENTS):
        raise ValueError(
            f"{path}: its elements are not the {len(ELEMENTS)} of this version, in their order; "
            f"{_ANEW}"
        )


def _header(path: str | Path, file: h5py.File) -> Header:
    n = len(file["spectra"])
    for name, (row, _) in COLUMNS.items():
        if file[name].shape != (n, *row):
            raise ValueError(
                f"{path}: {name} has shape {file[name].shape}; allowed: {(n, *row)}, as there are "
                f"{n} spectra; delete it and {_ANEW}"
            )
    return Header(
        n=n,
        config=json.loads(file.attrs["config"]),
        seed=int(file.attrs["seed"]),
        provenance=json.loads(file.attrs["provenance"]),
        sha256=str(file.attrs["sha256"]),
    )


# -- contents -------------------------------------------------------------------------------------


def _write_rows(file: h5py.File, batches: Iterable[Batch], *, reserved: bool = True) -> str:
    """Append the batches to new datasets; returns the SHA-256 of file and attributes.

    ``reserved``: with room on the disk for a batch that cannot be compressed, and for the chunks of
    the one before that are not there yet.
    """
    for name, (row, dtype) in COLUMNS.items():
        file.create_dataset(
            name,
            shape=(0, *row),
            maxshape=(None, *row),
            chunks=(CHUNK_ROWS, *row),
            dtype=dtype,
            shuffle=True,
            compression="gzip",
            compression_opts=1,
        )
    n, hashes = 0, _new_hashes()
    for batch in batches:
        columns, start = _columns(batch), n
        if reserved:
            reserve(file, CHUNKS_OPEN + sum(values.nbytes for values in columns.values()))
        n += len(batch.counts)
        for name, values in columns.items():
            file[name].resize(n, axis=0)
            file[name][start:n] = values
        _update(hashes, columns)
    if n == 0:
        raise ValueError("a set has 0 spectra; allowed: at least 1; give it batches")
    return _digest(hashes, n, file.attrs)


def _columns(batch: Batch) -> dict[str, np.ndarray]:
    """The arrays of a file for one batch."""
    if not torch.isfinite(batch.counts).all():
        raise ValueError("counts hold NaN or infinity; allowed: finite numbers of electrons")
    seen = batch.amount * batch.present
    columns = {
        "spectra": batch.counts,
        "labels_identification": batch.present,
        "labels_quantification": seen / seen.sum(1, keepdim=True).clamp(min=1e-30),
        "window": _windows(batch.mask),
        "observable": batch.observable,
        "snr": batch.snr,
        "amount": batch.amount,
        "processed": batch.processed,
        "axis_error_ev": batch.axis_error_ev,
    }
    for name, values in columns.items():
        wanted = (len(batch.counts), *COLUMNS[name][0])
        if values.shape != wanted:
            raise ValueError(f"{name} has shape {tuple(values.shape)}; allowed: {wanted}")
    return {name: x.cpu().numpy().astype(COLUMNS[name][1]) for name, x in columns.items()}


def _batch(columns: Mapping[str, np.ndarray]) -> Batch:
    """The batch of which `_columns` are the arrays."""
    channel = np.arange(N_CHANNELS)
    first, last = columns["window"][:, :1], columns["window"][:, 1:]
    return Batch(
        counts=torch.from_numpy(columns["spectra"]),
        mask=torch.from_numpy((channel >= first) & (channel <= last)),
        present=torch.from_numpy(columns["labels_identification"].astype(bool)),
        observable=torch.from_numpy(columns["observable"].astype(bool)),
        snr=torch.from_numpy(columns["snr"]),
        amount=torch.from_numpy(columns["amount"]),
        processed=torch.from_numpy(columns["processed"].astype(bool)),
        axis_error_ev=torch.from_numpy(columns["axis_error_ev"]),
    )


def _windows(mask: torch.Tensor) -> torch.Tensor:
    """First and last channel of each mask, (b, 3072) -> (b, 2)."""
    marked = mask.to(torch.uint8)
    first = marked.argmax(1)
    last = mask.shape[1] - 1 - marked.flip(1).argmax(1)
    wrong = (last - first + 1 != mask.sum(1)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"mask of spectrum {row} marks {int(mask[row].sum())} channels in "
            f"{int(first[row])}..{int(last[row])}; allowed: one window without gaps"
        )
    return torch.stack([first, last], dim=1)


def _new_hashes() -> dict[str, Any]:
    return {name: hashlib.sha256() for name in COLUMNS}


def _update(hashes: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    for name, values in columns.items():
        hashes[name].update(np.ascontiguousarray(values, dtype=COLUMNS[name][1]))


def _digest(hashes: Mapping[str, Any], n: int, attributes: Mapping[str, Any]) -> str:
    total = hashlib.sha256()
    for name in HASHED_ATTRIBUTES:
        total.update(f"{name}={attributes[name]}\n".encode())
    for name, part in hashes.items():
        total.update(f"{name}:{n}:{part.hexdigest()}\n".encode())
    return total.hexdigest()
