r"""Generalised oscillator strengths (GOS): read the shipped tables, compute them, check files.

:func:`read_gosh` needs numpy and h5py only. :func:`build_library` solves the atoms again, in about
two CPU minutes for all shells of :func:`coreloss.edges.edge_shells`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, EdgeShell, edge_shells, quantum_numbers
from coreloss.physics.gos_table import GosTable, read_gosh, subshells_of, write_gosh

if TYPE_CHECKING:
    from coreloss.atoms.dirac_atom import Atom


Q_PER_ANGSTROM = np.geomspace(0.005, 100.0, 113)
LAST_FREE_ENERGY_EV = 4000.0
COARSE = 2  # nuisance shells keep every second energy and momentum
DEFAULT_L_MAX = 24
RESONANT_M45 = ("I", "Xe", "Cs")  # narrow 4f shape resonances: twice as many energies


def free_energy_grid_ev(element: str) -> np.ndarray:
    """Energies of the ejected electron [eV] of the element's finest tables."""
    count = 157 if element in RESONANT_M45 else 79
    return np.concatenate([[0.01], np.geomspace(0.3, LAST_FREE_ENERGY_EV, count)])


def l_max_of(element: str, shell: str) -> int:
    """Highest l of the final states: what the Bethe ridge of the widest orbitals asks for."""
    if (element in ("Be", "B") and shell == "K") or (
        shell == "L23" and element in ("Na", "Mg", "Al", "Si", "P", "S", "Cl")
    ):
        return 36
    if shell[0] in "NO" or (shell[0] == "M" and shell != "M45"):
        return 34 if shell == "N45" else 30
    if shell == "M45" and 31 <= ATOMIC_NUMBER[element] <= 45:  # Ga ... Rh
        return 30
    return DEFAULT_L_MAX


def compute_element(element: str, shells: Sequence[EdgeShell]) -> list[GosTable]:
    """Tables of some shells of one element, from one atom and one set of continuum orbitals."""
    from coreloss.atoms.dirac_atom import solve_atom
    from coreloss.atoms.oscillator import core_extent, shell_gos_per_ev, solve_continuum

    atom = solve_atom(element)
    numbers = {edge.shell: quantum_numbers(subshells_of(edge.shell)[0])[:2] for edge in shells}
    energies = free_energy_grid_ev(element)
    continuum = solve_continuum(
        atom,
        energies,
        l_max=max(l_max_of(element, edge.shell) for edge in shells),
        keep=max(core_extent(atom.shell(*numbers[edge.shell]), atom) for edge in shells),
    )
    tables = []
    for edge in shells:
        n, l = numbers[edge.shell]  # noqa: E741
        pick_energy, pick_q = _selection(edge, len(energies))
        gos = shell_gos_per_ev(
            atom,
            continuum.select(pick_energy),
            Q_PER_ANGSTROM[pick_q],
            n=n,
            l=l,
            onsets_ev=subshell_onsets_ev(edge),
            l_max=l_max_of(element, edge.shell),
        )
        q, free = Q_PER_ANGSTROM[pick_q], energies[pick_energy]
        table = GosTable(element, edge.shell, edge.onset_ev, free, q, gos)
        tables.append(_with_measured_variant(table, atom))
    return tables


def _with_measured_variant(table: GosTable, atom: Atom) -> GosTable:
    """Add the measured variant to the shells that have one (`photoabsorption`)."""
    from coreloss.atoms import photoabsorption
    from coreloss.atoms.oscillator import bound_form_factor

    if not photoabsorption.has_measured_shape(table.element, table.shell):
        return table
    form_factor = None
    if table.shell == "N45" and ATOMIC_NUMBER[table.element] >= 57:  # the 4f shell has collapsed
        form_factor = bound_form_factor(atom, table.q_per_angstrom, n=4, l=2, n_final=4, l_final=3)
    onsets_ev = {e.shell: e.onset_ev for e in edge_shells() if e.element == table.element}
    limit_ev = photoabsorption.end_of_measured_range_ev(table, onsets_ev)
    measured = photoabsorption.measured_table(table, limit_ev, form_factor=form_factor)
    return replace(table, measured=measured)


def _selection(edge: EdgeShell, count: int) -> tuple[np.ndarray, slice]:
    """Which energies and momenta a shell keeps: all, or every second one of a nuisance shell."""
    if edge.role == "identifying":
        return np.arange(count), slice(None)
    step = COARSE * (2 if edge.element in RESONANT_M45 else 1)
    return np.concatenate([[0], np.arange(1, count, step)]), slice(None, None, COARSE)


def subshell_onsets_ev(edge: EdgeShell) -> tuple[float, ...]:
    """Onset of each j-subshell, lower j first; the shell's where the edge table has none."""
    known = dict(zip(edge.subshells, edge.offsets_ev, strict=True))
    return tuple(edge.onset_ev + known.get(name, 0.0) for name in subshells_of(edge.shell))


def build_library(
    path: str | Path,
    *,
    shells: Sequence[EdgeShell] | None = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> dict[tuple[str, str], GosTable]:
    """Compute GOS tables and write them to a `.gosh` file; returns them as :func:`read_gosh`.

    ``shells``: None is every shell of :func:`coreloss.edges.edge_shells`. ``n_jobs``: processes,
    None is one per core. With ``progress`` one line per element goes to standard error.
    """
    chosen = tuple(edge_shells() if shells is None else shells)
    if not chosen:
        raise ValueError("no shells to compute; give at least one EdgeShell")
    jobs: dict[str, list[EdgeShell]] = {}
    for edge in chosen:
        jobs.setdefault(edge.element, []).append(edge)
    found: dict[tuple[str, str], GosTable] = {}
    for done, tables in enumerate(_computed(jobs, n_jobs or os.cpu_count() or 1), start=1):
        found.update({(table.element, table.shell): table for table in tables})
        if progress:
            names = " ".join(table.shell for table in tables)
            print(f"[{done}/{len(jobs)}] {tables[0].element}: {names}", file=sys.stderr, flush=True)
    write_gosh(path, [found[edge.element, edge.shell] for edge in chosen])
    return read_gosh(path)


def _computed(jobs: dict[str, list[EdgeShell]], n_jobs: int) -> Iterator[list[GosTable]]:
    if n_jobs == 1 or len(jobs) == 1:
        yield from (compute_element(element, shells) for element, shells in jobs.items())
        return
    from multiprocessing import get_context

    with (
        _one_thread_each(),
        ProcessPoolExecutor(min(n_jobs, len(jobs)), mp_context=get_context("spawn")) as pool,
    ):
        futures = [pool.submit(compute_element, *job) for job in jobs.items()]
        yield from (future.result() for future in as_completed(futures))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Child processes inherit one BLAS thread each: two levels of parallelism slow each other."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
