"""Spectra from text: columns of energies and of counts on them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coreloss.spectra.axes import ev_per_unit
from coreloss.spectra.columns import Block, cells_of, find_blocks, first_cell, unit_in
from coreloss.spectra.repair import MIN_POINTS

COMMENT = ("#", "%", "!", "//", ";")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SPACED_THOUSANDS = re.compile("(?<=\\d)['\u00a0\u202f\u2009](?=\\d{3})")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$")
DOTTED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d*)?$")
REMEDY = "write 'energy (eV)' above the column of the energies"
MISSING = "the energies are missing; write energy (eV) and counts in two columns"


@dataclass(frozen=True)
class Style:
    """How a text writes its numbers: column separator (None for blanks) and the comma's meaning."""

    separator: str | None
    decimal_comma: bool


@dataclass
class _Lines:
    """The numbers of a text, the line above them, and the comments that hold numbers too."""

    rows: list[tuple[int, list[float]]] = field(default_factory=list)
    header: tuple[int, str] = 0, ""
    aside: list[tuple[int, str]] = field(default_factory=list)


def decode(data: bytes) -> str | None:
    """The text in these bytes, None when they are not text."""
    if data.startswith(UTF16_MARKS):
        return data.decode("utf-16", errors="replace")
    sample = data[:65536]
    odd = sum(byte < 32 and byte not in (9, 10, 11, 12, 13) for byte in sample)
    if odd:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        strange = sum(ord(character) > 126 for character in text[:65536])
        if strange > 0.05 * len(sample):
            return None
    return text


def read_tables(text: str) -> list[dict[str, Any]]:
    """The spectra of a delimited text, with or without a header, as dictionaries of signals.

    Columns with the same energies are one line scan; others are signals of their own. ValueError
    with the line at fault.

    >>> signal = read_tables("E [eV];I\\n400,5;12\\n401,5;11,5\\n")[0]
    >>> signal["axes"][-1]["axis"].tolist(), signal["data"].tolist()
    ([400.5, 401.5], [12.0, 11.5])
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, SPACED_THOUSANDS.sub("", line)) for number, line in lines if line]
    style = _style([line for _, line in lines])
    found = _numbers_of(lines, style)
    notes: list[str] = []
    table = _rectangle(found.rows, notes)
    _check_shape(table)
    title = found.header[1].lstrip("".join(COMMENT)).strip()
    cells = cells_of(title, style.separator, table.shape[1])
    unread = found.aside + ([] if cells or not re.search(r"\d", title) else [found.header])
    if unread:
        more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
        notes.append(f"numbers in line {unread[0][0]}{more} are not read: {unread[0][1][:50]!r}")
    blocks = find_blocks(cells, table, notes)
    if not blocks:
        raise ValueError(f"its header {title[:60]!r} names no counts; {REMEDY}")
    names = cells or [first_cell(title, style.separator)] * table.shape[1]
    signals = [_signal(block, table, names) for block in blocks]
    if len(blocks) > 1 and cells:
        for signal, block in zip(signals, blocks, strict=True):
            signal["metadata"] = {"General": {"title": cells[block.counts[0]]}}
    return _merged(signals, notes)


def _numbers_of(lines: list[tuple[int, str]], style: Style) -> _Lines:
    found = _Lines()
    for number, line in lines:
        comment = line.startswith(COMMENT)
        values = None if comment else _numbers(line, style)
        if values is not None:
            found.rows.append((number, values))
        elif not found.rows:
            if re.search(r"\d", found.header[1]):
                found.aside.append(found.header)
            found.header = number, line
        elif not comment:
            raise ValueError(
                f"line {number} is {line[:40]!r}; allowed after the first numbers: numbers only"
            )
        elif re.search(r"\d", line):
            found.aside.append((number, line))
    if not found.rows:
        raise ValueError("holds no numbers; expected an energy and a count on every line")
    return found


def _style(lines: list[str]) -> Style:
    """Column separator, and whether the comma is the decimal mark or one of thousands."""
    separator: str | None
    sample = [line for line in lines if re.match(r"\"?[-+]?[.,]?\d", line)][:50]
    quoted = [text for line in sample for text in re.findall(r'"([^"]*)"', line) if "," in text]
    bare = [re.sub(r'"[^"]*"', "0", line) for line in sample]
    for separator in (";", "\t"):
        if sample and all(separator in line for line in bare):
            fields = [cell.strip(' "') for line in sample for cell in line.split(separator)]
            return Style(separator, _is_decimal(fields, any("." in text for text in fields)))
    if any("," in line for line in bare):
        marks_decimals = not any(re.search(r"(?<!\d),|,(?!\d)", line) for line in bare)
        if marks_decimals and all(len(line.split()) > 1 for line in bare):
            fields = [cell for line in bare for cell in line.split()]
            return Style(None, _is_decimal(fields, any("." in text for text in fields)))
        separator = ","
    else:
        separator = None
    in_all = all(re.match(r'"[^"]*,', line) for line in sample)
    return Style(separator, _is_decimal(quoted, not in_all or any("." in text for text in quoted)))


def _is_decimal(fields: list[str], may_be_thousands: bool) -> bool:
    """Whether the comma in these fields is the decimal mark: thousands come by threes, and energies
    have them seldom."""
    with_comma = [text for text in fields if "," in text]
    thousands = may_be_thousands and all(THOUSANDS.match(text) for text in with_comma)
    return bool(with_comma) and not thousands


def _numbers(line: str, style: Style) -> list[float] | None:
    """The numbers of a line, NaN for empty fields, None when it holds anything else."""
    if style.separator and '"' in line:
        tokens = next(csv.reader([line], delimiter=style.separator, skipinitialspace=True))
    else:
        tokens = line.split(style.separator)
    try:
        values = [_number(token.strip(" \"'"), style) for token in tokens]
    except ValueError:
        return None
    return values if np.isfinite(values).any() else None


def _number(token: str, style: Style) -> float:
    if style.decimal_comma:
        token = token.replace(".", "") if DOTTED_THOUSANDS.match(token) else token
        token = token.replace(",", ".")
    elif THOUSANDS.match(token):
        token = token.replace(",", "")
    return float(token) if token else np.nan


def _rectangle(rows: list[tuple[int, list[float]]], notes: list[str]) -> np.ndarray:
    """All rows with the width of the first; a short last row is a cut-off file's and is dropped.

    Empty fields at the end of a line are columns only where another line fills them.
    """
    filled = [1 + int(np.flatnonzero(np.isfinite(values))[-1]) for _, values in rows]
    width = len(rows[0][1])
    if all(f <= filled[0] for f in filled) and filled[0] > 1:
        width = filled[0]
    elif len(rows[0][1]) < max(filled):
        width = len(rows[0][1])
    else:
        width = max(*filled, min(2, len(rows[0][1])))
    if len(rows) > 1 and len(rows[-1][1]) < width:
        notes.append(f"line {rows[-1][0]}, the last, is incomplete: left out")
        rows, filled = rows[:-1], filled[:-1]
    for (number, values), last in zip(rows, filled, strict=True):
        if not last <= width <= len(values):
            raise ValueError(
                f"line {number} has {len(values)} columns; allowed: {width}, as in the first line"
            )
    return np.array([values[:width] for _, values in rows])


def _check_shape(table: np.ndarray) -> None:
    """ValueError when a table cannot be columns of energies and counts."""
    lines, width = table.shape
    if width < 2:
        raise ValueError(f"holds one column: {MISSING}")
    if lines == 1:
        raise ValueError(f"holds one line of {width} numbers: {MISSING}")
    if lines < MIN_POINTS <= width:
        raise ValueError(
            f"holds {lines} lines of {width} numbers; allowed: a line for every energy, energy (eV)"
            " first; turn rows into columns"
        )


def _signal(block: Block, table: np.ndarray, names: list[str]) -> dict[str, Any]:
    energy, counts = table[:, block.energy], table[:, block.counts].T
    measured = np.isfinite(energy)
    if np.isfinite(counts[:, ~measured]).any():
        raise ValueError("counts without an energy; allowed: an energy on every line")
    where = "the first column" if block.energy == 0 else f"column {block.energy + 1}"
    axis = {
        "name": "",
        "label": where,
        "remedy": REMEDY,
        "units": unit_in(names[block.energy]),
        "axis": energy[measured],
        "size": int(measured.sum()),
        "navigate": False,
    }
    counts = counts[:, measured]
    several = [{"name": "spectrum", "size": len(counts), "navigate": True}]
    return {
        "data": counts if len(counts) > 1 else counts[0],
        "axes": [*several, axis] if len(counts) > 1 else [axis],
        "metadata": {},
    }


def _merged(signals: list[dict[str, Any]], notes: list[str]) -> list[dict[str, Any]]:
    """One signal of several on the same energies; the notes are those of every one."""
    first = signals[0]["axes"][-1]
    if len(signals) > 1 and all(_same(first, signal["axes"][-1]) for signal in signals[1:]):
        counts = np.concatenate([np.atleast_2d(signal["data"]) for signal in signals])
        navigation = {"name": "spectrum", "size": len(counts), "navigate": True}
        signals = [{"data": counts, "axes": [navigation, first], "metadata": {}}]
    return [signal | {"notes": tuple(notes)} for signal in signals]


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return np.array_equal(a["axis"], b["axis"]) and ev_per_unit(a["units"]) == ev_per_unit(
        b["units"]
    )
