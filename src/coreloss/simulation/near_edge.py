"""Structure near and past an edge as strips: generic peaks, pi*/sigma* resonances, white lines,
extended oscillations.

A strip is a piece of `STRIP_CHANNELS` channels that begins a few channels before an edge. Adding
short strips costs a tenth of adding full-length Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy import constants
from scipy.ndimage import gaussian_filter1d

from coreloss.edges import EdgeShell
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import continuum_share, cumulative, multiplets_of
from coreloss.physics.scattering import STRIP_CHANNELS, fine_structure_strips, lifetime_width_ev
from coreloss.physics.white_lines import bound_oscillator_strengths
from coreloss.simulation.sampling import chance, log_uniform, normal, uniform
from coreloss.simulation.settings import SimulationSettings

STRIP_LEAD_EV = 6
OSCILLATION_CHANNELS = 192
N_GENERIC = 5
_OSCILLATION_BEGIN_EV = (12.0, 30.0)  # from none to all: nearer, the curved-wave picture fails
_NEIGHBOUR_ANGSTROM = (1.4, 3.2)
_MEAN_SQUARE_ANGSTROM2 = (0.003, 0.02)  # of the distance to the neighbours
_K2_PER_EV = 2 * constants.m_e * constants.e / constants.hbar**2 * 1e-20  # 1/(Angstrom^2 eV)
TEMPLATE_CHANNELS, TEMPLATE_LEAD_EV = 128, 24
PHASES = 4
"""Positions of a template between two channels."""
TEMPLATE_WIDTHS = ((0.75, 0.5), (1.1, 1.0), (1.7, 1.8))
"""Factors of the width of giant resonances, and Gaussian widths (FWHM, eV) of all lines: bands of
the solid and phonons."""
_SIGMA = 1 / (2 * math.sqrt(2 * math.log(2)))
HEIGHT_EV = (4, 40)
"""First and last energy past the onset, whose mean cross-section is the height of an edge."""
RESONANCE_HEIGHTS = (
    *((element, "K", 8.0) for element in ("B", "C", "N", "O", "F")),
    *((element, "K", 3.0) for element in ("Be", "Na", "Mg", "Al", "Si", "P", "S", "Cl")),
    *((element, "L23", 5.0) for element in ("Mg", "Al", "Si", "P", "S", "Cl")),
)
"""Shells whose electrons are scattered by the nearest atoms more than elsewhere: element, shell and
largest height of the resonances, edge height = 1."""
RESONANCE_STEPS_EV = ((0.3, 7.0), (3.0, 11.0), (4.0, 14.0), (8.0, 28.0))
"""Limits of the first resonance behind the onset, and of each next one behind the one before."""
_RESONANCE_DECAY = (1.0, 0.6, 0.4, 0.25)
_HEIGHT_TIMES_FWHM = 2 * math.sqrt(math.log(2) / math.pi)  # of a Gaussian of unit area


@dataclass(frozen=True)
class Peaks:
    """Gaussian peaks of several edges.

    edge : (m,) long, which edge of the caller's list
    onset_ev : (m,) where the structure begins; nothing is added before it
    position_ev, fwhm_ev, height : (m, n); position relative to the onset, height in edge heights
    """

    edge: torch.Tensor
    onset_ev: torch.Tensor
    position_ev: torch.Tensor
    fwhm_ev: torch.Tensor
    height: torch.Tensor


def generic_peaks(onset_ev, settings: SimulationSettings, *, generator) -> Peaks:
    """Random Gaussians behind every onset, broadened by the lifetime of the ejected electron.

    Their number, region and height are random; the width grows with the distance from the onset
    as Gamma = hbar v / lambda_i (Seah and Dench 1979; Annys et al. 2023).
    """
    n = len(onset_ev)
    region = uniform((n, 1), settings.fine_structure_region_ev, generator=generator)
    position = region * uniform((n, N_GENERIC), (0.0, 1.0), generator=generator)
    monolayer = uniform((n, 1), settings.monolayer_nm, generator=generator)
    fwhm = lifetime_width_ev(position.clamp(min=0.5), atom_size_nm=monolayer).clamp(0.8, 30.0)
    scale = log_uniform((n, 1), settings.fine_structure_height, generator=generator)
    height = scale * normal((n, N_GENERIC), 1.0, generator=generator)
    height = torch.where(height < 0, 0.4 * height, height).clamp(min=-0.5)
    strong = chance((n,), settings.strong_peak_probability, generator=generator)
    strong_height = log_uniform((n,), (1.0, 10.0), generator=generator)
    height[:, 0] = torch.where(strong, strong_height, height[:, 0])
    height = height * torch.exp(-position / region)
    return Peaks(torch.arange(n, device=onset_ev.device), onset_ev, position, fwhm, height)


def resonances(onset_ev, largest, settings: SimulationSettings, *, generator) -> Peaks:
    """Resonances of light elements, for edges with a ``largest`` height (m,) above 0.

    A sharp first peak (pi* in bonds that have one) and three more, ever broader and farther apart,
    up to `largest` edge heights: the span of boron nitride, nitrogen gas, graphite, carbonates,
    oxides and of the L edges of alumina and silica. In half of them the smooth edge begins only at
    the second peak, as in bonded layers: what lies before is taken away, most often nearly all.
    """
    keep = chance(onset_ev.shape, settings.resonance_probability, generator=generator)
    edge = (keep & (largest > 0)).nonzero().squeeze(1)
    n = len(edge)
    steps = [uniform((n, 1), s, generator=generator) for s in RESONANCE_STEPS_EV]
    position = torch.cat(steps, 1).cumsum(1)
    fwhm = uniform((n, 4), (0.8, 3.0), generator=generator) * (1 + position / 12)
    low, high = math.log(0.2), largest[edge, None].log()
    height = uniform((n, 4), (low, high), generator=generator).exp()
    height *= torch.tensor(_RESONANCE_DECAY, device=height.device)
    delay = position[:, 1:2]
    depth = 1 - 0.8 * uniform((n, 1), (0.0, 1.0), generator=generator) ** 2
    depth = depth * chance((n, 1), 0.5, generator=generator)
    # Two Gaussians side by side are flat between the onset and the delayed edge.
    return Peaks(
        edge,
        onset_ev[edge],
        torch.cat([position, delay / 4, 3 * delay / 4], 1),
        torch.cat([fwhm, delay / 2, delay / 2], 1),
        torch.cat([height, -depth, -depth], 1),
    )


def white_lines(
    onset_ev, area_ev, offset_ev, ratio, width_ev, settings: SimulationSettings, *, generator
) -> Peaks:
    """Bound transitions into empty d and f states, one line (of two components) per subshell.

    Parameters
    ----------
    onset_ev : (m,); area_ev : (m,), the vacancy-weighted bound strength over the GOS just above the
        onset, so that it is an area in edge heights times eV
    offset_ev, ratio, width_ev : (m, 2), subshell onsets relative to the first, statistical weights
        (zero for a missing subshell) and natural widths of the core hole
    """
    n = len(onset_ev)
    factor = uniform((n, 1), settings.white_line_factor, generator=generator)
    branching = normal((n, 1), settings.branching_spread, generator=generator).exp()
    moved = normal((n,), settings.split_shift_ev, generator=generator)
    offset_ev = torch.stack([offset_ev[:, 0], offset_ev[:, 1] + moved], 1)
    share = ratio.clone()
    share[:, :1] *= branching
    share = share / share.sum(1, keepdim=True).clamp(min=1e-9)
    line_area = (area_ev[:, None] * factor * share).reshape(-1, 1)
    start = (onset_ev[:, None] + offset_ev).reshape(-1)
    edge = torch.arange(n, device=onset_ev.device).repeat_interleave(2)
    keep = ((area_ev[:, None] > 0) & (ratio > 0)).reshape(-1).nonzero().squeeze(1)
    m = len(keep)
    centre = 1.3 + normal((n, 1), 0.8, generator=generator)  # one shift for both subshells
    centre = centre.expand(n, 2).reshape(-1, 1)[keep]
    split = uniform((m, 1), (0.0, 3.0), generator=generator)
    position = torch.cat([centre, centre + split], 1)
    fwhm = log_uniform((m, 1), (0.9, 4.0), generator=generator)
    fwhm = (fwhm**2 + width_ev.reshape(-1, 1)[keep] ** 2).sqrt()
    weight = uniform((m, 1), (0.3, 1.0), generator=generator)
    area = line_area[keep] * torch.cat([weight, 1 - weight], 1)
    height = area * (_HEIGHT_TIMES_FWHM / fwhm)
    return Peaks(edge[keep], start[keep], position, fwhm.expand(m, 2), height)


def oscillations(
    onset_ev, settings: SimulationSettings, *, generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Extended fine structure of one shell of neighbours at distance R, for some of the edges.

    ``A (3/k)^2 sin(2 k R + phase) exp[-2 s^2 (k^2 - 9)]`` times the edge, with k in 1/Angstrom of
    the ejected electron and s^2 the mean square of R (Egerton 2011, section 4.6.1). The edge itself
    is taken to fall as E^-3.

    Returns
    -------
    edge : (m,) long, which edges; first : (m,) long, channel of the first value
    values : (m, OSCILLATION_CHANNELS), in edge heights
    """
    edge = chance(onset_ev.shape, settings.exelfs_probability, generator=generator).nonzero()
    edge = edge.squeeze(1)
    n = (len(edge), 1)
    amplitude = log_uniform(n, settings.exelfs_amplitude, generator=generator)
    distance = uniform(n, _NEIGHBOUR_ANGSTROM, generator=generator)
    phase = uniform(n, (0.0, 2 * math.pi), generator=generator)
    spread = uniform(n, _MEAN_SQUARE_ANGSTROM2, generator=generator)
    onset = onset_ev[edge]
    first = (onset + _OSCILLATION_BEGIN_EV[0]).floor().long()
    past = (first - onset)[:, None] + torch.arange(OSCILLATION_CHANNELS, device=onset.device)
    k2 = _K2_PER_EV * past
    begin, full = _OSCILLATION_BEGIN_EV
    envelope = ((past - begin) / (full - begin)).clamp(0, 1) * (9 / k2)
    envelope = envelope * torch.exp(-2 * spread * (k2 - 9)) / (1 + past / onset[:, None]) ** 3
    return edge, first, amplitude * envelope * torch.sin(2 * k2.sqrt() * distance + phase)


@dataclass(frozen=True, eq=False)
class Templates:
    """Spectra of all ions of `physics.multiplets`, ready to be added at an edge.

    values (m, PHASES, TEMPLATE_CHANNELS) : in edge heights, for every ion and width; phase p is
        moved up by p / `PHASES` eV
    first (S,), count (S,) long : which rows are those of a shell; count 0 where it has none
    area_ev (S,) : mean area of a shell's rows, in edge heights times eV
    split_ev (S,) : from the first white line to the second, 0 for giant resonances
    """

    values: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    area_ev: torch.Tensor
    split_ev: torch.Tensor

    @classmethod
    def build(cls, shells: Sequence[EdgeShell], heights_per_ev: np.ndarray) -> Templates:
        """Templates for shells whose optical GOS behind the onset is (S,) per eV."""
        fine_ev = np.arange(PHASES * (TEMPLATE_CHANNELS + 1)) / PHASES
        fine_ev -= TEMPLATE_LEAD_EV + 0.5 + (PHASES - 1) / PHASES
        values: list[np.ndarray] = []
        counts, areas = [], []
        for edge, height in zip(shells, heights_per_ev, strict=True):
            ions = multiplets_of(edge.element, edge.shell)
            for ion, (scale, fwhm_ev) in product(ions, TEMPLATE_WIDTHS):
                below = cumulative(ion, edge, fine_ev, scale=scale) / height
                below = gaussian_filter1d(below, PHASES * fwhm_ev * _SIGMA, mode="nearest")
                phases = below.reshape(-1, PHASES).T[::-1]  # phase p begins p quarters earlier
                values.append(np.diff(phases, axis=1))
            counts.append(len(ions) * len(TEMPLATE_WIDTHS))
            area = sum(ion.oscillator_strength for ion in ions) / max(len(ions), 1)
            areas.append(area / height)
        count = torch.tensor(counts)
        rows = torch.tensor(np.array(values), dtype=torch.float32)
        splits = [edge.offsets_ev[-1] * (edge.shell != "N45") for edge in shells]
        per_shell = (torch.tensor(x, dtype=torch.float32) for x in (areas, splits))
        return cls(rows, count.cumsum(0) - count, count, *per_shell)

    def to(self, device: str) -> Templates:
        """Copy on another device."""
        return Templates(*(value.to(device) for value in vars(self).values()))


def multiplet_strips(
    onset_ev, shell, templates: Templates, settings: SimulationSettings, *, generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """White lines and giant resonances of ions, for shells (m,) that have `Templates`.

    An ion of the table and a width at random. Strength, position and the ratio of the two white
    lines vary: bonds and bands change what the free ion has.

    Returns
    -------
    first : (m,) long, channel of the first value; values : (m, TEMPLATE_CHANNELS), in edge heights
    """
    n = len(shell)
    number = uniform((n,), (0.0, 1.0), generator=generator) * templates.count[shell]
    row = templates.first[shell] + number.long().minimum(templates.count[shell] - 1)
    factor = uniform((n,), settings.multiplet_factor, generator=generator)
    at = onset_ev + normal((n,), settings.multiplet_shift_ev, generator=generator)
    step = (at * PHASES).round().long()
    first = step // PHASES - TEMPLATE_LEAD_EV
    values = templates.values[row, step % PHASES] * factor[:, None]
    spread = 0.5 * settings.branching_spread * (templates.split_ev[shell] > 0)
    ratio = (spread * normal((n,), 1.0, generator=generator)).exp()
    past = torch.arange(TEMPLATE_CHANNELS, device=shell.device) - TEMPLATE_LEAD_EV
    before = torch.sigmoid(2 * (templates.split_ev[shell, None] / 2 - past))
    return first, values * (1 + (ratio - 1)[:, None] * before)


def optical_heights_per_ev(shells: Sequence[EdgeShell], *, multiplets: bool) -> np.ndarray:
    """Height of each edge as df/dE (q -> 0), mean over `HEIGHT_EV`, (S,).

    With ``multiplets``, measured photoabsorption counts without the maximum that lines stand for.
    """
    tables, past_ev = read_gosh(), np.arange(HEIGHT_EV[0], HEIGHT_EV[1] + 1)
    heights = np.zeros(len(shells))
    for i, edge in enumerate(shells):
        table = tables[edge.element, edge.shell]
        loss_ev, share = table.onset_ev + past_ev, np.ones(len(past_ev))
        if multiplets and table.measured and multiplets_of(edge.element, edge.shell):
            table = table.measured
            table_ev = table.onset_ev + table.free_energy_ev
            share = continuum_share(table_ev, table.gos_per_ev[0], edge, loss_ev)
        free_ev = loss_ev - table.onset_ev
        heights[i] = (share * np.interp(free_ev, table.free_energy_ev, table.gos_per_ev[0])).mean()
    return heights


def white_line_areas_ev(shells: Sequence[EdgeShell]) -> np.ndarray:
    """Area of the white lines of each shell, in edge heights times eV; 0 where there are none.

    Vacancy-weighted bound strength over the optical height of the edge. Shells whose tables follow
    measured photoabsorption hold their resonances already; K shells have `resonances`.
    """
    strengths = [bound_oscillator_strengths(state) for state in ("frozen", "core_hole")]
    strength = {key: sum(f[key] for f in strengths) / 2 for key in strengths[0]}
    # Full shells of the atom that have one hole in the common cation, like the elements before.
    strength["Cu", "L23"] = strength["Ni", "L23"] / 2  # Cu2+ d9, Ni d8
    strength["Yb", "M45"] = strength["Tm", "M45"]  # Yb3+ f13, Tm f13
    tables, heights = read_gosh(), optical_heights_per_ev(shells, multiplets=False)
    areas = np.zeros(len(shells))
    for i, edge in enumerate(shells):
        key = (edge.element, edge.shell)
        if key in strength and edge.shell != "K" and tables[key].measured is None:
            areas[i] = strength[key] / heights[i]
    return areas


def strips(peaks: Peaks) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw peaks on the 1 eV axis.

    Returns
    -------
    first : (m,) long, channel of the first strip value
    values : (m, STRIP_CHANNELS), in edge heights; only the rise of the lines before the onset
    """
    first = peaks.onset_ev.floor().long() - STRIP_LEAD_EV
    onset = peaks.onset_ev - first  # within the strip: small numbers keep float32 accurate
    values = fine_structure_strips(onset[:, None] + peaks.position_ev, peaks.fwhm_ev, peaks.height)
    channel = torch.arange(STRIP_CHANNELS, device=first.device)
    return first, values * torch.sigmoid(2.5 * (channel - onset[:, None] + 0.5))
