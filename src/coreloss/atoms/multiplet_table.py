"""Lines of all ions that occur, from first principles: makes ``data/multiplets.csv.gz``.

Radial integrals come from the project's own Dirac atom, of the ion with its core hole. Slater
exchange draws orbitals together: `HARTREE_FOCK` makes its integrals those of Hartree and Fock. Of
these, 80 % count: configurations that are left out screen the rest (Cowan 1981, section 16-2; de
Groot et al., Phys. Rev. B 42 (1990) 5459).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from coreloss.atoms.dirac_atom import HARTREE_EV, Atom, Orbital, ground_state, solve_atom
from coreloss.atoms.multiplets import Ion, lines, total_strength
from coreloss.edges import ATOMIC_NUMBER, edge_shells
from coreloss.physics.multiplets import lorentzians
from coreloss.physics.white_lines import FINAL_STATES, bound_oscillator_strengths
from coreloss.runtime.files import replacing

REDUCTION = 0.8
"""Of all Slater integrals."""
GIANT_EXCHANGE = (0.6, 0.66, 0.72)
"""Of G^k(4d, 4f) instead: the continuum, left out here, lowers the giant resonances further."""
HARTREE_FOCK = {
    "L23": {"valence": 0.96, "direct": 0.92, "exchange": 0.88, "core": 0.92, "open": 0.73},
    "M45": {"valence": 0.97, "direct": 0.93, "exchange": 0.92, "core": 0.94, "open": 0.80},
    "N45": {"valence": 0.97, "direct": 0.98, "exchange": 0.98, "core": 0.91, "open": 0.79},
}
"""What Hartree-Fock ions have of the integrals F^k(v, v), F^k(c, v), G^k(c, v) and of the two
spin-orbit constants of these ions, within 7 % (zeta of the open shell: 12 %), see the tests."""
BIN_EV = 0.1
SMALLEST_SHARE = 1e-4
"""Bins of less strength are left out."""
CORE = {"L23": (2, 1), "M45": (3, 2), "N45": (4, 2)}
VALENCE = {"L23": (3, 2), "M45": (4, 3), "N45": (4, 3)}
RARE_EARTHS = ("La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb")
OTHER_CHARGES = {"Ce": 4, "Pr": 4, "Tb": 4, "Sm": 2, "Eu": 2}
"""Common valences of rare earths beside 3. Yb2+ has a full 4f shell and no line."""
TRANSITION_METALS = {
    "Ca": (2,), "Sc": (3,), "Ti": (3, 4), "V": (3, 4, 5), "Cr": (3, 6), "Mn": (2, 3, 4),
    "Fe": (2, 3), "Co": (2, 3), "Ni": (2, 3), "Cu": (2,),
}  # fmt: skip
TEN_DQ_EV = {
    2: (-0.6, 0.6, 1.0, 1.5), 3: (-0.8, 0.9, 1.5, 2.1), 4: (-1.2, 1.2, 1.9, 2.5),
    5: (-1.5, 1.3, 2.0), 6: (-2.0,),
}  # fmt: skip
"""Cubic fields by charge: tetrahedral and eightfold (below 0), halides, oxides, strong ones."""
CORRECTION_EV = (-3.0, 5.0)
"""Of the transition state of 4d -> 4f, at La and at Yb."""
RISE_FWHM_EV = 1.0
"""Width of the lines whose rise is put on the tabulated onset."""
_HEADER = """\
# Dipole lines of 2p -> 3d, 3d -> 4f and 4d -> 4f of ions in cubic fields, exact diagonalisation.
# Made by `coreloss gos lines`. A variant is element, shell, charge,
# ten_dq_ev (splitting of e_g above t_2g, 0: free ion), exchange (factor of G^k(core, valence)).
# energy_ev: behind the tabulated onset of the edge; strength: oscillator strength at q -> 0.
element,shell,charge,ten_dq_ev,exchange,energy_ev,strength
"""


@dataclass(frozen=True)
class Variant:
    """One ion in one surrounding; ``exchange`` is the factor of G^k(core, valence)."""

    element: str
    shell: str
    charge: int
    ten_dq_ev: float = 0.0
    exchange: float = REDUCTION

    @property
    def electrons(self) -> int:
        """In the open shell: the neutral atom less the outer electrons and the charge."""
        closed = 18 if self.shell == "L23" else 54
        return ATOMIC_NUMBER[self.element] - closed - self.charge


def variants() -> Iterator[Variant]:
    """All that the table holds."""
    for element in RARE_EARTHS:
        for charge in (3, *filter(None, (OTHER_CHARGES.get(element),))):
            yield Variant(element, "M45", charge)
            for exchange in GIANT_EXCHANGE:
                yield Variant(element, "N45", charge, exchange=exchange)
    for element, charges in TRANSITION_METALS.items():
        for charge in charges:
            for ten_dq_ev in TEN_DQ_EV[charge]:
                yield Variant(element, "L23", charge, ten_dq_ev)


# -- from an atom to the parameters of an ion -----------------------------------------------------


def configuration(variant: Variant, moved: float) -> dict[str, float]:
    """Electrons by nl shell of the ion after ``moved`` core electrons have gone to its open one."""
    open_shell, core = (_name(*shells[variant.shell]) for shells in (VALENCE, CORE))
    outer = ("4s", "3d") if variant.shell == "L23" else ("6s", "5d", "4f")
    shells = {k: float(n) for k, n in ground_state(variant.element).items() if k not in outer}
    return shells | {open_shell: variant.electrons + moved, core: shells[core] - moved}


def slater_integral_ev(k: int, a: Orbital, b: Orbital, c: Orbital, d: Orbital, atom: Atom) -> float:
    """R^k of electrons that go from a to c and from b to d, in eV (Cowan 1981, eq. 6.23)."""
    n = atom.grid.inner
    r, dr, index = atom.grid.r[:n], atom.grid.dr[:n], np.arange(n)
    first, second = ((x.p * y.p + x.q * y.q)[:n] * dr for x, y in ((a, c), (b, d)))
    inside = CubicSpline(index, first * r**k).antiderivative()(index)
    outside = CubicSpline(index, first * r ** (-k - 1.0)).antiderivative()(index)
    potential = inside * r ** (-k - 1.0) + (outside[-1] - outside) * r**k
    return HARTREE_EV * float(CubicSpline(index, potential * second).integrate(0, n - 1))


def spin_orbit_ev(shell: tuple[Orbital, ...]) -> float:
    """Spin-orbit constant of a shell in eV, from the energies of its two subshells."""
    return (shell[-1].energy - shell[0].energy) * HARTREE_EV / (shell[0].l + 0.5)


def ion_of(variant: Variant) -> Ion:
    """Parameters of an ion, integrals reduced, from its own atom with the core hole."""
    atom = solve_atom(variant.element, shells=configuration(variant, 1.0))
    (core_n, core), (valence_n, valence) = CORE[variant.shell], VALENCE[variant.shell]
    holes, shell = atom.shell(core_n, core), atom.shell(valence_n, valence)
    c, v = holes[-1], shell[-1]
    direct = {k: slater_integral_ev(k, c, v, c, v, atom) for k in range(2, 2 * core + 1, 2)}
    exchange = {k: slater_integral_ev(k, c, v, v, c, atom) for k in range(1, 2 * core + 2, 2)}
    repulsion = {k: slater_integral_ev(k, v, v, v, v, atom) for k in range(2, 2 * valence + 1, 2)}
    known = HARTREE_FOCK[variant.shell]
    return Ion(
        core=core,
        valence=valence,
        electrons=variant.electrons,
        valence_f={k: REDUCTION * known["valence"] * x for k, x in repulsion.items()},
        core_f={k: REDUCTION * known["direct"] * x for k, x in direct.items()},
        core_g={k: variant.exchange * known["exchange"] * x for k, x in exchange.items()},
        zeta_core=known["core"] * spin_orbit_ev(holes),
        zeta_valence=known["open"] * spin_orbit_ev(shell),
        ten_dq_ev=variant.ten_dq_ev,
    )


def average_loss_ev(variant: Variant) -> float:
    """Average energy of the final configuration above that of the ground configuration.

    The difference of two orbital energies in the transition state, half an electron moved
    (J. C. Slater, Adv. Quantum Chem. 6 (1972) 1).
    """
    atom = solve_atom(variant.element, shells=configuration(variant, 0.5))
    core, valence = (
        np.average([o.energy for o in shell], weights=[abs(o.kappa) for o in shell])
        for shell in (atom.shell(*CORE[variant.shell]), atom.shell(*VALENCE[variant.shell]))
    )
    return HARTREE_EV * float(valence - core)


# -- from lines to the table ----------------------------------------------------------------------


def placed(variant: Variant, energy_ev, strength, ion: Ion) -> np.ndarray:
    """Energies (n,) of `lines` relative to the tabulated onset of the edge, (n,) in eV.

    4d -> 4f from first principles: the transition state, and what it misses (`correction_ev`).
    The others begin where the table says: the edge rises to half of its first maximum there.
    """
    if variant.shell == "N45":
        return energy_ev + average_loss_ev(variant) + correction_ev(variant) - _onset_ev(variant)
    grid = np.arange(energy_ev.min() - 2, energy_ev.max() + 2, 0.05)
    shape = lorentzians(energy_ev, strength, np.full(len(energy_ev), RISE_FWHM_EV), grid)
    first = grid < ion.zeta_core / 4  # between the two levels of the hole
    top = shape[first].max() if first.any() else shape.max()
    return energy_ev - grid[np.argmax(shape > top / 2)]


def correction_ev(variant: Variant) -> float:
    """What is added to the transition state of 4d -> 4f, a straight line along the row.

    The Slater-exchange ion binds 4f of the heavy rare earths too strongly, and the continuum pulls
    the giant resonances of the light ones down. Two numbers, by the published maxima of La and Yb.
    """
    from_la, to_yb = CORRECTION_EV
    return from_la + (to_yb - from_la) * (ATOMIC_NUMBER[variant.element] - 57) / 13


def oscillator_strength(variant: Variant) -> float:
    """Of all lines together: that of the free atom per hole, times the holes of the ion."""
    source = {"Cu": "Ni", "Yb": "Tm"}.get(variant.element, variant.element)  # full in the atom
    both = [bound_oscillator_strengths(state)[source, variant.shell] for state in FINAL_STATES]
    shell = VALENCE[variant.shell]
    room, atom = 4 * shell[1] + 2, ground_state(source).get(_name(*shell), 0)
    return sum(both) / 2 * (room - variant.electrons) / (room - atom)


def rows_of(variant: Variant) -> Iterator[str]:
    """Lines of one variant in the layout of the table, in bins of `BIN_EV`."""
    ion = ion_of(variant)
    energy_ev, strength = lines(ion)
    energy_ev = placed(variant, energy_ev, strength, ion)
    share = strength / total_strength(ion)
    place = np.unique(np.rint(energy_ev / BIN_EV), return_inverse=True)[1]
    weight = np.bincount(place, share)
    mean = np.bincount(place, share * energy_ev) / np.maximum(weight, 1e-300)
    kept = weight > SMALLEST_SHARE
    f = oscillator_strength(variant) / weight[kept].sum()
    key = f"{variant.element},{variant.shell},{variant.charge},{variant.ten_dq_ev:g}"
    for at, size in zip(mean[kept], weight[kept], strict=True):
        yield f"{key},{variant.exchange:g},{at:.2f},{f * size:.3g}"


def write_multiplets(path: str | Path) -> int:
    """Compute all variants and write them as ``data/multiplets.csv.gz``; returns their number."""
    every = list(variants())
    rows = [row for variant in every for row in rows_of(variant)]
    text = io.BytesIO()
    with gzip.GzipFile(fileobj=text, mode="wb", mtime=0) as file:  # the same bytes every time
        file.write((_HEADER + "\n".join(rows) + "\n").encode())
    with replacing(path) as part:
        part.write_bytes(text.getvalue())
    return len(every)


def _name(n: int, l: int) -> str:  # noqa: E741
    return f"{n}{'spdf'[l]}"


def _onset_ev(variant: Variant) -> float:
    key = (variant.element, variant.shell)
    return next(edge.onset_ev for edge in edge_shells() if (edge.element, edge.shell) == key)
