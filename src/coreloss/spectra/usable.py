"""Spectra as they are used: a part of a file, without dark level and gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coreloss.spectra.dark_level import without_dark_level
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import usable_window


def usable_part(spectrum: Spectrum, window_ev: tuple[float, float] | None = None) -> Spectrum:
    """The spectra in a window, `window.usable_window` by default, without gaps.

    What was taken off or cut is told. A dark level is looked for where the window is, in whole
    files with their zero loss.

    >>> energy = np.arange(-40.0, 400.0)
    >>> counts = 1e6 * np.exp(-(energy**2)) + 1e7 * np.maximum(energy, 20) ** -2.0
    >>> usable_part(Spectrum(energy, counts)).energy_ev[[0, -1]].tolist()
    [74.0, 399.0]
    """
    if window_ev is not None:
        return spectrum.crop(*window_ev).mended()
    whole = spectrum.without_missing_ends()
    whole = without_dark_level(whole) if np.isfinite(whole.counts).all() else whole
    usable = usable_window(whole)
    cut = whole.crop(usable.lo_ev, usable.hi_ev)
    return replace(cut, warnings=(*cut.warnings, *usable.reasons)).mended()
