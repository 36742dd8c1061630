"""Counts of a simulated superlattice: cross-sections, near-edge structure, scattering, noise."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from coreloss.beam import Beam
from coreloss.edges import EdgeShell, edge_shells
from coreloss.physics.bank import BANK_CHANNELS, bank_of
from coreloss.physics.scattering import (
    N_FFT,
    fine_structure_strips,
    low_loss_transfer,
    plural_background,
    power_law,
)
from coreloss.simulation import near_edge
from coreloss.simulation.detector import counting_noise, spread_points
from coreloss.simulation.near_edge import HEIGHT_EV, Peaks
from coreloss.simulation.sampling import generator_for, normal
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.superlattice.settings import Superlattice

NM2_PER_BARN = 1e-10
PIXELS_TOGETHER = 512
"""Pixels that are computed together."""
LOW_LOSS_EV = (-20.0, 180.0)
"""First and last channel of the low loss."""
NEAR_EDGE = SimulationSettings(
    monolayer_nm=(0.1, 0.25),
    fine_structure_region_ev=(20.0, 60.0),
    fine_structure_height=(0.05, 0.3),
    strong_peak_probability=0.0,
    resonance_probability=1.0,
    white_line_factor=(0.5, 0.9),
    branching_spread=0.1,
    split_shift_ev=0.2,
    exelfs_probability=1.0,
    exelfs_amplitude=(0.02, 0.08),
)
"""Near-edge structure as oxides have it, without the extremes that networks are trained with."""
LARGEST_RESONANCE = 3.0
LINE_RATIOS = {
    ("Ti", "L23"): 0.8,
    ("Ba", "M45"): 0.8,
    ("La", "M45"): 0.8,
    ("Mn", "L23"): 2.5,
}
"""First over second white line where multiplets take it far from the ratio of the electrons: empty
3d (R. D. Leapman and L. A. Grunes, Phys. Rev. Lett. 45 (1980) 397) and 4f shells (B. T. Thole et
al., Phys. Rev. B 32 (1985) 5107), manganites (M. Varela et al., Phys. Rev. B 79 (2009) 085117)."""
BROADEST_LINE_EV = 2.5
_STRUCTURE_REACH_EV = 150.0  # near-edge structure farther in front of the window is not seen in it
_COMPOUND_SPREAD = (0.05, 0.1, 0.15)  # of positions, widths and heights, from one to the next
_MARGIN_EV = 20
_ZERO_LOSS_REACH = 20
_ELEMENT_BLOCK, _NOISE_BLOCK = 100, 1 << 48


@dataclass(frozen=True, eq=False)
class Sources:
    """What all pixels share.

    spectra (pairs, 2 (N_FFT // 2 + 1)) : transforms of the cross-sections in barn/eV of each
        (element, compound), real and imaginary parts in turn
    ln_scattering (N_FFT // 2 + 1,) : logarithm of the transfer function of t/lambda = 1
    zero_loss (N_FFT // 2 + 1,) : transform of the zero-loss peak
    reference_ev : where ``background_per_nm``, the power law in barn/eV times atoms/nm^2 and nm of
        thickness, is given
    """

    spectra: torch.Tensor
    ln_scattering: torch.Tensor
    zero_loss: torch.Tensor
    reference_ev: float
    background_per_nm: float


def sources_of(
    pairs: Sequence[tuple[str, str]],
    settings: Superlattice,
    *,
    shifts_ev: Mapping[str, float],
    seed: int,
    reference_density: float,
) -> Sources:
    """Transforms of all (element, formula) ``pairs``, of the scattering and of the zero loss.

    ``reference_density`` : atoms/nm^3 of the element of the reference edge, mean over the map.
    """
    s = settings
    beam = Beam(
        energy_kev=s.beam_energy_kev,
        convergence_mrad=s.convergence_mrad,
        collection_mrad=s.collection_mrad,
    )
    rows = bank_of("builtin").cross_sections(beam=beam).double()
    spectra = [
        near_edge_spectrum(e, rows, s, shift_ev=shifts_ev[e], seed=seed, formula=formula)
        for e, formula in pairs
    ]
    transforms = torch.fft.rfft(torch.stack(spectra), n=N_FFT)
    names: list[tuple[str, ...]] = [(edge.element, edge.shell) for edge in edge_shells()]
    number = names.index(tuple(s.reference_edge))
    onset_ev = edge_shells()[number].onset_ev
    one = torch.ones(1, dtype=torch.float64)
    scattering = low_loss_transfer(
        thickness_mfp=one,
        plasmon_energy_ev=s.plasmon_energy_ev * one[None],
        plasmon_width_ev=s.plasmon_width_ev * one[None],
        plasmon_share=one[None],
        zero_loss_fwhm_ev=0 * one,
        n_fft=N_FFT,
    )[0]
    return Sources(
        spectra=torch.view_as_real(transforms).flatten(1),
        ln_scattering=scattering.log(),
        zero_loss=_zero_loss(s.zero_loss_fwhm_ev),
        reference_ev=onset_ev,
        background_per_nm=float(_height(rows[number], onset_ev)) * reference_density / s.jump_ratio,
    )


def near_edge_spectrum(
    element: str,
    rows: torch.Tensor,
    settings: Superlattice,
    *,
    shift_ev: float,
    seed: int,
    formula: str,
) -> torch.Tensor:
    """Cross-section of an element in a compound with its near-edge structure, (BANK_CHANNELS,).

    All shells of the element as recorded, ``shift_ev`` off, broadened by the core-hole lifetime,
    with structure that is alike, but not the same, in all compounds of the element.
    """
    s, (lo, hi) = settings, settings.window_ev
    numbers = [k for k, edge in enumerate(edge_shells()) if edge.element == element]
    borders = torch.arange(BANK_CHANNELS + 1, dtype=torch.float64) - 0.5 - shift_ev
    total = torch.zeros(BANK_CHANNELS, dtype=torch.float64)
    for k in numbers:
        shifted = channel_counts(rows[k][None], 0, borders[None])[0]
        outer = edge_shells()[k].onset_ev + shift_ev < lo
        width_ev = s.fine_structure * edge_shells()[k].widths_ev[0]
        total += _broadened(shifted, width_ev) * (s.outer_shells if outer else 1.0)
    near = [
        k
        for k in numbers
        if lo - _STRUCTURE_REACH_EV < edge_shells()[k].onset_ev < hi + HEIGHT_EV[1]
    ]
    if near and s.fine_structure > 0:
        edges = [edge_shells()[k] for k in near]
        heights = [_height(rows[k], edge_shells()[k].onset_ev) for k in near]
        for edge, first, values in _structure(edges, shift_ev, seed, formula):
            for i, start, value in zip(edge.tolist(), first.tolist(), values, strict=True):
                stop = min(start + len(value), BANK_CHANNELS)
                strip = value[: stop - start].double()
                total[start:stop] += s.fine_structure * heights[i] * strip
    return total.clamp_(min=0)


def _structure(edges: Sequence[EdgeShell], shift_ev: float, seed: int, formula: str):
    """(edge, first channel, values in edge heights) of the strips beside the onsets."""
    label = edges[0].label
    generator = generator_for(seed, _ELEMENT_BLOCK + label)
    own = generator_for(seed, (zlib.crc32(formula.encode()) << 8) + label)
    onset_ev = torch.tensor([edge.onset_ev + shift_ev for edge in edges])
    tops = {(e, shell): top for e, shell, top in near_edge.RESONANCE_HEIGHTS}
    tallest = [tops.get((edge.element, edge.shell), 0.0) for edge in edges]
    largest = torch.tensor(tallest).clamp(max=LARGEST_RESONANCE)
    offset_ev, ratio, width_ev = (
        torch.tensor([[*values, 0.0, 0.0][:2] for values in column])
        for column in (
            [edge.offsets_ev for edge in edges],
            [_line_shares(edge) for edge in edges],
            [edge.widths_ev for edge in edges],
        )
    )
    area_ev = torch.from_numpy(near_edge.white_line_areas_ev(edges)).float()
    lines = near_edge.white_lines(
        onset_ev, area_ev, offset_ev, ratio, width_ev, NEAR_EDGE, generator=generator
    )
    for peaks in (
        near_edge.generic_peaks(onset_ev, NEAR_EDGE, generator=generator),
        near_edge.resonances(onset_ev, largest, NEAR_EDGE, generator=generator),
        _narrowed(lines),
    ):
        yield peaks.edge, *near_edge.strips(_varied(peaks, generator=own))
    yield near_edge.oscillations(onset_ev, NEAR_EDGE, generator=own)


def _line_shares(edge: EdgeShell) -> tuple[float, ...]:
    known = LINE_RATIOS.get((edge.element, edge.shell))
    return (known / (1 + known), 1 / (1 + known)) if known else edge.ratios


def _narrowed(peaks: Peaks) -> Peaks:
    """White lines no broader than `BROADEST_LINE_EV`, with the same areas."""
    fwhm = peaks.fwhm_ev.clamp(max=BROADEST_LINE_EV)
    return replace(peaks, fwhm_ev=fwhm, height=peaks.height * peaks.fwhm_ev / fwhm)


def _varied(peaks: Peaks, *, generator: torch.Generator) -> Peaks:
    """The peaks in another compound: positions, widths and heights a few percent off."""
    position, fwhm, height = (
        1 + normal(peaks.height.shape, spread, generator=generator) for spread in _COMPOUND_SPREAD
    )
    return replace(
        peaks,
        position_ev=peaks.position_ev * position,
        fwhm_ev=peaks.fwhm_ev * fwhm,
        height=peaks.height * height,
    )


def _height(row: torch.Tensor, onset_ev: float) -> torch.Tensor:
    """Mean cross-section behind an onset in barn/eV."""
    first, last = (int(onset_ev) + past for past in HEIGHT_EV)
    return row[first : last + 1].mean()


def _broadened(row: torch.Tensor, width_ev: float) -> torch.Tensor:
    """Folded with a Lorentzian of this full width at half maximum, a factor exp(-width |w| / 2)."""
    omega = torch.fft.rfftfreq(N_FFT, dtype=row.dtype) * (2 * torch.pi)
    folded = torch.fft.irfft(torch.fft.rfft(row, n=N_FFT) * torch.exp(-width_ev / 2 * omega))
    return folded[: len(row)]


def _zero_loss(fwhm_ev: float) -> torch.Tensor:
    """Transform of a Gaussian of area 1 around 0 eV, averaged over channels of 1 eV."""
    like: dict[str, Any] = {"dtype": torch.float64}
    peak = fine_structure_strips(
        torch.full((1, 1), float(_ZERO_LOSS_REACH), **like),
        torch.full((1, 1), fwhm_ev, **like),
        torch.ones(1, 1, **like),
        n=2 * _ZERO_LOSS_REACH + 1,
    )[0]
    padded = torch.nn.functional.pad(peak / peak.sum(), (0, N_FFT - len(peak)))
    return torch.fft.rfft(padded.roll(-_ZERO_LOSS_REACH))


def channel_counts(density: torch.Tensor, first_ev: int, borders_ev: torch.Tensor) -> torch.Tensor:
    """Integrals (m, n) of a density (m, c) per 1 eV channel between borders (m or 1, n + 1).

    Channel i is ``first_ev + i`` eV, the density is constant across it and zero outside.

    >>> channel_counts(torch.tensor([[0.0, 4.0]]), 0, torch.tensor([[-0.5, 0.0, 1.0, 2.0]]))
    tensor([[0., 2., 2.]])
    """
    m, n = density.shape
    total = torch.nn.functional.pad(density.cumsum(1), (1, 0))
    position = (borders_ev - first_ev + 0.5).clamp(0, n).expand(m, -1)
    left = position.long().clamp(max=n - 1)
    return (total.gather(1, left) + (position - left) * density.gather(1, left)).diff(dim=1)


def channels_ev(lo_ev: float, hi_ev: float, dispersion_ev: float) -> np.ndarray:
    """Centres of the channels from ``lo_ev`` up to at most ``hi_ev``.

    >>> channels_ev(400.0, 402.0, 0.5).tolist()
    [400.0, 400.5, 401.0, 401.5, 402.0]
    """
    return lo_ev + dispersion_ev * np.arange(int((hi_ev - lo_ev) / dispersion_ev + 1e-9) + 1)


def record(
    table: torch.Tensor,
    sources: Sources,
    settings: Superlattice,
    core_ev: np.ndarray,
    low_ev: np.ndarray,
    *,
    seed: int,
    keep_expected: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Counts (m, n) of core loss and low loss, and the expected ones of the core loss or None.

    ``table`` (m, pairs + 3) : atoms/nm^2 of each pair, thickness in nm, drift in eV and exponent of
    the background.
    """
    m = len(table)
    counts, low = np.empty((m, len(core_ev))), np.empty((m, len(low_ev)))
    expected = np.empty_like(counts) if keep_expected else None
    axes = (torch.from_numpy(core_ev), torch.from_numpy(low_ev))
    for number, first in enumerate(range(0, m, PIXELS_TOGETHER)):
        rows = slice(first, first + PIXELS_TOGETHER)
        generator = generator_for(seed, _NOISE_BLOCK + number)
        part = _record_chunk(table[rows], sources, settings, *axes, generator=generator)
        counts[rows], low[rows] = part[0].numpy(), part[1].numpy()
        if expected is not None:
            expected[rows] = part[2].numpy()
    return counts, low, expected


def _record_chunk(table, sources: Sources, s: Superlattice, energy_ev, low_ev, *, generator):
    """`record` of some pixels."""
    amounts, (thickness_nm, drift_ev, exponent) = table[:, :-3], table[:, -3:].unbind(1)
    t = thickness_nm / s.mean_free_path_nm
    transfer = torch.exp(t[:, None] * sources.ln_scattering) * sources.zero_loss
    single = (amounts @ sources.spectra).view(len(table), -1, 2)
    edges = torch.fft.irfft(torch.view_as_complex(single) * transfer, n=N_FFT)
    low = torch.fft.irfft(transfer, n=N_FFT)
    still_ev = energy_ev - drift_ev[:, None]
    first = int(energy_ev[0]) - _MARGIN_EV
    part = edges[:, first : int(energy_ev[-1]) + _MARGIN_EV]
    electrons = channel_counts(part, first, _borders(still_ev, s.dispersion_ev))
    true_ev = still_ev - s.energy_offset_ev  # the shifts of the edges have the offset in them
    electrons += _background(true_ev, thickness_nm, exponent, sources, s) * s.dispersion_ev
    electrons *= s.electrons_per_pixel * (1 - s.low_loss_share) * NM2_PER_BARN
    first, last = int(low_ev[0]) - _MARGIN_EV, int(low_ev[-1]) + _MARGIN_EV
    low = torch.cat([low[:, first:], low[:, :last]], 1).clamp(min=0)
    low = channel_counts(low, first, _borders(low_ev - drift_ev[:, None], s.dispersion_ev))
    low *= s.electrons_per_pixel * s.low_loss_share
    counts, below = (_detected(x, s, generator=generator) for x in (electrons, low))
    return counts, below, _spread(electrons.clamp(min=0), s) * s.gain


def _borders(centre_ev: torch.Tensor, dispersion_ev: float) -> torch.Tensor:
    half = dispersion_ev / 2
    return torch.cat([centre_ev - half, centre_ev[:, -1:] + half], 1)


def _background(energy_ev, thickness_nm, exponent, sources: Sources, s: Superlattice):
    """Power law with plural scattering, as atoms/nm^2 times barn/eV, (m, n)."""
    ones = torch.ones_like(thickness_nm)
    return power_law(
        energy_ev,
        reference_ev=sources.reference_ev * ones,
        amplitude=sources.background_per_nm * thickness_nm,
        exponent=exponent,
        ln_factor=plural_background(
            energy_ev,
            exponent=exponent,
            thickness_mfp=thickness_nm / s.mean_free_path_nm,
            plasmon_energy_ev=s.plasmon_energy_ev * ones,
        ),
    )


def _detected(electrons: torch.Tensor, s: Superlattice, *, generator) -> torch.Tensor:
    """Counting noise, point spread, gain and read-out noise."""
    counts = counting_noise(electrons.clamp(min=0).float(), generator=generator)
    counts = _spread(counts, s) * s.gain
    noise = torch.randn(counts.shape, generator=generator)
    return counts + s.readout_noise * noise


def _spread(counts: torch.Tensor, s: Superlattice) -> torch.Tensor:
    share = torch.full((len(counts),), s.point_spread, dtype=counts.dtype)
    spread = counts.clone()
    spread_points(spread, share, torch.ones_like(share))
    return spread
