"""Beam kinematics against published values and exact conservation laws."""

import math

import pytest
import torch

from coreloss.physics import kinematics as k


@pytest.mark.parametrize(
    ("beam_energy_kev", "gamma", "wavelength_pm", "effective_kev"),
    [
        # R. F. Egerton, EELS in the Electron Microscope (2011), appendix E, more digits from CODATA
        (100.0, 1.195695, 3.70144, 76.789),
        (200.0, 1.391390, 2.50793, 123.524),
        (300.0, 1.587085, 1.96875, 154.064),
    ],
)
def test_beam_quantities(beam_energy_kev, gamma, wavelength_pm, effective_kev):
    assert k.lorentz_factor(beam_energy_kev) == pytest.approx(gamma, rel=1e-6)
    assert k.wavelength_pm(beam_energy_kev) == pytest.approx(wavelength_pm, rel=3e-6)
    effective = k.effective_kinetic_energy_ev(beam_energy_kev) / 1e3
    assert effective == pytest.approx(effective_kev, rel=1e-5)


def test_speed_against_momentum():
    beta = k.speed_ratio(200.0)
    gamma = k.lorentz_factor(200.0)
    assert k.velocity_m_per_s(200.0) == pytest.approx(2.0845e8, rel=1e-4)
    momentum = gamma * beta * k.REST_ENERGY_EV  # p c in eV
    assert 12.39842e5 / momentum == pytest.approx(k.wavelength_pm(200.0), rel=1e-5)
    wavenumber = k.wavenumber_per_angstrom(200.0)
    assert wavenumber == pytest.approx(200 * math.pi / k.wavelength_pm(200.0))


def test_characteristic_angle():
    assert k.characteristic_angle_mrad(532.0, beam_energy_kev=300.0) == pytest.approx(
        1.0880, abs=2e-4
    )


def test_wave_numbers_conserve_energy():
    before, after = k.squared_wavenumbers(1000.0, beam_energy_kev=100.0)
    for p, kinetic_kev in ((before, 100.0), (after, 99.0)):
        expected = (k.wavenumber_per_angstrom(kinetic_kev) * k.BOHR_RADIUS_ANGSTROM) ** 2
        assert p == pytest.approx(expected, rel=1e-9)


def test_least_momentum_transfer_is_loss_over_speed():
    before, after = k.squared_wavenumbers(50.0, beam_energy_kev=200.0)
    q = (math.sqrt(before) - math.sqrt(after)) / k.BOHR_RADIUS_ANGSTROM
    expected = 50.0 / (k.HBAR_EV_S * k.velocity_m_per_s(200.0)) * 1e-10
    assert q == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "function",
    [
        k.lorentz_factor,
        k.speed_ratio,
        k.velocity_m_per_s,
        k.effective_kinetic_energy_ev,
        k.wavelength_pm,
        k.wavenumber_per_angstrom,
    ],
)
def test_tensors_give_what_floats_give(function):
    energies = [60.0, 120.0, 300.0]
    found = function(torch.tensor(energies, dtype=torch.float64))
    assert found.tolist() == pytest.approx([function(e) for e in energies], rel=1e-12)


@pytest.mark.parametrize("wrong", [0.0, -5.0, torch.tensor([100.0, -1.0])])
def test_beam_energies_must_be_positive(wrong):
    with pytest.raises(ValueError, match="beam energy"):
        k.wavelength_pm(wrong)
