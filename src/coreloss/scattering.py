"""What the specimen does besides the edge: low loss, plural scattering, background, lifetimes.

Everything is batched on torch; B spectra on the 1 eV axis.
"""

from __future__ import annotations

import math

import torch
from scipy import constants

N_FFT = 4096
"""Length of the transforms: 3072 channels and room for energy shifts, without wrapping round."""


def plasmon_transform(energy_ev: torch.Tensor, width_ev: torch.Tensor) -> torch.Tensor:
    """Fourier transform of a Lorentzian of unit area, exp(-Gamma w / 2 - i w E).

    Parameters
    ----------
    energy_ev, width_ev : (B,), position and full width at half maximum

    Returns
    -------
    (B, N_FFT // 2 + 1) complex, at the frequencies of `torch.fft.rfft` for 1 eV channels.
    """
    rate = torch.complex(-width_ev / 2, -energy_ev) * (2 * math.pi / N_FFT)
    # The frequencies are equidistant, so the values are powers of one number.
    fine = torch.exp(rate[:, None] * torch.arange(64, device=rate.device))
    coarse = torch.exp(rate[:, None] * (64 * torch.arange(N_FFT // 128 + 1, device=rate.device)))
    return (coarse[:, :, None] * fine[:, None, :]).flatten(1)[:, : N_FFT // 2 + 1]


def low_loss_transfer(
    *,
    thickness_mfp: torch.Tensor,
    plasmon_energy_ev: torch.Tensor,
    plasmon_width_ev: torch.Tensor,
    plasmon_share: torch.Tensor,
    zero_loss_fwhm_ev: torch.Tensor,
    shift_ev: torch.Tensor,
) -> torch.Tensor:
    """Transform of the low-loss spectrum of unit area, all orders of scattering at once.

    H = Z exp[(t / lambda) (P - 1)], the transform of sum_n P_n S_n with the Poisson weights
    P_n = (t / lambda)^n exp(-t / lambda) / n! (Egerton, EELS in the EM, 3rd ed., section 4.1).
    P belongs to a normalised sum of Lorentzian plasmons, Z to a Lorentzian zero-loss peak.

    Parameters
    ----------
    thickness_mfp : (B,), t / lambda
    plasmon_energy_ev, plasmon_width_ev, plasmon_share : (B, n); the shares add up to 1
    zero_loss_fwhm_ev, shift_ev : (B,), width of the zero-loss peak and offset of the energy axis

    Returns
    -------
    (B, N_FFT // 2 + 1) complex64.
    """
    single = sum(
        plasmon_share[:, k, None]
        * plasmon_transform(plasmon_energy_ev[:, k], plasmon_width_ev[:, k])
        for k in range(plasmon_energy_ev.shape[1])
    )
    exponent = torch.view_as_real(single - 1) * thickness_mfp[:, None, None]
    # exp of a complex tensor, written with real functions: those are vectorised on CPUs.
    magnitude, phase = exponent[..., 0].exp(), exponent[..., 1]
    plural = torch.stack([magnitude * phase.cos(), magnitude * phase.sin()], -1)
    return torch.view_as_complex(plural) * plasmon_transform(shift_ev, zero_loss_fwhm_ev)


def convolve(spectrum: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Convolve spectra (B, n <= N_FFT) with a low loss given by its transform: (B, n)."""
    transform = torch.fft.rfft(spectrum, n=N_FFT)
    return torch.fft.irfft(transform * transfer, n=N_FFT)[:, : spectrum.shape[1]]


def low_loss_spectrum(transfer: torch.Tensor, *, start_ev: int = -64) -> torch.Tensor:
    """The low-loss spectrum itself, (B, N_FFT), its first channel at `start_ev`; for drawing."""
    return torch.fft.irfft(transfer, n=N_FFT).roll(-start_ev, 1)


def power_law(
    energy_ev: torch.Tensor,
    *,
    reference_ev: torch.Tensor,
    amplitude: torch.Tensor,
    exponent: torch.Tensor,
    exponent_slope: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Background A (E / E0)^-(r + s ln(E / E0)), a power law whose exponent may drift.

    energy_ev (n,) or (1, n), above 0; the others (B,). Returns (B, n); the value at E0 is A.
    """
    if not bool((energy_ev > 0).all()):
        raise ValueError("energy_ev of a power law must be above 0 eV; crop the axis first")
    slope = torch.as_tensor(exponent_slope, device=exponent.device).expand_as(exponent)
    log_ratio = energy_ev.reshape(1, -1).log() - reference_ev[:, None].log()
    return amplitude[:, None] * torch.exp(
        -log_ratio * (exponent[:, None] + slope[:, None] * log_ratio)
    )


def inelastic_mean_free_path_nm(
    electron_energy_ev: torch.Tensor, *, monolayer_nm: torch.Tensor
) -> torch.Tensor:
    """Mean free path of a slow electron, 538 a / eps^2 + 0.41 a^1.5 eps^0.5.

    Seah and Dench, Surf. Interface Anal. 1 (1979) 2; a in nm, eps in eV above the onset.
    """
    a, eps = monolayer_nm, electron_energy_ev
    return 538 * a / eps**2 + 0.41 * a**1.5 * eps.sqrt()


def lifetime_width_ev(
    electron_energy_ev: torch.Tensor, *, monolayer_nm: torch.Tensor
) -> torch.Tensor:
    """Final-state broadening Gamma = hbar v / lambda_i of an ejected electron.

    `electron_energy_ev` > 0 above the onset; both arguments broadcast.
    """
    speed = (2 * electron_energy_ev * (constants.e / constants.m_e)).sqrt()  # m/s
    path = inelastic_mean_free_path_nm(electron_energy_ev, monolayer_nm=monolayer_nm) * 1e-9
    return (constants.hbar / constants.e) * speed / path
