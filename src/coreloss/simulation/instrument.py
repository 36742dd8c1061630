"""What the specimen's thickness and the instrument add: low loss, background, detector, axis.

One frozen record of random parameters each, a row per spectrum, and the function that draws it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from coreloss.physics import scattering
from coreloss.simulation.detector import Axis, Detector, spread_channels
from coreloss.simulation.sampling import chance, log_uniform, normal, uniform
from coreloss.simulation.settings import DISPERSIONS_EV, SimulationSettings
from coreloss.simulation.specimen import Window

TAIL_CHANNELS = 160
"""Channels of a low-loss spectrum that are computed; its tail goes on as a power law."""
SMOOTH_CHANNELS = 8
"""A smooth background is computed once in so many channels, its logarithm between them cubic."""
_LOW_START_EV = 150.0
_FARTHEST_EV = 16.0
"""Largest energy offset; with that of the dispersion it stays near `bands.AFTER_EV`."""


@dataclass(frozen=True, eq=False)
class LowLossDraw:
    """Thickness (B,), three plasmons (B, 3) and zero loss (B,), see `scattering`."""

    thickness_mfp: torch.Tensor
    plasmon_energy_ev: torch.Tensor
    plasmon_width_ev: torch.Tensor
    plasmon_share: torch.Tensor
    zero_loss_fwhm_ev: torch.Tensor

    def transfer(self, n_fft: int) -> torch.Tensor:
        """Transfer functions (B, n_fft // 2 + 1)."""
        return scattering.low_loss_transfer(**vars(self), n_fft=n_fft)


@dataclass(frozen=True, eq=False)
class Background:
    """Parameters of a background, (B,) each; heights are shares, 0 where a part is missing.

    jump_ratio : of the reference edge; exponent, curvature : A E^-(r + r2 ln E)
    thickness_mfp, plasmon_energy_ev : of the plural scattering in it
    offset : constant, over the power law at the window's end
    afterglow, afterglow_ev : decays as exp(-E / afterglow_ev), over the mean power law
    plasmon_tail : low loss over power law at the window's start
    """

    jump_ratio: torch.Tensor
    exponent: torch.Tensor
    curvature: torch.Tensor
    thickness_mfp: torch.Tensor
    plasmon_energy_ev: torch.Tensor
    offset: torch.Tensor
    afterglow: torch.Tensor
    afterglow_ev: torch.Tensor
    plasmon_tail: torch.Tensor


def draw_low_loss(window: Window, settings: SimulationSettings, *, generator) -> LowLossDraw:
    """Bulk plasmon, perhaps a second one, perhaps the surface plasmon of the first.

    A deconvolved spectrum has no thickness left.
    """
    s, n = settings, len(window.lo_ev)
    energy = uniform((n, 2), s.plasmon_energy_ev, generator=generator)
    width = log_uniform((n, 2), s.plasmon_width_ev, generator=generator)
    thickness = log_uniform((n,), s.thickness_mfp, generator=generator)
    second = uniform((n,), (0.1, 0.9), generator=generator)
    second = second * chance((n,), s.second_plasmon_probability, generator=generator)
    surface = log_uniform((n,), s.surface_plasmon, generator=generator)
    surface = surface * chance((n,), s.surface_plasmon_probability, generator=generator)
    depth = torch.stack([thickness * (1 - second), thickness * second, surface], 1)
    total = depth.sum(1)
    return LowLossDraw(
        thickness_mfp=total * ~window.deconvolved,
        plasmon_energy_ev=torch.cat([energy, energy[:, :1] * 0.5**0.5], 1),
        plasmon_width_ev=torch.cat([width, width[:, :1]], 1),
        plasmon_share=depth / total[:, None],
        zero_loss_fwhm_ev=log_uniform((n,), s.zero_loss_fwhm_ev, generator=generator),
    )


def draw_background(
    window: Window, low_loss: LowLossDraw, settings: SimulationSettings, *, generator
) -> Background:
    """Backgrounds for these windows, as thick as the low loss says."""
    s, n = settings, (len(window.lo_ev),)
    drift = normal(n, s.background_drift, generator=generator)
    offset = log_uniform(n, s.background_offset, generator=generator)
    afterglow = log_uniform(n, s.afterglow, generator=generator)
    tail = log_uniform(n, s.plasmon_tail, generator=generator)
    has_tail = chance(n, s.plasmon_tail_probability, generator=generator)
    return Background(
        jump_ratio=log_uniform(n, s.jump_ratio, generator=generator),
        exponent=uniform(n, s.background_exponent, generator=generator),
        curvature=drift / (2 * (window.hi_ev / window.lo_ev).log()),
        thickness_mfp=low_loss.thickness_mfp * float(s.background_thickness),
        plasmon_energy_ev=(low_loss.plasmon_energy_ev * low_loss.plasmon_share).sum(1),
        offset=offset * chance(n, s.background_offset_probability, generator=generator),
        afterglow=afterglow * chance(n, s.afterglow_probability, generator=generator),
        afterglow_ev=log_uniform(n, (50.0, 500.0), generator=generator),
        plasmon_tail=tail * (has_tail & (window.lo_ev < _LOW_START_EV)),
    )


def background_shape(
    background: Background, energy_ev, mask, *, transfer, reference_ev
) -> torch.Tensor:
    """Backgrounds (B, n) with height 1 at the reference energies (B,), but for what is on top.

    ``energy_ev`` (B, n) above 0, ``mask`` (B, n) the channels of the window, ``transfer`` (B, m)
    the low loss.
    """
    b = background
    coarse_ev = energy_ev.unfold(1, SMOOTH_CHANNELS, SMOOTH_CHANNELS).mean(2)
    ln_shape = smooth_background(b, coarse_ev, reference_ev).log() * SMOOTH_CHANNELS
    shape = spread_channels(ln_shape, SMOOTH_CHANNELS, n=energy_ev.shape[1]).exp_()
    mean = ((shape * mask).sum(1) / mask.sum(1))[:, None]
    first = mask.to(torch.uint8).argmax(1, keepdim=True)
    last = first + mask.sum(1, keepdim=True) - 1
    start, offset = energy_ev.gather(1, first), b.offset[:, None] * shape.gather(1, last)
    rows = b.plasmon_tail.nonzero().squeeze(1)
    if len(rows):
        tail = plasmon_tail(transfer[rows], energy_ev[rows], start[rows])
        shape[rows] += tail * (shape[rows].gather(1, first[rows]) * b.plasmon_tail[rows, None])
    rows = b.afterglow.nonzero().squeeze(1)
    decay = torch.exp((start[rows] - energy_ev[rows]) / b.afterglow_ev[rows, None])
    shape[rows] += decay * (b.afterglow[rows, None] * mean[rows])
    return shape.add_(offset)


def smooth_background(background: Background, energy_ev, reference_ev) -> torch.Tensor:
    """The power law with its drift and plural scattering, (B, n), 1 at ``reference_ev`` (B,)."""
    b = background
    thick = {"thickness_mfp": b.thickness_mfp, "plasmon_energy_ev": b.plasmon_energy_ev}
    thick |= {"exponent": b.exponent}
    ln_factor = scattering.plural_background(energy_ev, **thick)
    return scattering.power_law(
        energy_ev,
        reference_ev=reference_ev,
        amplitude=torch.ones_like(reference_ev),
        exponent=b.exponent,
        exponent_slope=b.curvature,
        ln_factor=ln_factor - scattering.plural_background(reference_ev[:, None], **thick),
    )


def plasmon_tail(transfer, energy_ev, start_ev) -> torch.Tensor:
    """Low-loss spectra on their energies (b, n), with height 1 at ``start_ev`` (b, 1).

    ``transfer`` (b, m). Plural plasmons as far as they are computed, then the power law that they
    end in.
    """
    circular = torch.fft.irfft(transfer)[:, :TAIL_CHANNELS].clamp(min=1e-12)
    end, before = TAIL_CHANNELS - 1, TAIL_CHANNELS * 3 // 4
    ratio = energy_ev.new_tensor(end / before).log()
    exponent = (circular[:, before] / circular[:, end]).log() / ratio
    beyond = (energy_ev / end).clamp(min=1).log() * -exponent[:, None]
    values = circular.gather(1, energy_ev.long().clamp(0, end)) * beyond.exp()
    at_start = circular.gather(1, start_ev.long().clamp(0, end))
    return values / at_start


def draw_detector(mean_counts, settings: SimulationSettings, *, generator) -> Detector:
    """Detectors for spectra with mean counts (B,) per channel."""
    s, n = settings, len(mean_counts)

    def some(name: str) -> torch.Tensor:
        drawn = log_uniform((n,), getattr(s, name), generator=generator)
        return drawn * chance((n,), getattr(s, f"{name}_probability"), generator=generator)

    frames = log_uniform((n,), s.frames, generator=generator).minimum(mean_counts / 10)
    spread = uniform((n,), s.point_spread, generator=generator)
    step = normal((n,), s.splice_step, generator=generator)
    return Detector(
        noise_excess=log_uniform((n,), s.noise_excess, generator=generator),
        gain_variation=some("gain_variation"),
        gain_ripple=some("gain_ripple"),
        ripple_channels=log_uniform((n,), (15.0, 300.0), generator=generator),
        ripple_phase=uniform((n,), (0.0, 6.2832), generator=generator),
        splice_step=step * chance((n,), s.splice_probability, generator=generator),
        splice_at=uniform((n,), (0.15, 0.85), generator=generator),
        readout_noise=some("readout_noise") * frames.clamp(min=1).sqrt(),
        point_spread=spread * chance((n,), s.point_spread_probability, generator=generator),
        spike=chance((n,), s.spike_probability, generator=generator)
        * log_uniform((n,), (4.0, 100.0), generator=generator),
        spike_at=uniform((n,), (0.0, 1.0), generator=generator),
        saturation=chance((n,), s.saturation_probability, generator=generator)
        * uniform((n,), (0.3, 0.9), generator=generator),
    )


def draw_axis(window: Window, settings: SimulationSettings, *, generator) -> Axis:
    """Calibration errors of the axes, and where the recorded channels lie."""
    s, n = settings, (len(window.lo_ev),)
    error_ev = log_uniform(n, s.axis_error_ev, generator=generator)
    offset_ev = error_ev * normal(n, 1.0, generator=generator).clamp(-2.5, 2.5)
    understated = chance(n, s.axis_understated_probability, generator=generator)
    offset_ev = torch.where(understated, 3 * offset_ev, offset_ev)
    stretch = normal(n, s.dispersion_error, generator=generator).clamp(-8e-3, 8e-3)
    where = uniform(n, (0.0, 1.0), generator=generator)
    dispersion = torch.tensor(DISPERSIONS_EV, device=window.lo_ev.device)[window.dispersion]
    off_grid = (dispersion != 1) | chance(n, s.off_grid_probability, generator=generator)
    return Axis(
        error_ev=error_ev,
        offset_ev=offset_ev.clamp(-_FARTHEST_EV, _FARTHEST_EV),
        stretch=stretch * chance(n, s.dispersion_error_probability, generator=generator),
        centre_ev=window.lo_ev + where * (window.hi_ev - window.lo_ev),
        dispersion_ev=dispersion,
        phase=uniform(n, (0.0, 1.0), generator=generator) * off_grid,
    )


def subtract_power_law(counts, mask, energy_ev, fit_end_ev) -> torch.Tensor:
    """Counts (b, n) less the power law through their channels from the window's start to fit_end.

    It goes through the mean counts of either half of these channels, as two-area fits do (Egerton
    2011, section 4.4.2), noise included. ``energy_ev``, ``mask`` (b, n); ``fit_end_ev`` (b,).
    """
    fitted = mask & (energy_ev <= fit_end_ev[:, None])
    number = fitted.cumsum(1)
    lower = fitted & (2 * number <= fitted.sum(1, keepdim=True))
    areas, centres = [], []
    for half in (lower, fitted & ~lower):
        n = half.sum(1, keepdim=True).clamp(min=1)
        areas.append(((counts * half).sum(1, keepdim=True) / n).clamp(min=1e-3))
        centres.append(((energy_ev.log() * half).sum(1, keepdim=True) / n).exp())
    ln_ratio = (centres[1] / centres[0]).log().clamp(min=1e-3)
    exponent = ((areas[0] / areas[1]).log() / ln_ratio).clamp(0.0, 8.0)
    fit = areas[1] * (energy_ev / centres[1]) ** -exponent
    return (counts - fit) * mask
