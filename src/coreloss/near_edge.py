"""Near-edge structure as short strips: generic peaks, pi*/sigma* resonances, white lines.

A strip is `STRIP_EV` channels of a spectrum, beginning a few channels before an edge. Adding short
strips costs a tenth of adding full-length Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coreloss.sampling import chance, log_uniform, normal, uniform
from coreloss.scattering import lifetime_width_ev
from coreloss.settings import SimulationSettings

STRIP_EV = 96
STRIP_LEAD_EV = 6
RESONANT_ELEMENTS = ("B", "C", "N", "O", "F")
_SIGMA_PER_FWHM = 0.42466


@dataclass(frozen=True)
class Peaks:
    """Peaks of several edges.

    edge : (m,) long, which edge of the caller's list
    onset_ev : (m,) where the structure begins; nothing is added before it
    position_ev, sigma_ev, area_ev : (m, n), relative to the onset; the area is in units of
        edge height times eV
    """

    edge: torch.Tensor
    onset_ev: torch.Tensor
    position_ev: torch.Tensor
    sigma_ev: torch.Tensor
    area_ev: torch.Tensor


def generic_peaks(onset_ev, settings: SimulationSettings, *, generator, n_peaks: int = 4) -> Peaks:
    """Random Gaussians behind every onset, broadened by the lifetime of the ejected electron.

    Their number, region and height are random; the width grows with the distance from the onset
    as Gamma = hbar v / lambda_i (Seah and Dench 1979; Annys et al. 2023).
    """
    n = len(onset_ev)
    region = uniform((n, 1), settings.fine_structure_region_ev, generator=generator)
    position = region * uniform((n, n_peaks), (0.0, 1.0), generator=generator)
    monolayer = uniform((n, 1), settings.monolayer_nm, generator=generator)
    fwhm = lifetime_width_ev(position.clamp(min=0.5), monolayer_nm=monolayer).clamp(0.8, 30.0)
    scale = log_uniform((n, 1), settings.fine_structure_height, generator=generator)
    height = scale * normal((n, n_peaks), 1.0, generator=generator)
    height = torch.where(height < 0, 0.4 * height, height).clamp(min=-0.5)
    strong = chance((n,), settings.strong_peak_probability, generator=generator)
    strong_height = log_uniform((n,), (1.0, 10.0), generator=generator)
    height[:, 0] = torch.where(strong, strong_height, height[:, 0])
    sigma = _SIGMA_PER_FWHM * fwhm
    area = height * torch.exp(-position / region) * sigma * 2.50663
    return Peaks(torch.arange(n, device=onset_ev.device), onset_ev, position, sigma, area)


def resonances(onset_ev, resonant, settings: SimulationSettings, *, generator) -> Peaks:
    """pi* and sigma* peaks of light-element K edges, for the edges where `resonant` is true.

    pi* 0.3..7 eV and sigma* 4..18 eV above the onset, 0.8..4.5 eV wide, up to 8 edge heights:
    the span of boron nitride, nitrogen gas, graphite, carbonates and oxides.
    """
    keep = resonant & chance(onset_ev.shape, settings.resonance_probability, generator=generator)
    edge = keep.nonzero().squeeze(1)
    n = len(edge)
    pi_star = uniform((n, 1), (0.3, 7.0), generator=generator)
    sigma_star = uniform((n, 2), (4.0, 18.0), generator=generator)
    position = torch.cat([pi_star, sigma_star], 1)
    sigma = _SIGMA_PER_FWHM * uniform((n, 3), (0.8, 4.5), generator=generator)
    sigma[:, 1:] *= uniform((n, 2), (1.0, 2.5), generator=generator)
    height = log_uniform((n, 3), (0.1, 8.0), generator=generator)
    height[:, 1:] *= 0.4
    return Peaks(edge, onset_ev[edge], position, sigma, height * sigma * 2.50663)


def white_lines(
    onset_ev, area_ev, offset_ev, ratio, settings: SimulationSettings, *, generator
) -> Peaks:
    """Bound transitions into empty d and f states, one line (of two components) per subshell.

    Parameters
    ----------
    onset_ev : (m,); area_ev : (m,), the vacancy-weighted bound strength over the GOS just above the
        onset, so that it is an area in edge heights times eV
    offset_ev, ratio : (m, 2), subshell onsets relative to the first, and statistical weights
        (zero for a missing subshell)
    """
    n = len(onset_ev)
    factor = uniform((n, 1), settings.white_line_factor, generator=generator)
    branching = 1 + normal((n, 1), 0.2, generator=generator)
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
    weight = uniform((m, 1), (0.3, 1.0), generator=generator)
    area = line_area[keep] * torch.cat([weight, 1 - weight], 1)
    sigma = (_SIGMA_PER_FWHM * fwhm).expand(m, 2)
    return Peaks(edge[keep], start[keep], position, sigma, area)


def strips(peaks: Peaks) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw peaks on the 1 eV axis.

    Returns
    -------
    first : (m,) long, channel of the first strip value
    values : (m, STRIP_EV), in edge heights; nothing before the onset but the rise of the lines
    """
    first = peaks.onset_ev.floor().long() - STRIP_LEAD_EV
    channel = torch.arange(STRIP_EV, device=first.device, dtype=torch.float32)
    # Energies relative to the onset: small numbers keep float32 accurate.
    energy = channel[None] - STRIP_LEAD_EV - (peaks.onset_ev - peaks.onset_ev.floor())[:, None]
    sigma = (peaks.sigma_ev**2 + 0.3**2).sqrt()  # a channel is 1 eV wide
    values = torch.zeros(len(first), STRIP_EV, device=first.device)
    for k in range(sigma.shape[1]):
        argument = (energy - peaks.position_ev[:, k, None]) / sigma[:, k, None]
        height = peaks.area_ev[:, k, None] / (2.50663 * sigma[:, k, None])
        values += height * torch.exp(-0.5 * argument * argument)
    values *= torch.sigmoid(2.5 * (energy + 0.5))
    return first, values
