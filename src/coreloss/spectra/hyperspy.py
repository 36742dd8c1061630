"""Spectra from HyperSpy: its signals as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from coreloss.spectra.reading import from_signal_dictionaries, read_spectrum
from coreloss.spectra.spectrum import Spectrum


def as_spectrum(data: Any, *, signal: int | str | None = None, zero_loss: bool = False) -> Spectrum:
    """A `Spectrum` as it is, a path read, HyperSpy signals converted.

    Of several signals, in a file or in a list as ``hyperspy.api.load`` gives it, ``signal`` and
    ``zero_loss`` choose as in `read_spectrum`.

    >>> as_spectrum(Spectrum(np.arange(400.0, 500.0), np.ones(100))).dispersion_ev
    1.0
    """
    if isinstance(data, Spectrum):
        return data
    if isinstance(data, str | Path):
        return read_spectrum(data, signal=signal, zero_loss=zero_loss)
    signals = list(data) if isinstance(data, list | tuple) else [data]
    if signals and all(_is_signal(item) for item in signals):
        dictionaries = [signal_dictionary(item) for item in signals]
        return from_signal_dictionaries(dictionaries, signal=signal, zero_loss=zero_loss)
    raise ValueError(
        f"a spectrum is asked for, not {type(data).__name__}; give a Spectrum, a path, or one or"
        " several HyperSpy signals"
    )


def from_signal(signal: Any) -> Spectrum:
    """A HyperSpy or eXSpy signal with an energy axis; lazy ones are computed.

    Units, beam energy, semi-angles and title come from its axes and metadata. ValueError when it
    has no energy axis or is no energy-loss signal.
    """
    return from_signal_dictionaries([signal_dictionary(signal)])


def _is_signal(data: Any) -> bool:
    return hasattr(data, "axes_manager") and hasattr(data, "metadata")


def signal_dictionary(signal: Any, *, lazy: bool = False) -> dict[str, Any]:
    """Data, axes and metadata of a HyperSpy signal; a lazy one is computed unless it may stay."""
    axes = [
        {
            "name": _text(axis.name),
            "units": _text(axis.units),
            "axis": np.asarray(axis.axis, float),
            "navigate": axis.navigate,
            "size": axis.size,
        }
        for axis in signal.axes_manager._axes
    ]
    data = signal.data
    if hasattr(data, "compute") and not lazy:
        data = data.compute()
    return {"data": data, "axes": axes, "metadata": signal.metadata.as_dictionary()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
