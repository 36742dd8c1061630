"""What few counts can bear: no element is called present whose edge may be counting noise.

Networks learn from tens of counts in every channel. Where a whole spectrum has some hundreds, or
one pixel of an image some tens, their mistakes are chance. There, the counts behind an onset must
exceed those that a power law in front of it lets expect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from coreloss.axis import window_of
from coreloss.edges import ELEMENTS, identifying_sets, inside_window
from coreloss.spectra.counts import are_whole, noise_of
from coreloss.spectra.network_input import NetworkInput

FEW = 5000.0
"""Electrons in a window below which the test is made. Above, networks call an element in a bare
background in less than 1 % of the spectra by themselves."""
LEAST = 3.0
"""Standard deviations that the counts behind an onset must exceed the background by."""
UNSURE = 0.5
"""Largest probability of an element that does not reach that."""
LEAD_EV, BEFORE_EV, FIT_EV = 3.0, 60.0, 150.0
"""The background is counted from so far before an onset to so far before it; its exponent is that
of a longer stretch."""
BEHIND_EV = (12.0, 40.0)
"""White lines, and edges that rise slowly."""
EXPONENT, EXPONENT_ERROR = 3.0, 1.0
"""Of backgrounds with few counts."""
NO_SIGNAL_BLOCK, NO_SIGNAL = 8, 4.5
"""A spectrum is noise about zero if neither all channels nor any so many of them together lie so
many standard deviations off zero."""


@dataclass(frozen=True, eq=False)
class _Sums:
    """Electrons (m, 3073), and those times the logarithm of their energy, below each channel."""

    electrons: np.ndarray
    moments: np.ndarray

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Electrons in channels low to high - 1, (m,)."""
        row = np.arange(len(low))
        return self.electrons[row, high] - self.electrons[row, low]

    def exponent(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the power law in these channels, (m,), and its standard deviation.

        From the mean logarithm of the energy, together with what is usual.
        """
        row, number = np.arange(len(low)), self.between(low, high)
        width = np.log(high / np.maximum(low, 1))
        mean = (self.moments[row, high] - self.moments[row, low]) / np.maximum(number, 1e-9)
        found = 1 - (mean - 0.5 * np.log(high * np.maximum(low, 1.0))) / (width**2 / 12)
        known = number * width**2 / 12 * EXPONENT_ERROR**2
        exponent = np.where(number > 0, found * known + EXPONENT, EXPONENT) / (known + 1)
        return exponent.clip(0, 7), EXPONENT_ERROR / np.sqrt(known + 1)


def borne_out(
    probability: np.ndarray,
    inputs: NetworkInput,
    counts: np.ndarray,
    *,
    present: float,
    absent: float,
) -> np.ndarray:
    """Probabilities (m, 80) that call nothing that the counts (m, n) of the spectra cannot bear.

    An element at ``present`` or above whose edge may be counting noise becomes `UNSURE`; of
    spectra that are `nothing_but_noise` all is below ``absent``.
    """
    result = probability.copy()
    empty = nothing_but_noise(counts)
    result[empty] = np.minimum(result[empty], 0.5 * absent)
    called = np.nan_to_num(result) >= present
    rows = np.flatnonzero(called.any(1) & (np.abs(counts).sum(1) < FEW))
    rows = rows[are_whole(counts[rows])]  # electrons, not scaled
    if len(rows):
        z = edge_significance(inputs[rows], counts[rows].sum(1))
        doubted = called[rows] & (z < LEAST)
        result[rows] = np.where(doubted, UNSURE, result[rows])
    return result


def edge_significance(inputs: NetworkInput, electrons: np.ndarray) -> np.ndarray:
    """Significance of the counts behind the best onset of every element, (m, 80).

    That of an excess over a background measured with as few counts (T.-P. Li and Y.-Q. Ma,
    Astrophys. J. 272 (1983) 317, Eq. 17), the unknown exponent of the background in its error.
    ``electrons`` (m,) are those of the whole window; negative infinity where there is no edge.
    """
    spectrum = np.maximum(inputs.spectrum.numpy().astype(float), 0.0)
    spectrum *= (electrons / np.maximum(spectrum.sum(1), 1e-9))[:, None]
    ln_energy = np.log(np.maximum(np.arange(spectrum.shape[1]), 1.0))
    start = ((0, 0), (1, 0))
    sums = _Sums(np.pad(spectrum.cumsum(1), start), np.pad((spectrum * ln_energy).cumsum(1), start))
    low, high = (limit.numpy().astype(int) for limit in window_of(inputs.mask))
    best = np.full((len(spectrum), len(ELEMENTS)), -np.inf)
    for edge in identifying_sets():
        inside = inside_window(torch.tensor([edge.onset_ev]), low, high)[:, 0].numpy()
        for behind_ev in BEHIND_EV if inside.any() else ():
            z = _excess(sums, edge.onset_ev, behind_ev, low, high)
            best[:, edge.label] = np.maximum(best[:, edge.label], np.where(inside, z, -np.inf))
    return best


def _excess(
    sums: _Sums, onset_ev: float, behind_ev: float, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Significance (m,) of what the counts behind an onset exceed the background by."""
    border = np.maximum(np.full(len(low), int(onset_ev - LEAD_EV)), low + 1)
    first = np.maximum(low, border - int(BEFORE_EV))
    last = np.minimum(high + 1, int(onset_ev + behind_ev)).clip(border + 1)
    exponent, error = sums.exponent(np.maximum(low, border - int(FIT_EV)), border)
    ratio = _power_integral(border, last, exponent) / _power_integral(first, border, exponent)
    off, on = sums.between(first, border), sums.between(border, last)
    total = np.maximum(on + off, 1e-9)
    chance = 2 * (_x_ln_x(on, (1 + ratio) / ratio / total) + _x_ln_x(off, (1 + ratio) / total))
    lever = 0.5 * np.log(last / np.maximum(first, 1))
    counting = np.maximum(ratio * off * (1 + ratio), 1.0)
    inflated = np.sqrt(1 + (ratio * off * lever * error) ** 2 / counting)
    return np.sign(on - ratio * off) * np.sqrt(np.maximum(chance, 0.0)) / inflated


def _x_ln_x(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return x * np.log(np.maximum(x, 1e-300) * factor)


def _power_integral(low: np.ndarray, high: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Integral of E^-r from ``low`` to ``high``, (m,)."""
    power = np.where(np.abs(exponent - 1) < 1e-3, 1 + 1e-3, exponent)
    low = np.maximum(low, 1.0)
    return (high ** (1 - power) - low ** (1 - power)) / (1 - power)


def nothing_but_noise(counts: np.ndarray) -> np.ndarray:
    """Spectra (m, n) that are noise about zero, (m,) bool.

    >>> noise = np.random.default_rng(0).standard_normal((2, 400))
    >>> nothing_but_noise(noise + np.array([[0.0], [1.0]])).tolist()
    [True, False]
    """
    found: np.ndarray = np.any(counts < 0, axis=1)
    some = counts[found]
    blocks = some.shape[1] // NO_SIGNAL_BLOCK
    whole = np.abs(some.mean(1)) * np.sqrt(some.shape[1])
    noise = noise_of(some)
    parts = some[:, : blocks * NO_SIGNAL_BLOCK].reshape(len(some), blocks, NO_SIGNAL_BLOCK)
    largest = np.abs(parts.mean(2)).max(1, initial=0.0) * np.sqrt(NO_SIGNAL_BLOCK)
    found[found] = (noise > 0) & (np.maximum(largest, whole) < NO_SIGNAL * noise)
    return found
