"""Energy axes of NeXus files as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def with_stored_axes(signals: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The signals with the values of their axes from the file.

    RosettaSciIO makes every axis ascending without turning its data, and numbers the points of
    uneven ones: a descending axis would mirror the spectrum without a word.

    Raises
    ------
    ValueError
        When the file stores one axis ascending and descending.
    """
    stored: list[tuple[str, np.ndarray]] = []

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 1 and item.dtype.kind in "iuf":
            stored.append((name.rpartition("/")[2], item[()].astype(np.float64)))

    with h5py.File(path, "r") as file:
        file.visititems(collect)
    return [
        signal | {"axes": [_with_values(axis, stored) for axis in signal["axes"]]}
        for signal in signals
    ]


def _with_values(axis: dict[str, Any], stored: list[tuple[str, np.ndarray]]) -> dict[str, Any]:
    found = [values for name, values in stored if name == axis.get("name") and _is(axis, values)]
    if not found:
        return axis
    if any(not np.array_equal(values, found[0]) for values in found):
        raise ValueError(
            f"axis {axis['name']!r} is stored ascending and descending; allowed: one direction; "
            "save the spectra in files of their own"
        )
    return axis | {"axis": found[0]}


def _is(axis: dict[str, Any], values: np.ndarray) -> bool:
    """Whether these are the values that became this axis, turned or numbered."""
    if len(values) != axis["size"] or len(values) < 2:
        return False
    same = np.isclose(values.min(), axis["offset"]) and np.isclose(
        abs(values[1] - values[0]), axis["scale"]
    )
    return bool(same) or "units" not in axis
