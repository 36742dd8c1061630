r"""Measured photoabsorption as the q -> 0 limit of generalised oscillator strengths.

An independent electron cannot describe the giant resonance 4d -> 4f of Xe ... Tm, nor the delayed
rise of 3d -> f at the M45 edge of Rb ... Sn: the electrons of the shell respond together (Wendin,
in *Photoionization and Other Probes of Many-Electron Interactions*, Plenum 1976, p. 61). The
photoabsorption tables of the Center for X-Ray Optics (Henke, Gullikson and Davis, At. Data Nucl.
Data Tables 54 (1993) 181), shipped with the package periodictable, hold the measured shape:

    df/dE (q -> 0) = 2 f2(E) / (pi E) .

From it the lower shells are subtracted (a power law from the foot of the edge), up to the onset of
the next higher shell; beyond, the ratio to the calculation relaxes to one. In the heavy lanthanides
the 4f continuum interferes with the resonance: it dips at the foot and recovers behind it, so that
the edge above a power law, as a spectrum shows it, holds some of the strength of 4f as well.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, subshells
from coreloss.physics.gos_table import GosTable

MEASURED_SHELLS = {"N45": ("Sb", "Tm"), "M45": ("Rb", "Sn")}  # first and last element
WIDE_RESONANCE = ("Sb", "Te", "I", "Xe", "Cs")
START_SHARE = 0.04  # of the peak: where the measured edge begins
EXPONENT_RANGE = (1.0, 2.5)  # of the power law of the lower shells
NEXT_SHELL_MARGIN_EV = 8.0
MEASURED_ENERGIES = 157
OPTICAL_Q_PER_ANGSTROM = 0.002


def has_measured_shape(element: str, shell: str) -> bool:
    """Whether the q -> 0 shape of the shell is taken from measured photoabsorption.

    >>> has_measured_shape("La", "N45"), has_measured_shape("Yb", "N45")
    (True, False)
    """
    if shell not in MEASURED_SHELLS:
        return False
    first, last = (ATOMIC_NUMBER[symbol] for symbol in MEASURED_SHELLS[shell])
    return first <= ATOMIC_NUMBER[element] <= last


def photoabsorption(element: str) -> tuple[np.ndarray, np.ndarray]:
    """Energies [eV] and df/dE [1/eV] of all shells together, from f2 of the CXRO tables."""
    import periodictable

    table = periodictable.elements.symbol(element).xray.sftable
    energy_ev, f2 = np.asarray(table[0]) * 1e3, np.asarray(table[2])
    good = np.isfinite(f2) & (f2 > 0) & (energy_ev > 12.0)
    return energy_ev[good], 2 * f2[good] / (np.pi * energy_ev[good])


def calculated_photoabsorption(element: str, energy_ev: np.ndarray) -> np.ndarray:
    """df/dE [1/eV] (n,) of all shells together in the Dirac Hartree-Slater atom, for checks.

    Onsets come from the table of edges, for the outermost shells from the orbital energy.
    """
    from coreloss.atoms.dirac_atom import HARTREE_EV, solve_atom
    from coreloss.atoms.oscillator import core_extent, solve_continuum, subshell_gos_per_ev

    atom, energy_ev = solve_atom(element), np.asarray(energy_ev, dtype=float)
    onsets_ev = {row.subshell: row.onset_ev for row in subshells() if row.element == element}
    total = np.zeros(energy_ev.shape)
    for orbital in atom.orbitals:
        number = 2 * orbital.l + (0 if orbital.kappa > 0 else 1)
        name = "K" if orbital.n == 1 else f"{'KLMNOP'[orbital.n - 1]}{number}"
        onset_ev = onsets_ev.get(name, -orbital.energy * HARTREE_EV)
        above = energy_ev > onset_ev
        if above.any():
            continuum = solve_continuum(
                atom,
                energy_ev[above] - onset_ev,
                l_max=orbital.l + 1,
                keep=core_extent((orbital,), atom),
            )
            q = np.array([OPTICAL_Q_PER_ANGSTROM])
            gos = subshell_gos_per_ev(orbital, atom, continuum, q, onset_ev=onset_ev)
            total[above] += gos[0]
    return total


def end_of_measured_range_ev(table: GosTable, onsets_ev: Mapping[str, float]) -> float:
    """Where the next higher shell begins to disturb; ``onsets_ev``: onsets of the element by shell.

    The 4p shell of Sb ... Cs has no edge of its own under the wide resonance of 4d.
    """
    ignored = "N23" if table.shell == "N45" and table.element in WIDE_RESONANCE else ""
    higher = [
        onset
        for shell, onset in onsets_ev.items()
        if shell != ignored and onset > table.onset_ev + NEXT_SHELL_MARGIN_EV
    ]
    return min(higher) - NEXT_SHELL_MARGIN_EV


def measured_table(
    table: GosTable, limit_ev: float, *, form_factor: np.ndarray | None = None
) -> GosTable:
    """The variant of ``table`` whose q -> 0 limit is the measured photoabsorption of the shell.

    GOS(E, q) = GOS_calc(E, q) min(rho, 1) + max(f(E) - GOS_calc(E, 0), 0) F(q), with the measured
    f(E) = df/dE and rho = f(E) / GOS_calc(E, 0): where the measurement is smaller, the calculation
    is scaled down; where it is larger, the excess gets the q dependence F(q) of the resonance:
    ``form_factor`` (nq,) of the bound transition (4d -> 4f), or that of the calculation at its
    maximum, GOS_calc(E*, q) / GOS_calc(E*, 0). ``limit_ev``: end of the measured range.
    """
    start_ev, energy_ev, strength = _edge_above_background(table, limit_ev)
    last = float(table.free_energy_ev[-1])
    free = np.concatenate([[0.01], np.geomspace(0.3, last, MEASURED_ENERGIES)])
    loss_ev = start_ev + free
    calculated = _at_losses(table, loss_ev)
    optical = calculated[0]
    measured = np.interp(loss_ev, energy_ev, strength)
    beyond = np.maximum(loss_ev - limit_ev, 0.0) / (limit_ev - table.onset_ev)
    ratio = _ratio_at(limit_ev, table, energy_ev, strength)
    target = np.where(loss_ev < limit_ev, measured, (1 + (ratio - 1) * np.exp(-beyond)) * optical)
    scale = np.minimum(target / np.maximum(optical, 1e-30), 1.0)
    excess = np.maximum(target - optical, 0.0)
    if form_factor is None:
        inside = table.onset_ev + table.free_energy_ev < limit_ev
        peak = int(np.argmax(np.where(inside, table.gos_per_ev[0], 0.0)))
        form_factor = table.gos_per_ev[:, peak] / table.gos_per_ev[0, peak]
    gos = calculated * scale + form_factor[:, None] * excess
    return GosTable(table.element, table.shell, start_ev, free, table.q_per_angstrom, gos)


def _edge_above_background(
    table: GosTable, limit_ev: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """First energy of the edge, and energies and df/dE of the shell without the lower shells."""
    energy_ev, total = photoabsorption(table.element)
    onset = table.onset_ev
    inside = np.flatnonzero((energy_ev > 0.95 * onset) & (energy_ev < limit_ev))
    peak = int(inside[np.argmax(total[inside])])
    before = np.flatnonzero((energy_ev > 0.75 * onset) & (energy_ev < energy_ev[peak]))
    foot = int(before[np.argmin(total[before])])
    lower = (energy_ev > 0.7 * energy_ev[foot]) & (energy_ev <= energy_ev[foot])
    slope = -np.polyfit(np.log(energy_ev[lower]), np.log(total[lower]), 1)[0]
    background = total[foot] * (energy_ev / energy_ev[foot]) ** -np.clip(slope, *EXPONENT_RANGE)
    strength = np.maximum(total - background, 0.0)
    below = np.flatnonzero(strength[foot:peak] < START_SHARE * strength[peak])
    first = foot + int(below[-1])
    strength[: first + 1] = 0.0
    return float(energy_ev[first]), energy_ev, strength


def _at_losses(table: GosTable, loss_ev: np.ndarray) -> np.ndarray:
    """Calculated GOS (nq, n) at energy losses, zero below the onset."""
    free = loss_ev - table.onset_ev
    return np.stack(
        [np.interp(free, table.free_energy_ev, row, left=0) for row in table.gos_per_ev]
    )


def _ratio_at(
    limit_ev: float, table: GosTable, energy_ev: np.ndarray, strength: np.ndarray
) -> float:
    """Measured over calculated df/dE (q -> 0), averaged over the last fifth of the range."""
    loss = np.linspace(0.8 * limit_ev + 0.2 * table.onset_ev, limit_ev, 40)
    calculated = np.interp(loss - table.onset_ev, table.free_energy_ev, table.gos_per_ev[0])
    return float(np.mean(np.interp(loss, energy_ev, strength)) / np.mean(calculated))
