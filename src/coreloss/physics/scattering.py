"""Zero loss, plasmons, plural scattering, background and generic near-edge structure.

Low-loss scattering is a product in Fourier space. With t = thickness over mean free path, P the
transform of the single-scattering distribution (area 1) and Z that of the zero-loss peak,

    H(w) = Z(w) exp[t (P(w) - 1)],

which holds plural scattering of all orders with Poisson weights ``t^n exp(-t) / n!`` (R. F.
Egerton, *EELS in the Electron Microscope*, 3rd ed. (2011), sections 3.4 and 4.1). Everything is
batched; channels are 1 eV wide.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy import constants

from coreloss.physics.kinematics import HBAR_EV_S

N_FFT = 4096  # 3136 channels of signal and 960 of room, so that nothing wraps around
PLASMON_CHANNELS = 384  # a Drude peak falls as E^-3; beyond this it holds 1.5e-3 at most
STRIP_CHANNELS = 96
_SPEED_PER_SQRT_EV = math.sqrt(2 * constants.e / constants.m_e)  # m/s


def low_loss_transfer(
    *,
    thickness_mfp: torch.Tensor,
    plasmon_energy_ev: torch.Tensor,
    plasmon_width_ev: torch.Tensor,
    plasmon_share: torch.Tensor,
    zero_loss_fwhm_ev: torch.Tensor,
    plasmon_shape: str = "drude",
    zero_loss_shape: str = "lorentzian",
    n_fft: int = N_FFT,
) -> torch.Tensor:
    """Transfer function H of a low-loss spectrum of area 1, complex (batch, n_fft // 2 + 1).

    ``thickness_mfp`` and ``zero_loss_fwhm_ev`` (batch,); the plasmons (batch, m) with energy, full
    width at half maximum and share of the single scattering (rows add up to 1). ``plasmon_shape``:
    ``drude`` (E >= 0 only, sampled) or ``lorentzian`` (closed form). ``zero_loss_shape``:
    ``lorentzian`` or ``gaussian``.
    """
    _check_low_loss(thickness_mfp, plasmon_width_ev, plasmon_share, zero_loss_fwhm_ev)
    like: dict[str, Any] = {"dtype": thickness_mfp.dtype, "device": thickness_mfp.device}
    omega = torch.arange(n_fft // 2 + 1, **like) * (2 * math.pi / n_fft)
    single = _single_scattering(
        omega, plasmon_energy_ev, plasmon_width_ev, plasmon_share, plasmon_shape, n_fft
    )
    zero_loss = _zero_loss(omega, zero_loss_fwhm_ev[:, None], zero_loss_shape)
    t = thickness_mfp[:, None]
    magnitude, phase = torch.exp(t * (single.real - 1)) * zero_loss, t * single.imag
    return torch.complex(magnitude * phase.cos(), magnitude * phase.sin())


def _zero_loss(omega, fwhm_ev, shape: str) -> torch.Tensor:
    """Transform of a zero-loss peak of area 1, sampled once per channel."""
    if shape == "lorentzian":
        # The sum of exp(-fwhm |w + 2 pi k| / 2) over all aliases k, smooth at the last frequency:
        # cosh[fwhm (pi - w) / 2] / cosh[fwhm pi / 2].
        decay, round_trip = torch.exp(-fwhm_ev / 2 * omega), torch.exp(-math.pi * fwhm_ev)
        return (decay + round_trip / decay) / (1 + round_trip)
    if shape == "gaussian":
        return torch.exp(-((fwhm_ev * omega) ** 2) / (16 * math.log(2)))
    raise ValueError(f"zero-loss shape is {shape!r}; choose 'lorentzian' or 'gaussian'")


def _check_low_loss(thickness_mfp, plasmon_width_ev, plasmon_share, zero_loss_fwhm_ev) -> None:
    for name, bad, allowed in (
        ("thickness over mean free path", thickness_mfp < 0, "0 or more, 0.3 is a good sample"),
        ("plasmon width [eV]", plasmon_width_ev <= 0, "above 0, such as 5"),
        ("zero-loss width [eV]", zero_loss_fwhm_ev < 0, "0 or more, such as 1"),
        ("sum of the plasmon shares", (plasmon_share.sum(-1) - 1).abs() > 1e-3, "1"),
    ):
        if bool(bad.any()):
            raise ValueError(f"{name} is out of range in {int(bad.sum())} rows; must be {allowed}")


def _single_scattering(omega, energy_ev, width_ev, share, shape: str, n_fft: int) -> torch.Tensor:
    if shape == "drude":
        channel = torch.arange(PLASMON_CHANNELS, device=omega.device, dtype=omega.dtype)
        peaks = drude(channel, energy_ev=energy_ev[..., None], width_ev=width_ev[..., None])
        peaks = peaks / peaks.sum(-1, keepdim=True)
        return torch.fft.rfft((peaks * share[..., None]).sum(1), n=n_fft)
    if shape == "lorentzian":
        decay = torch.exp(-width_ev[..., None] * omega / 2) * share[..., None]
        return torch.polar(decay, -omega * energy_ev[..., None]).sum(1)
    raise ValueError(f"plasmon shape is {shape!r}; choose 'drude' or 'lorentzian'")


def drude(energy: torch.Tensor, *, energy_ev: torch.Tensor, width_ev: torch.Tensor) -> torch.Tensor:
    """Energy-loss function of a free-electron gas, ``Im(-1/eps)`` (Egerton 2011, Eq. 3.43).

    ``E G Ep^2 / [(E^2 - Ep^2)^2 + (E G)^2]`` for E > 0, else 0; Ep plasmon energy, G its width.

    >>> float(drude(torch.tensor(15.0), energy_ev=15.0, width_ev=3.0))
    5.0
    """
    peak = energy * width_ev * energy_ev**2
    shape = peak / ((energy**2 - energy_ev**2) ** 2 + (energy * width_ev) ** 2)
    return shape * (energy > 0)


def convolve(spectrum: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Spectrum (batch, n) after low-loss scattering by ``transfer`` (batch, n_fft // 2 + 1).

    The spectrum is zero outside its channels; what leaves them is lost.
    """
    n, n_fft = spectrum.shape[-1], 2 * (transfer.shape[-1] - 1)
    if n > n_fft:
        raise ValueError(f"spectrum has {n} channels, the transfer function allows {n_fft}")
    return torch.fft.irfft(torch.fft.rfft(spectrum, n=n_fft) * transfer, n=n_fft)[..., :n]


def low_loss_spectrum(
    transfer: torch.Tensor, *, first_ev: int = -20, n_channels: int = 220
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies (n_channels,) and low-loss spectra (batch, n_channels) of a transfer function.

    The whole spectrum has area 1.
    """
    circular = torch.fft.irfft(transfer)
    channel = torch.arange(first_ev, first_ev + n_channels, device=transfer.device)
    return channel.to(circular.dtype), circular[..., channel % circular.shape[-1]]


def power_law(
    energy: torch.Tensor,
    *,
    reference_ev: torch.Tensor,
    amplitude: torch.Tensor,
    exponent: torch.Tensor,
    exponent_slope: torch.Tensor | float = 0.0,
    ln_factor: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Background ``A (E/E0)^-(r + r2 ln(E/E0))`` with height A at E0.

    Energies (n,) or (batch, n), parameters (batch,), result (batch, n). r2 lets the exponent drift,
    as it does over wide windows; ``ln_factor`` (batch, n) is the logarithm of one more factor.

    >>> one = torch.ones(1)
    >>> power_law(torch.tensor([100.0, 200.0]), reference_ev=100 * one, amplitude=8 * one,
    ...           exponent=3 * one).tolist()
    [[8.0, 1.0]]
    """
    if bool((energy <= 0).any()):
        raise ValueError("a power-law background needs energies above 0 eV; clamp or crop the axis")
    ln_ratio = torch.log(energy) - torch.log(reference_ev)[:, None]
    slope = torch.as_tensor(exponent_slope, dtype=ln_ratio.dtype, device=ln_ratio.device)
    power = exponent[:, None] + slope.reshape(-1, 1) * ln_ratio
    return amplitude[:, None] * torch.exp(ln_factor - power * ln_ratio)


def plural_background(
    energy: torch.Tensor,
    *,
    exponent: torch.Tensor,
    thickness_mfp: torch.Tensor,
    plasmon_energy_ev: torch.Tensor,
) -> torch.Tensor:
    """Logarithm of the factor that plural scattering puts on a power law E^-r, (batch, n).

    n plasmons of energy Ep move the power law up by n Ep. Close enough for Ep << E, each of them
    multiplies it by ``(1 - Ep/E)^-r``, and the Poisson sum over n is
    ``exp{t [(1 - Ep/E)^-r - 1]}``: thick specimens have steeper backgrounds that also bend.
    ``energy`` (batch, n), the others (batch,). Ep/E counts as at most 0.4.

    >>> one = torch.ones(1)
    >>> ln_factor = plural_background(torch.tensor([[200.0]]), exponent=3 * one,
    ...                               thickness_mfp=one, plasmon_energy_ev=20 * one)
    >>> round(float(ln_factor), 3)
    0.372
    """
    ratio = (plasmon_energy_ev[:, None] / energy).clamp_(max=0.4)
    return thickness_mfp[:, None] * torch.expm1(-exponent[:, None] * torch.log1p(-ratio))


def inelastic_mean_free_path_nm(
    energy_ev: torch.Tensor, *, atom_size_nm: torch.Tensor
) -> torch.Tensor:
    """Mean free path of a slow electron, ``538 a / eps^2 + 0.41 a^1.5 eps^0.5`` in nm.

    Universal curve of M. P. Seah and W. A. Dench, Surf. Interface Anal. 1 (1979) 2; eps in eV above
    the Fermi level, a (monolayer thickness) in nm, about 0.25 in a metal.
    """
    return 538 * atom_size_nm / energy_ev**2 + 0.41 * atom_size_nm**1.5 * energy_ev**0.5


def lifetime_width_ev(energy_ev: torch.Tensor, *, atom_size_nm: torch.Tensor) -> torch.Tensor:
    """Final-state broadening ``Gamma = hbar v / lambda_i`` in eV of an electron ejected with eps.

    ``v = sqrt(2 eps / m)`` and lambda_i from :func:`inelastic_mean_free_path_nm`; energies below
    0.1 eV count as 0.1 eV.

    >>> round(float(lifetime_width_ev(torch.tensor(20.0), atom_size_nm=torch.tensor(0.25))), 2)
    3.09
    """
    energy = torch.clamp(energy_ev, min=0.1)
    path_m = inelastic_mean_free_path_nm(energy, atom_size_nm=atom_size_nm) * 1e-9
    return HBAR_EV_S * _SPEED_PER_SQRT_EV * torch.sqrt(energy) / path_m


def fine_structure_strips(
    positions: torch.Tensor,
    widths: torch.Tensor,
    amplitudes: torch.Tensor,
    n: int = STRIP_CHANNELS,
) -> torch.Tensor:
    """Sums of Gaussians on short strips of channels, (strips, n).

    ``positions`` (strips, peaks) in eV from the centre of the first channel, ``widths`` full widths
    at half maximum in eV, ``amplitudes`` peak heights. Each channel holds the average over its
    1 eV, so narrow peaks keep their areas.
    """
    if bool((widths <= 0).any()):
        raise ValueError("widths of the peaks must be above 0 eV")
    scale = 2 * math.sqrt(math.log(2)) / widths[..., None]
    edges = torch.arange(n + 1, device=positions.device, dtype=positions.dtype) - 0.5
    primitive = (edges - positions[..., None]).mul_(scale).erf_()
    areas = math.sqrt(math.pi) / (2 * scale[..., 0]) * amplitudes
    return torch.einsum("spn,sp->sn", primitive, areas).diff(dim=-1)
