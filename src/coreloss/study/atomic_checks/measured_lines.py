"""White lines of measured spectra beside those of ions and beside smooth doublets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from coreloss.atoms.multiplet_table import REDUCTION, Variant, ion_of, placed
from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import load_record
from coreloss.figures.identification import local_background
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import Multiplet, line_widths_ev, lorentzians, multiplets_of
from coreloss.study.atomic_checks.multiplets import edge_of, merged_lines

SHIFTS_EV = tuple(np.arange(-6.0, 6.01, 0.2))
"""Of all lines of a spectrum together: the axis, the chemical shift and what the theory misses."""
WIDTHS_EV = (0.6, 0.9, 1.2, 1.6, 2.2, 3.0, 4.0, 5.0)
"""Gaussian FWHM: resolution, bands, phonons."""
SECOND_WIDTHS_EV = (0.0, 0.8, 1.6)
"""What the lines of the second subshell have beside: its hole is filled from the first, too."""
Column = tuple[np.ndarray | None, np.ndarray | None]
"""Parts of a model that belong to the first and to the second subshell, one height for both."""
_STEP_EV = 0.1
_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))


@dataclass(frozen=True)
class Case:
    """A measured file whose ions are known.

    id : in the manifest; edges : (element, shell, charge) of what lies in the range
    fit_ev, range_ev : where the background is fitted, and what is compared
    """

    id: str
    name: str
    edges: tuple[tuple[str, str, int], ...]
    fit_ev: tuple[float, float]
    range_ev: tuple[float, float]


CASES = (
    Case("eelsmodel_C3r1_HL", "Ca-Fe mineral", (("Ca", "L23", 2),), (322, 342), (340, 358)),
    Case("pyTEMlib_EELS_STO", "SrTiO3", (("Ti", "L23", 4),), (425, 452), (450, 475)),
    Case("eelsmodel_B3r1_100kV", "TiO2", (("Ti", "L23", 4),), (425, 452), (450, 475)),
    Case("eelsdb_DspecrAr6wi", "La0.7Sr0.3MnO3", (("Mn", "L23", 3),), (633, 637), (636, 660)),
    Case("eelsdb_Dspec39Hoz0_converted", "Fe2O3", (("Fe", "L23", 3),), (686, 703), (703, 732)),
    Case("eelsdb_DspecIGraCJ", "La0.7Sr0.3MnO3", (("La", "M45", 3),), (824, 828), (827, 862)),
    Case(
        *("eelsdb_nomad_La2NiO4", "La2NiO4", (("La", "M45", 3), ("Ni", "L23", 2))),
        *((790, 824), (825, 890)),
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shape:
    """A fit to a measured edge: curve (n,), shift and Gaussian width [eV], and what is left.

    ``unexplained`` is the root mean square of the residual over that of the signal.
    """

    curve: np.ndarray
    shift_ev: float
    width_ev: float
    unexplained: float
    ions: tuple[Multiplet, ...] = ()


@dataclass(frozen=True, eq=False)
class MeasuredLines:
    """Counts above the background over the energy (n,), largest 1, with the two fits."""

    case: Case
    energy_ev: np.ndarray
    counts: np.ndarray
    multiplets: Shape
    doublet: Shape

    @property
    def cells(self) -> tuple[str, ...]:
        """Material, edges, crystal field, shift, width, and what both fits leave, as text."""
        edges = ", ".join(
            f"{element}{charge}+ {shell}" for element, shell, charge in self.case.edges
        )
        ions = self.multiplets.ions
        fields = ", ".join(f"{ion.ten_dq_ev:g}" for ion in ions if ion.shell == "L23") or "–"
        fits = (self.multiplets, self.doublet)
        numbers = f"{self.multiplets.shift_ev:+.1f}", f"{self.multiplets.width_ev:g}"
        return (
            self.case.name,
            edges,
            fields,
            *numbers,
            *(f"{100 * x.unexplained:.0f} %" for x in fits),
        )


def read_cases(
    directory: str | Path, cases: Sequence[Case] = CASES, *, reduction: float = REDUCTION
) -> Iterator[MeasuredLines]:
    """Those cases whose file the manifest of a folder names, fitted.

    Ions are those of the table, or computed anew with another ``reduction`` of their integrals.
    """
    records = {record.id: record for record in read_manifest(directory)}
    for case in cases:
        if case.id in records:
            spectrum = load_record(records[case.id], directory).sum()
            choices = [ions_of(*edge, reduction=reduction) for edge in case.edges]
            yield compared(case, spectrum.energy_ev, spectrum.counts[0], choices)


def ions_of(
    element: str, shell: str, charge: int, *, reduction: float = REDUCTION
) -> tuple[Multiplet, ...]:
    """The ions of one charge in all fields of the table, their integrals with the core reduced."""
    known = tuple(ion for ion in multiplets_of(element, shell) if ion.charge == charge)
    if reduction == REDUCTION:
        return known
    found = []
    for ten_dq_ev in [ion.ten_dq_ev for ion in known]:
        variant = Variant(element, shell, charge, ten_dq_ev)
        full = ion_of(variant)
        core_f, core_g = (
            {k: value * reduction / REDUCTION for k, value in integrals.items()}
            for integrals in (full.core_f, full.core_g)
        )
        ion = replace(full, core_f=core_f, core_g=core_g)
        at_ev, strength = merged_lines(ion)
        at_ev = placed(variant, at_ev, strength, ion)
        found.append(Multiplet(element, shell, charge, ten_dq_ev, reduction, at_ev, strength))
    return tuple(found)


def compared(
    case: Case, energy_ev: np.ndarray, counts: np.ndarray, choices: Sequence[Sequence[Multiplet]]
) -> MeasuredLines:
    """Fit counts (n,) at energies (n,) with the lines of ions and with smooth doublets.

    Both have the continuum of the tables, one shift and two Gaussian widths for all edges, and free
    heights. The ions, out of ``choices`` for each edge, have as many heights as edges; every
    doublet has two, for its two lines.
    """
    above = counts - local_background(energy_ev, counts, fit_ev=case.fit_ev)
    inside = (energy_ev >= case.range_ev[0]) & (energy_ev <= case.range_ev[1])
    energy_ev, above = energy_ev[inside], above[inside] / above[inside].max()
    fine_ev = np.arange(case.range_ev[0] - 20, case.range_ev[1] + 20, _STEP_EV)
    continua = [(_continuum(element, shell, fine_ev), None) for element, shell, _ in case.edges]
    doublets: list[Column] = []
    for element, shell, _ in case.edges:
        first, second = _pair(element, shell, fine_ev)
        doublets += [(first, None), (None, second)]
    models = [
        (ions, [*(split_lines(ion, fine_ev) for ion in ions), *continua])
        for ions in product(*choices)
    ]
    return MeasuredLines(
        case,
        energy_ev,
        above,
        _best(models, fine_ev, energy_ev, above),
        _best([((), [*doublets, *continua])], fine_ev, energy_ev, above),
    )


def _best(models, fine_ev: np.ndarray, energy_ev: np.ndarray, above: np.ndarray) -> Shape:
    """The model, shift and widths that leave least, heights by non-negative least squares."""
    from scipy.optimize import nnls

    best = None
    for (ions, columns), width_ev, more_ev in product(models, WIDTHS_EV, SECOND_WIDTHS_EV):
        smooth = [_smooth(column, (width_ev, np.hypot(width_ev, more_ev))) for column in columns]
        for shift_ev in SHIFTS_EV:
            matrix = np.array([np.interp(energy_ev - shift_ev, fine_ev, c) for c in smooth]).T
            heights, rest = nnls(matrix, above)
            if best is None or rest < best[0]:
                best = rest, matrix @ heights, shift_ev, width_ev, ions
    assert best is not None
    rest, curve, shift_ev, width_ev, ions = best
    share = rest / np.linalg.norm(above)
    return Shape(curve, float(shift_ev), float(width_ev), float(share), tuple(ions))


def _smooth(column: Column, widths_ev: Sequence[float]) -> np.ndarray:
    """The two parts of a column, each with its own Gaussian width, added."""
    parts = [
        gaussian_filter1d(part, fwhm_ev * _SIGMA / _STEP_EV)
        for part, fwhm_ev in zip(column, widths_ev, strict=True)
        if part is not None
    ]
    return sum(parts[1:], parts[0])


def split_lines(ion: Multiplet, loss_ev: np.ndarray) -> Column:
    """Lines of the first and of the second subshell, each (n,) per eV at energies 0.1 eV apart."""
    edge = edge_of(ion.element, ion.shell)
    below = ion.energy_ev < edge.offsets_ev[-1] / 2
    widths_ev, at_ev = line_widths_ev(ion, edge), loss_ev - edge.onset_ev
    first, second = (
        lorentzians(ion.energy_ev[kept], ion.strength[kept], widths_ev[kept], at_ev)
        for kept in (below, ~below)
    )
    return first, second


def _pair(element: str, shell: str, loss_ev: np.ndarray) -> list[np.ndarray]:
    """One line for each subshell, at its onset, with its natural width."""
    edge, one = edge_of(element, shell), np.ones(1)
    places = zip(edge.offsets_ev, edge.widths_ev, strict=True)
    return [
        lorentzians(np.full(1, edge.onset_ev + offset), one, np.full(1, width), loss_ev)
        for offset, width in places
    ]


def _continuum(element: str, shell: str, loss_ev: np.ndarray) -> np.ndarray:
    """df/dE (q -> 0) of independent electrons, one copy for each subshell."""
    edge, table = edge_of(element, shell), read_gosh()[element, shell]
    free_ev, optical = table.free_energy_ev, table.gos_per_ev[0]
    copies = [
        ratio * np.interp(loss_ev - table.onset_ev - offset, free_ev, optical, left=0)
        for offset, ratio in zip(edge.offsets_ev, edge.ratios, strict=True)
    ]
    return sum(copies[1:], copies[0])
