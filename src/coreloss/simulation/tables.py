"""Constant tables of the simulator: all edge shells and all materials as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from coreloss.edges import ATOMIC_NUMBER, ELEMENTS, EdgeShell, edge_shells
from coreloss.materials.split import QueryIndex
from coreloss.materials.table import Materials
from coreloss.physics.bank import BANK_CHANNELS, CrossSectionBank, bank_of
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import continuum_share, multiplets_of
from coreloss.simulation import near_edge
from coreloss.simulation.near_edge import HEIGHT_EV

SHIFT_STEP_EV = 0.5
SHIFT_STEPS = (-8, 18)
"""Fewest and most steps that an edge is moved by: shells of bonded light elements begin later than
tabulated by up to 8 eV, none begins much earlier."""
TERMS = 3
"""Terms of the low-rank cross-sections in use: 0.3 % of an edge's maximum (median), 5 % at worst,
below the spread between GOS models that `SimulationSettings.cross_section_error` stands for."""
TILE = 112
"""Channels of a tile: the piece in which cross-sections are added, so that none is computed below
its onset or outside the window."""
TILES = BANK_CHANNELS // TILE
_LIFETIME_REACH = 12
"""Natural widths before an onset where its Lorentzian foot, 1 % high there, has faded to zero."""


@dataclass(frozen=True, eq=False)
class ShellTables:
    """The shells of `edges.edge_shells`, S of them; s is the most shells of one element.

    onset_ev, bound_area_ev, resonance (S,) float, the last the largest height of resonances;
        identifying (S,) bool
    bonded (80,) bool : elements whose shells begin late in bonds, those that have resonances
    rare_earth (80,) bool : La to Yb, whose open shell lies too deep to take part in bonds
    offset_ev, ratio, width_ev : (S, 2), subshell onsets behind the first, occupancy ratios, and
        natural widths of the core hole (0 without lifetimes)
    templates : of ions, None without multiplets; reference_height (S,) : mean cross-section behind
        the onset, giant resonances included, in edge heights
    of_element, sets_of_element : (80, s) long, shells and identifying sets, -1 pads
    bank : low-rank cross-sections; height_rows (S, TERMS), mean of its rows behind the onset
    shifted_rows : (S * TERMS * shifts * TILES, TILE), its rows moved by `shifts` steps of 0.5 eV
        and cut into tiles of `TILE` channels; first_tile (S,) long, the first that is not zero
    """

    onset_ev: torch.Tensor
    identifying: torch.Tensor
    resonance: torch.Tensor
    bonded: torch.Tensor
    rare_earth: torch.Tensor
    offset_ev: torch.Tensor
    ratio: torch.Tensor
    width_ev: torch.Tensor
    bound_area_ev: torch.Tensor
    templates: near_edge.Templates | None
    reference_height: torch.Tensor
    of_element: torch.Tensor
    sets_of_element: torch.Tensor
    bank: CrossSectionBank
    height_rows: torch.Tensor
    shifted_rows: torch.Tensor
    first_tile: torch.Tensor

    @classmethod
    def build(
        cls,
        bank: CrossSectionBank,
        *,
        device: str,
        lifetime: bool = True,
        multiplets: bool = True,
    ) -> ShellTables:
        """Tables for a bank of all shells.

        Broadened by the ``lifetime`` of the core hole or not; with ``multiplets`` of ions, or white
        lines and the maxima of measured photoabsorption in their place.
        """
        shells, bank = edge_shells(), bank.to(device)
        width_ev = torch.tensor([_two(edge.widths_ev) for edge in shells], device=device) * lifetime
        rows = bank.rows[:, :TERMS]
        templates, giant = None, torch.zeros(len(shells))
        if multiplets:
            rows = rows * _continuum_shares(shells, rows.shape[-1]).to(device)[:, None]
            optical = near_edge.optical_heights_per_ev(shells, multiplets=True)
            templates = near_edge.Templates.build(shells, optical)
            giant = templates.area_ev * torch.tensor([edge.shell == "N45" for edge in shells])
        rows, first = _broadened(rows, width_ev[:, 0])
        first_shifted = first + SHIFT_STEPS[0] * SHIFT_STEP_EV - 1
        onset_ev = torch.tensor([edge.onset_ev for edge in shells], device=device)
        heights = {(element, shell): top for element, shell, top in near_edge.RESONANCE_HEIGHTS}
        resonance = [heights.get((edge.element, edge.shell), 0.0) for edge in shells]
        identifying = [edge.role == "identifying" for edge in shells]
        area = torch.as_tensor(near_edge.white_line_areas_ev(shells), device=device)
        return cls(
            onset_ev=onset_ev,
            identifying=torch.tensor(identifying, device=device),
            resonance=torch.tensor(resonance, device=device),
            bonded=torch.tensor([e in {key[0] for key in heights} for e in ELEMENTS]).to(device),
            rare_earth=torch.tensor([57 <= ATOMIC_NUMBER[e] <= 70 for e in ELEMENTS]).to(device),
            offset_ev=torch.tensor([_two(edge.offsets_ev) for edge in shells], device=device),
            ratio=torch.tensor([_two(edge.ratios) for edge in shells], device=device),
            width_ev=width_ev,
            bound_area_ev=area.float(),
            templates=templates and templates.to(device),
            reference_height=(1 + giant / (HEIGHT_EV[1] - HEIGHT_EV[0] + 1)).to(device),
            of_element=_by_element(range(len(shells)), device=device),
            sets_of_element=_by_element(
                [i for i, known in enumerate(identifying) if known], device=device
            ),
            bank=bank,
            height_rows=_height_rows(rows, onset_ev),
            shifted_rows=_shifted_rows(rows).view(-1, TILE),
            first_tile=(first_shifted.clamp(min=0) / TILE).long(),
        )


@cache
def default_shells(
    device: str, gos_table: str = "builtin", *, lifetime: bool = True, multiplets: bool = True
) -> ShellTables:
    """Tables of the shipped or of published cross-sections, one for all simulators on a device."""
    bank = bank_of(gos_table)
    return ShellTables.build(bank, device=device, lifetime=lifetime, multiplets=multiplets)


def first_tile(shell: torch.Tensor, shift_steps: torch.Tensor) -> torch.Tensor:
    """First tiles in `ShellTables.shifted_rows` of shells moved by steps: (P, TERMS)."""
    row = shell[:, None] * TERMS + torch.arange(TERMS, device=shell.device)
    fewest, most = SHIFT_STEPS
    return (row * (most - fewest + 1) + (shift_steps - fewest)[:, None]) * TILES


@dataclass(frozen=True, eq=False)
class Queries:
    """Compounds by element.

    offsets (81,), rows (m,) : the compounds of element e are rows[offsets[e] : offsets[e + 1]]
    elements : those that have any
    """

    offsets: torch.Tensor
    rows: torch.Tensor
    elements: torch.Tensor

    @classmethod
    def build(cls, queries: QueryIndex, *, device: str) -> Queries:
        """The same index as tensors."""
        offsets, rows = (torch.as_tensor(x).to(device) for x in (queries.offsets, queries.rows))
        return cls(offsets, rows, (offsets.diff() > 0).nonzero().squeeze(1))


@dataclass(frozen=True, eq=False)
class MaterialTables:
    """Compounds to draw from.

    elements, amounts : (n, k), label and atomic fraction; -1 and 0 pad
    asked : the queries of spectra; others : those of second phases
    """

    elements: torch.Tensor
    amounts: torch.Tensor
    asked: Queries
    others: Queries

    @classmethod
    def build(cls, materials: Materials, queries: QueryIndex, *, device: str) -> MaterialTables:
        """Tables of a list of materials and of those to be drawn per element."""
        labels, fractions = materials.padded()
        asked = Queries.build(queries, device=device)
        elements, amounts = (torch.as_tensor(x).to(device) for x in (labels, fractions))
        return cls(elements, amounts, asked, asked)

    def asking(self, queries: QueryIndex) -> MaterialTables:
        """The same compounds and second phases, the spectra with other queries."""
        return replace(self, asked=Queries.build(queries, device=str(self.elements.device)))


def _by_element(shells, *, device: str) -> torch.Tensor:
    """(80, most shells) long: the given shells of each element, -1 where a list has ended."""
    lists: list[list[int]] = [[] for _ in ELEMENTS]
    for i in shells:
        lists[edge_shells()[i].label].append(i)
    longest = max(map(len, lists))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in lists], device=device)


def _two(values) -> list[float]:
    return [float(value) for value in (*values, 0.0, 0.0)[:2]]


def _height_rows(rows: torch.Tensor, onset_ev: torch.Tensor) -> torch.Tensor:
    first, last = near_edge.HEIGHT_EV
    past = torch.arange(rows.shape[-1], device=rows.device) - onset_ev[:, None]
    near = ((past >= first) & (past <= last)).to(rows.dtype)
    return torch.einsum("sre,se->sr", rows, near / near.sum(1, keepdim=True))


def _continuum_shares(shells: Sequence[EdgeShell], n: int) -> torch.Tensor:
    """What is left of n channels of each row (S, n) where lines stand for measured maxima."""
    tables, channel = read_gosh(), np.arange(float(n))
    shares = torch.ones(len(shells), n)
    for row, edge in zip(shares, shells, strict=True):
        measured = tables[edge.element, edge.shell].measured
        if measured is not None and multiplets_of(edge.element, edge.shell):
            table_ev, optical = measured.onset_ev + measured.free_energy_ev, measured.gos_per_ev[0]
            row.copy_(torch.from_numpy(continuum_share(table_ev, optical, edge, channel)))
    return shares


def _broadened(rows: torch.Tensor, width_ev: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (S, TERMS, n) folded with Lorentzians of FWHM (S,), and their first channels (S,).

    The fold is a factor exp(-width |w| / 2) over frequency, with the rows mirrored at their upper
    end, so that nothing ends there. Before the onset the foot fades to zero over some widths.
    """
    n = rows.shape[-1]
    omega = torch.fft.rfftfreq(2 * n, device=rows.device) * (2 * torch.pi)
    decay = torch.exp(-width_ev[:, None, None] / 2 * omega)
    mirrored = torch.cat([rows, rows.flip(-1)], -1)
    folded = torch.fft.irfft(torch.fft.rfft(mirrored) * decay, n=2 * n)[..., :n]
    onset = (rows != 0).any(1).to(torch.uint8).argmax(1)  # of a measured variant: its own
    reach = 2 + _LIFETIME_REACH * width_ev
    before = onset[:, None] - torch.arange(n, device=rows.device)
    foot = (2 * (1 - before / reach[:, None])).clamp(0, 1)
    return folded * (foot**2 * (3 - 2 * foot))[:, None], onset - reach


def _shifted_rows(rows: torch.Tensor) -> torch.Tensor:
    steps = torch.arange(SHIFT_STEPS[0], SHIFT_STEPS[1] + 1) * SHIFT_STEP_EV
    shifted = rows.new_empty(*rows.shape[:-1], len(steps), rows.shape[-1])
    for i, shift in enumerate(steps.tolist()):  # in place: half a gigabyte is not held twice
        shifted[..., i, :] = _shift(rows, shift)
    return shifted.view(-1, rows.shape[-1])


def _shift(rows: torch.Tensor, shift_ev: float) -> torch.Tensor:
    """Rows moved up in energy by `shift_ev`, linear between channels, the first value repeated."""
    whole = int(shift_ev // 1)
    fraction = shift_ev - whole
    n = rows.shape[-1]
    channel = torch.arange(n, device=rows.device) - whole
    upper = rows[..., channel.clamp(0, n - 1)]
    lower = rows[..., (channel - 1).clamp(0, n - 1)]
    return (1 - fraction) * upper + fraction * lower
