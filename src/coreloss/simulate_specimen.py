"""What is measured, and where: window, specimen, and the edges that it brings into the spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENTS, MARGIN_AFTER_EV, MARGIN_BEFORE_EV
from coreloss.sampling import chance, log_uniform, normal, pick, uniform
from coreloss.scattering import STRIP_CHANNELS
from coreloss.settings import SimulationSettings
from coreloss.simulate_tables import (
    MAX_SHIFT_STEPS,
    RANK,
    SHIFT_STEP_EV,
    MaterialTables,
    ShellTables,
)


@dataclass(frozen=True, eq=False)
class Window:
    """Query element and first and last energy of the window, (B,) each."""

    query: torch.Tensor
    lo_ev: torch.Tensor
    hi_ev: torch.Tensor

    def mask(self, energy_ev: torch.Tensor) -> torch.Tensor:
        """Channels inside the window, (B, n) bool."""
        return (energy_ev >= self.lo_ev[:, None]) & (energy_ev <= self.hi_ev[:, None])


@dataclass(frozen=True, eq=False)
class Specimen:
    """What the spectra are taken of: element labels and amounts, (B, k); -1 and 0 pad."""

    elements: torch.Tensor
    amounts: torch.Tensor

    def amount_per_element(self) -> torch.Tensor:
        """Atomic fractions of the 80 elements, (B, 80); rows add up to 1."""
        n = len(ELEMENTS)
        amount = torch.zeros(len(self.elements), n + 1, device=self.elements.device)
        amount.scatter_add_(1, self.elements % (n + 1), self.amounts)
        return amount[:, :n] / amount[:, :n].sum(1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Pairs:
    """All (spectrum, edge shell) pairs of a batch, ordered by spectrum; P pairs.

    spectrum, shell, element : (P,) long; onset_ev : (P,), shifted
    coefficients : (P, RANK), of the cross-section rows; shift_step : (P,) long
    height : (P,), mean cross-section past the onset; inside, near : (P,) bool, onset in the window
        with its margins, or close enough to leave near-edge structure in it
    """

    spectrum: torch.Tensor
    shell: torch.Tensor
    element: torch.Tensor
    onset_ev: torch.Tensor
    shift_step: torch.Tensor
    coefficients: torch.Tensor
    height: torch.Tensor
    inside: torch.Tensor
    near: torch.Tensor


def draw_window(n: int, shells: ShellTables, materials: MaterialTables, settings, *, generator):
    """A query element and a window in which one of its edge sets counts: `Window` of n spectra."""
    s = settings
    query = _draw_element(n, materials, generator)
    sets = shells.sets_of_element[query]
    chosen = sets.gather(1, pick(sets >= 0, generator=generator)[:, None]).squeeze(1)
    onset = shells.onset_ev[chosen]
    width = log_uniform((n,), s.window_width_ev, generator=generator)
    wide = chance((n,), s.wide_window_probability, generator=generator)
    wide_width = uniform((n,), (1000.0, s.window_width_ev[1]), generator=generator)
    width = torch.where(wide, wide_width, width)
    last = (onset - MARGIN_BEFORE_EV).floor()
    first = (onset + MARGIN_AFTER_EV - width).clamp(min=s.window_start_min_ev)
    lo = uniform((n,), (first.minimum(last), last), generator=generator).floor()
    hi = (lo + width).floor().maximum((onset + MARGIN_AFTER_EV).ceil())
    return Window(query, lo, hi.clamp(max=N_CHANNELS - 1))


def draw_specimen(
    query: torch.Tensor, materials: MaterialTables, settings: SimulationSettings, *, generator
) -> Specimen:
    """A compound of the query element, perhaps a second phase, a carbon film, an oxide."""
    s, n = settings, len(query)
    first = _draw_material(query, materials, generator)
    second = _draw_material(_draw_element(n, materials, generator), materials, generator)
    has_second = chance((n,), s.second_phase_probability, generator=generator)
    second_amount = log_uniform((n,), (0.1, 3.0), generator=generator) * has_second
    elements = [materials.elements[first], materials.elements[second]]
    amounts = [materials.amounts[first], materials.amounts[second] * second_amount[:, None]]
    for symbol, probability in (("C", s.carbon_probability), ("O", s.oxygen_probability)):
        has = chance((n, 1), probability, generator=generator)
        amounts.append(log_uniform((n, 1), s.contamination_amount, generator=generator) * has)
        elements.append(torch.full_like(query, ELEMENTS.index(symbol))[:, None])
    amount = torch.cat(amounts, 1)
    return Specimen(torch.where(amount > 0, torch.cat(elements, 1), -1), amount)


def draw_pairs(
    specimen: Specimen,
    window: Window,
    shells: ShellTables,
    settings: SimulationSettings,
    *,
    generator,
) -> Pairs:
    """Microscope, cross-sections and shifts of all shells that begin below the window's end."""
    s, n = settings, len(specimen.elements)
    beam = (
        uniform((n,), s.beam_energy_kev, generator=generator),
        uniform((n,), s.convergence_mrad, generator=generator),
        log_uniform((n,), s.collection_mrad, generator=generator),
    )
    element_shift = normal(specimen.elements.shape, s.chemical_shift_ev, generator=generator)
    candidates = shells.of_element[specimen.elements.clamp(min=0)]  # (B, k, s)
    valid = (specimen.elements >= 0)[:, :, None] & (candidates >= 0)
    valid &= shells.onset_ev[candidates] < window.hi_ev[:, None, None]
    spectrum, slot, _ = valid.nonzero(as_tuple=True)
    shell = candidates[valid]
    shift = element_shift[spectrum, slot]
    shift = shift + normal(shell.shape, s.shell_shift_ev, generator=generator)
    step = (shift / SHIFT_STEP_EV).round().long().clamp(-MAX_SHIFT_STEPS, MAX_SHIFT_STEPS)
    error = normal(shell.shape, s.cross_section_error, generator=generator).exp()
    weight = specimen.amounts[spectrum, slot] * error
    coefficients = shells.bank.coefficients(*(value[spectrum] for value in beam), shell=shell)
    coefficients = coefficients[:, :RANK] * weight[:, None]
    onset = shells.onset_ev[shell]
    return Pairs(
        spectrum=spectrum,
        shell=shell,
        element=specimen.elements[spectrum, slot],
        onset_ev=onset + step * SHIFT_STEP_EV,
        shift_step=step,
        coefficients=coefficients,
        height=(coefficients * shells.height_rows[shell]).sum(1).clamp(min=0),
        inside=(onset >= window.lo_ev[spectrum] + MARGIN_BEFORE_EV)
        & (onset <= window.hi_ev[spectrum] - MARGIN_AFTER_EV),
        near=onset + shells.offset_ev[shell, 1] > window.lo_ev[spectrum] - STRIP_CHANNELS,
    )


def _draw_element(n: int, materials: MaterialTables, generator) -> torch.Tensor:
    queried = materials.queried
    return queried[torch.randint(len(queried), (n,), generator=generator, device=queried.device)]


def _draw_material(element, materials: MaterialTables, generator) -> torch.Tensor:
    first, past = materials.offsets[element], materials.offsets[element + 1]
    position = uniform((len(element),), (0.0, 1.0), generator=generator)
    return materials.rows[first + (position * (past - first)).long().minimum(past - first - 1)]
