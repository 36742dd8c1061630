"""Spectra from NumPy archives: an axis, counts on it, and perhaps the microscope."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ENERGY_NAMES = ("energy_ev", "energy", "energy_loss", "energy_loss_ev", "eels_axis", "axis", "x")
COUNTS_NAMES = ("counts", "spectrum", "spectra", "eels", "data", "intensity", "signal", "y")


def read_arrays(
    path: Path, *, scalars: tuple[str, ...] = ()
) -> tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray]]:
    """Axis (n,), counts (..., n) and those of the named ``scalars`` that an .npz file holds.

    Arrays are known by their names; two others are told apart by their shapes: the axis has one
    dimension and equal steps. ValueError, with the arrays of the file, when that fails.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"cannot be read as npz: damaged or of another format ({reason})"
        ) from None
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
