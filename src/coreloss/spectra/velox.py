"""Counts of energy-loss spectra in Velox files, which are stored on a level and scaled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TOO_LOW = 0.05
"""What may lie below zero in the sum of all spectra, of what lies above: noise about zero."""


MOST_CHANNELS = 65536
"""Channels of X-rays: events are numbers of 16 bits."""


def is_velox(path: Path) -> bool:
    """Whether a file is of Velox; ValueError when its X-rays claim more channels than there are."""
    with h5py.File(path, "r") as file:
        streams = file.get("Data/SpectrumStream", {})
        settings = [json.loads(stream["AcquisitionSettings"][0]) for stream in streams.values()]
        for setting in settings:
            if not 0 < int(setting["bincount"]) <= MOST_CHANNELS:
                raise ValueError(
                    f"X-rays with {setting['bincount']} channels; allowed: 1..{MOST_CHANNELS}; save"
                    " the file anew from Velox"
                )
        return "Version" in file


def with_intensities(signals: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The signals with the counts of EELS as Velox describes them, and their beam energy.

    RosettaSciIO gives the numbers as they are stored, without a word.
    """
    with h5py.File(path, "r") as file:
        group = file.get("Data/EelsSpectrumImage")
        described = [] if group is None else [_description(item) for item in group.values()]
    eels = iter(described)
    return [
        _of_eels(signal, next(eels, {}))
        if signal["metadata"]["Signal"]["signal_type"] == "EELS"
        else signal
        for signal in signals
    ]


def counts_of(
    stored: np.ndarray, *, offset: float, scale: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Counts (..., n) without the level that they are stored on, and notes on what was done.

    A positive ``offset`` is one of the stored numbers, a negative one is added after scaling: the
    level is taken away either way. Where that would make more than noise negative, the numbers stay
    as they are.

    >>> counts_of(np.array([[105.0, 101.0]]), offset=100.0, scale=2.0)[0].tolist()
    [[10.0, 2.0]]
    """
    if (offset == 0 and scale == 1) or not np.isfinite([offset, scale]).all() or scale <= 0:
        return stored, ()
    found = (stored - np.float32(max(offset, 0))) * np.float32(scale) + np.float32(min(offset, 0))
    said = f"the file states an intensity offset of {offset:g} and a scale of {scale:g}"
    total = found.reshape(-1, found.shape[-1]).sum(axis=0, dtype=np.float64)
    if -total.clip(max=0).sum() > TOO_LOW * total.clip(min=0).sum():
        return stored, (f"{said}: not applied, counts would be negative",)
    return found, (f"{said}: applied to the counts",)


def _of_eels(signal: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    offset = float(described.get("intensityOffset", 0.0))
    scale = float(described.get("intensityScale", 1.0))
    data, notes = counts_of(signal["data"], offset=offset, scale=scale)
    volts = signal.get("original_metadata", {}).get("Optics", {}).get("AccelerationVoltage")
    instrument = {} if volts is None else {"beam_energy_kev": float(volts) / 1e3}
    return signal | {"data": data, "notes": notes, "instrument": instrument}


def _description(group: h5py.Group) -> dict[str, Any]:
    """What the first scan line says of its intensities; they are the same in all."""
    if "AcquisitionMetadata" not in group:
        return {}
    text = group["AcquisitionMetadata"][:, 0].tobytes().rstrip(b"\0")
    return json.loads(text).get("Data", {})
