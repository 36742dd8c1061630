"""One HDF5 file of a set in the published layout: what is in it, its hash, and whether it is whole.

Layout of Annys, Jannis and Verbeeck (Sci. Rep. 13, 13724 (2023); Zenodo,
doi:10.5281/zenodo.8004912), readable with plain h5py:

- ``spectra`` (n, 3072) float32, electrons per 1 eV channel, 0 outside the window, as simulated:
  32-bit integers overflow behind steep backgrounds and do not hold resampled counts. What somebody
  processed is below 0 in places;
- ``labels_identification`` (n, 80) uint8, 1 for the elements of `Batch.present`: in the specimen,
  with an edge set inside the window;
- ``labels_quantification`` (n, 80) float32, `Batch.amount` of these elements, divided by its sum:
  shares of the atoms that could be seen, 0 for the others; rows with a label add up to 1.

Labels are in the order of `edges.ELEMENTS`. Attributes: ``format``, ``format_version``,
``elements``, ``config`` (JSON), ``seed``, ``provenance`` (JSON, not hashed) and ``sha256``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from coreloss.datasets.simulated_set import CHUNK_ROWS
from coreloss.edges import ELEMENTS
from coreloss.runtime.files import replacing

if TYPE_CHECKING:
    from coreloss.simulation.batch import Batch

FORMAT = "coreloss published layout"
FORMAT_VERSION = 1
COLUMNS = ("spectra", "labels_identification", "labels_quantification")
_COMPARED = ("format", "format_version", "elements", "seed")
_HASHED = (*_COMPARED, "config")


class Part(NamedTuple):
    """A folder of the set: what it is for, names, and published spectra per element."""

    split: str
    folder: str
    prefix: str
    n: int

    def path(self, element: str) -> Path:
        """Path of the file of an element inside the set."""
        return Path(self.folder) / f"{self.prefix}_{element}.hdf5"


PARTS = (
    Part("train", "trainingset", "TRAIN", 7000),
    Part("validation", "validationset", "VALIDATION", 600),
    Part("test", "testset", "TEST", 1500),
    Part("single", "single_element_spectra", "CONFMAT", 100),
)


def columns_of(batch: Batch) -> dict[str, np.ndarray]:
    """The three arrays of a file from simulated spectra."""
    amount = batch.amount * batch.present
    share = amount / amount.sum(1, keepdim=True).clamp(min=1e-30)
    arrays = (
        batch.counts.cpu().numpy().astype("<f4"),
        batch.present.cpu().numpy().astype("u1"),
        share.cpu().numpy().astype("<f4"),
    )
    return dict(zip(COLUMNS, arrays, strict=True))


def attributes_of(*, config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a file says about itself, and what its hash covers beside its arrays."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "elements": " ".join(ELEMENTS),
        "seed": seed,
        "config": json.dumps(config, sort_keys=True),
    }


def write_file(
    path: Path,
    columns: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
    *,
    provenance: Mapping[str, str],
) -> None:
    """Write one file, which appears under its name only when it is complete."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(attributes)
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        file.attrs["sha256"] = _digest(columns, attributes)
        _fill(file, columns)


def stored_bytes(columns: Mapping[str, np.ndarray]) -> int:
    """Bytes that a file with these arrays takes."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        _fill(file, columns)
    return len(memory.getvalue())


def finished_hash(path: Path, attributes: Mapping[str, Any]) -> str | None:
    """SHA-256 that a finished file carries, None where there is no file; contents are not read.

    Raises
    ------
    ValueError
        When something else is there: another format, seed or configuration, an unreadable file.
    """
    if not path.exists():
        return None
    try:
        with h5py.File(path, "r") as file:
            found = dict(file.attrs)
            lengths = {len(file[name]) for name in COLUMNS}
            stored = {**{name: found[name] for name in _COMPARED}, **_flat(found["config"])}
            digest = str(found["sha256"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a file of the set ({error}); delete it") from None
    wanted = {**{name: attributes[name] for name in _COMPARED}, **_flat(attributes["config"])}
    for name in wanted | stored:
        if stored.get(name) != wanted.get(name):
            raise ValueError(
                f"{path}: {name} is {stored.get(name)}, this run has {wanted.get(name)}; "
                "use another folder, or the options and the version of the first run"
            )
    if lengths != {wanted["n"]}:
        raise ValueError(f"{path}: holds {lengths} spectra instead of {wanted['n']}; delete it")
    return digest


def check_file(path: str | Path) -> str:
    """SHA-256 of the contents of a file, after a comparison with the one that it carries.

    Raises
    ------
    ValueError
        When the file cannot be read, or its contents have changed.
    """
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            digest = _digest({name: file[name][:] for name in COLUMNS}, attributes)
            written = attributes["sha256"]
    except (OSError, KeyError) as error:
        raise ValueError(f"{path}: not a file of the set ({error}); delete it") from None
    if digest != written:
        raise ValueError(f"{path}: contents differ from their SHA-256; delete it and make it anew")
    return digest


def _fill(file: h5py.File, columns: Mapping[str, np.ndarray]) -> None:
    for name, values in columns.items():
        file.create_dataset(
            name,
            data=values,
            chunks=(min(CHUNK_ROWS, len(values)), values.shape[1]),
            shuffle=True,
            compression="gzip",
            compression_opts=1,
        )


def _digest(columns: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> str:
    total = hashlib.sha256()
    for name in _HASHED:
        total.update(f"{name}={attributes[name]}\n".encode())
    for name in COLUMNS:
        values = columns[name]
        total.update(f"{name}:{values.dtype.str}:{values.shape}\n".encode())
        total.update(np.ascontiguousarray(values))
    return total.hexdigest()


def _flat(config: str) -> dict[str, Any]:
    """Configuration with the settings one by one and first: what differs first is the cause."""
    flat = json.loads(config)
    settings = flat.pop("settings")
    return {**{f"settings.{name}": value for name, value in settings.items()}, **flat}
