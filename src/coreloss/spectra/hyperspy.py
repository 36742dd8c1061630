"""Spectra from and to HyperSpy: signals as they are, probabilities as a signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from coreloss.edges import ELEMENTS
from coreloss.spectra.reading import from_signal_dictionary, read_spectrum
from coreloss.spectra.spectrum import Spectrum

MISSING = "HyperSpy is not installed; try: pip install hyperspy"


def as_spectrum(data: Any, *, signal: int | str | None = None) -> Spectrum:
    """A `Spectrum` as it is, a path read (``signal`` chooses in it), a HyperSpy signal converted.

    >>> as_spectrum(Spectrum(np.arange(400.0, 500.0), np.ones(100))).dispersion_ev
    1.0
    """
    if isinstance(data, Spectrum):
        return data
    if isinstance(data, str | Path):
        return read_spectrum(data, signal=signal)
    if hasattr(data, "axes_manager") and hasattr(data, "metadata"):
        return from_signal(data)
    raise ValueError(
        f"a spectrum is asked for, not {type(data).__name__}; give a Spectrum, a path, or a"
        " HyperSpy signal"
    )


def from_signal(signal: Any) -> Spectrum:
    """A HyperSpy or eXSpy signal with an energy axis; lazy ones are computed.

    Units, beam energy, semi-angles and title come from its axes and metadata. ValueError when it
    has no energy axis or is no energy-loss signal.
    """
    return from_signal_dictionary(signal_dictionary(signal))


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


def probability_signal(result):
    """An `identify.Identification` as a HyperSpy signal of its probabilities.

    Navigation axes as the map, one signal axis with the 80 elements, NaN where not observable; the
    names of the elements, model, thresholds and window are in ``metadata.coreloss``.

    Raises
    ------
    ValueError
        When HyperSpy is not installed.
    """
    try:
        from hyperspy.signals import Signal1D
    except ImportError:
        raise ValueError(MISSING) from None
    shape = result.spectrum.map_shape if len(result) > 1 else ()
    signal = Signal1D(result.probability.reshape(*shape, len(ELEMENTS)))
    signal.axes_manager[-1].name = "Element"
    signal.metadata.General.title = result.spectrum.title or "Probability of elements"
    signal.metadata.add_dictionary(
        {
            "coreloss": {
                "elements": list(ELEMENTS),
                "model": result.model,
                "present_threshold": result.threshold,
                "absent_threshold": result.absent_threshold,
                "window_ev": list(result.window_ev),
            }
        }
    )
    return signal


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
