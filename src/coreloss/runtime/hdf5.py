"""HDF5 files from outside: they end, hold what they claim, and point nowhere else."""

from __future__ import annotations

import importlib
import math
import mmap
import struct
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5z

from coreloss.runtime.border import (
    MOST_PACKED,
    UNPROVEN,
    check_claim,
    regular_file,
    size,
)

MOST_OBJECTS = 20_000
"""Groups, data sets and attributes of a file, counted once for every way to them; files of
HyperSpy and Velox have some hundred."""
UNWRITTEN = 2**30
"""Bytes that a data set may claim without any stored: room that a broken-off scan did not fill."""
BUILT_IN = 255
"""Last number of a filter that comes with the library; others, such as zstd, are installed."""
DEEPEST = 64
"""Groups within groups."""
HEAP, SMALLEST_HEAP = b"GCOL\1\0\0\0", 4096
"""How heaps of texts begin, and their least size."""
Places = list[tuple[int, int]]
"""Where in a file numbers are stored: first byte and bytes."""
ALONE = "all that is read must lie in this one file; save it anew with the program that made it"


@contextmanager
def opened(path: str | Path, *, most_objects: int = MOST_OBJECTS) -> Iterator[h5py.File]:
    """A file for reading that has been checked, see `check`."""
    check(path, most_objects=most_objects)
    with h5py.File(path, "r") as file:
        yield file


def close_after(arrays: Iterable[Any]) -> None:
    """Close the file that dask arrays read once neither they nor what was made of them is left.

    That is, when the data sets are gone, each of which is a layer of its own in their graphs.
    """
    layers = (layer for array in arrays for layer in array.dask.layers.values() if len(layer) == 1)
    stored = [x for layer in layers for x in layer.values() if isinstance(x, h5py.Dataset)]
    if not stored:
        return
    file, left = stored[0].file, [weakref.ref(item) for item in stored]

    def close() -> None:
        if all(item() is None for item in left):
            file.close()

    for item in stored:
        weakref.finalize(item, close)


def check(path: str | Path, *, most_objects: int = MOST_OBJECTS) -> int:
    """Bytes that all of a file takes in memory; ValueError unless a library may read it.

    Refused by name: links and data in other files, virtual data sets, groups that contain
    themselves, more than ``most_objects``, data sets or attributes larger than what is stored of
    them, and heaps of texts that do not end. Counts are not read. ImportError where what packed
    them is not installed.
    """
    held, places = regular_file(path), Places()
    with h5py.File(path, "r") as file:
        soft: list[str] = []
        total = _check_objects(_objects(file.id, soft), held, places, most_objects)
        if soft:  # followed when nothing points out of the file, on the way to them neither
            total = _check_objects(_objects(file.id, None), held, [], most_objects)
        _, width = file.id.get_create_plist().get_sizes()
    _check_heaps(Path(path), places, {4: "<L", 8: "<Q"}.get(width, "<Q"))
    return total


def _check_objects(
    objects: Iterator[tuple[str, h5g.ObjectID]], held: int, places: Places, most: int
) -> int:
    """Bytes that all data sets and attributes take in memory; adds the ``places`` of numbers."""
    total = seen = 0
    for where, item in objects:
        sizes = _attribute_sizes(item)
        seen += 1 + len(sizes)
        if seen > most:
            raise ValueError(
                f"holds more than {most} objects and attributes, or a few over and over by "
                "links; allowed: fewer; save the spectra in a file of their own"
            )
        check_claim(max(sizes, default=0), held, f"an attribute of {where or '/'}")
        total += sum(sizes)
        if isinstance(item, h5d.DatasetID):
            total += _check_data_set(item, where, held, places)
    return total


def _objects(root: h5g.GroupID, soft: list[str] | None) -> Iterator[tuple[str, h5g.ObjectID]]:
    """Path and object of a group and all below it, once for every way to it.

    Soft links are listed in ``soft``, or followed when there is no list.
    """
    stack = [(root, "", frozenset([h5o.get_info(root).addr]))]
    yield "", root
    while stack:
        group, path, above = stack.pop()
        for name, kind in _links(group):
            where = f"{path}/{name.decode(errors='replace')}"[:200]
            if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
                raise ValueError(f"its entry {where} is a link into another file; {ALONE}")
            if kind == h5l.TYPE_SOFT and soft is not None:
                soft.append(where)
                continue
            item = _item(group, name)
            if item is None:
                continue
            yield where, item
            if not isinstance(item, h5g.GroupID):
                continue
            place = h5o.get_info(item).addr
            if place in above:
                raise ValueError(f"its group {where} contains itself; {ALONE}")
            if len(above) > DEEPEST:
                raise ValueError(
                    f"its group {path[:60]}... lies {len(above)} groups deep; allowed: {DEEPEST}; "
                    "save the spectra in a file of their own"
                )
            stack.append((item, where, above | {place}))


def _links(group: h5g.GroupID) -> list[tuple[bytes, int]]:
    """Names and kinds of links, of no more than can be allowed."""
    found: list[tuple[bytes, int]] = []

    def collect(name: bytes, link: h5l.LinkInfo) -> bool | None:
        found.append((name, link.type))
        return True if len(found) > MOST_OBJECTS else None

    group.links.iterate(collect, info=True)
    return found


def _item(group: h5g.GroupID, name: bytes) -> h5g.ObjectID | None:
    """The object behind a link, None behind a soft link to nothing."""
    try:
        return h5o.open(group, name)
    except KeyError:
        return None


def _attribute_sizes(item: h5g.ObjectID) -> list[int]:
    sizes: list[int] = []

    def collect(_: bytes, info: h5a.AttrInfo) -> bool | None:
        sizes.append(info.data_size)
        return True if len(sizes) > MOST_OBJECTS else None

    h5a.iterate(item, collect, info=True)
    return sizes


def _check_data_set(item: h5d.DatasetID, where: str, held: int, places: Places) -> int:
    """Bytes that a data set takes in memory; ValueError when it is elsewhere, or not there."""
    layout = item.get_create_plist()
    if layout.get_external_count():
        name = layout.get_external(0)[0].decode(errors="replace")
        raise ValueError(f"its data set {where} is stored in another file, {name[:80]!r}; {ALONE}")
    if layout.get_layout() == h5d.VIRTUAL:
        raise ValueError(f"its data set {where} is virtual, put together from others; {ALONE}")
    for code in (layout.get_filter(i)[0] for i in range(layout.get_nfilters())):
        if code > BUILT_IN and not h5z.filter_avail(code):
            importlib.import_module("hdf5plugin")  # brings those that are in use
    space, width = item.get_space(), item.get_type().get_size()
    if space.get_simple_extent_type() == h5s.NULL:
        return 0
    shape = space.get_simple_extent_dims()
    claimed, what = math.prod(shape) * width, f"its data set {where} of shape {shape}"
    if layout.get_layout() == h5d.CHUNKED:
        chunk = layout.get_chunk()
        n_chunks = math.prod(-(-whole // part) for whole, part in zip(shape, chunk, strict=True))
        chunk_bytes = math.prod(chunk) * width
        stored = _stored_chunks(item, what, (chunk_bytes, n_chunks), held)
        free = min(chunk_bytes, UNPROVEN)  # zstd packs a chunk of zeros into almost nothing
        n_stored = sum(max(MOST_PACKED * n, free) for _, n in stored)
        check_claim(max(claimed, chunk_bytes), max(n_stored, UNWRITTEN), what)
    else:
        n_stored = item.get_storage_size()
        at = item.get_offset()
        stored = [] if at is None else [(at, n_stored)]
        check_claim(claimed, max(min(n_stored, held), UNWRITTEN), what)
    places += stored
    return claimed


def _stored_chunks(item: h5d.DatasetID, what: str, chunk: tuple[int, int], held: int) -> Places:
    """Where all chunks are stored; ``chunk`` gives the bytes of one, and how many there may be."""
    n_bytes, n_chunks = chunk
    most = n_bytes + n_bytes // 8 + 4096  # what cannot be packed grows by less
    places: Places = []

    def collect(stored: h5d.StoreInfo) -> bool | None:
        places.append((stored.byte_offset or 0, stored.size))
        inside = stored.size <= most and sum(places[-1]) <= held
        return None if inside and len(places) <= n_chunks else True

    if item.chunk_iter(collect) is not None:
        raise ValueError(
            f"{what} has {len(places)} chunks, the last of {size(places[-1][1])}; allowed: "
            f"{n_chunks} within the file of {size(held)}, of {size(most)} each: it is damaged; "
            "export it anew"
        )
    return places


def _check_heaps(path: Path, places: Places, length: str) -> None:
    """ValueError when a heap of texts does not end: looking for one in it would not either.

    Heaps lie anywhere between the numbers. ``length`` is the layout of a size in this file.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = 0
        for start, n_bytes in [*sorted(places), (len(data), 0)]:
            at = data.find(HEAP, end, start + len(HEAP) - 1)
            while at >= 0:
                _check_heap(data, at, length)
                at = data.find(HEAP, at + 1, start + len(HEAP) - 1)
            end = max(end, start + n_bytes)


def _check_heap(data: mmap.mmap, start: int, length: str) -> None:
    """Go from text to text: number and references (8 bytes), size, and the text in steps of 8."""
    head = 8 + struct.calcsize(length)
    if start + head > len(data):
        return
    (n_bytes,) = struct.unpack_from(length, data, start + 8)
    at, end = start + head, start + n_bytes
    if n_bytes < SMALLEST_HEAP or end > len(data):
        return  # is not taken for a heap
    while at + head <= end:
        (number,) = struct.unpack_from("<H", data, at)
        (n_bytes,) = struct.unpack_from(length, data, at + 8)
        step = head + -(-n_bytes // 8) * 8 if number else n_bytes  # number 0 is what is left over
        if step == 0 or at + step > end:
            raise ValueError(
                f"its heap of texts at byte {start} holds one of {size(n_bytes)}: it is damaged; "
                "export it anew"
            )
        at += step
