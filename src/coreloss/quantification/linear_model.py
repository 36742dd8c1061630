"""The linear model of core-loss spectra: background, edges, near-edge structure.

    counts(E) = sum_r b_r E^-r + sum_e [a_e sigma_e(E) + c_e n_e(E)] (x) low loss

with all b, a, c >= 0: a non-negative family of power laws (W. Van den Broek, D. Jannis and J.
Verbeeck, Ultramicroscopy 254 (2023) 113830), the cross-sections sigma_e of all shells of an
element, and its near-edge structure n_e, whose form is taken from the data
(`quantification.near_edge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.fft import next_fast_len

from coreloss.axis import N_CHANNELS
from coreloss.beam import Beam
from coreloss.edges import ELEMENT_INDEX, MARGIN_AFTER_EV, EdgeShell, edge_shells
from coreloss.physics.bank import bank_of
from coreloss.quantification.low_loss import FIRST_EV, LAST_EV, LowLoss

BACKGROUND_EXPONENTS = (1.5, 2.5, 3.0, 3.5, 4.5)
"""Of the background, closer where measured ones are: between two of them, a sum is a bit more bent
than a power law, which costs a share of weak edges."""
LOWEST_EV = 60.0
"""Shells that begin below have lost their form by the time of any core loss."""
_ROOM_EV = -FIRST_EV


@dataclass(frozen=True, eq=False)
class EdgeModel:
    """Columns of the linear model on the channels ``first`` to ``last`` (eV).

    sharp (c, BANK_CHANNELS) : columns before scattering, one or two for every element
    owner (c,) : the element that a column belongs to
    counted (c,) : whether a coefficient is an amount, or near-edge structure beside it
    tails (t, BANK_CHANNELS) : of shells that begin in front of the window; part of the background
    """

    elements: tuple[str, ...]
    shifts_ev: Mapping[str, float]
    first: int
    last: int
    sharp: torch.Tensor
    owner: torch.Tensor
    counted: torch.Tensor
    tails: torch.Tensor
    exponents: tuple[float, ...] = BACKGROUND_EXPONENTS

    @property
    def n_channels(self) -> int:
        return self.last - self.first + 1

    @property
    def n_background(self) -> int:
        """Columns of the background, which come first."""
        return len(self.exponents) + len(self.tails)

    def columns(self, low_loss: LowLoss) -> torch.Tensor:
        """All columns after scattering, (m, n_background + c, n); m is 1 for a common low loss."""
        before = min(LAST_EV if len(self.tails) else _ROOM_EV, self.first)
        sharp = torch.cat([self.tails, self.sharp])
        band = sharp[:, self.first - before : self.last + 1 + _ROOM_EV]
        n_fft = next_fast_len(band.shape[1] + LAST_EV - FIRST_EV + 1, real=True)
        n_fft += n_fft % 2
        transfer = low_loss.transfer(n_fft)
        product = torch.fft.rfft(band, n=n_fft)[None] * transfer[:, None]
        scattered = torch.fft.irfft(product, n=n_fft)[..., before : before + self.n_channels]
        return torch.cat([self._powers().expand(len(scattered), -1, -1), scattered], 1)

    def _powers(self) -> torch.Tensor:
        """Power laws, (exponents, n), 1 in the middle of the window."""
        energy = torch.arange(self.first, self.last + 1, dtype=torch.float64)
        middle = (self.first + self.last) / 2
        return torch.stack([(energy / middle) ** -r for r in self.exponents])

    def only(self, elements: Sequence[str]) -> EdgeModel:
        """The model of some of the elements; for models without near-edge structure."""
        rows = [self.elements.index(e) for e in elements]
        return replace(
            self,
            elements=tuple(elements),
            sharp=self.sharp[rows],
            owner=torch.arange(len(rows)),
            counted=self.counted[rows],
        )

    def amounts(self) -> torch.Tensor:
        """Which coefficients add up to the amount of each element, (elements, columns)."""
        index = torch.arange(len(self.elements))
        own = (self.owner[None] == index[:, None]) & self.counted[None]
        return torch.nn.functional.pad(own, (self.n_background, 0)).double()


def edge_model(
    elements: Sequence[str],
    window_ev: tuple[float, float],
    *,
    beam: Beam,
    shifts_ev: Mapping[str, float] | None = None,
    exponents: Sequence[float] = BACKGROUND_EXPONENTS,
    outer_elements: Sequence[str] | None = None,
) -> EdgeModel:
    """The model without near-edge structure: one column, in barn/eV, for every element.

    ``shifts_ev`` moves the edges of an element. ``outer_elements`` : elements whose shells in front
    of the window have tails in the background, which bend it as no sum of power laws does; the same
    elements by default. Others that the specimen holds can be named too. The heights of these tails
    are free: an amount comes from edges only.

    Raises
    ------
    ValueError
        When an element is unknown or has no edge in the window, or the bank does not hold the beam.
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
    rows = bank_of("builtin").cross_sections(beam=beam).double()
    sharp = torch.stack(
        [moved(rows[shells].sum(0), shifts[e]) for e, shells in zip(elements, parts, strict=True)]
    )
    outer = elements if outer_elements is None else outer_elements
    before = [_shells_between(e, (LOWEST_EV, first)) for e in outer]
    tails = [rows[shells].sum(0) for shells in before if shells]
    return EdgeModel(
        elements=tuple(elements),
        shifts_ev=shifts,
        first=first,
        last=last,
        sharp=sharp,
        owner=torch.arange(len(elements)),
        counted=torch.ones(len(elements), dtype=torch.bool),
        exponents=tuple(exponents),
        tails=torch.stack(tails) if tails else rows.new_zeros(0, rows.shape[1]),
    )


def quantifiable(element: str, window_ev: tuple[float, float], shift_ev: float = 0.0) -> bool:
    """Whether an element, moved by a shift, has an edge in the window and enough of it behind."""
    return bool(_shells_in(element, window_ev, shift_ev))


def moved(values: torch.Tensor, shift_ev: float) -> torch.Tensor:
    """Values per channel with ``shift_ev`` added to their energies, linear between channels.

    >>> moved(torch.tensor([0.0, 0.0, 4.0, 4.0]), 0.5).tolist()
    [0.0, 0.0, 2.0, 4.0]
    """
    channel = np.arange(values.shape[-1])
    there = np.interp(channel - shift_ev, channel, values.double().numpy(), left=0.0, right=0.0)
    return torch.from_numpy(there)


def _shells_in(element: str, window_ev: tuple[float, float], shift_ev: float) -> list[int]:
    """Shells that begin in the window; none if none of them has enough of it behind it."""
    lo, hi = (limit - shift_ev for limit in window_ev)
    inside = _shells_between(element, (lo, hi))
    reach = [edge_shells()[k].onset_ev + MARGIN_AFTER_EV <= hi for k in inside]
    return inside if any(reach) else []


def _shells_between(element: str, window_ev: tuple[float, float]) -> list[int]:
    lo, hi = window_ev
    edges = edge_shells()
    return [k for k, e in enumerate(edges) if e.element == element and lo < e.onset_ev < hi]


def main_edges(element: str, model: EdgeModel) -> list[EdgeShell]:
    """The identifying edges of an element in the window, whatever begins there if none does."""
    inside = _shells_in(element, (model.first, model.last), model.shifts_ev[element])
    edges = [edge_shells()[k] for k in inside]
    return [edge for edge in edges if edge.role == "identifying"] or edges
