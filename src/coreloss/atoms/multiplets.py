r"""Multiplets of an ion whose core electron has gone into its open shell, by exact diagonalisation.

A core-loss spectrum near the edges 2p -> 3d, 3d -> 4f and 4d -> 4f is a set of lines: the final
states of core^-1 valence^(n+1) that a dipole reaches from the ground state of valence^n. With the
Hamiltonian

    H = sum_i zeta l_i.s_i + sum_(i<j) 1/r_ij + (cubic crystal field of a d shell),

given by Slater integrals F^k, G^k, spin-orbit constants zeta and the splitting 10Dq, everything
within the two shells is exact (R. D. Cowan, *The Theory of Atomic Structure and Spectra*,
University of California Press (1981), chapters 6-14; B. T. Thole et al., Phys. Rev. B 32 (1985)
5107; F. M. F. de Groot et al., Phys. Rev. B 42 (1990) 5459). Closed shells, and F^0, only move the
whole spectrum: energies are those above the average of each configuration.

A state is a core hole and a determinant of the valence shell. All operators are made of
annihilators: with ``P`` the matrix of all pair annihilations, the repulsion of the valence
electrons is ``P^T (V x 1) P``, and with ``A`` that of single ones, what couples them to the hole is
``A^T (W x 1) A``. A free ion conserves M_J, and one M_J is enough: the sum over the three
components of the dipole is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np
from scipy import sparse
from scipy.constants import physical_constants
from scipy.linalg import eigh_tridiagonal

LANCZOS_STEPS = 300
ROOM_TEMPERATURE_EV = 300 * physical_constants["Boltzmann constant in eV/K"][0]
_POPULATED = 1e-3
"""Ground states with a smaller share of the population are left out."""
_NOTHING = 1e-9


@dataclass(frozen=True)
class Ion:
    """Shells and interactions of an ion, all energies in eV.

    core, valence : l of the two shells; electrons : in the valence shell, before the transition
    valence_f : F^k of the valence shell by k; core_f, core_g : F^k, G^k between the two by k
    zeta_core, zeta_valence : spin-orbit constants
    ten_dq_ev : splitting of e_g above t_2g of a d shell in a cubic field, 0 of a free ion
    initial_f : F^k of the valence shell before the transition, if it is another
    """

    core: int
    valence: int
    electrons: int
    valence_f: Mapping[int, float] = field(default_factory=dict)
    core_f: Mapping[int, float] = field(default_factory=dict)
    core_g: Mapping[int, float] = field(default_factory=dict)
    zeta_core: float = 0.0
    zeta_valence: float = 0.0
    ten_dq_ev: float = 0.0
    initial_f: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        room = 4 * self.valence + 2
        if not 0 <= self.electrons < room:
            raise ValueError(
                f"electrons = {self.electrons}: a shell of l = {self.valence} with room for one"
                f" more holds 0..{room - 1}"
            )
        if self.valence != self.core + 1:
            raise ValueError(
                f"core l = {self.core}, valence l = {self.valence}: the strong dipole transitions"
                " have valence = core + 1"
            )
        if self.ten_dq_ev and self.valence != 2:
            raise ValueError(f"ten_dq_ev = {self.ten_dq_ev}: a cubic field is known of d shells")


def lines(ion: Ion, *, temperature_ev: float = ROOM_TEMPERATURE_EV) -> tuple[np.ndarray, ...]:
    """Energies [eV] and strengths of the dipole transitions, (n,) each, unsorted.

    Energies are those of the final states above the average of their configuration, less that of
    the ground state above the average of its own. Strengths add up to `total_strength`. In a
    crystal field all levels that are populated take part. Of thousands of final states, lines are
    those of `LANCZOS_STEPS` steps: the strongest are exact, of crowds the moments.
    """
    initial, final = (_twice_m(ion, hole=hole) for hole in (False, True))
    sector = np.flatnonzero(initial == initial[np.abs(initial).argmin()])
    energy, states = np.linalg.eigh(_valence_hamiltonian(ion)[sector][:, sector].toarray())
    population = np.exp(-(energy - energy[0]) / temperature_ev)
    population[population < _POPULATED] = 0
    if not ion.ten_dq_ev:  # one level, and one M_J of it
        population[1:] = 0
    population /= population.sum()
    single, excited_ev = (
        _stacked(ion.valence, ion.electrons + 1),
        _valence_hamiltonian(ion, extra=1),
    )
    shift = _average_ev(ion, extra=1) - _average_ev(ion)
    found = []
    for q in (-1, 0, 1):
        reached = np.flatnonzero(final == initial[sector[0]] + 2 * q * (ion.ten_dq_ev == 0))
        hamiltonian = _final_hamiltonian(ion, excited_ev, single, reached)
        dipole = _dipole(ion, q)[reached][:, sector]
        for level in np.flatnonzero(population):
            at, strength = _lanczos(hamiltonian, dipole @ states[:, level])
            found.append((at - shift - energy[level], population[level] * strength))
    return tuple(np.concatenate(x) for x in zip(*found, strict=True))


def total_strength(ion: Ion) -> float:
    """What the strengths of all lines add up to: l / (2 l + 1) per hole of the valence shell."""
    return (4 * ion.valence + 2 - ion.electrons) * ion.valence / (2 * ion.valence + 1)


# -- states and operators -------------------------------------------------------------------------


def spin_orbitals(l: int) -> list[tuple[int, float]]:  # noqa: E741
    """(m, spin) of the 4 l + 2 spin-orbitals of a shell."""
    return [(m, spin) for m in range(-l, l + 1) for spin in (-0.5, 0.5)]


@cache
def determinants(room: int, electrons: int) -> np.ndarray:
    """All ways to put electrons into ``room`` spin-orbitals, as bits, ascending."""
    if not 0 <= electrons <= room:
        return np.zeros(0, np.int64)
    bits = [sum(1 << i for i in chosen) for chosen in combinations(range(room), electrons)]
    return np.sort(np.array(bits, np.int64))


@cache
def annihilators(room: int, electrons: int) -> tuple[sparse.csr_array, ...]:
    """Matrices (states of one electron less, states) that empty each of the spin-orbitals."""
    before, after = determinants(room, electrons), determinants(room, electrons - 1)
    found = []
    for i in range(room):
        column = np.flatnonzero(before >> i & 1)
        row = np.searchsorted(after, before[column] ^ (1 << i))
        sign = 1.0 - 2.0 * (np.bitwise_count(before[column] & ((1 << i) - 1)) % 2)
        shape = (len(after), len(before))
        found.append(sparse.csr_array((sign, (row, column)), shape=shape))
    return tuple(found)


@cache
def gaunt(k: int, l: int, m: int, l2: int, m2: int) -> float:  # noqa: E741
    """c^k(l m, l' m') of Condon and Shortley, the angular part of 1/r_12 and of the dipole."""
    from sympy.physics.wigner import wigner_3j  # type: ignore[import-untyped]

    radial = wigner_3j(l, k, l2, 0, 0, 0) * wigner_3j(l, k, l2, -m, m - m2, m2)
    return float((-1) ** m * np.sqrt((2 * l + 1) * (2 * l2 + 1)) * radial)


def _repulsion(a, b, c, d, shells, integrals: Mapping[int, float]) -> float:
    """<ab|1/r|cd> of four spin-orbitals (m, spin), of the shells (l_a, l_b, l_c, l_d)."""
    if a[1] != c[1] or b[1] != d[1] or a[0] + b[0] != c[0] + d[0]:
        return 0.0
    return sum(
        value
        * gaunt(k, shells[0], a[0], shells[2], c[0])
        * gaunt(k, shells[3], d[0], shells[1], b[0])
        for k, value in integrals.items()
    )


def _spin_orbit(l: int) -> np.ndarray:  # noqa: E741
    """l.s in the spin-orbitals of a shell."""
    orbitals = spin_orbitals(l)
    matrix = np.diag([m * spin for m, spin in orbitals])
    for i, (m, spin) in enumerate(orbitals):
        for j, (m2, spin2) in enumerate(orbitals):
            if m == m2 + 1 and spin == spin2 - 1:
                matrix[i, j] = matrix[j, i] = 0.5 * np.sqrt(l * (l + 1) - m * m2)
    return matrix


def _cubic_field(l: int, ten_dq_ev: float) -> np.ndarray:  # noqa: E741
    """Cubic field in the spin-orbitals of a d shell: t_2g at -4 Dq, e_g at 6 Dq."""
    orbitals = spin_orbitals(l)
    if not ten_dq_ev:
        return np.zeros((len(orbitals), len(orbitals)))
    own, mixed = {0: 6.0, 1: -4.0, 2: 1.0}, 5.0  # d_x2-y2 and d_xy are halves of m = 2 and -2
    matrix = np.diag([own[abs(m)] for m, _ in orbitals])
    for i, (m, spin) in enumerate(orbitals):
        for j, (m2, spin2) in enumerate(orbitals):
            if (m, m2) in ((2, -2), (-2, 2)) and spin == spin2:
                matrix[i, j] = mixed
    return 0.1 * ten_dq_ev * matrix


def _one_electron(ion: Ion) -> np.ndarray:
    field_ev = _cubic_field(ion.valence, ion.ten_dq_ev)
    return ion.zeta_valence * _spin_orbit(ion.valence) + field_ev


@cache
def _pair_repulsion(l: int, integrals: tuple[tuple[int, float], ...]) -> np.ndarray:  # noqa: E741
    """<ab|cd> - <ab|dc> of all pairs a < b, c < d of a shell."""
    orbitals, shells = spin_orbitals(l), (l, l, l, l)
    pairs = list(combinations(orbitals, 2))
    matrix = np.zeros((len(pairs), len(pairs)))
    for i, (a, b) in enumerate(pairs):
        for j, (c, d) in enumerate(pairs):
            direct = _repulsion(a, b, c, d, shells, dict(integrals))
            matrix[i, j] = direct - _repulsion(a, b, d, c, shells, dict(integrals))
    return matrix


def _valence_hamiltonian(ion: Ion, *, extra: int = 0) -> sparse.csr_array:
    """Repulsion, spin-orbit coupling and crystal field of the valence shell, over determinants."""
    room, electrons = 4 * ion.valence + 2, ion.electrons + extra
    size = len(determinants(room, electrons))
    total = sparse.csr_array((size, size))
    if electrons > 0:
        total = total + _sandwiched(_one_electron(ion), _stacked(ion.valence, electrons))
    if electrons > 1:
        first, second = annihilators(room, electrons), annihilators(room, electrons - 1)
        pairs = [second[d] @ first[c] for c, d in combinations(range(room), 2)]
        repulsion = _pair_repulsion(ion.valence, tuple(_valence_f(ion, extra).items()))
        total = total + _sandwiched(repulsion, sparse.vstack(pairs, format="csr"))
    return total


def _final_hamiltonian(ion: Ion, valence_ev, single, sector: np.ndarray) -> sparse.csr_array:
    """Of core hole and valence shell, over some of the states (hole, determinant)."""
    holes = 4 * ion.core + 2
    alone = sparse.kron(sparse.eye_array(holes), valence_ev, format="csr")
    # A missing electron counts with the opposite sign.
    hole_ev = sparse.csr_array(-ion.zeta_core * _spin_orbit(ion.core).T)
    alone = alone + sparse.kron(hole_ev, sparse.eye_array(valence_ev.shape[0]), format="csr")
    each = sparse.kron(sparse.eye_array(holes), single, format="csc")[:, sector]
    coupled = _sandwiched(_hole_coupling(ion), each.tocsr())
    return (alone[sector][:, sector] + coupled).tocsr()


def _stacked(l: int, electrons: int) -> sparse.csr_array:  # noqa: E741
    """All single annihilators of a shell below each other, (orbital, state) by state."""
    return sparse.vstack(annihilators(4 * l + 2, electrons), format="csr")


def _sandwiched(matrix: np.ndarray, rows: sparse.csr_array) -> sparse.csr_array:
    """``rows^T (matrix x 1) rows`` for rows (of the matrix, state) by state."""
    identity = sparse.eye_array(rows.shape[0] // len(matrix))
    return (rows.T @ (sparse.kron(sparse.csr_array(matrix), identity, format="csr") @ rows)).tocsr()


def _dipole(ion: Ion, q: int) -> sparse.csr_array:
    """C^1_q from the determinants of the ground configuration to states (hole, determinant)."""
    filled = annihilators(4 * ion.valence + 2, ion.electrons + 1)
    rows = []
    for m_core, spin_core in spin_orbitals(ion.core):
        row = sparse.csr_array(filled[0].T.shape)
        for one, (m, spin) in zip(filled, spin_orbitals(ion.valence), strict=True):
            if spin == spin_core and m == m_core + q:
                row = row + gaunt(1, ion.valence, m, ion.core, m_core) * one.T
        rows.append(row)
    return sparse.vstack(rows, format="csr")


def _lanczos(hamiltonian: sparse.csr_array, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies and strengths of ``start`` (n,) in the eigenstates that it has a part in.

    Every vector is made orthogonal to all before it, twice.
    """
    norm = np.linalg.norm(start)
    if norm < _NOTHING:
        return np.zeros(0), np.zeros(0)
    basis = np.zeros((min(LANCZOS_STEPS, len(start)), len(start)))
    diagonal, beside = [], []
    vector = start / norm
    for step in range(len(basis)):
        basis[step] = vector
        image = hamiltonian @ vector
        diagonal.append(vector @ image)
        for _ in range(2):
            image -= basis[: step + 1].T @ (basis[: step + 1] @ image)
        size = np.linalg.norm(image)
        if size < _NOTHING:
            break
        beside.append(size)
        vector = image / size
    energy, states = eigh_tridiagonal(np.array(diagonal), np.array(beside[: len(diagonal) - 1]))
    return energy, (norm * states[0]) ** 2


def _hole_coupling(ion: Ion) -> np.ndarray:
    """Attraction of core hole and valence electron, (hole, electron) by (hole, electron).

    The electrons of a full shell but one: minus the interaction of the missing electron.
    """
    core, valence = spin_orbitals(ion.core), spin_orbitals(ion.valence)
    size, width = len(core) * len(valence), len(valence)
    matrix = np.zeros((size, size))
    direct, crossed = (ion.core, ion.valence) * 2, (ion.core, ion.valence, ion.valence, ion.core)
    for i, c1 in enumerate(core):
        for j, v1 in enumerate(valence):
            for k, c2 in enumerate(core):
                for n, v2 in enumerate(valence):
                    value = _repulsion(c1, v1, c2, v2, direct, ion.core_f)
                    value -= _repulsion(c1, v1, v2, c2, crossed, ion.core_g)
                    matrix[k * width + j, i * width + n] = -value
    return matrix


def _average_ev(ion: Ion, *, extra: int = 0) -> float:
    """Mean energy of all states of a configuration, the final one with ``extra`` = 1."""
    room, n = 4 * ion.valence + 2, ion.electrons + extra
    pairs = np.trace(_pair_repulsion(ion.valence, tuple(_valence_f(ion, extra).items())))
    average = pairs * n * (n - 1) / (room * (room - 1))
    if extra:
        average += np.trace(_hole_coupling(ion)) / (4 * ion.core + 2) * n / room
    return float(average)


def _valence_f(ion: Ion, extra: int) -> Mapping[int, float]:
    return ion.valence_f if extra or ion.initial_f is None else ion.initial_f


def _twice_m(ion: Ion, *, hole: bool) -> np.ndarray:
    """2 M_J of the determinants, or of the states (hole, determinant); 0 where not conserved."""
    room = 4 * ion.valence + 2
    valence, core = (
        np.array([round(2 * (m + spin)) for m, spin in spin_orbitals(l)])
        for l in (ion.valence, ion.core)  # noqa: E741
    )
    bits = determinants(room, ion.electrons + hole)[:, None] >> np.arange(room) & 1
    total = bits @ valence
    if hole:
        total = (total - core[:, None]).ravel()
    return total if not ion.ten_dq_ev else np.zeros_like(total)
