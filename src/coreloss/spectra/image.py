"""Spectrum images that need not fit into memory: read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.runtime import hdf5
from coreloss.runtime.border import border, check_memory, library, regular_file
from coreloss.spectra.formats import READERS
from coreloss.spectra.hyperspy import as_spectrum, signal_dictionary
from coreloss.spectra.reading import converted_signal, finish, read_spectrum
from coreloss.spectra.signals import INSTRUMENT, layout
from coreloss.spectra.spectrum import Spectrum

Source = tuple[str, int | str | None, bool]
"""A file, the signal in it that was asked for, and whether that with the zero loss was."""
LAZY_READERS = ("hspy", "digitalmicrograph", "emd")
READ_WHOLE = 2**28
"""Bytes of counts up to which a file is read at once: whole, so that it is read and unpacked one
time, and without the libraries that reading piece by piece takes seconds to import."""
PIECE = 2048
"""Spectra that are read together: 16 MB of 1024 channels."""


@dataclass(frozen=True, eq=False)
class SpectrumImage:
    """Spectra on one energy axis, in memory or in a file.

    counts (m, n) : array, or dask array whose parts are read when they are needed
    energy_ev (n,), map_shape, title : as of `Spectrum`
    source : the file, None for spectra in memory
    """

    counts: Any
    stored_energy_ev: np.ndarray
    details: dict[str, Any]
    notes: tuple[str, ...] = ()
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies in eV, ascending."""
        return np.sort(self.stored_energy_ev)

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the map; (m,) for a line scan, (1,) for one spectrum."""
        return tuple(self.details.get("map_shape") or (len(self),))

    @property
    def title(self) -> str:
        return str(self.details.get("title") or "")

    @property
    def lazy(self) -> bool:
        """Whether the counts are in a file."""
        return hasattr(self.counts, "dask")

    @property
    def complete(self) -> bool:
        """Whether the counts are whole numbers, which leave no room for missing values."""
        return self.counts.dtype.kind in "iub"

    def read(self, start: int, stop: int) -> Spectrum:
        """Spectra ``start`` to ``stop - 1``, row by row, treated as `read_spectrum` treats them."""
        if not 0 <= start < stop <= len(self):
            raise ValueError(
                f"spectra {start}..{stop} are asked for; allowed: within 0..{len(self)}"
            )
        check_memory(8 * (stop - start) * self.counts.shape[-1])
        file = self.source[0] if self.source else None
        if file is None:
            return self._finished(self._part(start, stop))
        with border(file):
            with library(file):
                part = self._part(start, stop)
            return replace(self._finished(part), file=file)

    def _part(self, start: int, stop: int) -> np.ndarray:
        part = self.counts[start:stop]
        return part.compute() if self.lazy else np.asarray(part)

    def _finished(self, part: np.ndarray) -> Spectrum:
        if not np.isfinite(part).any():  # empty rows of an image, refused as a file of their own
            part = np.zeros_like(part)
        details = self.details | {"map_shape": ()}
        return finish(self.stored_energy_ev, part, list(self.notes), "", **details)

    def pieces(self, n: int = PIECE) -> Iterator[tuple[int, int]]:
        """Ranges of about ``n`` spectra that are whole rows of the map."""
        row = int(np.prod(self.map_shape[1:], dtype=int))
        step = max(n // row, 1) * row
        for start in range(0, len(self), step):
            yield start, min(start + step, len(self))

    def sum(self) -> Spectrum:
        """The sum of all spectra, read piece by piece; missing where one of them is.

        Those without any value count as zero.
        """
        sums = (self.read(start, stop).sum() for start, stop in self.pieces())
        total = next(sums)
        for part in sums:
            total = replace(total, counts=total.counts + part.counts)
        return total

    def as_one_map(self) -> SpectrumImage:
        """A series of images as one image, one below the other, with a note; others as they are.

        >>> series = Spectrum(np.arange(400.0, 500.0), np.ones((24, 100)), map_shape=(2, 3, 4))
        >>> open_image(series).as_one_map().map_shape
        (6, 4)
        """
        if len(self.map_shape) < 3:
            return self
        long = tuple(n for n in self.map_shape if n > 1)
        shape = long if len(long) < 3 else (int(np.prod(long[:-1])), long[-1])
        notes = self.notes
        if shape != long:
            note = f"images of the series {self.map_shape} stand one below the other: {shape}"
            notes = (*notes, note)
        return replace(self, details=self.details | {"map_shape": shape}, notes=notes)

    def sample(self, rows: np.ndarray) -> Spectrum:
        """Some of the spectra, of ascending numbers, (len(rows), n)."""
        parts = [
            self.read(start, stop).counts[rows[(rows >= start) & (rows < stop)] - start]
            for start, stop in self.pieces()
            if ((rows >= start) & (rows < stop)).any()
        ]
        return replace(self.read(0, 1), counts=np.concatenate(parts), map_shape=())


def open_image(
    data: Any, *, signal: int | str | None = None, zero_loss: bool = False
) -> SpectrumImage:
    """A spectrum image from a path, a `Spectrum`, or HyperSpy signals; a single one may be lazy.

    Of hspy, dm3, dm4 and emd files above `READ_WHOLE` only what is asked for is read; others are
    read whole.
    ``signal`` chooses among several in one file; without it ``zero_loss`` takes the one with the
    zero-loss peak, and not the highest in energy. ValueError as of `read_spectrum`.

    >>> image = open_image(Spectrum(np.arange(400.0, 500.0), np.ones((6, 100)), map_shape=(2, 3)))
    >>> len(image), list(image.pieces(4)), image.read(3, 6).counts.shape
    (6, [(0, 3), (3, 6)], (3, 100))
    """
    if isinstance(data, SpectrumImage):
        return data
    if isinstance(data, str | Path):
        reader = READERS.get(Path(data).suffix.lower())
        if reader in LAZY_READERS:
            convert = partial(_of_signal, wanted=signal, zero_loss=zero_loss)
            lazy = not _is_small(Path(data), reader)
            return converted_signal(data, signal, convert, zero_loss=zero_loss, lazy=lazy)
        spectrum = read_spectrum(data, signal=signal, zero_loss=zero_loss)
        return _of_spectrum(spectrum, (str(data), signal, zero_loss))
    if hasattr(data, "axes_manager") and hasattr(data.data, "dask"):
        return _of_signal(signal_dictionary(data, lazy=True), None, "hyperspy", [])
    return _of_spectrum(as_spectrum(data, signal=signal, zero_loss=zero_loss), None)


def _is_small(path: Path, reader: str) -> bool:
    """Whether a file fits into `READ_WHOLE`; not where that is hard to tell."""
    with border(path):
        if reader == "digitalmicrograph":
            return regular_file(path) <= READ_WHOLE
        return reader == "hspy" and hdf5.check(path) <= READ_WHOLE


@lru_cache(maxsize=4)
def reopened(source: Source) -> SpectrumImage:
    """The image of a ``source``, opened once in a process for all of its pieces."""
    path, signal, zero_loss = source
    return open_image(path, signal=signal, zero_loss=zero_loss)


def _of_spectrum(spectrum: Spectrum, source: Source | None) -> SpectrumImage:
    names = (*INSTRUMENT, "title", "map_shape", "metadata")
    details = {name: getattr(spectrum, name) for name in names}
    return SpectrumImage(spectrum.counts, spectrum.energy_ev, details, spectrum.warnings, source)


def _of_signal(
    signal: dict[str, Any],
    path: Path | None,
    reader: str,
    notes: list[str],
    *,
    wanted: int | str | None = None,
    zero_loss: bool = False,
) -> SpectrumImage:
    energy, counts, details = layout(signal, reader, notes)
    source = None if path is None else (str(path), wanted, zero_loss)
    return SpectrumImage(counts, energy, details, tuple(notes), source)
