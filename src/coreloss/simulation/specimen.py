"""What is measured, and where: window, specimen, and the edges that it brings into the spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coreloss.axis import N_CHANNELS
from coreloss.beam import Beam
from coreloss.edges import ELEMENTS, MARGIN_AFTER_EV, MARGIN_BEFORE_EV
from coreloss.physics.scattering import STRIP_CHANNELS
from coreloss.simulation.sampling import chance, log_uniform, normal, pick, uniform, weighted
from coreloss.simulation.settings import DISPERSIONS_EV, RECORDED_CHANNELS, SimulationSettings
from coreloss.simulation.tables import (
    SHIFT_STEP_EV,
    SHIFT_STEPS,
    TERMS,
    MaterialTables,
    Queries,
    ShellTables,
)

NUISANCE_WINDOW_EV = 60.0
"""Windows lie around edges that identify nothing only above this onset."""
FIT_GAP_EV = 4.0
"""People end the fit of a background so far before an edge."""
TAIL_REACH = 6
"""The tail of an edge is computed up to so many times its onset."""
MIN_RECORDED_CHANNELS = 40
"""A window has at least so many recorded channels."""
STRAY = ("Al", "Si", "Cl", "Fe", "Cu", "Ga", "Pt", "Au")
"""Elements of grids, holders, ion mills and solvents."""
VOLATILE = ("N", "O", "F", "Na", "P", "S", "Cl", "Se", "Br", "I")
"""Elements that an electron beam drives out."""


@dataclass(frozen=True, eq=False)
class Window:
    """What is recorded and what is made of it, (B,) each.

    query : element label; lo_ev, hi_ev : first and last energy
    dispersion : index into `settings.DISPERSIONS_EV`
    fit_end_ev : where a background fit ended that somebody subtracted, 0 for raw spectra
    deconvolved : bool, the plural scattering was taken off too
    """

    query: torch.Tensor
    lo_ev: torch.Tensor
    hi_ev: torch.Tensor
    dispersion: torch.Tensor
    fit_end_ev: torch.Tensor
    deconvolved: torch.Tensor

    def mask(self, energy_ev: torch.Tensor) -> torch.Tensor:
        """Channels inside the window, (B, n) bool, for energies (n,) or (B, n)."""
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
    coefficients : (P, TERMS), of the cross-section rows; shift_step : (P,) long
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
    """A query element and a window in which one of its edge sets counts: `Window` of n spectra.

    Some windows lie around any other edge of the query element, free ones anywhere.
    """
    s = settings
    query = _draw_element(n, materials.asked, generator)
    sets, every = shells.sets_of_element[query], shells.of_element[query]
    chosen = sets.gather(1, pick(sets >= 0, generator=generator)[:, None])
    deep = (every >= 0) & (shells.onset_ev[every] > NUISANCE_WINDOW_EV)
    other = every.gather(1, pick(deep, generator=generator)[:, None])
    nuisance = chance((n, 1), s.nuisance_window_probability, generator=generator)
    chosen = torch.where(nuisance & deep.any(1, keepdim=True), other, chosen)
    onset = shells.onset_ev[chosen].squeeze(1)
    width, dispersion = _draw_width(n, s, generator=generator)
    last = (onset - MARGIN_BEFORE_EV).floor()
    first = (onset + MARGIN_AFTER_EV - width).clamp(min=s.window_start_min_ev)
    lo = uniform((n,), (first.minimum(last), last), generator=generator).floor()
    hi = (lo + width).floor().maximum((onset + MARGIN_AFTER_EV).ceil())
    free = chance((n,), s.free_window_probability, generator=generator)
    highest = N_CHANNELS - s.window_width_ev[0]
    anywhere = log_uniform((n,), (max(s.window_start_min_ev, 1.0), highest), generator=generator)
    lo, hi = torch.where(free, anywhere.floor(), lo), torch.where(free, anywhere + width, hi)
    hi = hi.floor().clamp(max=N_CHANNELS - 1)
    kind = uniform((n,), (0.0, 1.0), generator=generator)
    subtracted = (kind < s.deconvolved_probability + s.subtracted_probability) & ~free
    fit_start = onset - uniform((n,), s.background_fit_ev, generator=generator)
    lo = torch.where(subtracted, fit_start.floor().maximum(lo), lo)
    fit_end = (onset - FIT_GAP_EV) * subtracted
    return Window(query, lo, hi, dispersion, fit_end, kind < s.deconvolved_probability)


def _draw_width(n: int, settings, *, generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Widths in eV and dispersions (as indices): recorded, cropped, arbitrary or wide windows."""
    s = settings
    dispersion = weighted(n, s.dispersion_weights, generator=generator)
    channels = weighted(n, s.recorded_channel_weights, generator=generator)
    dispersion_ev = torch.tensor(DISPERSIONS_EV, device=dispersion.device)[dispersion]
    recorded = torch.tensor(RECORDED_CHANNELS, device=dispersion.device)[channels] * dispersion_ev
    crop = uniform((n,), (0.3, 1.0), generator=generator)
    cropped = chance((n,), s.cropped_window_probability, generator=generator)
    recorded = torch.where(cropped, crop * recorded, recorded).clamp(*s.window_width_ev)
    width = log_uniform((n,), s.window_width_ev, generator=generator)
    as_recorded = chance((n,), s.recorded_window_probability, generator=generator)
    width = torch.where(as_recorded, recorded, width)
    wide = chance((n,), s.wide_window_probability, generator=generator)
    wide_width = uniform((n,), (1000.0, s.window_width_ev[1]), generator=generator)
    width = torch.where(wide, wide_width, width)
    too_coarse = dispersion_ev > width / MIN_RECORDED_CHANNELS
    return width, torch.where(too_coarse, DISPERSIONS_EV.index(1.0), dispersion)


def draw_specimen(
    query: torch.Tensor,
    materials: MaterialTables,
    settings: SimulationSettings,
    *,
    turn: torch.Tensor | None = None,
    generator,
) -> Specimen:
    """A compound of the query element, perhaps a second phase, contamination, damage.

    The compound is drawn, or the one whose turn (B,) it is: 0 is the first one of the element, and
    after the last one comes the first again.
    """
    s, n = settings, len(query)
    first = _draw_material(query, materials.asked, generator, turn)
    second = _draw_element(n, materials.others, generator)
    second = _draw_material(second, materials.others, generator)
    has_second = chance((n,), s.second_phase_probability, generator=generator)
    second_amount = log_uniform((n,), (0.1, 3.0), generator=generator) * has_second
    elements = [materials.elements[first], materials.elements[second]]
    kept = log_uniform((n,), s.damage, generator=generator)
    damaged = chance((n,), s.damage_probability, generator=generator)[:, None]
    damaged = damaged & torch.isin(elements[0], _labels(VOLATILE, query.device))
    amounts = [
        torch.where(damaged, materials.amounts[first] * kept[:, None], materials.amounts[first]),
        materials.amounts[second] * second_amount[:, None],
    ]
    stray = weighted(n, [1.0] * len(STRAY), generator=generator)
    carbon, oxygen = _labels(("C", "O"), query.device).repeat(n, 1).split(1, 1)
    for element, probability, limits in (
        (carbon, s.carbon_probability, s.contamination_amount),
        (oxygen, s.oxygen_probability, s.contamination_amount),
        (carbon, s.hydrocarbon_probability, s.hydrocarbon_amount),
        (_labels(STRAY, query.device)[stray, None], s.stray_probability, s.stray_amount),
    ):
        has = chance((n, 1), probability, generator=generator)
        amounts.append(log_uniform((n, 1), limits, generator=generator) * has)
        elements.append(element)
    amount = torch.cat(amounts, 1)
    return Specimen(torch.where(amount > 0, torch.cat(elements, 1), -1), amount)


def _labels(symbols, device) -> torch.Tensor:
    return torch.tensor([ELEMENTS.index(symbol) for symbol in symbols], device=device)


def draw_beam(n: int, settings: SimulationSettings, *, generator) -> Beam:
    """Voltages and semi-angles of n spectra."""
    s = settings
    return Beam(
        energy_kev=uniform((n,), s.beam_energy_kev, generator=generator),
        convergence_mrad=uniform((n,), s.convergence_mrad, generator=generator),
        collection_mrad=log_uniform((n,), s.collection_mrad, generator=generator),
    )


def draw_pairs(
    specimen: Specimen,
    window: Window,
    shells: ShellTables,
    settings: SimulationSettings,
    *,
    generator,
) -> Pairs:
    """Microscope, cross-sections and shifts of all shells that matter in the window.

    They begin below its end; the tails of those below a sixth of its start are smooth, and part
    of the power law.
    """
    s = settings
    beam = draw_beam(len(specimen.elements), s, generator=generator)
    element_shift = normal(specimen.elements.shape, s.chemical_shift_ev, generator=generator)
    late = uniform(element_shift.shape, s.bonded_shift_ev, generator=generator)
    late *= chance(element_shift.shape, s.bonded_shift_probability, generator=generator)
    bonded = shells.bonded[specimen.elements.clamp(min=0)]
    late *= torch.where(bonded, 1.0, s.bonded_shift_others)
    deep = shells.rare_earth[specimen.elements.clamp(min=0)]
    element_shift = torch.where(deep, 0.5 * element_shift, element_shift + late)
    candidates = shells.of_element[specimen.elements.clamp(min=0)]  # (B, k, s)
    valid = (specimen.elements >= 0)[:, :, None] & (candidates >= 0)
    valid &= shells.onset_ev[candidates] < window.hi_ev[:, None, None]
    valid &= shells.onset_ev[candidates] * TAIL_REACH > window.lo_ev[:, None, None]
    spectrum, slot, _ = valid.nonzero(as_tuple=True)
    shell = candidates[valid]
    shift = element_shift[spectrum, slot]
    shift = shift + normal(shell.shape, s.shell_shift_ev, generator=generator)
    step = (shift / SHIFT_STEP_EV).round().long().clamp(*SHIFT_STEPS)
    error = normal(shell.shape, s.cross_section_error, generator=generator).exp()
    weight = specimen.amounts[spectrum, slot] * error
    coefficients = shells.bank.coefficients(beam=beam.select(spectrum), shell=shell)
    coefficients = coefficients[:, :TERMS] * weight[:, None]
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


def reference_edges(
    pairs: Pairs, window: Window, shells: ShellTables, *, generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Onset and height (B,) of the edge of each spectrum that the background is measured by.

    An identifying edge of the window, any other edge where there is none; where there is no edge,
    the start of the window and the height 1.
    """
    n, device = len(window.lo_ev), pairs.onset_ev.device
    count = torch.bincount(pairs.spectrum, minlength=n)
    first = count.cumsum(0) - count
    number = torch.arange(len(pairs.spectrum), device=device) - first[pairs.spectrum]
    preference = torch.zeros(n, int(count.max()), device=device)
    usable = pairs.inside & (pairs.height > 0)
    preference[pairs.spectrum, number] = usable * (1.0 + shells.identifying[pairs.shell])
    best = preference.amax(1, keepdim=True)
    pair = first + pick(preference == best, generator=generator)
    pair = pair.clamp(max=len(pairs.spectrum) - 1)
    found = best.squeeze(1) > 0
    onset_ev = torch.where(found, pairs.onset_ev[pair], window.lo_ev)
    height = pairs.height[pair] * shells.reference_height[pairs.shell[pair]]
    return onset_ev, torch.where(found, height, 1.0)


def _draw_element(n: int, queries: Queries, generator) -> torch.Tensor:
    some = queries.elements
    return some[torch.randint(len(some), (n,), generator=generator, device=some.device)]


def _draw_material(element, queries: Queries, generator, turn=None) -> torch.Tensor:
    first, past = queries.offsets[element], queries.offsets[element + 1]
    # Drawn in any case: all that is drawn after it is then the same with turns and without.
    position = uniform((len(element),), (0.0, 1.0), generator=generator)
    drawn = (position * (past - first)).long().minimum(past - first - 1)
    return queries.rows[first + (drawn if turn is None else turn % (past - first))]
