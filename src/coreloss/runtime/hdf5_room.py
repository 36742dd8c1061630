"""HDF5 files whose room on the disk is reserved before the library writes.

On a full disk the library loses values without an error, and breaks down when it closes the file.
So it is never to find one: room is asked from the system, which says no in plain words.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

SPARE = 65_536
"""Bytes for attributes and the lists of the library."""


@contextmanager
def hdf5_file(path: str | Path, mode: str = "w", **options) -> Iterator[h5py.File]:
    """An HDF5 file for writing that is no longer than its contents when the block ends.

    ``mode`` and ``options`` are those of `h5py.File`.

    Raises
    ------
    OSError
        Before the file is there, when there is no room for a few lines.
    """
    path = Path(path)
    if not path.exists():
        probe(path)
    with h5py.File(path, mode, **options) as file:
        reserve(file, 0)
        yield file
        file.flush()
        size = file.id.get_filesize()
    truncated(path, size)


def reserve(file: h5py.File, n_bytes: int) -> None:
    """Room for so many bytes behind the end of a file, and `SPARE` ones.

    Raises
    ------
    OSError
        When the disk is full; the file can be closed then.
    """
    with open(file.filename, "rb+") as raw:
        _allocate(raw.fileno(), file.id.get_filesize() + n_bytes + SPARE)


def truncated(path: Path, size: int) -> None:
    """Give back what was reserved and is not needed; ``size`` is what the library calls its own."""
    if path.stat().st_size > size:
        os.truncate(path, size)


def probe(path: Path) -> None:
    """Ask for the first bytes without the library, which could not take back what it has begun."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.room")
    try:
        with beside.open("xb") as raw:
            _allocate(raw.fileno(), SPARE)
    finally:
        beside.unlink(missing_ok=True)


def _allocate(descriptor: int, size: int) -> None:
    """Room up to ``size``, from where the file ends: all before that was reserved earlier."""
    end = os.fstat(descriptor).st_size
    if size <= end or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, end, size - end)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV):
            raise
