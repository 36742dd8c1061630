"""Spectra from NumPy archives: an axis, counts on it, and perhaps the microscope."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from coreloss.runtime.border import (
    MOST_PACKED,
    UNPROVEN,
    check_claim,
    check_memory,
    library,
)

ENERGY_NAMES = ("energy_ev", "energy", "energy_loss", "energy_loss_ev", "eels_axis", "axis", "x")
COUNTS_NAMES = ("counts", "spectrum", "spectra", "eels", "data", "intensity", "signal", "y")


def read_arrays(
    path: Path, *, scalars: tuple[str, ...] = ()
) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
    """Axis (n,), counts (..., n) and those of the named ``scalars`` that an .npz file holds.

    Arrays are known by their names; two others are told apart by their shapes: the axis has one
    dimension and equal steps. ValueError, with the arrays of the file, when that fails.
    """
    _check_members(path)
    with library(path), path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    found = {name: arrays.pop(name) for name in scalars if name in arrays}
    energy, counts = _named(arrays, ENERGY_NAMES), _named(arrays, COUNTS_NAMES)
    if energy is None or counts is None:
        energy, counts = _by_shape(list(arrays.values()))
    if (
        energy is None
        or counts is None
        or energy.ndim != 1
        or counts.ndim < 1
        or counts.shape[-1] != len(energy)
    ):
        listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise ValueError(f"holds {listed}; allowed: energy_ev (n,) and counts (..., n)")
    kinds = {energy.dtype.kind, counts.dtype.kind}
    if kinds - set("iuf"):
        raise ValueError(f"holds {energy.dtype} and {counts.dtype}; allowed: real numbers")
    in_ev = any(array is energy for name, array in arrays.items() if name.lower().endswith("_ev"))
    axis = {
        "label": "the axis",
        "remedy": "name the array of the energies energy_ev",
        "units": "eV" if in_ev else "",
        "axis": energy.astype(np.float64),
    }
    return axis, counts, found


def _check_members(path: Path) -> None:
    """ValueError when arrays claim more than the archive holds, before any is allocated."""
    held, total = path.stat().st_size, 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = f"its array {member.filename[:80]!r}"
            if not member.filename.endswith(".npy"):
                raise ValueError(f"holds {member.filename[:80]!r}; allowed: arrays of numpy.savez")
            packed = max(MOST_PACKED * min(member.compress_size, held), UNPROVEN)
            check_claim(member.file_size, packed, name)
            with archive.open(member) as stream:
                shape, itemsize = _header(path, stream)
            check_claim(math.prod(shape) * itemsize, member.file_size, f"{name} of shape {shape}")
            total += math.prod(shape) * max(itemsize, 8)
    check_memory(total)


def _header(path: Path, stream: IO[bytes]) -> tuple[tuple[int, ...], int]:
    """Shape and bytes per number of an array."""
    formats = np.lib.format
    with library(path):
        version = formats.read_magic(stream)
        one = version == (1, 0)
        read = formats.read_array_header_1_0 if one else formats.read_array_header_2_0
        shape, _, dtype = read(stream)
    if any(n < 0 for n in shape):
        raise ValueError(f"holds an array of shape {shape}: it is damaged; save it anew")
    return shape, dtype.itemsize


def _named(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    lower = {name.lower(): array for name, array in arrays.items()}
    return next((lower[name] for name in names if name in lower), None)


def _by_shape(arrays: list[np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    if len(arrays) == 2:
        for energy, counts in (arrays, arrays[::-1]):
            if energy.ndim == 1 and len(energy) > 2 and energy.dtype.kind in "iuf":
                steps = np.diff(energy)
                if np.ptp(steps) < 0.01 * abs(steps.mean()):
                    return energy, counts
    return None, None
