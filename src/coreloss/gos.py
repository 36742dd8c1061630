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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coreloss.edges import ATOMIC_NUMBER, SHELLS, EdgeShell, edge_shells, quantum_numbers
from coreloss.gosh import BUILTIN_GOSH, GosTable, read_gosh, subshells_of, write_gosh
from coreloss.white_lines import bound_oscillator_strengths

if TYPE_CHECKING:
    from coreloss.atom import Atom

__all__ = [
    "BUILTIN_GOSH",
    "GosInfo",
    "GosTable",
    "bound_oscillator_strengths",
    "build_library",
    "fetch_published",
    "gos_info",
    "read_gosh",
    "write_gosh",
]

Q_PER_ANGSTROM = np.geomspace(0.005, 100.0, 113)
LAST_FREE_ENERGY_EV = 4000.0
COARSE = 2  # nuisance shells keep every second energy and momentum
DEFAULT_L_MAX = 24
CHECK_ENERGY_EV = 200.0
WHOLE_SHELL_TOLERANCE = 0.2
PUBLISHED = {  # name: address and md5
    "dft": (
        "https://zenodo.org/records/7645765/files/Segger_Guzzinati_Kohl_1.5.0.gosh",
        "7fee8891c147a4f769668403b54c529b",
    ),
    "dirac": (
        "https://zenodo.org/records/12800856/files/Dirac_GOS_compact.gosh",
        "01a855d3750d2c063955248358dbee8d",
    ),
}
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
    from coreloss.atom import solve_atom
    from coreloss.oscillator import core_extent, shell_gos_per_ev, solve_continuum

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
    """Add the measured variant to the shells that have one (:mod:`coreloss.photoabsorption`)."""
    from coreloss import photoabsorption
    from coreloss.oscillator import bound_form_factor

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


@dataclass(frozen=True)
class GosInfo:
    """Summary of a `.gosh` file; ``ratio_to_builtin`` is the median over the shared shells."""

    path: str
    name: str
    n_tables: int
    n_measured: int
    elements: tuple[str, ...]
    shells: tuple[str, ...]
    q_per_angstrom: tuple[float, float]
    free_energy_ev: tuple[float, float]
    ratio_to_builtin: float | None
    whole_shell: bool | None

    def __str__(self) -> str:
        ratio = "no shell shared with the built-in table"
        if self.ratio_to_builtin is not None:
            kind = "whole-shell tables" if self.whole_shell else "NOT whole-shell tables"
            ratio = f"{self.ratio_to_builtin:.3f} x the built-in df/dE at +200 eV: {kind}"
        return "\n".join(
            [
                f"{self.path}: {self.name}",
                f"  {self.n_tables} shells of {len(self.elements)} elements, "
                f"{self.n_measured} with a measured variant; {' '.join(self.shells)}",
                "  q {:.3g} to {:.3g} 1/Angstrom".format(*self.q_per_angstrom)
                + ", free energies {:.3g} to {:.4g} eV".format(*self.free_energy_ev),
                f"  {ratio}",
            ]
        )


def gos_info(path: str | Path | None = None) -> GosInfo:
    """Summary of a `.gosh` file (None: the shipped one), with the whole-shell check.

    The check compares df/dE at the smallest momentum transfer and 200 eV above the onset with the
    built-in tables: a ratio near 1 means tables of whole shells, 1.5 or 0.67 those of subshells.
    """
    import h5py

    path = BUILTIN_GOSH if path is None else Path(path)
    tables = read_gosh(path)
    if not tables:
        raise ValueError(f"GOS file {path} holds no shell that this program knows")
    with h5py.File(path, "r") as file:
        name = str(file["metadata"].attrs.get("name", "unnamed"))
    builtin = read_gosh()
    ratios = [
        optical_strength_per_ev(table, CHECK_ENERGY_EV)
        / optical_strength_per_ev(known, CHECK_ENERGY_EV)
        for key, table in tables.items()
        if (known := builtin.get(key)) and table.free_energy_ev[-1] >= CHECK_ENERGY_EV
    ]
    ratio = float(np.median(ratios)) if ratios else None
    known = {shell for _, shell in tables}
    return GosInfo(
        path=str(path),
        name=name,
        n_tables=len(tables),
        n_measured=sum(table.measured is not None for table in tables.values()),
        elements=tuple(dict.fromkeys(element for element, _ in tables)),
        shells=tuple(shell for shell in SHELLS if shell in known),
        q_per_angstrom=_span(tables, "q_per_angstrom"),
        free_energy_ev=_span(tables, "free_energy_ev"),
        ratio_to_builtin=ratio,
        whole_shell=None if ratio is None else abs(ratio - 1) < WHOLE_SHELL_TOLERANCE,
    )


def optical_strength_per_ev(table: GosTable, free_energy_ev: float) -> float:
    """df/dE [1/eV] of a table at its smallest momentum transfer, linear in energy."""
    return float(np.interp(free_energy_ev, table.free_energy_ev, table.gos_per_ev[0]))


def _span(tables: dict[tuple[str, str], GosTable], field: str) -> tuple[float, float]:
    arrays = [getattr(table, field) for table in tables.values()]
    return float(min(a[0] for a in arrays)), float(max(a[-1] for a in arrays))


def fetch_published(name: str, folder: str | Path | None = None) -> Path:
    """Download a published table and return its path; it is kept and checked by its md5.

    ``name``: 'dft' (Segger, Guzzinati and Kohl 1.5.0) or 'dirac' (Zhang et al., compact);
    ``folder``: where to keep it, by default the cache of the operating system.
    """
    import pooch

    if name not in PUBLISHED:
        raise ValueError(
            f"published GOS table {name!r} is unknown; choose one of {sorted(PUBLISHED)}"
        )
    url, md5 = PUBLISHED[name]
    folder = Path(folder) if folder else pooch.os_cache("coreloss")
    try:
        found = pooch.retrieve(url, f"md5:{md5}", fname=url.rsplit("/", 1)[1], path=folder)
    except (OSError, ValueError) as error:
        offline = isinstance(error, OSError)
        reason = "no connection" if offline else str(error).splitlines()[0]
        raise ValueError(
            f"cannot download {url} ({reason}); fetch it by hand, put it into {folder} "
            f"(md5 {md5}), or use the built-in tables"
        ) from None
    return Path(found)


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
