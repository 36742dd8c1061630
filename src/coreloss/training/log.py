"""The log of a training run: one row of a CSV file per validation."""

from __future__ import annotations

import csv
from pathlib import Path

from coreloss.runtime.files import replacing


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a training log; none, if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def row_of(path: Path, spectra: int) -> dict[str, float]:
    """The report after so many spectra; empty, if there is none."""
    rows = [row for row in read_log(path) if row["spectra"] == spectra]
    return rows[-1] | {"spectra": spectra} if rows else {}


def append_row(path: Path, row: dict) -> None:
    """Add a row to the log, after dropping what a run that was cut off had written beyond it."""
    rows = [old for old in read_log(path) if old["spectra"] < row["spectra"]]
    rows = [old | {"spectra": int(old["spectra"])} for old in rows]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerows([*rows, row])
