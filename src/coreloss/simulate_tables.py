"""Constant tables of the simulator: all edge shells and all materials as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from coreloss import near_edge
from coreloss.cross_section_bank import CrossSectionBank, default_bank
from coreloss.edges import ELEMENTS, edge_shells
from coreloss.materials import Materials, QueryIndex

SHIFT_STEP_EV = 0.5
MAX_SHIFT_STEPS = 8
RANK = 3
"""Terms of the low-rank cross-sections in use: 0.3 % of an edge's maximum (median), 5 % at worst,
below the spread between GOS models that `SimulationSettings.cross_section_error` stands for."""


@dataclass(frozen=True, eq=False)
class ShellTables:
    """The shells of `edges.edge_shells`, S of them; s is the most shells of one element.

    onset_ev, bound_area_ev (S,) float; identifying, resonant (S,) bool
    offset_ev, ratio : (S, 2), subshell onsets behind the first, and occupancy ratios
    of_element, sets_of_element : (80, s) long, shells and identifying sets, -1 pads
    bank : low-rank cross-sections; height_rows (S, RANK), mean of its rows behind the onset
    shifted_rows : (S * RANK * shifts, channels), its rows moved by `shifts` steps of 0.5 eV
    """

    onset_ev: torch.Tensor
    identifying: torch.Tensor
    resonant: torch.Tensor
    offset_ev: torch.Tensor
    ratio: torch.Tensor
    bound_area_ev: torch.Tensor
    of_element: torch.Tensor
    sets_of_element: torch.Tensor
    bank: CrossSectionBank
    height_rows: torch.Tensor
    shifted_rows: torch.Tensor

    @classmethod
    def build(cls, bank: CrossSectionBank, *, device: str) -> ShellTables:
        """Tables for a bank of all shells."""
        shells, bank = edge_shells(), bank.to(device)
        onset_ev = torch.tensor([edge.onset_ev for edge in shells], device=device)
        resonant = [
            edge.shell == "K" and edge.element in near_edge.RESONANT_ELEMENTS for edge in shells
        ]
        identifying = [edge.role == "identifying" for edge in shells]
        area = torch.as_tensor(near_edge.white_line_areas_ev(shells), device=device)
        return cls(
            onset_ev=onset_ev,
            identifying=torch.tensor(identifying, device=device),
            resonant=torch.tensor(resonant, device=device),
            offset_ev=torch.tensor([_two(edge.offsets_ev) for edge in shells], device=device),
            ratio=torch.tensor([_two(edge.ratios) for edge in shells], device=device),
            bound_area_ev=area.float(),
            of_element=_by_element(range(len(shells)), device=device),
            sets_of_element=_by_element(
                [i for i, known in enumerate(identifying) if known], device=device
            ),
            bank=bank,
            height_rows=_height_rows(bank.rows[:, :RANK], onset_ev),
            shifted_rows=_shifted_rows(bank.rows[:, :RANK]),
        )


@cache
def default_shells(device: str) -> ShellTables:
    """Tables of the shipped cross-sections, one for all simulators on a device."""
    return ShellTables.build(default_bank(), device=device)


def shifted_row(shell: torch.Tensor, shift_steps: torch.Tensor) -> torch.Tensor:
    """Rows of `ShellTables.shifted_rows` that belong to shells moved by steps: (P, RANK)."""
    row = shell[:, None] * RANK + torch.arange(RANK, device=shell.device)
    return row * (2 * MAX_SHIFT_STEPS + 1) + (shift_steps + MAX_SHIFT_STEPS)[:, None]


@dataclass(frozen=True, eq=False)
class MaterialTables:
    """Compounds to draw from.

    elements, amounts : (n, k), label and atomic fraction; -1 and 0 pad
    offsets (81,), rows (m,) : the compounds of element e are rows[offsets[e] : offsets[e + 1]]
    queried : elements that have any
    """

    elements: torch.Tensor
    amounts: torch.Tensor
    offsets: torch.Tensor
    rows: torch.Tensor
    queried: torch.Tensor

    @classmethod
    def build(cls, materials: Materials, queries: QueryIndex, *, device: str) -> MaterialTables:
        """Tables of a list of materials and of those to be drawn per element."""
        labels, fractions = materials.padded()
        offsets = torch.as_tensor(queries.offsets).to(device)
        return cls(
            elements=torch.as_tensor(labels).to(device),
            amounts=torch.as_tensor(fractions).to(device),
            offsets=offsets,
            rows=torch.as_tensor(queries.rows).to(device),
            queried=(offsets.diff() > 0).nonzero().squeeze(1),
        )


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


def _shifted_rows(rows: torch.Tensor) -> torch.Tensor:
    steps = torch.arange(-MAX_SHIFT_STEPS, MAX_SHIFT_STEPS + 1) * SHIFT_STEP_EV
    shifted = torch.stack([_shift(rows, float(shift)) for shift in steps], 2)
    return shifted.reshape(-1, rows.shape[-1])


def _shift(rows: torch.Tensor, shift_ev: float) -> torch.Tensor:
    """Rows moved up in energy by `shift_ev`, linear between channels, the first value repeated."""
    whole = int(shift_ev // 1)
    fraction = shift_ev - whole
    n = rows.shape[-1]
    channel = torch.arange(n, device=rows.device) - whole
    upper = rows[..., channel.clamp(0, n - 1)]
    lower = rows[..., (channel - 1).clamp(0, n - 1)]
    return (1 - fraction) * upper + fraction * lower
