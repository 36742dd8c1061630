"""White lines and giant resonances beside results by hand, Hartree-Fock and other sources.

What the book shows of `physics.multiplets` and of the calculation behind its table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from coreloss.atoms.multiplet_table import RARE_EARTHS, REDUCTION, Variant, ion_of
from coreloss.atoms.multiplets import Ion, lines, total_strength
from coreloss.atoms.photoabsorption import photoabsorption
from coreloss.edges import EdgeShell, edge_shells
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import Multiplet, continuum_share, cumulative, multiplets_of

MEASURED_AGAIN = ("La", "Gd")
"""Elements whose CXRO table is of 2007, on a finer grid; the others are of 1993, partly from
interpolation between elements."""
GIANT_WINDOW_EV = (85.0, 240.0)
_SAME_EV = 1e-6
_NOTHING = 1e-9


@cache
def edge_of(element: str, shell: str) -> EdgeShell:
    """The row of the edge table."""
    return next(e for e in edge_shells() if (e.element, e.shell) == (element, shell))


def trivalent(element: str, shell: str) -> tuple[Multiplet, ...]:
    """Ions of charge 3, the exchange integrals ascending."""
    return tuple(ion for ion in multiplets_of(element, shell) if ion.charge == 3)


def merged_lines(ion: Ion) -> tuple[np.ndarray, np.ndarray]:
    """Energies [eV] and strengths of `atoms.multiplets.lines` (n,), ascending, equal ones added."""
    energy_ev, strength = lines(ion)
    order = energy_ev.argsort()
    energy_ev, strength = energy_ev[order], strength[order]
    number = np.concatenate([[0], (np.diff(energy_ev) > _SAME_EV).cumsum()])
    total = np.bincount(number, strength)
    mean = np.bincount(number, strength * energy_ev) / np.maximum(total, _NOTHING**2)
    kept = total > _NOTHING * total.sum()
    return mean[kept], total[kept]


# -- how it works ---------------------------------------------------------------------------------


def lines_by_exchange(ion: Ion, factors: Sequence[float]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lines of an ion whose exchange integrals G^k are multiplied by each of the factors."""
    scaled = [{k: f * value for k, value in ion.core_g.items()} for f in factors]
    return [merged_lines(replace(ion, core_g=exchange)) for exchange in scaled]


def singlet_raised_ev(g1_ev: float) -> float:
    """Exchange energy of the singlet P of 4d^9 4f, by hand: 2 G^1.

    A hole and an electron in shells l, l' are raised in the singlet of L = k, and nowhere else, by
    2 (2l+1)(2l'+1)/(2k+1) (l k l'; 0 0 0)^2 G^k (Cowan 1981, eq. 12.33); the symbol is 3/35.

    >>> round(singlet_raised_ev(10.0), 6)
    20.0
    """
    return 2 * 5 * 7 / 3 * (3 / 35) * g1_ev


# -- giant resonances -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Resonance:
    """df/dE (q -> 0) of a giant resonance over the energy loss, (n,) per eV.

    ``lines`` of the ion, broadened; ``continuum`` behind them; ``before`` : the table without them
    (measured photoabsorption where ``tabulated``, else that of independent electrons)
    """

    ion: Multiplet
    loss_ev: np.ndarray
    lines: np.ndarray
    continuum: np.ndarray
    before: np.ndarray
    tabulated: bool

    @property
    def peak_ev(self) -> float:
        """Of the broadened lines."""
        return float(self.loss_ev[self.lines.argmax()])

    @property
    def line_ev(self) -> np.ndarray:
        """Energy losses of the lines themselves."""
        return edge_of(self.ion.element, self.ion.shell).onset_ev + self.ion.energy_ev


def resonance_of(ion: Multiplet, *, step_ev: float = 0.1) -> Resonance:
    """Lines of an N45 edge as the simulator has them, and the table that it had before.

    >>> resonance_of(trivalent("Gd", "N45")[1]).tabulated
    True
    """
    edge, table = edge_of(ion.element, ion.shell), read_gosh()[ion.element, ion.shell]
    loss_ev = np.arange(*GIANT_WINDOW_EV, step_ev)
    tabulated = table.measured is not None
    table = table.measured or table
    free_ev = loss_ev - table.onset_ev
    before = np.interp(free_ev, table.free_energy_ev, table.gos_per_ev[0], left=0)
    share = np.ones(len(loss_ev))
    if tabulated:
        table_ev = table.onset_ev + table.free_energy_ev
        share = continuum_share(table_ev, table.gos_per_ev[0], edge, loss_ev)
    shape = density_per_ev(ion, loss_ev - edge.onset_ev)
    return Resonance(ion, loss_ev, shape, before * share, before, tabulated)


def density_per_ev(ion: Multiplet, at_ev: np.ndarray) -> np.ndarray:
    """Broadened lines (n,) per eV, at evenly spaced energies (n,) behind the onset."""
    step_ev = at_ev[1] - at_ev[0]
    limits = np.append(at_ev, at_ev[-1] + step_ev) - step_ev / 2
    return np.diff(cumulative(ion, edge_of(ion.element, ion.shell), limits)) / step_ev


def width_ev(energy_ev: np.ndarray, curve: np.ndarray) -> float:
    """Full width at half maximum of a curve (n,).

    >>> width_ev(np.arange(7.0), np.array([0, 0, 2, 4, 2, 0, 0.0]))
    2.0
    """
    high = energy_ev[curve >= curve.max() / 2]
    return float(high[-1] - high[0])


def strength_near(energy_ev: np.ndarray, curve: np.ndarray) -> float:
    """Oscillator strength from 20 eV before to 30 eV behind the maximum of df/dE (n,)."""
    peak_ev = energy_ev[curve.argmax()]
    inside = (energy_ev > peak_ev - 20) & (energy_ev < peak_ev + 30)
    return float(np.trapezoid(curve[inside], energy_ev[inside]))


def shape_rows() -> Iterator[tuple[str, ...]]:
    """Element, then maximum, width and strength of ours and of the table, where it is fine."""
    for element in MEASURED_AGAIN:
        r = resonance_of(trivalent(element, "N45")[1])
        for name, curve in (("ion", r.lines + r.continuum), ("CXRO", r.before)):
            values = curve.max(), width_ev(r.loss_ev, curve), strength_near(r.loss_ev, curve)
            top, width, strength = values
            yield (element, name, f"{top:.2f}", f"{width:.1f}", f"{strength:.1f}")


def tabulated_peak_ev(element: str) -> tuple[float, float]:
    """Maximum of a CXRO photoabsorption table near N45, and the step of its grid there, in eV.

    The vertex of a parabola through the three highest points.
    """
    energy_ev, strength = photoabsorption(element)
    inside = (energy_ev > GIANT_WINDOW_EV[0]) & (energy_ev < GIANT_WINDOW_EV[1])
    top = int(np.flatnonzero(inside)[strength[inside].argmax()])
    around = slice(top - 1, top + 2)
    square, slope, _ = np.polyfit(energy_ev[around] - energy_ev[top], strength[around], 2)
    peak_ev = energy_ev[top] - slope / (2 * square)
    return float(peak_ev), float(np.diff(energy_ev[around]).mean())


def peak_rows() -> Iterator[tuple[str, ...]]:
    """Element, onset, computed maxima for the exchange integrals of the table, CXRO, its grid."""
    for element in RARE_EARTHS:
        computed = (resonance_of(ion).peak_ev for ion in trivalent(element, "N45"))
        table_ev, grid = "–", "no maximum"
        if read_gosh()[element, "N45"].measured is not None:
            at_ev, step_ev = tabulated_peak_ev(element)
            kind = "measured 2007" if element in MEASURED_AGAIN else "1993, coarse"
            table_ev, grid = f"{at_ev:.1f}", f"{step_ev:.1f} eV, {kind}"
        onset_ev = edge_of(element, "N45").onset_ev
        yield (element, f"{onset_ev:g}", *(f"{x:.1f}" for x in computed), table_ev, grid)


# -- shares of the two subshells ------------------------------------------------------------------


def first_share(ion: Multiplet) -> float:
    """Strength of M5 in M45, or of L3 in L23: of the lines below half the splitting of the edge."""
    below = ion.energy_ev < edge_of(ion.element, ion.shell).offsets_ev[-1] / 2
    return float(ion.strength[below].sum() / ion.oscillator_strength)


def shares_by_charge(shell: str) -> dict[int, dict[str, float]]:
    """`first_share` of the rare earths by charge and element.

    >>> shares_by_charge("M45")[3]["Yb"]
    1.0
    """
    found: dict[int, dict[str, float]] = {}
    for element in RARE_EARTHS:
        for ion in multiplets_of(element, shell):
            found.setdefault(ion.charge, {})[element] = first_share(ion)
    return found


def reference_shares(path: str | Path) -> dict[tuple[str, int, str, float], float]:
    """Shares of M5 or L3 in a reference table by element, charge, shell and 10Dq."""
    return {
        (row["element"], int(row["charge"]), row["shell"], float(row["ten_dq_ev"])): float(
            row["share"]
        )
        for row in _rows_of(path)
    }


def share_differences(reference: Mapping[tuple[str, int, str, float], float]) -> np.ndarray:
    """Shares of our table less those of a reference, where both have the same ion."""
    ours = {
        (ion.element, ion.charge, ion.shell, ion.ten_dq_ev): first_share(ion)
        for element, _, shell, _ in reference
        for ion in multiplets_of(element, shell)
    }
    return np.array([ours[key] - value for key, value in reference.items() if key in ours])


# -- checks ---------------------------------------------------------------------------------------


def hartree_fock_ratios(path: str | Path) -> dict[tuple[str, str], np.ndarray]:
    """Our integrals of Hartree-Fock size over published ones, by shell and quantity.

    Quantities: F^k of the open shell ("valence"), F^k ("direct") and G^k ("exchange") with the
    core, and the spin-orbit constants of the "core" and the "open" shell.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for row in _rows_of(path):
        ion = _full_ion(row["element"], row["shell"], int(row["charge"]))
        quantity, k = row["quantity"], int(row["k"])
        integrals = {"valence": ion.valence_f, "direct": ion.core_f, "exchange": ion.core_g}
        spin_orbit = {"core": ion.zeta_core, "open": ion.zeta_valence}
        ours = integrals[quantity][k] / REDUCTION if k else spin_orbit[quantity]
        found.setdefault((row["shell"], quantity), []).append(ours / float(row["value_ev"]))
    return {key: np.array(found[key]) for key in sorted(found)}


def cases_by_hand() -> dict[str, tuple[float, float]]:
    """What can be worked out by hand: (by hand, computed)."""
    weights = {"L3": (1, 2, 2 / 3), "M5": (2, 3, 3 / 5)}
    found = {}
    for name, (core, valence, by_hand) in weights.items():
        _, strength = merged_lines(Ion(core, valence, 0, zeta_core=2.0))
        found[f"share of {name}, no repulsion"] = (by_hand, strength[0] / strength.sum())
    energy_ev, strength = merged_lines(Ion(1, 2, 0, ten_dq_ev=2.0))
    found["share of t2g in a cubic field"] = (3 / 5, strength[0] / strength.sum())
    found["splitting for 10Dq = 2 eV"] = (2.0, energy_ev[1] - energy_ev[0])
    energy_ev, _ = merged_lines(Ion(2, 3, 0, core_g={1: 10.0}))
    raised_ev = singlet_raised_ev(10.0)
    average_ev = 3 * raised_ev / 140  # the singlet P is 3 of the 140 states
    found["singlet P of 4d9 4f, G1 = 10 eV"] = (raised_ev - average_ev, energy_ev[-1])
    found["lines of 4f13"] = (1, len(merged_lines(ion_of(Variant("Yb", "N45", 3)))[0]))
    return {name: (float(a), float(b)) for name, (a, b) in found.items()}


def sum_rule_error(variants: Sequence[Variant]) -> float:
    """Largest relative distance of the computed strength to holes x l / (2l + 1)."""
    ions = [ion_of(variant) for variant in variants]
    return max(abs(lines(ion)[1].sum() / total_strength(ion) - 1) for ion in ions)


@cache
def _full_ion(element: str, shell: str, charge: int) -> Ion:
    return ion_of(Variant(element, shell, charge, exchange=REDUCTION))


def _rows_of(path: str | Path) -> Iterator[dict[str, str]]:
    text = Path(path).read_text().splitlines()
    yield from csv.DictReader(line for line in text if not line.startswith("#"))
