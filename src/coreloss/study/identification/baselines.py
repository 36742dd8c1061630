"""Methods without a network, to compare networks with: an edge finder, and the fit of edges alone.

Every method has one signature: from a `network_input.NetworkInput` to scores (n, 80) in 0..1, 0
where no identifying edge of the element lies in the window. A score ranks; which one means
"present" is fixed on validation data, as for a network.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from coreloss.edges import ELEMENT_INDEX, ELEMENTS, identifying_sets, subshells
from coreloss.identification.edge_fit import element_z
from coreloss.spectra.network_input import NetworkInput, observable

SMOOTHING_EV = 3.0
"""Standard deviation of the smoothing before the edge finder takes differences."""
NOISE_CHANNELS = slice(3, 50)
"""Where it takes the noise from."""
SENSITIVITY = 2.0
"""What pyTEMlib takes for an edge, in standard deviations; such an edge has score 1/2 here."""
TOLERANCE_EV = 5.0
"""How far from a tabulated onset an edge may be found."""
SAME_EDGE_EV = 3.0
"""An edge so near to any onset of an element that was already found belongs to that element."""
FIT_Z = 6.0
"""Significance in the fit that has score 1/2."""
CONSIDERED_Z = 2.0
"""Elements below are not tested again beside those that were found."""
MOST_ELEMENTS = 8


def edge_finder(inputs: NetworkInput) -> np.ndarray:
    """Scores of the edge finder of pyTEMlib, (n, 80): steep rises, and the nearest major edges.

    What `eels_tools.identify_edges` and `assign_likely_edges` of pyTEMlib 2026.6.0 (G. Duscher and
    others, MIT licence) describe: maxima of the first difference of a smoothed spectrum that exceed
    a multiple r of its scatter are edges, each of the element whose major edge is the nearest
    within 5 eV, unless it can be another edge of an element that was found. pyTEMlib starts at the
    lowest energy, this function with the steepest rise, so that a score r / (r + 2) follows.

    >>> import torch
    >>> e = np.arange(3072.0)
    >>> y = np.where((e > 399) & (e < 700), 1e6 * (np.maximum(e, 1) / 400) ** -3, 0)
    >>> y = y + 4e5 * ((e >= 532) & (e < 700)) * (np.maximum(e, 1) / 532) ** -3
    >>> spectrum, mask = torch.tensor(y[None] / y[400:700].mean()), torch.tensor(y[None] > 0)
    >>> ELEMENTS[edge_finder(NetworkInput(spectrum, mask)).argmax()]
    'O'
    """
    score = np.zeros((len(inputs), len(ELEMENTS)))
    for row, spectrum, mask in zip(score, inputs.spectrum, inputs.mask, strict=True):
        channels = np.flatnonzero(mask.numpy())
        first = channels[0]
        places, rise = steep_rises(spectrum.numpy()[first : channels[-1] + 1])
        for element, size in nearest_elements(places + first, rise).items():
            row[ELEMENT_INDEX[element]] = size / (size + SENSITIVITY)
    return np.where(observable(inputs), score, 0.0)


def steep_rises(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels where a spectrum (n,) of 1 eV channels rises most, and by how much of the scatter.

    `eels_tools.identify_edges` of pyTEMlib without its lower limit of the rise.
    """
    smooth = gaussian_filter1d(values.astype(float), SMOOTHING_EV)
    difference = smooth - np.roll(smooth, 2)
    difference[:3] = difference[-3:] = 0.0
    scatter = np.std(difference[NOISE_CHANNELS])
    places, _ = find_peaks(difference, 0.0)
    return places, difference[places] / max(scatter, 1e-12)


def nearest_elements(energy_ev: np.ndarray, rise: np.ndarray) -> dict[str, float]:
    """Elements of edges at ``energy_ev`` (n,), each with the size of its steepest ``rise`` (n,).

    >>> nearest_elements(np.array([458.0, 464.0, 533.0, 1400.0]), np.array([9.0, 4.0, 7.0, 1.0]))
    {'Ti': 9.0, 'O': 7.0}
    """
    onset_ev, elements = _identifying_onsets()
    found: dict[str, float] = {}
    known = np.zeros(0)
    for k in np.argsort(-rise, kind="stable"):
        distance = np.abs(onset_ev - energy_ev[k])
        nearest = distance.argmin()
        explained = np.abs(known - energy_ev[k]) < SAME_EDGE_EV
        if distance[nearest] <= TOLERANCE_EV and not explained.any():
            element = elements[nearest]
            found.setdefault(element, float(rise[k]))
            known = np.append(known, _onsets_of(element))
    return found


def edge_fit(inputs: NetworkInput) -> np.ndarray:
    """Scores of the fit of backgrounds and cross-sections (`edge_fit`) without a network, (n, 80).

    Forward selection: the most significant element is added to the fit, the others are tested
    again beside it, and so on while the next one reaches `FIT_Z`. An element's significance z is
    that at its addition, or what is left of it at the end; its score is z / (z + 6).
    """
    untested = observable(inputs)
    chosen = np.zeros_like(untested)
    score = np.zeros(untested.shape)
    for _ in range(MOST_ELEMENTS):
        z = element_z(inputs, untested, known=chosen)
        score = np.where(untested, z, score)
        best = np.eye(len(ELEMENTS), dtype=bool)[np.where(untested, z, -1.0).argmax(1)]
        added = best & untested & (z >= FIT_Z)
        chosen |= added
        untested &= ~added & (z >= CONSIDERED_Z) & added.any(1, keepdims=True)
        if not untested.any():
            break
    return score / (score + FIT_Z)


@cache
def _identifying_onsets() -> tuple[np.ndarray, tuple[str, ...]]:
    sets = identifying_sets()
    return np.array([edge.onset_ev for edge in sets]), tuple(edge.element for edge in sets)


@cache
def _onsets_of(element: str) -> np.ndarray:
    return np.array([shell.onset_ev for shell in subshells() if shell.element == element])
