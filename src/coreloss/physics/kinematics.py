"""Relativistic quantities of the electron beam.

Every function takes floats or torch tensors (any shape, broadcasting) and returns the same kind.
All constants come from ``scipy.constants`` (CODATA). Formulae: R. F. Egerton, *Electron Energy-Loss
Spectroscopy in the Electron Microscope*, 3rd ed. (2011), appendix E and sections 3.2 and 3.6.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from scipy import constants

Number = TypeVar("Number", float, torch.Tensor)

REST_ENERGY_EV = constants.value("electron mass energy equivalent in MeV") * 1e6
RYDBERG_EV = constants.value("Rydberg constant times hc in eV")
BOHR_RADIUS_ANGSTROM = constants.value("Bohr radius") * 1e10
SPEED_OF_LIGHT = constants.c
HBAR_EV_S = constants.hbar / constants.e
_HC_EV_PM = constants.h * constants.c / constants.e * 1e12


def _sqrt(value: Number) -> Number:
    return torch.sqrt(value) if isinstance(value, torch.Tensor) else math.sqrt(value)


def _check_beam_energy(beam_energy_kev: Number) -> None:
    wrong = beam_energy_kev <= 0
    if bool(wrong.any()) if isinstance(wrong, torch.Tensor) else wrong:
        raise ValueError(
            f"beam energy {beam_energy_kev} keV must be above 0; give it in keV, such as 200"
        )


def lorentz_factor(beam_energy_kev: Number) -> Number:
    """Lorentz factor ``gamma = 1 + E0 / (m c^2)``.

    >>> round(lorentz_factor(300.0), 6)
    1.587085
    """
    _check_beam_energy(beam_energy_kev)
    return 1 + beam_energy_kev * 1e3 / REST_ENERGY_EV


def speed_ratio(beam_energy_kev: Number) -> Number:
    """Speed of the beam electrons over the speed of light, ``v/c = sqrt(1 - 1/gamma^2)``.

    >>> round(speed_ratio(100.0), 4)
    0.5482
    """
    return _sqrt(1 - lorentz_factor(beam_energy_kev) ** -2)


def velocity_m_per_s(beam_energy_kev: Number) -> Number:
    """Speed of the beam electrons in m/s."""
    return speed_ratio(beam_energy_kev) * SPEED_OF_LIGHT


def effective_kinetic_energy_ev(beam_energy_kev: Number) -> Number:
    """``T = m v^2 / 2 = (m c^2 / 2) (1 - 1/gamma^2)`` in eV (Egerton 2011, section 3.6.2).

    This is what the Bethe theory uses in place of the kinetic energy; it is not the kinetic energy.

    >>> round(effective_kinetic_energy_ev(300.0) / 1e3, 3)
    154.064
    """
    return REST_ENERGY_EV / 2 * (1 - lorentz_factor(beam_energy_kev) ** -2)


def wavelength_pm(beam_energy_kev: Number) -> Number:
    """De Broglie wavelength ``lambda = h c / sqrt(E0 (E0 + 2 m c^2))`` in pm.

    >>> round(wavelength_pm(100.0), 5), round(wavelength_pm(300.0), 5)
    (3.70144, 1.96875)
    """
    _check_beam_energy(beam_energy_kev)
    energy_ev = beam_energy_kev * 1e3
    return _HC_EV_PM / _sqrt(energy_ev * (energy_ev + 2 * REST_ENERGY_EV))


def wavenumber_per_angstrom(beam_energy_kev: Number) -> Number:
    """Wave number ``k0 = 2 pi / lambda`` in 1/Angstrom.

    >>> round(wavenumber_per_angstrom(100.0), 2)
    169.75
    """
    return 2 * math.pi / wavelength_pm(beam_energy_kev) * 100


def characteristic_angle_mrad(energy_loss_ev: Number, *, beam_energy_kev: Number) -> Number:
    """Characteristic scattering angle ``theta_E = E / (gamma m v^2)`` in mrad.

    Half width of the Lorentzian angular distribution of an energy loss E (Egerton 2011, Eq. 3.28).

    >>> round(characteristic_angle_mrad(532.0, beam_energy_kev=300.0), 3)
    1.088
    """
    gamma = lorentz_factor(beam_energy_kev)
    return energy_loss_ev / (2 * gamma * effective_kinetic_energy_ev(beam_energy_kev)) * 1e3


def squared_wavenumbers(
    energy_loss_ev: Number, *, beam_energy_kev: Number
) -> tuple[Number, Number]:
    """Squared wave numbers of the fast electron before and after the loss, ``(k a0)^2``.

    ``p0 = gamma^2 T / R`` and ``p1 = p0 - (E/R) (gamma - E / (2 m c^2))`` with R the Rydberg
    energy: exact relativistic energy conservation (Egerton 2011, section 3.6.2). The momentum
    transfer then is ``(q a0)^2 = (sqrt p0 - sqrt p1)^2 + 4 sqrt(p0 p1) sin^2(theta/2)``.
    """
    gamma = lorentz_factor(beam_energy_kev)
    before = gamma**2 * effective_kinetic_energy_ev(beam_energy_kev) / RYDBERG_EV
    after = before - energy_loss_ev / RYDBERG_EV * (gamma - energy_loss_ev / (2 * REST_ENERGY_EV))
    return before, after
