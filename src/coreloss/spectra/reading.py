"""Files to spectra: formats, units, axes and what they say about the microscope."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.spectra.nexus import with_stored_axes
from coreloss.spectra.npz import read_arrays
from coreloss.spectra.repair import check_extent, straighten
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.text import TextTable, decode, parse_table

READERS = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".msa": "msa",
    ".emsa": "msa",
    ".hspy": "hspy",
    ".emd": "emd",
    ".nxs": "nexus",
    ".ser": "tia",
}
TEXT = (".txt", ".csv", ".tsv", ".dat", ".asc", ".xy", "")
EV_PER_UNIT = {"eV": 1.0, "ev": 1.0, "EV": 1.0, "keV": 1e3, "kev": 1e3, "KeV": 1e3, "meV": 1e-3}
NO_UNIT = ("", "none", "<undefined>", "undefined", "t.traits.api.undefined", "unknown", "?")
ENERGY_NAME = re.compile(r"energy|loss|eels", re.I)
INSTRUMENT = {
    "beam_energy_kev": "Acquisition_instrument.TEM.beam_energy",
    "convergence_mrad": "Acquisition_instrument.TEM.convergence_angle",
    "collection_mrad": "Acquisition_instrument.TEM.Detector.EELS.collection_angle",
}


Convert = Callable[[dict[str, Any], Path, str, list[str]], Any]


def read_spectrum(path: str | Path, *, signal: int | str | None = None) -> Spectrum:
    """Read a core-loss spectrum, line scan or map from a file.

    Formats: Digital Micrograph (dm3, dm4), MSA/EMSA, HyperSpy (hspy), EMD, NeXus (nxs), TIA (ser)
    and NumPy (npz, see `spectra.npz`), and text with the energy in the first column and spectra in
    the others (comma, semicolon, tab or blanks; with or without header; decimal point or comma).
    ``signal`` (number or title) chooses among several spectra in one file.

    Energies end up in eV, ascending and uniform; missing values stay NaN, see `Spectrum.mended`.
    What was mended or assumed is in ``Spectrum.warnings``.

    Raises
    ------
    ValueError
        In one line, when the file is missing, empty, truncated, not a spectrum, or not in energy.
    """
    path = Path(path)
    with _naming(path):
        start = _first_bytes(path)
        suffix = path.suffix.lower()
        reader = READERS.get(suffix)
        if reader == "msa" and b"#FORMAT" not in start.upper():
            reader = None
        if suffix == ".npz":
            return _from_arrays(path, signal)
        if reader is None and suffix not in (*TEXT, *READERS) and decode(start) is None:
            raise ValueError(f"unknown format {suffix!r}; allowed: {_formats()}")
        if reader is None:
            return _from_table(path, signal)
        return _choose(_signals(path, reader), path, reader, signal)


def lazy_signal(path: str | Path, wanted: int | str | None, convert: Convert) -> Any:
    """What ``convert`` makes of a signal of a file whose counts are not read yet.

    Its arguments are the signal as a dictionary, the path, the name of the reader, and a list for
    notes. The signal is the one that `read_spectrum` would take; errors as there.
    """
    path = Path(path)
    with _naming(path):
        _first_bytes(path)
        reader = READERS[path.suffix.lower()]
        return _choose(_signals(path, reader, lazy=True), path, reader, wanted, convert)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors begin with the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {_one_line(error)}") from None


def _formats() -> str:
    return ", ".join(name[1:] for name in READERS) + ", npz and text (csv, tsv, txt)"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def _first_bytes(path: Path) -> bytes:
    if not path.exists():
        raise ValueError("no such file; check the path")
    if not path.is_file():
        raise ValueError("is not a file; give the path of one file")
    try:
        with path.open("rb") as stream:
            start = stream.read(65536)
    except OSError as error:
        raise ValueError(f"cannot be opened ({error.strerror})") from None
    if not start.strip():
        raise ValueError("is empty (0 bytes of data)")
    return start


def _from_table(path: Path, signal: int | str | None) -> Spectrum:
    text = decode(path.read_bytes())
    if text is None:
        raise ValueError(f"is binary, not text, or damaged; allowed formats: {_formats()}")
    if signal not in (None, 0):
        raise ValueError(f"signal {signal!r} asked for; a text file holds only signal 0")
    table: TextTable = parse_table(text)
    notes = list(table.warnings)
    factor = _ev_per_unit(table.unit, "the first column", notes)
    return finish(table.first * factor, table.others, notes, path, metadata={"format": "text"})


def _from_arrays(path: Path, signal: int | str | None) -> Spectrum:
    if signal not in (None, 0):
        raise ValueError(f"signal {signal!r} asked for; an npz file holds only signal 0")
    energy, counts, scalars = read_arrays(path, scalars=tuple(INSTRUMENT))
    details = {name: float(value) for name, value in scalars.items() if _positive(value)}
    map_shape = counts.shape[:-1] if counts[..., 0].size > 1 else ()
    flat = counts.reshape(-1, len(energy))
    metadata = {"format": "npz"}
    return finish(energy, flat, [], path, map_shape=map_shape, metadata=metadata, **details)


def finish(
    energy: np.ndarray, counts: np.ndarray, notes: list[str], path: str | Path, **details: Any
) -> Spectrum:
    """Ascending uniform axis, NaN for all that is missing, and notes on what was done."""
    counts = np.asarray(counts, dtype=np.float64)
    if len(energy) > 1 and np.all(np.diff(energy) < 0):
        energy, counts = energy[::-1], counts[:, ::-1]
    check_extent(energy)
    finite = np.isfinite(counts)
    if not finite.any():
        raise ValueError(f"all {counts.size} values are NaN or infinite; allowed: finite counts")
    if not finite.all():
        counts = np.where(finite, counts, np.nan)
    energy, counts = straighten(energy, counts, notes)
    check_extent(energy)
    return Spectrum(energy, counts, file=str(path), warnings=tuple(notes), **details)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and no log lines from the reading libraries: what matters is raised or noted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("rsciio")  # sets its own log level, so it comes first
        logger = logging.getLogger("rsciio")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


def _signals(path: Path, reader: str, **options: Any) -> list[dict[str, Any]]:
    with _quiet():
        module = importlib.import_module(f"rsciio.{reader}")
        try:
            signals = module.file_reader(str(path), **options)
        except Exception as error:
            # Damaged files raise whatever the parser meets first, from KeyError to MemoryError.
            reason = f"{type(error).__name__}: {_one_line(error)}"
            raise ValueError(
                f"cannot be read as {path.suffix[1:]}: the file is truncated, damaged or of "
                f"another format; try to export it anew ({reason})"
            ) from None
    if not signals:
        raise ValueError("holds no data")
    return with_stored_axes(signals, path) if reader == "nexus" else signals


def _choose(
    signals: list[dict[str, Any]],
    path: Path,
    reader: str,
    wanted: int | str | None,
    convert: Convert | None = None,
) -> Any:
    """The signal asked for, or the one with an energy axis that starts highest (core loss).

    ``convert`` makes what is returned of a signal, a `Spectrum` by default.
    """
    convert = convert or _from_signal
    titles = [_title(item) for item in signals]
    if wanted is not None:
        number = titles.index(wanted) if wanted in titles else wanted
        if not isinstance(number, int) or not 0 <= number < len(signals):
            listed = ", ".join(f"{i} {title!r}" for i, title in enumerate(titles))
            raise ValueError(f"signal {wanted!r} is not in the file; allowed: {listed}")
        return convert(signals[number], path, reader, [])
    readable, errors = {}, []
    for number, item in enumerate(signals):
        try:
            readable[number] = convert(item, path, reader, [])
        except ValueError as error:
            errors.append(str(error))
    if not readable:
        raise ValueError(errors[0] if len(set(errors)) == 1 else "; ".join(errors))
    number = max(readable, key=lambda i: (readable[i].energy_ev[0], len(readable[i]), -i))
    if len(readable) == 1:
        return readable[number]
    listed = ", ".join(f"{i} {titles[i]!r}" for i in readable)
    note = f"the file holds the spectra {listed}; read {number}, the highest in energy"
    return convert(signals[number], path, reader, [note])


def _title(signal: dict[str, Any]) -> str:
    return str(signal.get("metadata", {}).get("General", {}).get("title") or "")


def from_signal_dictionary(signal: dict[str, Any]) -> Spectrum:
    """A spectrum from the dictionary that describes a HyperSpy signal: data, axes, metadata."""
    return replace(_from_signal(signal, Path(), "hyperspy", []), file=None)


def _from_signal(signal: dict[str, Any], path: Path, reader: str, notes: list[str]) -> Spectrum:
    energy, counts, details = layout(signal, reader, notes)
    return finish(energy, counts, notes, path, **details)


def layout(
    signal: dict[str, Any], reader: str, notes: list[str]
) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Energies (n,), counts (m, n) as they are stored, and what `Spectrum` has besides.

    The counts of a lazily read signal stay a dask array.
    """
    kind = str(signal.get("metadata", {}).get("Signal", {}).get("signal_type") or "")
    if kind.upper().startswith(("EDS", "CL", "XRF", "WDS")):
        raise ValueError(f"signal type is {kind}; allowed: electron energy loss")
    data = signal["data"] if hasattr(signal["data"], "dask") else np.asarray(signal["data"])
    if data.dtype.kind not in "iufb":
        raise ValueError(f"counts are of type {data.dtype}; allowed: real numbers")
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array") or 0)
    if all(axis.get("index_in_array") is None for axis in axes):
        axes = signal["axes"]
    if reader == "msa":
        _check_msa(signal, data)
    if data.size == 0 or data.ndim != len(axes):
        raise ValueError(f"holds an array of shape {data.shape}; allowed: spectra with an axis")
    which = _energy_axis(axes)
    factor = _ev_per_unit(_unit(axes[which]), _axis_name(axes[which]), notes)
    energy = _axis_values(axes[which], data.shape[which]) * factor
    counts = np.moveaxis(data, which, -1)
    details = {
        "title": _title(signal),
        "map_shape": counts.shape[:-1] if counts[..., 0].size > 1 else (),
        "metadata": {"format": reader, "signal_type": kind, "axis_units": _unit(axes[which])},
    }
    return energy, counts.reshape(-1, counts.shape[-1]), details | _instrument(signal)


def _check_msa(signal: dict[str, Any], data: np.ndarray) -> None:
    """The MSA reader takes any number of points and a missing axis without a word."""
    header = signal["original_metadata"]
    for key in ("XPERCHAN", "OFFSET"):
        if not isinstance(header.get(key), (int, float)):
            raise ValueError(f"MSA header has no number after {key}; the energy axis needs it")
    stated = header.get("NPOINTS")
    if isinstance(stated, (int, float)) and data.size < int(stated):
        raise ValueError(
            f"truncated: {data.size} points; allowed: the {int(stated)} of the header's NPOINTS"
        )


def _unit(axis: dict[str, Any]) -> str:
    unit = str(axis.get("units") or "").strip()
    return "" if unit.lower() in NO_UNIT else unit


def _axis_name(axis: dict[str, Any]) -> str:
    name = str(axis.get("name") or "").strip()
    return f"axis {name!r}" if name and name.lower() not in NO_UNIT else "the axis"


def _energy_axis(axes: list[dict[str, Any]]) -> int:
    """Number of the energy axis: by unit, else by name, else the only signal axis."""
    by_unit = [i for i, axis in enumerate(axes) if _unit(axis) in EV_PER_UNIT]
    by_name = [i for i, axis in enumerate(axes) if ENERGY_NAME.search(str(axis.get("name") or ""))]
    signal = [i for i, axis in enumerate(axes) if not axis.get("navigate") and axis["size"] > 1]
    both = [i for i in by_unit if i in by_name]
    for found in (both, by_unit, by_name, signal):
        if len(found) == 1:
            return found[0]
    listed = ", ".join(f"{axis.get('name') or '?'} [{_unit(axis) or 'no unit'}]" for axis in axes)
    raise ValueError(f"no energy axis: its axes are {listed}; allowed: one axis in eV, keV or meV")


def _ev_per_unit(unit: str, name: str, notes: list[str]) -> float:
    if unit in EV_PER_UNIT:
        return EV_PER_UNIT[unit]
    if unit:
        raise ValueError(f"{name} is in {unit}; allowed: energy loss in eV, keV or meV")
    notes.append(f"{name} has no unit: eV assumed")
    return 1.0


def _axis_values(axis: dict[str, Any], size: int) -> np.ndarray:
    if axis.get("axis") is not None:
        return np.asarray(axis["axis"], dtype=np.float64)
    if "scale" not in axis:
        raise ValueError(f"{_axis_name(axis)} has no scale; export it with a linear axis")
    scale, offset = float(axis["scale"]), float(axis.get("offset") or 0.0)
    if not (np.isfinite(scale) and np.isfinite(offset)) or scale == 0:
        raise ValueError(f"dispersion is {scale:g} and start {offset:g}; allowed: finite, not 0")
    return offset + scale * np.arange(size)


def _instrument(signal: dict[str, Any]) -> dict[str, float | None]:
    """Beam energy and semi-angles where the file gives positive numbers."""
    values: dict[str, Any] = {}
    mapping = signal.get("mapping") or {}
    for name, target in INSTRUMENT.items():
        value = _walk(signal.get("metadata", {}), target)
        for source, (mapped, convert) in mapping.items():
            found = _walk(signal.get("original_metadata", {}), source)
            if value is None and mapped == target and found is not None:
                value = convert(found) if convert else found
        values[name] = float(value) if _positive(value) else None
    return values


def _walk(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        if not hasattr(tree, "get"):
            return None
        tree = tree.get(key)
    return tree


def _positive(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)) and float(value) > 0)
    except (TypeError, ValueError):
        return False
