r"""Generalised oscillator strength of an nl shell from a Dirac atom.

In atomic units, with core orbitals ``nlj`` and continuum orbitals ``kappa'`` normalised per energy,

    df/dE = (2E/q^2) sum_{j, kappa', lambda} (2j+1)(2j'+1)(2 lambda+1)
            (j lambda j'; 1/2 0 -1/2)^2 [ int (P P' + Q Q') j_lambda(q r) dr ]^2,

``l + l' + lambda`` even (Inokuti, Rev. Mod. Phys. 43 (1971) 297, section 3; the Dirac form as in
Zhang et al., arXiv:2405.10151). Initial and final states belong to the same frozen
neutral atom, so that they are orthogonal and the monopole term vanishes for q -> 0. The energy loss
``E`` is the measured onset plus the energy of the ejected electron.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from scipy.special import spherical_jn

from coreloss.atoms.dirac_atom import (
    BOHR_ANGSTROM,
    HARTREE_EV,
    Atom,
    Orbital,
    ground_state,
    kernel_grid,
)

FIRST_RADIUS = 1e-5  # bohr; the integrands vanish below
LOST_NORM = 1e-14  # norm of a core orbital outside the radius of integration


@dataclass(frozen=True)
class Continuum:
    """Continuum orbitals by kappa: (P, Q), each (n_energies, n_radii), on the first grid points."""

    free_energy_ev: np.ndarray
    orbitals: dict[int, tuple[np.ndarray, np.ndarray]]
    keep: int

    def select(self, energies: np.ndarray) -> Continuum:
        """The orbitals at some of the energies, given by index."""
        orbitals = {kappa: (p[energies], q[energies]) for kappa, (p, q) in self.orbitals.items()}
        return Continuum(self.free_energy_ev[energies], orbitals, self.keep)


def kappas(l_max: int) -> list[int]:
    """The kappa of all l <= l_max, both signs.

    >>> kappas(1)
    [-1, 1, -2]
    """
    return [k for l in range(l_max + 1) for k in ((l, -l - 1) if l else (-1,))]  # noqa: E741


def orbital_momentum(kappa: int) -> int:
    """The orbital quantum number l of kappa.

    >>> orbital_momentum(-2), orbital_momentum(2)
    (1, 2)
    """
    return kappa if kappa > 0 else -kappa - 1


def core_extent(orbitals: tuple[Orbital, ...], atom: Atom) -> int:
    """Number of grid points that hold all but LOST_NORM of the norm of each orbital."""
    extents = []
    for orbital in orbitals:
        outside = np.cumsum(((orbital.p**2 + orbital.q**2) * atom.grid.dr)[::-1])[::-1]
        extents.append(int(np.argmax(outside < LOST_NORM)))
    return max(extents)


def solve_continuum(atom: Atom, free_energy_ev: np.ndarray, *, l_max: int, keep: int) -> Continuum:
    """Continuum orbitals of the atom's potential for all kappa with l <= l_max.

    ``keep``: number of grid points to store (:func:`core_extent`).
    """
    from coreloss.atoms.radial import continuum_orbitals

    grid, rv = kernel_grid(atom.grid, atom.rv), atom.rv
    charge = -rv[-1]
    tail = int(np.argmax(np.abs(rv + charge) < 1e-6 * atom.atomic_number))
    energies = np.asarray(free_energy_ev, dtype=float) / HARTREE_EV
    orbitals = {
        kappa: continuum_orbitals(
            float(kappa), energies, atom.light_speed, grid, rv, keep, tail, charge
        )
        for kappa in kappas(l_max)
    }
    return Continuum(np.asarray(free_energy_ev, dtype=float), orbitals, keep)


@cache
def angular_factor(kappa: int, kappa_final: int, multipole: int) -> float:
    """(2j+1)(2j'+1)(2 lambda+1) (j lambda j'; 1/2 0 -1/2)^2, zero by parity or triangle rules.

    The 3j symbol comes from Racah's sum over integers (Edmonds 1957, equation 3.6.11).

    >>> round(angular_factor(-1, -2, 1) + angular_factor(-1, 1, 1), 12)  # s1/2 -> p, 2 electrons
    6.0
    """
    a, b = 2 * abs(kappa) - 1, 2 * abs(kappa_final) - 1  # twice j and j'
    two = 2 * multipole
    odd = (orbital_momentum(kappa) + orbital_momentum(kappa_final) + multipole) % 2
    if odd or two < abs(a - b) or two > a + b:
        return 0.0
    return (a + 1) * (b + 1) * (two + 1) * _three_j_square(a, two, b)


def _three_j_square(a: int, two: int, b: int) -> float:
    """(j lambda j'; 1/2 0 -1/2)^2 with doubled arguments a = 2j, two = 2 lambda, b = 2j'."""

    def f(doubled: int) -> int:
        return factorial(doubled // 2)

    total = 0.0
    for k in range(0, a + b + two, 2):
        terms = (k, a + two - b - k, a - 1 - k, two - k, b - two + 1 + k, b - a + k)
        if min(terms) < 0:
            continue
        product = 1
        for term in terms:
            product *= f(term)
        total += (-1) ** (k // 2) / product
    triangle = f(a + two - b) * f(a - two + b) * f(-a + two + b) / f(a + two + b + 2)
    momenta = f(a + 1) * f(a - 1) * f(two) ** 2 * f(b - 1) * f(b + 1)
    return triangle * momenta * total**2


@cache
def _bessel(multipole: int, q_bohr: tuple[float, ...], first: int, keep: int) -> np.ndarray:
    """j_lambda(q r) (nq, keep - first); values too small to matter are set to zero."""
    from coreloss.atoms.dirac_atom import radial_grid

    r = radial_grid().r[first:keep]
    values = spherical_jn(multipole, np.asarray(q_bohr)[:, None] * r)
    values[np.abs(values) < 1e-60] = 0.0
    return values


def subshell_gos_per_ev(
    core: Orbital,
    atom: Atom,
    continuum: Continuum,
    q_per_angstrom: np.ndarray,
    *,
    onset_ev: float,
    l_max: int | None = None,
) -> np.ndarray:
    """GOS df/dE [1/eV] (nq, n_energies) of one subshell with the electrons of the ground state.

    ``l_max`` restricts the final states; None takes all of ``continuum``.
    """
    q_bohr = tuple(float(q) * BOHR_ANGSTROM for q in q_per_angstrom)
    first = int(np.searchsorted(atom.grid.r, FIRST_RADIUS))
    weight = atom.grid.dr[first : continuum.keep]
    p, q = (x[first : continuum.keep] * weight for x in (core.p, core.q))
    top = max(map(orbital_momentum, continuum.orbitals)) if l_max is None else l_max
    total = np.zeros((len(q_bohr), len(continuum.free_energy_ev)))
    for kappa in kappas(top):
        big_p, big_q = continuum.orbitals[kappa]
        product = None
        for multipole in range(abs(orbital_momentum(kappa) - core.l), top + core.l + 1, 2):
            factor = angular_factor(core.kappa, kappa, multipole)
            if factor == 0.0:
                continue
            if product is None:
                product = (big_p[:, first:] * p + big_q[:, first:] * q).T
            bessel = _bessel(multipole, q_bohr, first, continuum.keep)
            total += factor * (bessel @ product) ** 2
    filling = core.occupation / (2 * abs(core.kappa))
    energy = (onset_ev + continuum.free_energy_ev) / HARTREE_EV
    return filling * 2 * energy / np.square(q_bohr)[:, None] * total / HARTREE_EV


def shell_gos_per_ev(
    atom: Atom,
    continuum: Continuum,
    q_per_angstrom: np.ndarray,
    *,
    n: int,
    l: int,  # noqa: E741
    onsets_ev: tuple[float, ...],
    l_max: int | None = None,
) -> np.ndarray:
    """GOS df/dE [1/eV] (nq, n_energies) of the nl shell, the sum over its j-subshells.

    ``onsets_ev``: onset of each j-subshell, lower j first; their continua are added at equal energy
    of the ejected electron.
    """
    first, *others = (
        subshell_gos_per_ev(core, atom, continuum, q_per_angstrom, onset_ev=onset_ev, l_max=l_max)
        for core, onset_ev in zip(atom.shell(n, l), onsets_ev, strict=True)
    )
    return sum(others, start=first)


def bound_oscillator_strength(
    atom: Atom,
    *,
    n: int,
    l: int,  # noqa: E741
    n_final: int,
    l_final: int,
    energy_ev: float,
    final_atom: Atom | None = None,
) -> float:
    """Dipole oscillator strength nl -> n'l' of the atom, weighted with the vacancies of n'l'.

    f = (2E/3) sum_{j j'} (2j+1)(2j'+1) (j 1 j'; 1/2 0 -1/2)^2 [int (P P' + Q Q') r dr]^2 x
    (share of n'l' that is empty); ``energy_ev`` is the energy E of the white line. ``final_atom``:
    the atom whose orbital n'l' is taken, None is the same one.
    """
    vacancy = 1 - electrons_in(atom.symbol, n_final, l_final) / (4 * l_final + 2)
    moment = atom.grid.r * atom.grid.dr
    total = 0.0
    for core in atom.shell(n, l):
        for final in final_orbitals(final_atom or atom, n_final, l_final):
            integral = np.sum((core.p * final.p + core.q * final.q) * moment)
            filling = core.occupation / (2 * abs(core.kappa))
            total += filling * angular_factor(core.kappa, final.kappa, 1) / 3 * integral**2
    return float(vacancy * 2 * energy_ev / HARTREE_EV / 3 * total)


def electrons_in(symbol: str, n: int, l: int) -> int:  # noqa: E741
    """Electrons of the nl shell in the neutral ground state.

    >>> electrons_in("Fe", 3, 2)
    6
    """
    return ground_state(symbol).get(f"{n}{'spdf'[l]}", 0)


def bound_form_factor(
    atom: Atom,
    q_per_angstrom: np.ndarray,
    *,
    n: int,
    l: int,  # noqa: E741
    n_final: int,
    l_final: int,
) -> np.ndarray:
    """GOS(q) / GOS(q -> 0) (nq,) of the dipole transition nl -> n'l' between bound orbitals."""
    q = np.asarray(q_per_angstrom) * BOHR_ANGSTROM
    bessel = spherical_jn(1, q[:, None] * atom.grid.r)
    total, dipole = 0.0, 0.0
    for core in atom.shell(n, l):
        for final in final_orbitals(atom, n_final, l_final):
            overlap = (core.p * final.p + core.q * final.q) * atom.grid.dr
            factor = angular_factor(core.kappa, final.kappa, 1)
            total = total + factor * (bessel @ overlap) ** 2
            dipole += factor * (overlap @ atom.grid.r / 3) ** 2
    return total / q**2 / dipole


def final_orbitals(atom: Atom, n: int, l: int) -> tuple[Orbital, ...]:  # noqa: E741
    """Orbitals of the nl shell in the atom's potential, whether occupied or not."""
    from coreloss.atoms.radial import bound_orbital

    occupied = tuple(o for o in atom.orbitals if o.n == n and o.l == l)
    if occupied:
        return occupied
    arguments = kernel_grid(atom.grid, atom.rv)
    found = []
    for kappa in (l, -l - 1) if l else (-1,):
        energy, p, q, converged = bound_orbital(
            float(kappa),
            n - l - 1,
            -0.1,
            atom.light_speed,
            arguments,
            atom.rv,
            atom.grid.dr,
            atom.grid.inner,
        )
        if not converged:
            raise ValueError(
                f"{atom.symbol} has no bound shell n={n}, l={l} below the vacuum level"
            )
        found.append(Orbital(n, kappa, 0.0, energy, p, q))
    return tuple(found)
