"""Work on spectrum images piece by piece, into one file, resumable, also on a cluster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from coreloss.runtime.files import naming, put_in_place, target_of, telling_full_disk
from coreloss.runtime.hdf5_room import probe, reserve, truncated
from coreloss.runtime.progress import told
from coreloss.runtime.provenance import source_commit
from coreloss.spectra.image import PIECE, Source, SpectrumImage, reopened
from coreloss.spectra.spectrum import Spectrum

Work = Callable[[Spectrum, int], Mapping[str, np.ndarray]]
"""From spectra and the number of the first of them to arrays with one row per spectrum."""
Conclusion = Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]
"""From the results of the whole image to attributes that only they tell."""
IN_FLIGHT = 3
"""Pieces that each worker of a cluster has at a time."""
REPORTS = 20
DONE = "done"
"""Dataset of an unfinished file: which pieces are there."""


def check_target(out: str | Path | None, client: Any) -> None:
    """Refuse a ``client`` without ``out``, before any work."""
    if client is not None and out is None:
        raise ValueError("a client needs out=..., the file that the results go to")


def applied(
    image: SpectrumImage,
    work: Work,
    *,
    out: str | Path | None = None,
    attributes: Mapping[str, Any] | None = None,
    client: Any = None,
    progress: bool = False,
) -> dict[str, np.ndarray]:
    """Results of ``work`` for every spectrum of an image, arrays of the shape of the map.

    In memory, or with ``out`` by way of a file, see `stream`.
    """
    if out is not None:
        stream(image, work, out, attributes=attributes, client=client, progress=progress)
        with h5py.File(out, "r") as file:
            return {name: values[()] for name, values in file.items()}
    parts = [work(image.read(start, stop), start) for start, stop in image.pieces()]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: x.reshape(*image.map_shape, *x.shape[1:]) for name, x in whole.items()}


def stream(
    image: SpectrumImage,
    work: Work,
    out: str | Path,
    *,
    attributes: Mapping[str, Any] | None = None,
    conclude: Conclusion | None = None,
    piece: int = PIECE,
    client: Any = None,
    progress: bool = False,
) -> Path:
    """Results of ``work`` for every spectrum of an image, in the HDF5 file ``out``.

    Memory does not grow with the image. Datasets have the shape of the map, then that of the work.
    An interrupted run leaves a hidden ``.part`` file beside ``out``, and the same call goes on
    where it stopped; with other settings it starts anew. ``out`` appears when all is done.

    Parameters
    ----------
    work
        Picklable; its ``repr`` tells its settings.
    attributes
        Stored in the file, as JSON where they are not plain.
    conclude
        Asked for more of them when all pieces are done, before ``out`` appears.
    client
        A ``dask.distributed.Client``: its workers compute, and read their parts of the file
        themselves; this process writes.

    Raises
    ------
    ValueError
        When the image cannot be read, the work refuses a spectrum, or another process is writing
        the same file.
    OSError
        With the name of ``out``, when it cannot be written.
    """
    out = target_of(out)
    part = out.with_name(f".{out.name}.part")
    pieces = list(image.pieces(piece))
    key = _key(image, work, attributes or {}, pieces)
    with telling_full_disk(out), _opened(part, out, key, len(pieces)) as file:
        reserve(file, 0)
        left = [i for i in range(len(pieces)) if not file[DONE][i]]
        results = _here(image, work) if client is None else _on_cluster(image, work, client)
        done = results([(i, *pieces[i]) for i in left])
        every = max(len(left) // REPORTS, 1)
        for i, result in told(done, "pieces", every, len(left)) if progress else done:
            _write(file, image.map_shape, pieces[i], result)
            file.flush()  # a piece counts as done only after it is there
            file[DONE][i] = True
            file.flush()
        about = dict(attributes or {})
        if conclude is not None:
            about |= conclude({name: values[()] for name, values in file.items() if name != DONE})
        for name, value in about.items():
            file.attrs[name] = value if isinstance(value, str | float | int) else json.dumps(value)
        file.attrs["source_commit"] = source_commit()
        file.attrs["map_shape"] = image.map_shape
        del file[DONE], file.attrs["key"]
        file.flush()
        size = file.id.get_filesize()
    with telling_full_disk(out):
        truncated(part, size)
        put_in_place(part, out)
    return out


def _opened(part: Path, out: Path, key: str, n: int) -> h5py.File:
    """The file of an interrupted run with the same key, else an empty one; locked, if it can be."""
    try:
        if part.exists():
            file = _continued(part, key)
            if file is not None:
                return file
            part.unlink()
        with naming(out):
            probe(part)
            file = h5py.File(part, "x")
    except (BlockingIOError, FileExistsError):
        raise ValueError(
            f"{out}: another process is writing this file; wait for it, or choose another name"
        ) from None
    file.attrs["key"] = key
    file.create_dataset(DONE, data=np.zeros(n, bool))
    return file


def _continued(part: Path, key: str) -> h5py.File | None:
    """The file of an interrupted run, None where it is of another one, damaged, or without a piece.

    Once a piece is done, the lists of the library are whole.
    """
    try:
        file = h5py.File(part, "r+")
    except BlockingIOError:
        raise
    except OSError:
        return None
    try:
        usable = file.attrs.get("key") == key and file[DONE][()].any()
    except (OSError, RuntimeError, KeyError):
        usable = False
    if usable:
        return file
    file.close()
    return None


def _key(image: SpectrumImage, work: Work, attributes: Mapping[str, Any], pieces) -> str:
    source: list[Any] = [len(image), list(image.map_shape), image.energy_ev.tolist()]
    if image.source is not None:
        stat = Path(image.source[0]).stat()
        source += [*map(str, image.source), stat.st_size, stat.st_mtime_ns]
    settings = [repr(work), sorted((k, str(v)) for k, v in attributes.items()), pieces]
    return hashlib.sha256(json.dumps([source, settings]).encode()).hexdigest()


def _here(image: SpectrumImage, work: Work):
    def results(tasks) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
        for i, start, stop in tasks:
            yield i, work(image.read(start, stop), start)

    return results


def _on_cluster(image: SpectrumImage, work: Work, client: Any):
    """Results as they are ready; only a few pieces are on their way at a time."""

    def results(tasks) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
        from dask.distributed import as_completed

        limit = IN_FLIGHT * max(len(client.scheduler_info()["workers"]), 1)
        waiting = iter(tasks)

        def submit(task):
            i, start, stop = task
            if image.source is not None:
                job = client.submit(_there, image.source, work, start, stop, pure=False)
            else:
                job = client.submit(work, image.read(start, stop), start, pure=False)
            number[job.key] = i
            return job

        number: dict[str, int] = {}
        jobs = as_completed([submit(task) for _, task in zip(range(limit), waiting, strict=False)])
        for job in jobs:
            yield number.pop(job.key), job.result()
            job.release()
            for task in waiting:
                jobs.add(submit(task))
                break

    return results


def _there(source: Source, work: Work, start: int, stop: int):
    return work(reopened(source).read(start, stop), start)


def _write(file: h5py.File, map_shape: tuple[int, ...], piece: tuple[int, int], result) -> None:
    row = int(np.prod(map_shape[1:], dtype=int))
    first, last = piece[0] // row, piece[1] // row
    for name, values in result.items():
        shape = (last - first, *map_shape[1:], *values.shape[1:])
        if name not in file:
            _create(file, name, (map_shape[0], *shape[1:]), values.dtype)
        dataset = file[name]
        dataset[first:last] = values.reshape(shape)
        dataset.flush()  # what cannot be written is an error here, not lost when it is let go


def _create(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """A dataset that has all of its room on the disk.

    So a disk that is too small is told at the first piece; and after that a kill interrupts the
    writing of values, never that of the library's lists.
    """
    reserve(file, int(np.prod(shape)) * dtype.itemsize)
    file.create_dataset(name, shape, dtype, fill_time="never")
