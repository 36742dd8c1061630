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

from coreloss.spectra.formats import READERS, TEXT, check_format, names
from coreloss.spectra.msa import is_msa, read_msa
from coreloss.spectra.nexus import with_stored_axes
from coreloss.spectra.npz import read_arrays
from coreloss.spectra.repair import check_extent, straighten
from coreloss.spectra.signals import INSTRUMENT, choose, layout
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.text import decode, read_tables
from coreloss.spectra.velox import with_intensities

Convert = Callable[[dict[str, Any], Path, str, list[str]], Any]


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
    with _naming(path):
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
    with _naming(path):
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
    return convert(signals[number], path, reader, notes)


def _of_signal(signal: dict[str, Any], path: Path, reader: str, notes: list[str]) -> Spectrum:
    energy, counts, details = layout(signal, reader, notes)
    return finish(energy, counts, notes, path, **details)


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Errors begin with the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


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


def _signals(path: Path, reader: str, *, lazy: bool) -> list[dict[str, Any]]:
    """The signals of a file as dictionaries of data, axes and metadata."""
    if reader == "npz":
        return [_of_arrays(path)]
    if reader in ("msa", "text"):
        text = decode(path.read_bytes()) or ""
        return read_msa(text) if reader == "msa" else read_tables(text)
    signals = _by_rosettasciio(path, reader, {"lazy": True} if lazy else {})
    if not signals:
        raise ValueError("holds no data")
    mends = {"nexus": with_stored_axes, "emd": with_intensities}
    return mends[reader](signals, path) if reader in mends else signals


def _of_arrays(path: Path) -> dict[str, Any]:
    energy, counts, scalars = read_arrays(path, scalars=tuple(INSTRUMENT))
    axes: list[dict[str, Any]] = [{"name": "", "size": n, "navigate": True} for n in counts.shape]
    axes[-1] = energy | {"size": counts.shape[-1], "navigate": False}
    return {"data": counts, "axes": axes, "metadata": {}, "instrument": scalars}


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


def _by_rosettasciio(path: Path, reader: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    with _quiet():
        try:
            return importlib.import_module(f"rsciio.{reader}").file_reader(str(path), **options)
        except ImportError as error:
            package = error.name or (re.findall(r"'([\w.-]+)'", str(error)) or [str(error)])[0]
            raise ValueError(
                f"needs the package {package}, which is not installed: pip install {package}"
            ) from None
        except Exception as error:
            # Damaged files raise whatever the parser meets first, from KeyError to MemoryError.
            reason = f"{type(error).__name__}: {_one_line(error)}"
            raise ValueError(
                f"cannot be read as {path.suffix[1:]}: the file is truncated, damaged or of "
                f"another format; try to export it anew ({reason})"
            ) from None
