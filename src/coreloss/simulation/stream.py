"""What the simulator draws, in few numbers: the identity that results are compared with.

``data/stream.json`` holds windows, labels and mean counts of the first spectra of the default and
of the published settings, and of one small superlattice. A test compares the record with what the
code draws. So the record changes with settings, tables and code when spectra change, and stays
when code is only moved; and it is the same on every machine, where counts differ by rounding.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss import shipped
from coreloss.edges import ELEMENTS
from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import digest_of
from coreloss.simulation.batch import Batch
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice

TABLES = ("compounds.csv.gz", "edges.csv", "gos.gosh", "multiplets.csv.gz", "white_lines.csv")
RECORD = "stream.json"
ROUNDING = 1e-4
"""Relative difference of two machines that draw the same."""
_BANDS = 48
_SETTINGS = {"default": SimulationSettings(), "paper": SimulationSettings.paper()}


def simulator_fingerprint(settings: Mapping[str, object] | None = None) -> str:
    """Sixteen letters for settings, tables and the recorded stream: equal ones draw equal spectra.

    ``settings`` is what `SimulationSettings.as_dict` gives, of the default ones if None. Quick:
    nothing is simulated. That the record is true is for the tests.
    """
    content = json.dumps(settings or SimulationSettings().as_dict(), sort_keys=True)
    return digest_of(content, *(_content(name) for name in (*TABLES, RECORD)))


def recorded() -> dict:
    """The record that comes with the package."""
    return json.loads(_data(RECORD))


def write_record(path: Path) -> None:
    """Write the record of what the code draws now."""
    with replacing(path) as part:
        part.write_text(json.dumps(drawn(), indent=1) + "\n", encoding="utf-8")


def drawn() -> dict:
    """The record of what the code draws now."""
    found = {
        name: _of_batch(Simulator.of_split("test", settings=settings).block(0))
        for name, settings in _SETTINGS.items()
    }
    image = simulate_superlattice(Superlattice(map_shape=(2, 24)), seed=0)
    found["superlattice"] = {
        "core_loss": _rounded(_in_bands(np.log1p(image.core_loss.counts.clip(min=0)).mean(0))),
        "low_loss": _rounded(_in_bands(np.log1p(image.low_loss.counts.clip(min=0)).mean(0))),
        "areal_density": _rounded(image.areal_density.mean(0)),
        "thickness_mfp": _rounded(image.thickness_mfp[:4]),
    }
    return found


def changes(found: dict, known: dict) -> list[str]:
    """Names of the entries in which two records differ by more than rounding."""
    ours, theirs = dict(_entries(found)), dict(_entries(known))
    return sorted(
        name for name in ours.keys() | theirs.keys() if not _same(ours.get(name), theirs.get(name))
    )


def _of_batch(batch: Batch) -> dict:
    mask = batch.mask
    counts = torch.log1p(batch.counts.clamp(min=0)) * mask
    labels = (mask, batch.present, batch.processed)
    named = batch.snr.double().mean(0).tolist()
    return {
        "windows and labels": hashlib.sha256(b"".join(map(_bytes, labels))).hexdigest(),
        "counts": _rounded(_in_bands(counts.double().sum(0) / mask.sum(0).clamp(min=1))),
        "snr": dict(zip(ELEMENTS, _rounded(named), strict=True)),
        "amount": _rounded(batch.amount[:8].double().max(1).values),
    }


def _bytes(values: torch.Tensor) -> bytes:
    return values.contiguous().numpy().tobytes()


def _in_bands(values) -> np.ndarray:
    return np.array([part.mean() for part in np.array_split(np.asarray(values), _BANDS)])


def _rounded(values) -> list[float]:
    return [float(f"{float(value):.6g}") for value in values]


def _entries(record: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _entries(value, f"{prefix}{name}, ")
        else:
            yield f"{prefix}{name}", value


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, str) or None in (ours, theirs) or np.shape(ours) != np.shape(theirs):
        return ours == theirs
    return np.allclose(ours, theirs, rtol=ROUNDING, atol=ROUNDING)


def _content(name: str) -> bytes:
    """A file of the package without compression and comments."""
    data = gzip.decompress(_data(name)) if name.endswith(".gz") else _data(name)
    lines = data.splitlines(keepends=True) if ".csv" in name else [data]
    return b"".join(line for line in lines if not line.startswith(b"#"))


def _data(name: str) -> bytes:
    return shipped.contents(f"data/{name}")
