"""The linear model of core-loss spectra: background, edges, near-edge structure.

    counts(E) = sum_r b_r E^-r + sum_e [a_e sigma_e(E) + c_e n_e(E)] (x) low loss

with all b, a, c >= 0: a non-negative family of power laws (W. Van den Broek, D. Jannis and J.
Verbeeck, Ultramicroscopy 254 (2023) 113830), the cross-sections sigma_e of all shells of an element
that begin in the window, and its near-edge structure n_e, whose form is taken from the sum of all
spectra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.optimize import lsq_linear

from coreloss.axis import N_CHANNELS
from coreloss.cross_section_bank import BANK_CHANNELS, CrossSectionBank, bank_of
from coreloss.edges import ELEMENT_INDEX, MARGIN_AFTER_EV, EdgeShell, edge_shells
from coreloss.quantify_low_loss import FIRST_EV, LAST_EV, LowLoss
from coreloss.white_lines import final_shell

FINE_STRUCTURE = ("free", "equalised", "none")
EXPONENTS = (1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Of the background, closer where measured ones are: between two of them, a sum is a bit more bent
than a power law, which costs a share of weak edges."""
REACH_EV = 40.0
"""How far behind an onset the near-edge structure is taken from the data."""
BEFORE_EV = 4.0
"""How far in front of it: onsets are known to a few eV."""
_ROOM_EV = -FIRST_EV


@dataclass(frozen=True, eq=False)
class EdgeModel:
    """Columns of the linear model on the channels ``first`` to ``last`` (eV).

    sharp (c, BANK_CHANNELS) : columns before scattering, one or two for every element
    owner (c,) : the element that a column belongs to
    counted (c,) : whether a coefficient is an amount, or near-edge structure beside it
    """

    elements: tuple[str, ...]
    shifts_ev: Mapping[str, float]
    first: int
    last: int
    sharp: torch.Tensor
    owner: torch.Tensor
    counted: torch.Tensor
    exponents: tuple[float, ...] = EXPONENTS

    @property
    def n_channels(self) -> int:
        return self.last - self.first + 1

    @property
    def background(self) -> torch.Tensor:
        """Power laws, (exponents, n), 1 in the middle of the window."""
        energy = torch.arange(self.first, self.last + 1, dtype=torch.float64)
        middle = (self.first + self.last) / 2
        return torch.stack([(energy / middle) ** -r for r in self.exponents])

    def columns(self, low_loss: LowLoss) -> torch.Tensor:
        """All columns after scattering, (m, exponents + c, n); m is 1 for a common low loss."""
        low = self.first - _ROOM_EV
        band = self.sharp[:, max(low, 0) : min(self.last + 1 + _ROOM_EV, BANK_CHANNELS)]
        band = torch.nn.functional.pad(band, (max(-low, 0), 0))
        n_fft = next_fast_len(band.shape[1] + LAST_EV - FIRST_EV + 1, real=True)
        n_fft += n_fft % 2
        transfer = low_loss.transfer(n_fft)
        product = torch.fft.rfft(band, n=n_fft)[None] * transfer[:, None]
        edges = torch.fft.irfft(product, n=n_fft)[..., _ROOM_EV : _ROOM_EV + self.n_channels]
        below = self.background.expand(len(edges), -1, -1)
        return torch.cat([below, edges], 1)

    def amounts(self) -> torch.Tensor:
        """Which coefficients add up to the amount of each element, (elements, exponents + c)."""
        index = torch.arange(len(self.elements))
        own = (self.owner[None] == index[:, None]) & self.counted[None]
        return torch.nn.functional.pad(own, (len(self.exponents), 0)).double()


def edge_model(
    elements: Sequence[str],
    window_ev: tuple[float, float],
    *,
    beam: tuple[float, float, float],
    shifts_ev: Mapping[str, float] | None = None,
    gos_table: str = "builtin",
    exponents: Sequence[float] = EXPONENTS,
) -> EdgeModel:
    """The model without near-edge structure: one column, in barn/eV, for every element.

    ``beam`` : keV, convergence and collection semi-angle in mrad. ``shifts_ev`` moves the edges of
    an element. Shells that begin in front of the window belong to the background.

    Raises
    ------
    ValueError
        When an element is unknown or has no edge in the window.
    """
    shifts = {e: float((shifts_ev or {}).get(e, 0.0)) for e in elements}
    first, last = int(np.ceil(window_ev[0])), int(min(window_ev[1], N_CHANNELS - 1))
    unknown = [e for e in elements if e not in ELEMENT_INDEX]
    if unknown or not elements:
        raise ValueError(f"elements {unknown} are unknown; allowed: one or more of the 80, Be..Bi")
    parts = [_shells_in(e, (first, last), shifts[e]) for e in elements]
    empty = [e for e, shells in zip(elements, parts, strict=True) if not shells]
    if empty:
        raise ValueError(
            f"{', '.join(empty)}: no edge between {first} and {last} eV to quantify; leave the"
            " element out or widen the window"
        )
    rows = _cross_sections(bank_of(gos_table), beam)
    sharp = torch.stack(
        [moved(rows[shells].sum(0), shifts[e]) for e, shells in zip(elements, parts, strict=True)]
    )
    return EdgeModel(
        elements=tuple(elements),
        shifts_ev=shifts,
        first=first,
        last=last,
        sharp=sharp,
        owner=torch.arange(len(elements)),
        counted=torch.ones(len(elements), dtype=torch.bool),
        exponents=tuple(exponents),
    )


def with_near_edge(
    model: EdgeModel,
    counts: np.ndarray,
    low_loss: LowLoss,
    *,
    mode: str = "free",
    reach_ev: float = REACH_EV,
) -> EdgeModel:
    """The model with the near-edge structure that one spectrum, or the sum of an image, has.

    ``counts`` (n,) on the channels of the model. The structure is fitted channel by channel (hats
    of 2 eV) beside background and cross-sections, from a little before each onset to ``reach_ev``
    behind it, so that the continuum behind it sets the amounts.

    ``mode`` : ``free`` gives every element a second column with that structure, of an amplitude of
    its own; ``equalised`` changes the first one instead, such that its oscillator strength, the
    integral of ``E dsigma/dE``, is kept, as the Bethe sum rule asks (J. Verbeeck, S. Van Aert and
    G. Bertoni, Ultramicroscopy 106 (2006) 976; D. Jannis et al., arXiv:2408.11870); edges with
    white lines, whose strength no tabulated continuum has, stay free. ``none`` returns the model
    as it is.
    """
    if mode not in FINE_STRUCTURE:
        raise ValueError(f"fine structure is {mode!r}; allowed: {', '.join(FINE_STRUCTURE)}")
    if mode == "none":
        return model
    hats, owner = _hats(model, reach_ev)
    coefficients = _fit_hats(model, hats, counts, low_loss)
    own = coefficients[len(model.exponents) : len(model.exponents) + len(model.elements)]
    heights = coefficients[len(model.exponents) + len(model.elements) :]
    energy = torch.arange(BANK_CHANNELS, dtype=torch.float64)
    columns, owners, counted = [], [], []
    for k, element in enumerate(model.elements):
        continuum = model.sharp[k]
        structure = torch.from_numpy(heights[owner == k] @ hats[owner == k].numpy())
        structure = structure / max(float(own[k]), 1e-300) if own[k] > 0 else structure * 0
        region = hats[owner == k].sum(0) > 0
        if mode == "equalised" and not _has_white_line(element, model):
            shape = (continuum + structure).clamp(min=0) * region
            area = float((continuum * region) @ energy / (shape @ energy)) if shape.any() else 0.0
            columns.append(continuum * ~region + shape * area)
            owners.append(k)
            counted.append(True)
            continue
        columns.append(continuum)
        owners.append(k)
        counted.append(True)
        if structure.any():
            columns.append(structure)
            owners.append(k)
            counted.append(False)
    return replace(
        model,
        sharp=torch.stack(columns),
        owner=torch.tensor(owners),
        counted=torch.tensor(counted),
    )


def moved(values: torch.Tensor, shift_ev: float) -> torch.Tensor:
    """Values per channel with ``shift_ev`` added to their energies, linear between channels.

    >>> moved(torch.tensor([0.0, 0.0, 4.0, 4.0]), 0.5).tolist()
    [0.0, 0.0, 2.0, 4.0]
    """
    channel = np.arange(values.shape[-1])
    there = np.interp(channel - shift_ev, channel, values.double().numpy(), left=0.0, right=0.0)
    return torch.from_numpy(there)


def _cross_sections(bank: CrossSectionBank, beam: tuple[float, float, float]) -> torch.Tensor:
    coefficients = bank.coefficients(*(torch.tensor([float(x)]) for x in beam))[0]
    return (coefficients[..., None] * bank.rows).sum(1).clamp(min=0).double()


def _shells_in(element: str, window_ev: tuple[float, float], shift_ev: float) -> list[int]:
    """Shells that begin in the window; none if no identifying one has enough of it behind it."""
    lo, hi = (limit - shift_ev for limit in window_ev)
    shells = [k for k, edge in enumerate(edge_shells()) if edge.element == element]
    inside = [k for k in shells if lo < edge_shells()[k].onset_ev < hi]
    reach = [edge_shells()[k].onset_ev + MARGIN_AFTER_EV <= hi for k in inside]
    return inside if any(reach) else []


def _main_edges(element: str, model: EdgeModel) -> list[EdgeShell]:
    """The identifying edges of an element in the window, whatever begins there if none does."""
    inside = _shells_in(element, (model.first, model.last), model.shifts_ev[element])
    edges = [edge_shells()[k] for k in inside]
    return [edge for edge in edges if edge.role == "identifying"] or edges


def _has_white_line(element: str, model: EdgeModel) -> bool:
    edges = _main_edges(element, model)
    return any(edge.shell != "K" and final_shell(edge) is not None for edge in edges)


def _hats(model: EdgeModel, reach_ev: float) -> tuple[torch.Tensor, np.ndarray]:
    """Triangles 2 eV apart around the onsets, (hats, BANK_CHANNELS), and whose they are, (hats,).

    A channel that two elements claim belongs to the one whose onset is nearer below it.
    """
    channel = np.arange(BANK_CHANNELS)
    rows, owner = [], []
    nearest = np.full(BANK_CHANNELS, -1)
    distance = np.full(BANK_CHANNELS, np.inf)
    for k, element in enumerate(model.elements):
        for edge in _main_edges(element, model):
            behind = channel - (edge.onset_ev + model.shifts_ev[element])
            reach = reach_ev + max(edge.offsets_ev)
            closer = (behind >= -BEFORE_EV) & (behind <= reach) & (behind + BEFORE_EV < distance)
            nearest[closer], distance[closer] = k, (behind + BEFORE_EV)[closer]
    nearest[model.last :] = -1
    for k in range(len(model.elements)):
        for centre in channel[(nearest == k) & (channel % 2 == 0)]:
            rows.append(np.maximum(1 - np.abs(channel - centre) / 2, 0))
            owner.append(k)
    hats = torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, BANK_CHANNELS).double()
    return hats, np.array(owner, int)


def _fit_hats(
    model: EdgeModel, hats: torch.Tensor, counts: np.ndarray, low_loss: LowLoss
) -> np.ndarray:
    """Coefficients of background, cross-sections (all non-negative) and hats (of any sign)."""
    whole = replace(model, sharp=torch.cat([model.sharp, hats]))
    matrix = whole.columns(low_loss.mean())[0].T.numpy()
    fixed = len(model.exponents) + len(model.elements)
    counts = np.asarray(counts, float)
    weight = 1 / np.sqrt(np.maximum(counts, 1e-3 * np.abs(counts).max()))
    weighted = matrix * weight[:, None]
    norm = np.linalg.norm(weighted, axis=0)
    norm[norm == 0] = 1.0
    lowest = np.where(np.arange(len(norm)) < fixed, 0.0, -np.inf)
    fit = lsq_linear(weighted / norm, counts * weight, bounds=(lowest, np.inf))
    return fit.x / norm
