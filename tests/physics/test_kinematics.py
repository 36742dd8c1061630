"""Beam kinematics against published values and exact conservation laws."""

import math

import pytest
import torch
from scipy import constants

from coreloss.physics import kinematics as k


@pytest.mark.parametrize(
    ("beam_energy_kev", "gamma", "effective_kev"),
    [
        # R. F. Egerton, EELS in the Electron Microscope (2011), appendix E, more digits from CODATA
        (100.0, 1.195695, 76.789),
        (200.0, 1.391390, 123.524),
        (300.0, 1.587085, 154.064),
    ],
)
def test_beam_quantities(beam_energy_kev, gamma, effective_kev):
    assert k.lorentz_factor(beam_energy_kev) == pytest.approx(gamma, rel=1e-6)
    effective = k.effective_kinetic_energy_ev(beam_energy_kev) / 1e3
    assert effective == pytest.approx(effective_kev, rel=1e-5)


@pytest.mark.parametrize(("kinetic_kev", "wavelength_pm"), [(100.0, 3.70144), (300.0, 1.96875)])
def test_wave_numbers_are_those_of_published_wavelengths(kinetic_kev, wavelength_pm):
    before, _ = k.squared_wavenumbers(0.0, beam_energy_kev=kinetic_kev)
    found = 2 * math.pi * k.BOHR_RADIUS_ANGSTROM * 100 / math.sqrt(before)
    assert found == pytest.approx(wavelength_pm, rel=3e-6)


def test_wave_numbers_conserve_energy():
    before, after = k.squared_wavenumbers(1000.0, beam_energy_kev=100.0)
    for p, kinetic_ev in ((before, 100e3), (after, 99e3)):
        momentum_ev = math.sqrt(kinetic_ev * (kinetic_ev + 2 * k.REST_ENERGY_EV))  # times c
        per_m = momentum_ev / (k.HBAR_EV_S * constants.c)
        expected = (per_m * k.BOHR_RADIUS_ANGSTROM * 1e-10) ** 2
        assert p == pytest.approx(expected, rel=1e-9)


def test_least_momentum_transfer_is_loss_over_speed():
    before, after = k.squared_wavenumbers(50.0, beam_energy_kev=200.0)
    q = (math.sqrt(before) - math.sqrt(after)) / k.BOHR_RADIUS_ANGSTROM
    velocity_m_per_s = 2.0845e8  # Egerton 2011, appendix E
    expected = 50.0 / (k.HBAR_EV_S * velocity_m_per_s) * 1e-10
    assert q == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "function",
    [
        k.lorentz_factor,
        k.effective_kinetic_energy_ev,
    ],
)
def test_tensors_give_what_floats_give(function):
    energies = [60.0, 120.0, 300.0]
    found = function(torch.tensor(energies, dtype=torch.float64))
    assert found.tolist() == pytest.approx([function(e) for e in energies], rel=1e-12)


@pytest.mark.parametrize("wrong", [0.0, -5.0, torch.tensor([100.0, -1.0])])
def test_beam_energies_must_be_positive(wrong):
    with pytest.raises(ValueError, match="beam energy"):
        k.lorentz_factor(wrong)
