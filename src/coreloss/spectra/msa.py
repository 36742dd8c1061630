"""Spectra in the MSA/EMSA format (ISO 22029), as the standard and as programs write it.

The reader of RosettaSciIO takes no units in words, no decimal commas, no second colon in a line and
no missing keyword, and drops the energies of XY files; where it reads a file, this one gives the
same.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from coreloss.spectra.axes import ev_per_unit

MARKS = tuple(
    re.compile(rf"^[^\S\n]*+#[^\S\n]*+{word}\b", re.I | re.M) for word in ("FORMAT", "SPECTRUM")
)
"""In one line each: blanks that may be of any other would be tried in every way."""
KEYWORD = re.compile(r"#\s*+(\w++)\s*+(?:-\s*+([^:]*+))?(?::(.*))?$")
NUMBER = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:\s?[eEdD]\s?[-+]?\d+)?")
SEVERAL_LINES = ("TITLE", "COMMENT")
SIGNAL_TYPES = {"ELS": "EELS", "CLS": "CL", "EDS": "EDS_TEM"}
PER_UNIT = {
    "beam_energy_kev": ("BEAMKV", {"v": 1e-3, "mv": 1e3, "ev": 1e-3}),
    "convergence_mrad": ("CONVANGLE", {"rad": 1e3, "r": 1e3, "dg": 17.4533, "deg": 17.4533}),
    "collection_mrad": ("COLLANGLE", {"rad": 1e3, "r": 1e3, "dg": 17.4533, "deg": 17.4533}),
}
"""Keywords of the instrument, and factors of units that are not the usual kV and mrad."""
SAME_AXIS = 0.1
"""Energies within this share of a channel of the header's are the header's, rounded."""


def is_msa(text: str) -> bool:
    """Whether a text has the keywords that begin the header and the data of an MSA file."""
    return all(mark.search(text[:65536]) for mark in MARKS)


def read_msa(text: str) -> list[dict[str, Any]]:
    """The spectrum of an MSA file as the dictionary of one signal.

    ValueError when the data or the energies are missing, or fewer than the header says.
    """
    header, lines = _split(text)
    expected = _number(header, "NPOINTS")
    values, paired = _values(lines, header, None if expected is None else int(expected))
    notes: list[str] = []
    stored, counts = (values[::2], values[1::2]) if paired else (None, values)
    _check_points(len(counts), expected, notes)
    axis = _axis(header, counts.size, stored, notes)
    kind = header.get("SIGNALTYPE", ("", ""))[0].strip().upper()
    return [
        {
            "data": counts,
            "axes": [axis],
            "metadata": {
                "General": {"title": header.get("TITLE", ("", ""))[0]},
                "Signal": {"signal_type": SIGNAL_TYPES.get(kind, kind)},
            },
            "instrument": _instrument(header),
            "notes": tuple(notes),
        }
    ]


def _split(text: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Value and unit of every keyword, and the lines of the data."""
    header: dict[str, tuple[str, str]] = {}
    data: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if not line.startswith("#"):
            data.append(line)
            continue
        found = KEYWORD.match(line)
        if found is None or line.startswith("##"):  # a line of the user's own
            continue
        key, unit, value = found.group(1).upper(), found.group(2) or "", found.group(3) or ""
        if key == "ENDOFDATA":
            break
        value = value.strip()
        if key in SEVERAL_LINES and key in header:
            value = header[key][0] + value
        header[key] = value, unit.strip()
    return header, [line for line in data if line]


def _values(
    lines: list[str], header: dict[str, tuple[str, str]], expected: int | None
) -> tuple[np.ndarray, bool]:
    """All numbers in their order, and whether they are pairs of energy and count."""
    rows = _rows(lines, decimal_comma=False)
    kind = header.get("DATATYPE", ("", ""))[0].strip().upper()
    widths = {"Y": (1,), "XY": (2,)}.get(kind, (1, 2))
    commas = any(re.search(r"\d,\d", header.get(key, ("",))[0]) for key in ("XPERCHAN", "OFFSET"))
    fits = expected is None or sum(map(len, rows)) in [width * expected for width in widths]
    if any(re.search(r"\d,\d", line) for line in lines) and (commas or not fits):
        decimal = _rows(lines, decimal_comma=True)
        if commas or sum(map(len, decimal)) in [width * (expected or 0) for width in widths]:
            rows = decimal
    values = np.array([value for row in rows for value in row])
    if not len(values):
        raise ValueError("holds no numbers after its header; expected a count for every channel")
    if kind not in ("", "Y", "XY"):
        raise ValueError(f"DATATYPE is {kind}; allowed: Y or XY")
    if kind:
        paired = kind == "XY"
    elif expected is not None:
        paired = len(values) == 2 * expected
    else:
        paired = all(len(row) == 2 for row in rows) and bool((np.diff(values[::2]) > 0).all())
    if paired and any(len(row) % 2 for row in rows[:-1]):
        raise ValueError("DATATYPE is XY, and a line holds no pairs; allowed: energy, count")
    return (values[: len(values) // 2 * 2] if paired else values), paired


def _rows(lines: list[str], *, decimal_comma: bool) -> list[list[float]]:
    rows = []
    for line in lines:
        separated = re.sub(r",(?!\d)|;", " ", line) if decimal_comma else re.sub("[,;]", " ", line)
        try:
            rows.append([float(token.replace(",", ".")) for token in separated.split()])
        except ValueError:
            raise ValueError(
                f"the data hold {line[:40]!r}; allowed after the header: numbers only"
            ) from None
    return rows


def _check_points(points: int, expected: float | None, notes: list[str]) -> None:
    if expected is None or points == int(expected):
        return
    if points < expected:
        raise ValueError(
            f"truncated: {points} points; allowed: the {int(expected)} of the header's NPOINTS"
        )
    notes.append(f"{points} points, and NPOINTS says {int(expected)}: all are taken")


def _axis(
    header: dict[str, tuple[str, str]], size: int, stored: np.ndarray | None, notes: list[str]
) -> dict[str, Any]:
    """Offset and scale of the header, or the energies beside the counts where they differ."""
    unit = header.get("XUNITS", ("", ""))[0]
    if ev_per_unit(unit) is None and not re.search(r"\w", unit.replace("undefined", "")):
        of_keywords = [header.get(key, ("", ""))[1] for key in ("XPERCHAN", "OFFSET")]
        of_keywords.append(header.get("XLABEL", ("", ""))[0])
        unit = next((word for word in of_keywords if ev_per_unit(word)), unit)
    axis: dict[str, Any] = {
        "name": header.get("XLABEL", ("", ""))[0],
        "units": unit,
        "size": size,
        "navigate": False,
    }
    scale, offset = _in_unit(header, "XPERCHAN", unit), _in_unit(header, "OFFSET", unit)
    if stored is None:
        for key, value in (("XPERCHAN", scale), ("OFFSET", offset)):
            if value is None:
                raise ValueError(f"MSA header has no number after {key}; the energy axis needs it")
        return axis | {"scale": scale, "offset": offset}
    if scale is None or offset is None:
        return axis | {"axis": stored}
    stated = offset + scale * np.arange(size)
    if np.abs(stored - stated).max() <= SAME_AXIS * abs(scale):
        return axis | {"scale": scale, "offset": offset}
    notes.append(
        f"energies beside the counts, {stored[0]:g}..{stored[-1]:g}, are not those of the header, "
        f"{stated[0]:g}..{stated[-1]:g}: read as beside the counts"
    )
    return axis | {"axis": stored}


def _in_unit(header: dict[str, tuple[str, str]], key: str, unit: str) -> float | None:
    """The number after a keyword, in the unit of the axis where it has its own."""
    value = _number(header, key)
    if value is None:
        return None
    own = ev_per_unit(header[key][1]) or ev_per_unit(header[key][0])
    axis = ev_per_unit(unit)
    return value * own / axis if own and axis and own != axis else value


def _number(header: dict[str, tuple[str, str]], key: str) -> float | None:
    found = NUMBER.match(header.get(key, ("", ""))[0])
    if found is None:
        return None
    digits = re.sub(r"\s", "", found.group(0)).replace(",", ".")
    return float(re.sub("[dD]", "e", digits))


def _instrument(header: dict[str, tuple[str, str]]) -> dict[str, float]:
    """Beam energy in keV and semi-angles in mrad."""
    given = {}
    for name, (key, factors) in PER_UNIT.items():
        value = _number(header, key)
        if value is None:
            continue
        text, unit = header[key]
        word = (unit or NUMBER.sub("", text, count=1)).strip().strip(".").lower()
        given[name] = value * factors.get(word, 1.0)
    return given
