"""Relativistic quantities of the electron beam.

Every function takes floats or torch tensors (any shape, broadcasting) and returns the same kind.
All constants come from ``scipy.constants`` (CODATA). Formulae: R. F. Egerton, *Electron Energy-Loss
Spectroscopy in the Electron Microscope*, 3rd ed. (2011), appendix E and sections 3.2 and 3.6.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from scipy import constants

Number = TypeVar("Number", float, torch.Tensor)

REST_ENERGY_EV = constants.value("electron mass energy equivalent in MeV") * 1e6
RYDBERG_EV = constants.value("Rydberg constant times hc in eV")
BOHR_RADIUS_ANGSTROM = constants.value("Bohr radius") * 1e10
HBAR_EV_S = constants.hbar / constants.e


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


def effective_kinetic_energy_ev(beam_energy_kev: Number) -> Number:
    """``T = m v^2 / 2 = (m c^2 / 2) (1 - 1/gamma^2)`` in eV (Egerton 2011, section 3.6.2).

    This is what the Bethe theory uses in place of the kinetic energy; it is not the kinetic energy.

    >>> round(effective_kinetic_energy_ev(300.0) / 1e3, 3)
    154.064
    """
    return REST_ENERGY_EV / 2 * (1 - lorentz_factor(beam_energy_kev) ** -2)


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
