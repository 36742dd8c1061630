"""Series of TIA: what their header claims, before any of it is read."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from coreloss.runtime.border import check_claim, check_memory

ITEM_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}
"""Bytes of numbers by their code."""
SPECTRA = 16672
SHORT_OFFSETS = 528
"""Versions up to this one have offsets of 4 bytes, later ones of 8."""
MOST_DIMENSIONS = 8


def check_series(path: Path) -> None:
    """ValueError unless a series holds the spectra that its header claims."""
    held = path.stat().st_size
    with path.open("rb") as stream:
        _, _, version, kind, _, _, valid = _read(stream, "<HHHLLLL")
        layout = "<L" if version <= SHORT_OFFSETS else "<Q"
        (offsets_at,) = _read(stream, layout)
        shape = _dimensions(stream)
        entries = struct.calcsize(layout) * max(math.prod(shape), valid)
        check_claim(entries, held, f"a series of shape {tuple(shape)}")
        stream.seek(min(offsets_at, held))
        (first_at,) = _read(stream, layout)
        is_spectrum = kind == SPECTRA
        stream.seek(min(first_at, held) + (20 if is_spectrum else 40))
        code, *size = _read(stream, "<HL" if is_spectrum else "<HLL")
    if code not in ITEM_BYTES:
        raise ValueError(f"its counts are of type {code}; allowed: 1..10; export it anew from TIA")
    points = math.prod(size)
    check_claim(valid * points * ITEM_BYTES[code], held, f"{valid} spectra of {points} channels")
    check_memory(8 * points * max(math.prod(shape), valid))


def _dimensions(stream: BinaryIO) -> list[int]:
    """Points along each dimension of a series."""
    (n,) = _read(stream, "<L")
    if n > MOST_DIMENSIONS:
        raise ValueError(f"claims {n} dimensions; allowed: up to {MOST_DIMENSIONS}: it is damaged")
    shape = []
    for _ in range(n):
        points, _, _, _, length = _read(stream, "<LddLL")
        stream.seek(length, 1)
        (length,) = _read(stream, "<L")
        stream.seek(length, 1)
        shape.append(points)
    return shape


def _read(stream: BinaryIO, layout: str) -> tuple[int, ...]:
    size = struct.calcsize(layout)
    data = stream.read(size)
    check_claim(size, len(data), "its header")
    return struct.unpack(layout, data)
