"""What the columns of a table are: energies, the spectra on them, and what is neither."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np

from coreloss.spectra.axes import are_channels, ev_per_unit

OTHER_UNIT = re.compile(r"(?<![a-z])(?:1/)?(?:nm|µm|um|cm|å|ångström|angstrom)(?![a-z])", re.I)
OTHER_QUANTITY = re.compile(r"wavelength|wavenumber|frequency|distance|position|2theta", re.I)
ENERGY = re.compile(r"\W*(?:é?energ|énerg|eloss|e[-_ ]loss|loss\b|delta ?e\b|Δe\b|e\s*$)", re.I)
COUNTS = re.compile(r"count|intens|signal|spectr|electrons|(?:/|per) ?[km]?ev", re.I)
CHANNEL = re.compile(r"\W*(?:channel|chan|ch|pixel|index|idx|no|nr|#)\W*$", re.I)
DERIVED = re.compile(
    r"\b(?:errors?|err|sigma|std|stdev|uncertainty|variance|background|bkg|bg|fit|residuals?)\b",
    re.I,
)
EXACT = 1e-3
"""Largest difference of steps of energies without a header, relative to their mean."""


@dataclass(frozen=True)
class Block:
    """Columns that belong together: number of the energies, of the counts on them."""

    energy: int
    counts: tuple[int, ...]


def cells_of(header: str, separator: str | None, width: int) -> list[str]:
    """The names of ``width`` columns in the line above the numbers, [] when it has not so many.

    >>> cells_of("Energy (eV)   Counts", None, 2), cells_of("a, b", ",", 3)
    (['Energy (eV)', 'Counts'], [])
    """
    for mark in (separator, "\t", ";", ","):
        if mark:
            cells = [cell.strip() for cell in next(csv.reader([header], delimiter=mark), [])]
            while len(cells) > width and not cells[-1]:
                cells.pop()
            if len(cells) == width:
                return cells
    for pattern in (r"\s{2,}", r"\s+(?![\[(])"):
        cells = re.split(pattern, header.strip())
        if len(cells) == width:
            return cells
    return []


def first_cell(header: str, separator: str | None) -> str:
    """What a line with another number of names than columns calls the first one."""
    for mark in (separator, "\t", ";", ","):
        if mark and mark in header:
            return header.split(mark)[0]
    return " ".join(header.split()[:2])


def find_blocks(cells: list[str], table: np.ndarray, notes: list[str]) -> list[Block]:
    """The spectra of a table (n, columns) by the names of its columns, else by its numbers.

    What is neither energy nor spectrum is told in ``notes``. Without a word on energies they are in
    the first column.
    """
    width = table.shape[1]
    cells = cells or [""] * width
    energies = _energy_columns(cells, table)
    blocks = []
    for start, end in zip(energies, [*energies[1:], width], strict=True):
        counts = [column for column in range(start + 1, end)]
        if len(energies) == 1:  # counts may stand before their energies
            counts = [column for column in range(width) if column != start]
        kept = [column for column in counts if not _is_aside(column, start, cells, table)]
        kept = kept or [column for column in counts if column > start]
        if kept:
            blocks.append(Block(start, tuple(kept)))
    used = {column for block in blocks for column in (block.energy, *block.counts)}
    left_out = [_called(column, cells) for column in range(width) if column not in used]
    if left_out:
        notes.append(f"{', '.join(left_out)} left out: neither energies nor a spectrum")
    return blocks


def unit_in(cell: str) -> str:
    """Unit of a column by its name; '' when it names none, the quantity when it is another."""
    if ev_per_unit(cell) is not None:
        return cell
    other = OTHER_UNIT.search(cell) or OTHER_QUANTITY.search(cell)
    return other.group(0) if other else ""


def _energy_columns(cells: list[str], table: np.ndarray) -> list[int]:
    candidates = [i for i, cell in enumerate(cells) if not COUNTS.search(cell)]
    by_unit = [i for i in candidates if ev_per_unit(cells[i]) is not None]
    by_name = [i for i in candidates if ENERGY.match(cells[i])]
    for found in (by_unit, by_name):
        if found:
            return found
    if any(cells):
        return [0]
    even = [i for i in range(table.shape[1]) if _is_uniform(table[:, i])]
    if 0 in even and len(even) > 1:
        if are_channels(table[:, 0]) and even[:2] == [0, 1]:
            return [1]
        if even == list(range(0, table.shape[1], 2)) and table.shape[1] % 2 == 0:
            return even
    return [0]


def _is_uniform(values: np.ndarray) -> bool:
    steps = np.diff(values[np.isfinite(values)])
    if len(steps) < 2 or steps.mean() == 0:
        return False
    return bool(np.abs(steps / steps.mean() - 1).max() < EXACT)


def _is_aside(column: int, energy: int, cells: list[str], table: np.ndarray) -> bool:
    """Whether a column is a number of channels, or an error or a fit of the others."""
    counting = are_channels(table[:, column])
    named = CHANNEL.match(cells[column]) is not None and _is_uniform(table[:, column])
    return named or (counting and column < energy) or DERIVED.search(cells[column]) is not None


def _called(column: int, cells: list[str]) -> str:
    return f"column {cells[column]!r}" if cells[column] else f"column {column + 1}"
