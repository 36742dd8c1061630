"""Files to spectra: formats, units, axes and what they say about the microscope."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.runtime import hdf5
from coreloss.runtime.border import border, check_memory, library, regular_file
from coreloss.spectra.digital_micrograph import check_tags
from coreloss.spectra.formats import READERS, TEXT, check_format, names
from coreloss.spectra.msa import is_msa, read_msa
from coreloss.spectra.nexus import with_stored_axes
from coreloss.spectra.npz import read_arrays
from coreloss.spectra.repair import check_extent, straighten
from coreloss.spectra.signals import INSTRUMENT, choose, layout
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.text import decode, read_tables
from coreloss.spectra.tia import check_series
from coreloss.spectra.velox import is_velox, with_intensities

Convert = Callable[[dict[str, Any], Path, str, list[str]], Any]
TEXT_BYTES = 16
"""Memory that a character of a text takes until its numbers are arrays."""
MOST_COUNTS = 1e30
"""Largest count: beyond, squares overflow in the single precision of networks and fits."""


def read_spectrum(
    path: str | Path, *, signal: int | str | None = None, zero_loss: bool = False
) -> Spectrum:
    """Read a core-loss spectrum, line scan or map from a file.

    Formats: Digital Micrograph (dm3, dm4), MSA/EMSA, HyperSpy (hspy, hdf5), EMD, NeXus (nxs), TIA
    (ser) and NumPy (npz, see `spectra.npz`), and text (comma, semicolon, tab or blanks; decimal
    point or comma) in which a header tells the energies from the spectra, or the energies are in
    the first column. Among several spectra in one file the one highest in energy is read;
    ``signal`` (number or title) chooses another, and ``zero_loss`` the one with the zero-loss peak.

    Energies end up in eV, ascending and uniform; missing values stay NaN, see `Spectrum.mended`.
    What was mended, assumed or left out is in ``Spectrum.warnings``.

    Raises
    ------
    ValueError
        In one line, when the file is missing, empty, truncated, not a spectrum, or not in energy.
    """
    with border(path):
        return _read(Path(path), signal, _of_signal, zero_loss=zero_loss)


def converted_signal(
    path: str | Path,
    wanted: int | str | None,
    convert: Convert,
    *,
    zero_loss: bool = False,
    lazy: bool,
) -> Any:
    """What ``convert`` makes of a signal of a file, ``lazy`` if its counts are not to be read yet.

    Its arguments are the signal as a dictionary, the path, the name of the reader, and a list for
    notes. The signal is the one that `read_spectrum` would take; errors as there.
    """
    with border(path):
        return _read(Path(path), wanted, convert, zero_loss=zero_loss, lazy=lazy)


def from_signal_dictionaries(
    signals: list[dict[str, Any]], *, signal: int | str | None = None, zero_loss: bool = False
) -> Spectrum:
    """A spectrum from dictionaries that describe HyperSpy signals: data, axes, metadata."""
    number, notes = choose(signals, signal, zero_loss=zero_loss)
    return replace(_of_signal(signals[number], Path(), "hyperspy", notes), file=None)


def finish(
    energy: np.ndarray, counts: np.ndarray, notes: list[str], path: str | Path, **details: Any
) -> Spectrum:
    """Ascending uniform axis, NaN for all that is missing, and notes on what was done."""
    counts = np.asarray(counts, dtype=np.float64)
    if len(energy) > 1 and np.all(np.diff(energy) <= 0):
        energy, counts = energy[::-1], counts[:, ::-1]
    check_extent(energy)
    finite = np.isfinite(counts)
    if not finite.any():
        raise ValueError(f"all {counts.size} values are NaN or infinite; allowed: finite counts")
    highest = np.abs(counts, where=finite, out=np.zeros_like(counts)).max()
    if highest > MOST_COUNTS:
        raise ValueError(
            f"counts reach {highest:g}; allowed: up to {MOST_COUNTS:g}; check their type and byte "
            "order where the file was exported"
        )
    if not finite.all():
        counts = np.where(finite, counts, np.nan)
    energy, counts = straighten(energy, counts, notes)
    check_extent(energy)
    return Spectrum(energy, counts, file=str(path), warnings=tuple(notes), **details)


def _read(
    path: Path, wanted: int | str | None, convert: Convert, *, zero_loss: bool, lazy: bool = False
) -> Any:
    reader = _reader(path)
    signals = _signals(path, reader, lazy=lazy)
    number, notes = choose(signals, wanted, zero_loss=zero_loss)
    found = convert(signals[number], path, reader, notes)
    if reader == "emd":  # X-rays that stayed packed hold the file open
        del signals
        gc.collect()
    return found


def _of_signal(signal: dict[str, Any], path: Path, reader: str, notes: list[str]) -> Spectrum:
    energy, counts, details = layout(signal, reader, notes)
    check_memory(8 * counts.size)
    return finish(energy, counts, notes, path, **details)


def _reader(path: Path) -> str:
    """How a file is read: the name of a module of RosettaSciIO, or msa, npz or text."""
    start = _first_bytes(path)
    check_format(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return "npz"
    reader = READERS.get(suffix, "text")
    if reader not in ("msa", "text"):
        return reader
    text = decode(start)
    if text is None:
        if suffix not in (*TEXT, *READERS):
            raise ValueError(f"unknown format {suffix!r}; allowed: {names()}")
        raise ValueError(f"is binary, not text, or damaged; allowed formats: {names()}")
    return "msa" if is_msa(text) else "text"


def _first_bytes(path: Path) -> bytes:
    regular_file(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(65536)
    except OSError as error:
        raise ValueError(f"cannot be opened ({error.strerror})") from None
    if not start.strip():
        raise ValueError("is empty (0 bytes of data)")
    return start


def _signals(path: Path, reader: str, *, lazy: bool) -> list[dict[str, Any]]:
    """The signals of a file as dictionaries of data, axes and metadata."""
    if reader == "npz":
        return [_of_arrays(path)]
    if reader in ("msa", "text"):
        check_memory(TEXT_BYTES * path.stat().st_size)
        text = decode(path.read_bytes()) or ""
        return read_msa(text) if reader == "msa" else read_tables(text)
    signals = _by_rosettasciio(path, reader, lazy=lazy)
    if not signals:
        raise ValueError("holds no data")
    mends = {"nexus": with_stored_axes, "emd": with_intensities}
    return mends[reader](signals, path) if reader in mends else signals


def _of_arrays(path: Path) -> dict[str, Any]:
    energy, counts, scalars = read_arrays(path, scalars=tuple(INSTRUMENT))
    axes: list[dict[str, Any]] = [{"name": "", "size": n, "navigate": True} for n in counts.shape]
    axes[-1] = energy | {"size": counts.shape[-1], "navigate": False}
    return {"data": counts, "axes": axes, "metadata": {}, "instrument": scalars}


def _by_rosettasciio(path: Path, reader: str, *, lazy: bool) -> list[dict[str, Any]]:
    """The signals of a file that holds what it claims; models beside them are no signals."""
    needed = path.stat().st_size
    if reader == "digitalmicrograph":
        check_tags(path)
    elif reader == "tia":
        check_series(path)
    else:
        needed = hdf5.check(path)
        velox = reader == "emd" and is_velox(path)
        lazy = lazy or velox  # X-rays stay packed: unpacking trusts every number in them
    if not lazy:
        check_memory(needed)
    module = importlib.import_module(f"rsciio.{reader}")
    with _silent(), library(path):
        signals = module.file_reader(str(path), **({"lazy": True} if lazy else {}))
    signals = [signal for signal in signals if "data" in signal and "axes" in signal]
    if lazy and reader == "hspy":  # RosettaSciIO keeps it open until the process ends
        hdf5.close_after(signal["data"] for signal in signals)
    return signals


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """No log lines from the reading library: what matters is raised or noted."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
