"""What the spectrum itself says of an edge: fits of a background and scattered cross-sections.

Around every edge a non-negative sum of power laws, cross-sections and near-edge peaks is fitted
twice, with the edge and without it. What chi^2 loses without it is its significance, a likelihood
ratio in units of what the better fit leaves over, so that a model that is wrong is not counted as
evidence. Nothing here is learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from coreloss.atoms.photoabsorption import has_measured_shape
from coreloss.axis import N_CHANNELS
from coreloss.beam import Beam
from coreloss.edges import (
    ELEMENT_INDEX,
    ELEMENTS,
    MARGIN_AFTER_EV,
    MARGIN_BEFORE_EV,
    EdgeShell,
    edge_shells,
)
from coreloss.physics.bank import bank_of
from coreloss.physics.multiplets import continuum_share, cumulative, multiplets_of
from coreloss.physics.scattering import convolve, low_loss_transfer
from coreloss.simulation.near_edge import RESONANCE_HEIGHTS
from coreloss.spectra.network_input import NetworkInput

TYPICAL_BEAM = Beam(energy_kev=200.0, convergence_mrad=10.0, collection_mrad=20.0)
"""Where a file names none: the beam changes the fall of a cross-section within a local fit by less
than its near-edge structure does."""
LEAD_EV, TAIL_EV = 50, 60
"""A local fit reaches from so far before an onset to so far behind it."""
FIT_CHANNELS = int(MARGIN_BEFORE_EV + MARGIN_AFTER_EV)
"""Narrowest window of a fit: that in which one edge can be judged."""
SHIFTS_EV = tuple(range(-7, 10))
"""Positions of an edge relative to its tabulated onset: calibration and chemical shift together."""
USUAL_SHIFT_EV = 4.0
"""Standard deviation of that sum; larger shifts count against an edge."""
SAFE_Z = 6.0
"""An edge with this significance tells where the energy axis is."""
CHEMICAL_EV, BONDED_EV = (0.8, 1.8), (2.0, 3.0)
"""Mean and standard deviation of the shift of an onset by bonds: of most elements, and of the light
ones in `near_edge.RESONANCE_HEIGHTS`, by the distributions of `SimulationSettings`."""
BONDED = frozenset(element for element, *_ in RESONANCE_HEIGHTS)
EXPONENTS = (0.0, 1.5, 3.0, 4.5, 6.0)
PEAKS_EV = (0.0, 4.0, 8.0, 13.0, 19.0)
"""Peaks behind every onset, as wide as their distance: they take up the near-edge structure."""
OWN_PEAKS_EV = (1.0, 5.0)
"""Those of the tested edge: without its step, many peaks could describe anything."""
_PEAK_FWHM_EV = 4.5
_BLUR_EV = 1.5  # FWHM of zero loss and detector together
_PLASMON = (22.0, 12.0)  # energy and width in eV, of the scattering behind an edge
_BACKGROUND_KNOWLEDGE = 2e-3  # relative error of any model of a background
_SMOOTH = 11  # channels
_EMPTY = 0.2  # share of empty channels above which a median of the scatter tells nothing


@dataclass(frozen=True)
class EdgeEvidence:
    """One edge as a local fit sees it.

    ``onset_ev`` is the tabulated onset, ``found_ev`` where the edge fits best, ``z`` its
    significance in standard deviations.
    """

    element: str
    edge: str
    onset_ev: float
    found_ev: float
    z: float

    @property
    def shift_ev(self) -> float:
        """Distance from the tabulated onset."""
        return self.found_ev - self.onset_ev


@dataclass(frozen=True, eq=False)
class _Window:
    """One spectrum between the channels ``first`` and ``first + len(values) - 1``."""

    first: int
    values: np.ndarray
    sigma: np.ndarray
    beam: Beam

    @property
    def last(self) -> int:
        return self.first + len(self.values) - 1


def edge_evidence(
    spectrum,
    mask,
    elements: Iterable[str],
    *,
    known: Iterable[str] | None = None,
    beam: Beam = TYPICAL_BEAM,
) -> tuple[EdgeEvidence, ...]:
    """Evidence for every identifying edge of ``elements`` inside the window of one spectrum.

    ``spectrum`` and ``mask`` (3072,) as in `network_input.NetworkInput`. What an edge adds is what
    it adds to the other ``known`` elements, all of ``elements`` by default. Sorted by element as
    given, then by z.

    >>> e = np.arange(3072.0)
    >>> y = np.where((e > 399) & (e < 700), 1e6 * (np.maximum(e, 1) / 400) ** -3, 0)
    >>> y = y + 4e5 * ((e >= 532) & (e < 700)) * (np.maximum(e, 1) / 532) ** -3
    >>> found = edge_evidence(y / y[400:700].mean(), y > 0, ["O", "V"])
    >>> [(f.edge, f.z > 10) for f in found]
    [('O K', True), ('V L23', False)]
    """
    window = _window(spectrum, mask, beam)
    elements = tuple(dict.fromkeys(elements))
    known = elements if known is None else tuple(dict.fromkeys(known))
    shells = {e: _shells_of(e, window) for e in known}
    shifts: dict[str, float] = {}
    for e in known:  # so that the others stand where they are
        rows = _evidence_of(e, shells, {}, window)
        shifts |= {e: rows[0].shift_ev} if rows and rows[0].z > 4 else {}
    return tuple(row for e in elements for row in _evidence_of(e, shells, shifts, window))


def element_z(
    inputs: NetworkInput,
    candidates=None,
    *,
    known=None,
    beam: Beam = TYPICAL_BEAM,
) -> np.ndarray:
    """Significance of the best edge of each element, (n, 80); 0 where it was not tested.

    ``candidates`` (n, 80) bool names the elements to test in each spectrum; without it, all that
    have an identifying edge inside the window. ``known`` (n, 80) bool names those that they are
    tested beside, the candidates by default.
    """
    z = np.zeros((len(inputs), len(ELEMENTS)))
    tested = np.ones_like(z, bool) if candidates is None else np.asarray(candidates)
    beside = tested if known is None else np.asarray(known)
    for row, (test, others) in enumerate(zip(tested, beside, strict=True)):
        names, against = ([ELEMENTS[k] for k in np.flatnonzero(x)] for x in (test, others))
        here = inputs.spectrum[row], inputs.mask[row]
        best = best_edges(edge_evidence(*here, names, known=against, beam=beam))
        for element, edge in best.items():
            z[row, ELEMENT_INDEX[element]] = edge.z
    return z


def best_edges(evidence: Iterable[EdgeEvidence]) -> dict[str, EdgeEvidence]:
    """The most significant edge of each element.

    >>> weak, strong = (EdgeEvidence("La", f"La {s}", 0, 0, z) for s, z in (("N45", 3), ("M45", 9)))
    >>> best_edges([weak, strong])["La"].edge
    'La M45'
    """
    best: dict[str, EdgeEvidence] = {}
    for edge in evidence:
        best[edge.element] = max(edge, best.get(edge.element, edge), key=lambda e: e.z)
    return best


def energy_offset(evidence: Sequence[EdgeEvidence]) -> tuple[float, float] | None:
    """Calibration error of the axis and its standard deviation in eV, to 0.1 eV, from the edges.

    Weighted mean over the best edge of every element, z above `SAFE_Z`, less the usual chemical
    shift; the spread of those shifts sets weights and error. None without such an edge.
    """
    best = best_edges(edge for edge in evidence if edge.z > SAFE_Z)
    if not best:
        return None
    usual = np.array([BONDED_EV if e in BONDED else CHEMICAL_EV for e in best])
    errors = np.array([edge.shift_ev for edge in best.values()]) - usual[:, 0]
    weight = usual[:, 1] ** -2
    offset = float(weight @ errors / weight.sum())
    scatter = float(np.sqrt(weight @ (errors - offset) ** 2 / weight.sum() / max(len(best) - 1, 1)))
    error = max(float(weight.sum() ** -0.5), scatter)
    return round(offset, 1), round(error, 1)


def background_below(
    spectrum, mask, elements: Iterable[str], *, beam: Beam = TYPICAL_BEAM
) -> np.ndarray:
    """Background below the edges of ``elements`` in the window, (3072,), NaN outside it.

    From one fit over the whole window, in the units of ``spectrum``; what began before the window
    is background.
    """
    window = _window(spectrum, mask, beam)
    n = len(window.values)
    columns = list(_powers(window.first, n))
    for element in elements:
        for shell in _shells_of(element, window):
            if edge_shells()[shell].onset_ev < window.first:
                continue
            columns += _columns_of(shell, 0.0, window, window.first, n, PEAKS_EV)
    amounts = _solve(columns, window.values, window.sigma)[0]
    result = np.full(N_CHANNELS, np.nan)
    below = sum(a * c for a, c in zip(amounts, _powers(window.first, n), strict=False))
    result[window.first : window.last + 1] = below
    return result


# -- one element ----------------------------------------------------------------------------------


def _evidence_of(
    element: str, shells: Mapping[str, list[int]], shifts: Mapping[str, float], window: _Window
) -> list[EdgeEvidence]:
    found = []
    for shell in _shells_of(element, window):
        edge = edge_shells()[shell]
        if edge.role == "identifying" and _counts(edge, window):
            shift, z = _test(shell, shells, shifts, window)
            name = f"{element} {edge.shell}"
            found.append(EdgeEvidence(element, name, edge.onset_ev, edge.onset_ev + shift, z))
    return sorted(found, key=lambda row: -row.z)


def _test(
    shell: int, shells: Mapping[str, list[int]], shifts: Mapping[str, float], window: _Window
) -> tuple[float, float]:
    """Best shift of one edge and its significance there."""
    edge = edge_shells()[shell]
    first = max(window.first, int(edge.onset_ev) - LEAD_EV)
    last = min(window.last, int(edge.onset_ev) + max(edge.offsets_ev[-1], 0) + TAIL_EV)
    n = int(last) - first + 1
    part = slice(first - window.first, first - window.first + n)
    y, sigma = window.values[part], window.sigma[part]
    columns = list(_powers(first, n))
    columns.append(np.linspace(0, 1, n))  # of a background that rises
    for element, several in shells.items():
        if element != edge.element:
            for other in _nearest(several, first, last, shifts.get(element, 0.0)):
                columns += _columns_of(other, shifts.get(element, 0.0), window, first, n, PEAKS_EV)
    if len(columns) > n - 20:
        columns = columns[: max(n - 20, 1)]
    _, without, _ = _solve(columns, y, sigma)
    best = (0.0, -np.inf, 1.0)
    for shift in SHIFTS_EV:
        own = _columns_of(shell, shift, window, first, n, OWN_PEAKS_EV)
        _, chi2, scatter = _solve(columns + own, y, sigma)
        gain = (without - chi2) / scatter - (shift / USUAL_SHIFT_EV) ** 2
        if gain > best[1]:
            best = (float(shift), gain, scatter)
    return best[0], float(np.sqrt(max(best[1], 0.0)))


def _nearest(several: Sequence[int], first: int, last: float, shift: float) -> list[int]:
    """Shells that have more than a smooth tail in a local window."""
    onsets = [(edge_shells()[k].onset_ev + shift, k) for k in several]
    return [k for onset, k in onsets if first - 2 * TAIL_EV < onset < last]


def _solve(columns, y, sigma) -> tuple[np.ndarray, float, float]:
    """Amounts, chi^2, and the chi^2 that one degree of freedom has, with correlated residuals."""
    matrix = np.stack(columns, 1) / sigma[:, None]
    norm = np.linalg.norm(matrix, axis=0)
    norm[norm == 0] = 1.0
    amounts, _ = nnls(matrix / norm, y / sigma)
    residual = y / sigma - matrix @ (amounts / norm)
    chi2 = float(residual @ residual)
    free = max(len(y) - int(np.count_nonzero(amounts)), 5)
    correlation = float(residual[1:] @ residual[:-1]) / max(chi2, 1e-12)
    longer = (1 + max(correlation, 0.0)) / (1 - min(max(correlation, 0.0), 0.9))
    return amounts / norm, chi2, max(chi2 / free, 1.0) * longer


# -- columns --------------------------------------------------------------------------------------


def _window(spectrum, mask, beam: Beam) -> _Window:
    spectrum, mask = (np.asarray(x) for x in (spectrum, mask))
    channels = np.flatnonzero(mask)
    if len(channels) < FIT_CHANNELS:
        raise ValueError(
            f"the window has {len(channels)} channels of 1 eV; allowed: at least {FIT_CHANNELS};"
            " widen it"
        )
    first, last = int(channels[0]), int(channels[-1])
    values = spectrum[first : last + 1].astype(np.float64)
    return _Window(first, values, _noise(values), beam)


def _noise(values: np.ndarray) -> np.ndarray:
    """Standard deviation of every channel: counting noise, whose scale the scatter tells.

    Where most channels are empty, their mean scatter tells it, and one electron more or less in
    `_SMOOTH` channels is always possible.
    """
    smooth = np.maximum(uniform_filter1d(values, _SMOOTH), 1e-3 * np.abs(values).mean() + 1e-12)
    bend = values[1:-1] - (values[2:] + values[:-2]) / 2
    scale = np.median(bend**2 / smooth[1:-1]) / (0.455 * 1.5)
    if (values == 0).mean() > _EMPTY:
        scale = max(scale, (bend**2).mean() / (1.5 * np.abs(values).mean()))
        smooth = smooth + scale / _SMOOTH
    return np.sqrt(scale * smooth + (_BACKGROUND_KNOWLEDGE * smooth) ** 2) + 1e-12


@lru_cache(maxsize=4 * len(ELEMENTS))  # of four beams, 20 MB each
def scattered_shapes(element: str, beam: Beam) -> Mapping[int, np.ndarray]:
    """Cross-sections of the shells of an element in barn/eV, (3, BANK_CHANNELS) by their number.

    Of those that have lost no energy but to the edge, of those that have lost some to a plasmon as
    well, and the giant resonance alone, 0 where there is none.
    """
    shells = [k for k, edge in enumerate(edge_shells()) if edge.element == element]
    bank = bank_of("builtin")
    sharp, giant = _with_giant_resonances(bank.cross_sections(beam=beam, shells=shells), shells)

    def scattered(sharp: torch.Tensor, thickness: float) -> torch.Tensor:
        energy, width = _PLASMON
        transfer = low_loss_transfer(
            thickness_mfp=torch.tensor([thickness]),
            plasmon_energy_ev=torch.tensor([[energy]]),
            plasmon_width_ev=torch.tensor([[width]]),
            plasmon_share=torch.ones(1, 1),
            zero_loss_fwhm_ev=torch.tensor([_BLUR_EV]),
            zero_loss_shape="gaussian",
        )
        return convolve(sharp, transfer).clamp(min=0)

    thin, thick = (scattered(sharp, thickness) for thickness in (0.0, 1.0))
    once = (thick - np.exp(-1.0) * thin).clamp(min=0)
    found = torch.stack([thin, once, scattered(giant, 0.0)], 1).double().numpy()
    return dict(zip(shells, found, strict=True))


def _with_giant_resonances(
    sharp: torch.Tensor, shells: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-sections (shells, n) with 4d -> 4f where the trivalent ion has it, and that part alone.

    What measured photoabsorption has at its maximum is moved to the lines, their mean over the
    ions.
    """
    channel, giant = np.arange(sharp.shape[1], dtype=float), torch.zeros_like(sharp)
    for row, part, shell in zip(sharp, giant, shells, strict=True):
        edge = edge_shells()[shell]
        if edge.shell != "N45" or not has_measured_shape(edge.element, edge.shell):
            continue
        ions = [ion for ion in multiplets_of(edge.element, edge.shell) if ion.charge == 3]
        if not ions:
            continue
        measured = row.double().numpy()
        continuum = measured * continuum_share(channel, measured, edge, channel)
        at_ev = np.append(channel, len(channel)) - 0.5 - edge.onset_ev
        lines = sum(np.diff(cumulative(ion, edge, at_ev)) for ion in ions)
        moved = (measured - continuum).sum() / np.sum(lines)
        part.copy_(torch.from_numpy(moved * lines))
        row.copy_(torch.from_numpy(continuum + moved * lines))
    return sharp, giant


def _shells_of(element: str, window: _Window) -> list[int]:
    """Numbers of the shells of an element that begin in the window, or shortly before it."""
    return [
        k
        for k, edge in enumerate(edge_shells())
        if edge.element == element and window.first - 4 * TAIL_EV < edge.onset_ev < window.last
    ]


def _counts(edge: EdgeShell, window: _Window) -> bool:
    low, high = window.first + MARGIN_BEFORE_EV, window.last - MARGIN_AFTER_EV
    return low <= edge.onset_ev <= high


@lru_cache(maxsize=256)
def _powers(first: int, n: int) -> tuple[np.ndarray, ...]:
    energy = np.maximum(np.arange(first, first + n), 1.0) / max(first + n / 2, 1.0)
    return tuple(energy**-r for r in EXPONENTS)


def _columns_of(
    shell: int, shift: float, window: _Window, first: int, n: int, peaks_ev
) -> list[np.ndarray]:
    """Step, plural scattering, resonance and peaks of one shell on n channels from `first`."""
    edge = edge_shells()[shell]
    begin = first - round(shift)
    columns = []
    if begin >= 0:
        part = scattered_shapes(edge.element, window.beam)[shell][:, begin : begin + n]
        columns = [np.pad(row, (0, n - part.shape[1])) for row in part if row.any()]
    energy = np.arange(first, first + n)
    for offset in edge.offsets_ev:
        at = edge.onset_ev + shift + offset
        if first - 2 * TAIL_EV / 3 < at < first + n:
            columns += [_peak(energy, at + d, _PEAK_FWHM_EV + d / 4) for d in peaks_ev]
    return columns


def _peak(energy: np.ndarray, at: float, fwhm: float) -> np.ndarray:
    return np.exp(-4 * np.log(2) * ((energy - at) / fwhm) ** 2)
