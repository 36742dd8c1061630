r"""Self-consistent Dirac atom with Slater exchange (Hartree-Slater) for every element.

The radial Dirac equation is solved for each subshell ``n kappa`` in the spherical potential

    V(r) = -Z/r + V_H[rho] + V_xc[rho],   V_x = -(3/2) alpha (3 rho / pi)^(1/3),

with alpha = 1 (Slater, Phys. Rev. 81 (1951) 385) and the tail V <= -1/r of Latter (Phys. Rev. 99
(1955) 510). Options turn it into the local-density atom of other codes, for comparisons.
Hartree atomic units inside (energy 27.2114 eV, length 0.529177 Angstrom).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.constants import physical_constants
from scipy.interpolate import CubicSpline
from scipy.special import lambertw

from coreloss.edges import ELEMENTS

HARTREE_EV = physical_constants["Hartree energy in eV"][0]
BOHR_ANGSTROM = physical_constants["Bohr radius"][0] * 1e10
LIGHT_SPEED = physical_constants["inverse fine-structure constant"][0]

GRID_R0, GRID_B, GRID_STEP, GRID_RMAX, GRID_END = 1e-6, 0.75, 0.03, 40.0, 400.0
MAX_ITERATIONS = 200

SYMBOLS = ("H", "He", "Li", *ELEMENTS)
_FILLING_ORDER = "1s 2s 2p 3s 3p 4s 3d 4p 5s 4d 5p 6s 4f 5d 6p"
_MOVED = {  # ground states that differ from the n + l rule: (from, to, electrons)
    **dict.fromkeys(("Cr", "Cu"), ("4s", "3d", 1)),
    **dict.fromkeys(("Nb", "Mo", "Ru", "Rh", "Ag"), ("5s", "4d", 1)),
    "Pd": ("5s", "4d", 2),
    **dict.fromkeys(("La", "Ce", "Gd"), ("4f", "5d", 1)),
    **dict.fromkeys(("Pt", "Au"), ("6s", "5d", 1)),
}


@dataclass(frozen=True)
class Orbital:
    """Bound orbital: n, kappa, number of electrons, energy [hartree], P and Q on the grid."""

    n: int
    kappa: int
    occupation: float
    energy: float
    p: np.ndarray
    q: np.ndarray

    @property
    def l(self) -> int:  # noqa: E743
        return self.kappa if self.kappa > 0 else -self.kappa - 1


@dataclass(frozen=True)
class Grid:
    """Radii ``r`` (N,), weights ``dr`` (N,), and the two Gauss points of each interval (N-1, 2).

    ``inner`` points follow ln(r/r0) + (r - r0)/b = x up to 40 bohr with a constant step in x;
    the rest is logarithmic up to 400 bohr and carries only the tail of continuum orbitals.
    """

    r: np.ndarray
    dr: np.ndarray
    gauss_r: np.ndarray
    gauss_dr: np.ndarray
    inner: int


@dataclass(frozen=True)
class Atom:
    """Atom or ion: orbitals and potential energy times radius ``rv`` (N,) [hartree bohr]."""

    symbol: str
    atomic_number: int
    orbitals: tuple[Orbital, ...]
    rv: np.ndarray
    grid: Grid
    light_speed: float

    def shell(self, n: int, l: int) -> tuple[Orbital, ...]:  # noqa: E741
        """The j-subshells of the nl shell, lower j first."""
        found = tuple(o for o in self.orbitals if o.n == n and o.l == l)
        if not found:
            raise ValueError(
                f"{self.symbol} has no occupied shell n={n}, l={l} in its ground state"
            )
        return tuple(sorted(found, key=lambda o: -o.kappa))


def atomic_number(symbol: str) -> int:
    """Z of a symbol from H to Bi.

    >>> atomic_number("Ti")
    22
    """
    if symbol not in SYMBOLS:
        raise ValueError(f"element {symbol!r} is not one of H ... Bi (Z <= 83)")
    return SYMBOLS.index(symbol) + 1


def ground_state(symbol: str) -> dict[str, int]:
    """Electrons per nl shell of the neutral ground state.

    >>> ground_state("Cu")["3d"], ground_state("Cu")["4s"]
    (10, 1)
    """
    left = atomic_number(symbol)
    shells = {}
    for name in _FILLING_ORDER.split():
        electrons = min(left, 2 * (2 * "spdf".index(name[1]) + 1))
        if electrons > 0:
            shells[name] = electrons
        left -= electrons
    if symbol in _MOVED:
        source, target, electrons = _MOVED[symbol]
        shells[source] -= electrons
        shells[target] = shells.get(target, 0) + electrons
    return {name: electrons for name, electrons in shells.items() if electrons > 0}


@cache
def radial_grid() -> Grid:
    """The grid that every atom shares."""
    end = np.log(GRID_RMAX / GRID_R0) + (GRID_RMAX - GRID_R0) / GRID_B
    inner = int(end / GRID_STEP) + 1

    def radius(index: np.ndarray) -> np.ndarray:
        x = index * GRID_STEP + GRID_R0 / GRID_B
        return GRID_B * lambertw(GRID_R0 / GRID_B * np.exp(x)).real

    def slope(r: np.ndarray) -> np.ndarray:
        return GRID_STEP * r * GRID_B / (r + GRID_B)

    offset = np.array([0.5 - np.sqrt(3) / 6, 0.5 + np.sqrt(3) / 6])
    r = radius(np.arange(inner))
    gauss_r = radius(np.arange(inner - 1)[:, None] + offset)
    outer = int(np.log(GRID_END / r[-1]) / GRID_STEP)
    r_outer = r[-1] * np.exp(GRID_STEP * np.arange(1, outer + 1))
    gauss_outer = r[-1] * np.exp(GRID_STEP * (np.arange(outer)[:, None] + offset))
    return Grid(
        r=np.concatenate([r, r_outer]),
        dr=np.concatenate([slope(r), GRID_STEP * r_outer]),
        gauss_r=np.concatenate([gauss_r, gauss_outer]),
        gauss_dr=np.concatenate([slope(gauss_r), GRID_STEP * gauss_outer]),
        inner=inner,
    )


def kernel_grid(grid: Grid, rv: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arguments of the compiled kernels: r, and r, rV, dr at the Gauss points."""
    inner = grid.inner
    offset = np.array([0.5 - np.sqrt(3) / 6, 0.5 + np.sqrt(3) / 6])
    index = np.arange(inner - 1)[:, None] + offset
    gauss_rv = np.full(grid.gauss_r.shape, rv[inner - 1])
    gauss_rv[: inner - 1] = CubicSpline(np.arange(inner), rv[:inner])(index)
    return grid.r, grid.gauss_r, gauss_rv, grid.gauss_dr


def _hartree(density: np.ndarray, grid: Grid) -> np.ndarray:
    """r V_H for the radial density 4 pi r^2 rho (inner,)."""
    index = np.arange(grid.inner)
    r, dr = grid.r[: grid.inner], grid.dr[: grid.inner]
    inside = CubicSpline(index, density * dr).antiderivative()(index)
    outside = CubicSpline(index, density * dr / r).antiderivative()(index)
    return inside + r * (outside[-1] - outside)


def _exchange_correlation(density: np.ndarray, grid: Grid, xc: str) -> np.ndarray:
    """r V_xc; 'slater' has alpha = 1, 'lda' alpha = 2/3 and the correlation of Vosko et al."""
    r = grid.r[: grid.inner]
    rho = np.maximum(density / (4 * np.pi * r**2), 1e-40)
    exchange = -1.5 * (3 * rho / np.pi) ** (1 / 3)
    if xc == "slater":
        return r * exchange
    return r * (2 / 3 * exchange + _vosko_wilk_nusair(rho))


def _vosko_wilk_nusair(rho: np.ndarray) -> np.ndarray:
    """Correlation potential of the unpolarised electron gas, Can. J. Phys. 58 (1980) 1200."""
    amplitude, x0, b, c = 0.0310907, -0.10498, 3.72744, 12.9352
    radius = (3 / (4 * np.pi * rho)) ** (1 / 3)
    x = np.sqrt(radius)
    root = np.sqrt(4 * c - b * b)

    def polynomial(y):
        return y * y + b * y + c

    angle = np.arctan(root / (2 * x + b))
    value = np.log(x * x / polynomial(x)) + 2 * b / root * angle
    value -= (b * x0 / polynomial(x0)) * (
        np.log((x - x0) ** 2 / polynomial(x)) + 2 * (b + 2 * x0) / root * angle
    )
    slope = c * (x - x0) - b * x * x0
    return amplitude * (value - slope / ((x - x0) * polynomial(x)) / 3)


def _thomas_fermi(z: int, grid: Grid) -> np.ndarray:
    """r V of a screened nucleus to start from (Tietz, J. Chem. Phys. 25 (1956) 787)."""
    scaled = grid.r * z ** (1 / 3) / 0.8853
    return -1.0 - (z - 1) / (1 + 0.53625 * scaled) ** 2


def _solve_orbitals(
    shells: Mapping[str, float], rv: np.ndarray, grid: Grid, c: float, guesses: dict
) -> list[Orbital]:
    """All bound orbitals in the potential; electrons spread over j by 2j + 1."""
    from coreloss.atoms.radial import bound_orbital

    arguments = kernel_grid(grid, rv)
    orbitals = []
    for name, electrons in shells.items():
        n, l = int(name[0]), "spdf".index(name[1])  # noqa: E741
        for kappa in (l, -l - 1) if l else (-1,):
            guess = guesses.get((n, kappa), 0.5 * (rv[0] / n) ** 2 * -0.3)
            energy, p, q, converged = bound_orbital(
                float(kappa), n - l - 1, guess, c, arguments, rv, grid.dr, grid.inner
            )
            if not converged:
                raise RuntimeError(f"orbital {name}, kappa={kappa} did not converge")
            guesses[n, kappa] = energy
            share = electrons * abs(kappa) / (2 * l + 1)
            orbitals.append(Orbital(n, kappa, share, energy, p, q))
    return orbitals


def _mixed(inputs: list[np.ndarray], residuals: list[np.ndarray], beta: float) -> np.ndarray:
    """Anderson's combination of the last potentials (J. ACM 12 (1965) 547)."""
    if len(inputs) == 1:
        return inputs[0] + beta * residuals[0]
    differences = np.stack([residuals[-1] - r for r in residuals[:-1]], axis=1)
    steps = np.stack([inputs[-1] - v for v in inputs[:-1]], axis=1)
    theta = np.linalg.lstsq(differences, residuals[-1], rcond=1e-9)[0]
    return inputs[-1] - steps @ theta + beta * (residuals[-1] - differences @ theta)


def solve_atom(
    symbol: str,
    *,
    shells: Mapping[str, float] | None = None,
    xc: str = "slater",
    latter: bool = True,
    c: float = LIGHT_SPEED,
) -> Atom:
    """Self-consistent atom of an element from H to Bi.

    ``shells``: electrons by nl shell, by default those of `ground_state`: fewer than Z make an ion,
    half electrons a transition state (J. C. Slater, Adv. Quantum Chem. 6 (1972) 1).

    ``xc``: 'slater' (Hartree-Slater, the default), 'lda' (exchange and VWN correlation), or
    'bare' (electrons in -Z/r only, for comparisons with hydrogen). ``latter``: correct the tail.
    ``c``: speed of light in atomic units; 1e4 gives the non-relativistic limit.
    """
    if xc not in ("slater", "lda", "bare"):
        raise ValueError(f"xc is {xc!r}; choose 'slater', 'lda' or 'bare'")
    z, grid = atomic_number(symbol), radial_grid()
    shells = ground_state(symbol) if shells is None else shells
    unscreened = z - sum(shells.values()) + 1.0  # of an electron far outside
    if unscreened < 1:
        raise ValueError(f"{symbol} has {z} electrons at most; shells hold {sum(shells.values())}")
    rv = np.full(grid.r.size, -float(z)) if xc == "bare" else _thomas_fermi(z, grid)
    guesses: dict = {}
    inputs: list[np.ndarray] = []
    residuals: list[np.ndarray] = []
    for _ in range(MAX_ITERATIONS):
        orbitals = _solve_orbitals(shells, rv, grid, c, guesses)
        if xc == "bare":
            break
        density = sum(o.occupation * (o.p**2 + o.q**2) for o in orbitals)[: grid.inner]
        new = -z + _hartree(density, grid) + _exchange_correlation(density, grid, xc)
        if latter:
            new = np.minimum(new, -unscreened)
        residual = new - rv[: grid.inner]
        if np.abs(residual).max() < 1e-7 * z:
            break
        inputs, residuals = [*inputs[-5:], rv[: grid.inner]], [*residuals[-5:], residual]
        mixed = _mixed(inputs, residuals, 0.4)
        rv = np.concatenate([mixed, np.full(grid.r.size - grid.inner, mixed[-1])])
    else:
        raise RuntimeError(f"the atom {symbol} did not converge in {MAX_ITERATIONS} iterations")
    return Atom(symbol, z, tuple(orbitals), rv, grid, c)
