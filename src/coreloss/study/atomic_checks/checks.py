"""Onsets, oscillator strengths and cross-sections beside those of other sources.

What the book shows and the tests hold: nothing here is used in a simulation. The other programs are
imported inside the functions that ask them.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import constants

from coreloss.atoms import photoabsorption
from coreloss.atoms.dirac_atom import HARTREE_EV
from coreloss.beam import Beam
from coreloss.edges import EdgeShell, Subshell, edge_shells, subshells, xraydb_onsets_ev
from coreloss.physics.cross_section import dsigma_de, integrated_cross_section
from coreloss.physics.gos_table import BUILTIN_GOSH, GosTable, read_gosh

if TYPE_CHECKING:
    from coreloss.atoms.dirac_atom import Atom

ALLOWED_GAP_EV, ALLOWED_SHARE, SMALLEST_GAP_EV = 5.0, 0.015, 1.5
LAST_COMPARED_ENERGY = 60  # of the energy grid of a table


@dataclass(frozen=True, eq=False)
class OnsetComparison:
    """Rows of the edge table whose onset is eXSpy's, with XrayDB's (n,) beside it.

    ``differs`` (n,): gap above 5 eV, or above 1.5 % where that is more than 1.5 eV.
    """

    rows: tuple[Subshell, ...]
    table_ev: np.ndarray
    xraydb_ev: np.ndarray

    @property
    def gap_ev(self) -> np.ndarray:
        return self.table_ev - self.xraydb_ev

    @property
    def differs(self) -> np.ndarray:
        gap = np.abs(self.gap_ev)
        relative = np.maximum(SMALLEST_GAP_EV, ALLOWED_SHARE * self.xraydb_ev)
        return (gap > ALLOWED_GAP_EV) | (gap > relative)

    @property
    def shells(self) -> tuple[str, ...]:
        """Shell of each row, such as 'Ti L23'."""
        return tuple(f"{row.element} {row.shell}" for row in self.rows)

    def exceptions(self, role: str | None = None) -> list[tuple[str, float, float, str]]:
        """(subshell, table, XrayDB, difference) of the rows that differ, of one role or of all."""
        return [
            (f"{row.element} {row.subshell}", row.onset_ev, float(other), f"{gap:+.1f}")
            for row, other, gap, differs in zip(
                self.rows, self.xraydb_ev, self.gap_ev, self.differs, strict=True
            )
            if differs and role in (None, row.role)
        ]


def compare_onsets() -> OnsetComparison:
    """The edge table against XrayDB, for the rows that do not come from XrayDB themselves."""
    other = xraydb_onsets_ev()
    rows = tuple(row for row in subshells() if row.source != "xraydb")
    reference = [other[row.element, row.subshell] for row in rows]
    return OnsetComparison(rows, np.array([row.onset_ev for row in rows]), np.array(reference))


@dataclass(frozen=True)
class PartialCrossSection:
    """One row of tests/reference/cross_section_partial.csv [barn], with the value from our GOS.

    ``egerton`` and ``tolerance`` are None where there is no published value.
    """

    name: str
    beam: Beam
    window_ev: float
    ours: float
    same_model: float
    egerton: float | None
    tolerance: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Name, beam energy, angle, window and the three cross-sections as text."""
        settings = (self.beam.energy_kev, self.beam.collection_mrad, self.window_ev)
        values = (self.ours, self.same_model, self.egerton)
        return (
            self.name,
            *(f"{x:g}" for x in settings),
            *(f"{x:.5g}" if x else "–" for x in values),
        )


def partial_cross_sections(path: str | Path) -> list[PartialCrossSection]:
    """Cross-sections of the shipped GOS for every row of a reference table, parallel probe."""
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    shells = {(edge.element, edge.shell): edge for edge in edge_shells()}
    found = []
    for row in csv.DictReader(lines):
        edge = shells[row["element"], row["shell"]]
        beam = Beam(
            energy_kev=float(row["beam_energy_kev"]), collection_mrad=float(row["collection_mrad"])
        )
        window_ev = float(row["window_ev"])
        ours = integrated_cross_section(
            read_gosh()[edge.element, edge.shell],
            beam=beam,
            window_ev=window_ev,
            offsets_ev=edge.offsets_ev,
            ratios=edge.ratios,
        )
        same_model = float(row["calculated"])
        egerton, tolerance = (float(row[k]) if row[k] else None for k in ("egerton", "tolerance"))
        name = f"{edge.element} {edge.shell}"
        numbers = (float(ours), same_model, egerton, tolerance)
        found.append(PartialCrossSection(name, beam, window_ev, *numbers))
    return found


def exspy_cross_sections(name: str, *, beam: Beam) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies above the onset [eV], and dsigma/dE [barn/eV] of one subshell here and in eXSpy.

    ``name`` is eXSpy's, such as 'Ti_L3'. eXSpy reads the shipped file; both take eXSpy's onset, at
    the energies of the table. The beam is a parallel one: eXSpy approximates a convergent one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between hyperspy and its extensions
        from exspy.components import EELSCLEdge

        component = EELSCLEdge(name, gos_file_path=str(BUILTIN_GOSH))
        component.set_microscope_parameters(
            E0=beam.energy_kev,
            alpha=beam.convergence_mrad,
            beta=beam.collection_mrad,
            energy_scale=1,
        )
        element, subshell = name.split("_")
        edge = next(e for e in edge_shells() if e.element == element and subshell in e.subshells)
        table = read_gosh()[element, edge.shell]
        first_ev, onset_ev = table.free_energy_ev[0], component.GOS.onset_energy
        excess_ev = table.free_energy_ev[1:LAST_COMPARED_ENERGY] - first_ev
        theirs = component.function(onset_ev + excess_ev)
    ours = dsigma_de(
        replace(table, onset_ev=onset_ev - first_ev),
        onset_ev + excess_ev,
        beam=beam,
    )
    return excess_ev, edge.ratios[edge.subshells.index(subshell)] * ours.numpy(), theirs


def photoabsorption_of_sources(element: str, energy_ev: npt.ArrayLike) -> dict[str, np.ndarray]:
    """df/dE [1/eV] (n,) of all shells for q -> 0: calculated here, and in three tabulations.

    A cross-section per atom is 2 pi^2 r_e hbar c df/dE, with the classical electron radius r_e.
    """
    import xraydb

    energy_ev = np.asarray(energy_ev, dtype=float)
    radius, hbar_c = constants.value("classical electron radius"), constants.hbar * constants.c
    square_cm_ev = 2 * np.pi**2 * radius * hbar_c / constants.e * 1e4
    grams = xraydb.atomic_mass(element) / constants.N_A
    return {
        "coreloss": photoabsorption.calculated_photoabsorption(element, energy_ev),
        "Elam": xraydb.mu_elam(element, energy_ev, kind="photo") * grams / square_cm_ev,
        "Chantler": 2 * xraydb.f2_chantler(element, energy_ev) / np.pi / energy_ev,
        "CXRO": np.interp(energy_ev, *photoabsorption.photoabsorption(element)),
    }


def photoabsorption_ratios(
    edges: Iterable[EdgeShell], above_ev: Sequence[float]
) -> dict[str, np.ndarray]:
    """Calculated over tabulated df/dE (edges, energies), some energies above each onset."""
    found: dict[str, list[np.ndarray]] = {"Elam": [], "Chantler": []}
    for edge in edges:
        strength = photoabsorption_of_sources(edge.element, edge.onset_ev + np.asarray(above_ev))
        for source, ratios in found.items():
            ratios.append(strength["coreloss"] / strength[source])
    return {source: np.array(ratios) for source, ratios in found.items()}


def orbital_energies(atom: Atom) -> list[tuple[str, float, float, float | str, float | str]]:
    """(subshell, electrons, orbital energy, onset in the table, in XrayDB) [eV]; '–' is none."""
    own = {row.subshell: row.onset_ev for row in subshells() if row.element == atom.symbol}
    other = xraydb_onsets_ev()
    found = []
    for orbital in sorted(atom.orbitals, key=lambda o: (o.n, o.l, -o.kappa)):
        number = 2 * orbital.l + (orbital.kappa < 0)
        name = "K" if orbital.n == 1 else f"{'KLMNOP'[orbital.n - 1]}{number}"
        energy_ev = round(-orbital.energy * HARTREE_EV, 1)
        known = (own.get(name, "–"), other.get((atom.symbol, name), "–"))
        found.append((name, round(orbital.occupation, 1), energy_ev, *known))
    return found


def largest_change(tables: Iterable[GosTable]) -> float:
    """Largest difference of tables to the shipped ones, relative to the largest GOS of each."""
    changes = []
    for table in tables:
        stored = read_gosh()[table.element, table.shell].gos_per_ev
        changes.append(np.abs(table.gos_per_ev - stored).max() / stored.max())
    return float(max(changes))


def measured_over_calculated(table: GosTable) -> float:
    """Optical strength of the measured variant over that of the calculation.

    From 15 eV before the tabulated onset (giant resonances may begin there) to 50 eV past it.
    ValueError when the table has no measured variant.
    """
    if table.measured is None:
        raise ValueError(f"{table.element} {table.shell} has no measured variant to compare")
    at_ev = np.arange(table.onset_ev - 15, table.onset_ev + 50, 0.05)
    calculated, measured = (
        np.interp(at_ev - t.onset_ev, t.free_energy_ev, t.gos_per_ev[0], left=0).sum()
        for t in (table, table.measured)
    )
    return float(measured / calculated)
