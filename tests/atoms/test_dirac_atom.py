"""The atom and its oscillator strengths against exact results, other codes and sum rules."""

import csv
from pathlib import Path

import numpy as np
import pytest

from coreloss.atoms.dirac_atom import (
    BOHR_ANGSTROM,
    HARTREE_EV,
    SYMBOLS,
    ground_state,
    radial_grid,
    solve_atom,
)
from coreloss.atoms.oscillator import (
    angular_factor,
    bound_form_factor,
    bound_oscillator_strength,
    core_extent,
    shell_gos_per_ev,
    solve_continuum,
)

REFERENCE = Path(__file__).parents[1] / "reference"
RYDBERG_EV = HARTREE_EV / 2


def reference_rows(name):
    lines = (REFERENCE / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.fixture(scope="module")
def hydrogen():
    return solve_atom("H", xc="bare", c=1e4)


def hydrogen_gos_per_ev(free_energy_ev, q_per_angstrom):
    """Exact GOS of H 1s into the continuum (Inokuti, Rev. Mod. Phys. 43, 297, section 3.3)."""
    big_q = (q_per_angstrom[:, None] * BOHR_ANGSTROM) ** 2
    energy, k = 1 + free_energy_ev / RYDBERG_EV, np.sqrt(free_energy_ev / RYDBERG_EV)
    phase = np.exp(-2 / k * np.arctan2(2 * k, big_q - k**2 + 1))
    denominator = ((big_q - k**2 + 1) ** 2 + 4 * k**2) ** 3 * (1 - np.exp(-2 * np.pi / k))
    return 2**7 * energy * (big_q + energy / 3) * phase / denominator / RYDBERG_EV


def test_hydrogen_continuum_is_the_analytic_one(hydrogen):
    free, q = np.array([0.5, 2, 10, 50, 150, 300]), np.geomspace(0.02, 20, 25)
    keep = core_extent(hydrogen.orbitals, hydrogen)
    continuum = solve_continuum(hydrogen, free, l_max=24, keep=keep)
    gos = shell_gos_per_ev(hydrogen, continuum, q, n=1, l=0, onsets_ev=(RYDBERG_EV,))
    np.testing.assert_allclose(gos, hydrogen_gos_per_ev(free, q), rtol=1e-3)


def test_hydrogen_lyman_alpha_and_its_form_factor(hydrogen):
    numbers = {"n": 1, "l": 0, "n_final": 2, "l_final": 1}
    strength = bound_oscillator_strength(hydrogen, energy_ev=0.75 * RYDBERG_EV, **numbers)
    assert strength == pytest.approx(2**13 / 3**9, rel=2e-5)
    q = np.array([0.5, 2.0, 5.0])
    exact = (1 + 4 / 9 * (q * BOHR_ANGSTROM) ** 2) ** -6.0
    np.testing.assert_allclose(bound_form_factor(hydrogen, q, **numbers), exact, rtol=1e-4)


@pytest.mark.parametrize("row", reference_rows("orbital_energies.csv"), ids=lambda r: r["element"])
def test_orbital_energies_of_the_local_density_atom(row):
    atom = solve_atom(row["element"], xc="lda", latter=False, c=1e4)
    for orbital in atom.shell(int(row["n"]), int(row["l"])):
        energy_ev = orbital.energy * HARTREE_EV
        assert energy_ev == pytest.approx(float(row["nist"]), rel=1e-5)
        assert energy_ev == pytest.approx(float(row["goscalc"]), rel=3e-4)


def test_relativistic_ionic_lead_has_the_dirac_energy():
    """One-electron levels of Z = 82: E = c^2 / sqrt(1 + (Z/c)^2 / (n - d)^2) - c^2."""
    atom = solve_atom("Pb", xc="bare")
    c, z = atom.light_speed, 82
    for orbital in atom.orbitals:
        k = abs(orbital.kappa)
        n_eff = orbital.n - k + np.sqrt(k**2 - (z / c) ** 2)
        exact = c**2 / np.sqrt(1 + (z / c) ** 2 / n_eff**2) - c**2
        assert orbital.energy == pytest.approx(exact, rel=1e-6)


def test_orbitals_are_orthonormal_and_hold_all_electrons():
    atom = solve_atom("Ti")
    dr = atom.grid.dr
    assert sum(o.occupation for o in atom.orbitals) == pytest.approx(22)
    for a in atom.orbitals:
        for b in atom.orbitals:
            if a.kappa == b.kappa:
                overlap = np.sum((a.p * b.p + a.q * b.q) * dr)
                assert overlap == pytest.approx(float(a.n == b.n), abs=1e-6)


def test_potential_ends_in_the_ionic_tail():
    atom = solve_atom("C")
    far = atom.grid.r > 10
    np.testing.assert_allclose(atom.rv[far], -1.0)
    without = solve_atom("C", latter=False)
    assert np.abs(without.rv[far]).max() < 0.3


def test_bethe_sum_of_neon_tends_to_ten():
    atom = solve_atom("Ne")
    free = np.concatenate([[0.01], np.geomspace(0.3, 6000, 60)])
    keep = core_extent(atom.orbitals, atom)
    continuum = solve_continuum(atom, free, l_max=36, keep=keep)
    q, total = np.array([8.0, 10.0, 12.0]), 0.0
    for n, l, onset_ev in ((1, 0, 867.0), (2, 0, 48.5), (2, 1, 21.6)):  # noqa: E741
        gos = shell_gos_per_ev(
            atom, continuum, q, n=n, l=l, onsets_ev=(onset_ev,) * len(atom.shell(n, l))
        )
        total = total + np.trapezoid(gos * (free + 1), np.log(free + 1), axis=1)
    np.testing.assert_allclose(total, 10.0, rtol=6e-3)


def test_ground_states():
    for z, symbol in enumerate(SYMBOLS, start=1):
        assert sum(ground_state(symbol).values()) == z
    assert ground_state("Pd")["4d"] == 10
    assert "5s" not in ground_state("Pd")
    assert ground_state("Gd")["4f"] == 7


def test_angular_factors_count_the_electrons():
    """Dipole factors over all final kappa: 3 l / (2l+1) and 3 (l+1) / (2l+1) per electron."""
    for kappa, l in ((-1, 0), (1, 1), (-2, 1), (2, 2), (-3, 2)):  # noqa: E741
        electrons = 2 * abs(kappa)
        for l_final, weight in ((l + 1, l + 1), (l - 1, l)):
            finals = (l_final, -l_final - 1) if l_final > 0 else (-1,)
            if l_final < 0:
                continue
            total = sum(angular_factor(kappa, final, 1) for final in finals)
            assert total == pytest.approx(3 * weight / (2 * l + 1) * electrons)


def test_grid_covers_the_atom():
    grid = radial_grid()
    assert grid.r[0] == pytest.approx(1e-6)
    assert 39 < grid.r[grid.inner - 1] <= 40
    assert np.all(np.diff(grid.r) > 0)
    assert np.sum(np.exp(-grid.r) * grid.dr) == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solve_atom("U"), "not one of H"),
        (lambda: solve_atom("C", xc="pbe"), "choose 'slater'"),
        (lambda: solve_atom("C").shell(3, 2), "no occupied shell"),
    ],
)
def test_bad_requests(call, message):
    with pytest.raises(ValueError, match=message):
        call()
