"""Spectra from text: energies in the first column, one spectrum in each further column."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

COMMENT = ("#", "%", "!", "//", ";")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UNIT_WORDS = re.compile(r"(?<![a-z])(kev|mev|ev|nm|µm|um|cm|å|ångström|angstrom)(?![a-z])", re.I)
OTHER_QUANTITY = re.compile(r"wavelength|wavenumber|frequency|distance|2theta", re.I)


@dataclass(frozen=True)
class TextTable:
    """Columns of a text file: ``first`` (n,), ``others`` (columns, n), the unit of the first."""

    first: np.ndarray
    others: np.ndarray
    unit: str
    warnings: tuple[str, ...]


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


def parse_table(text: str) -> TextTable:
    """Numbers of a delimited text with or without a header; ValueError with the line at fault.

    >>> table = parse_table("E [eV];I\\n400,5;12\\n401,5;11,5\\n")
    >>> table.first.tolist(), table.others.tolist(), table.unit
    ([400.5, 401.5], [[12.0, 11.5]], 'eV')
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    separator, decimal_comma = _layout([line for _, line in lines])
    rows: list[tuple[int, list[float]]] = []
    warnings: list[str] = []
    header = ""
    for number, line in lines:
        values = None if line.startswith(COMMENT) else _numbers(line, separator, decimal_comma)
        if values is not None:
            rows.append((number, values))
        elif not rows:
            header = line
        elif not line.startswith(COMMENT):
            raise ValueError(
                f"line {number} is {line[:40]!r}; allowed after the first numbers: numbers only"
            )
    if not rows:
        raise ValueError("holds no numbers; expected an energy and a count on every line")
    table = _rectangle(rows, warnings)
    if table.shape[1] < 2:
        raise ValueError(
            "holds one column; allowed: energy in the first column and counts in the second"
        )
    unit = _unit(header, separator)
    return TextTable(table[:, 0], table[:, 1:].T.copy(), unit, tuple(warnings))


def _layout(lines: list[str]) -> tuple[str | None, bool]:
    """Column separator (None for blanks) and whether the comma is the decimal mark."""
    sample = [line for line in lines if re.match(r"[-+]?[.,]?\d", line)][:50]
    for separator in (";", "\t"):
        if sample and all(separator in line for line in sample):
            return separator, any("," in line for line in sample)
    if any("," in line for line in sample):
        marks_decimals = not any(re.search(r"(?<!\d),|,(?!\d)", line) for line in sample)
        if marks_decimals and all(len(line.split()) > 1 for line in sample):
            return None, True
        return ",", False
    return None, False


def _numbers(line: str, separator: str | None, decimal_comma: bool) -> list[float] | None:
    """The numbers of a line, NaN for empty fields, None when it holds anything else."""
    tokens = [token.strip() for token in line.split(separator)]
    while len(tokens) > 2 and not tokens[-1]:
        tokens.pop()
    if decimal_comma:
        tokens = [token.replace(",", ".") for token in tokens]
    try:
        values = [float(token.strip("\"'")) if token else np.nan for token in tokens]
    except ValueError:
        return None
    return values if np.isfinite(values[0]) else None


def _rectangle(rows: list[tuple[int, list[float]]], warnings: list[str]) -> np.ndarray:
    """All rows with the width of the first; a short last row is a cut-off file's and is dropped."""
    width = len(rows[0][1])
    if len(rows) > 1 and len(rows[-1][1]) < width:
        warnings.append(f"line {rows[-1][0]}, the last, is incomplete: left out")
        rows = rows[:-1]
    for number, values in rows:
        if len(values) != width:
            raise ValueError(
                f"line {number} has {len(values)} columns; allowed: {width}, as in the first line"
            )
    return np.array([values for _, values in rows])


def _unit(header: str, separator: str | None) -> str:
    """Unit of the first column by the last line above the numbers; '' when it names none."""
    title = header.lstrip("".join(COMMENT)).strip()
    for mark in (separator, "\t", ";", ",", None):
        if mark != "" and (mark is None or mark in title):
            parts = title.split(mark)
            first = " ".join(parts[:2]) if mark is None else parts[0]
            break
    other = OTHER_QUANTITY.search(first)
    named = UNIT_WORDS.search(first)
    if named:
        return named.group(1)
    return other.group(0) if other else ""
