"""White lines of free atoms, computed: makes ``data/white_lines.csv``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from coreloss.edges import ATOMIC_NUMBER, EdgeShell, edge_shells, quantum_numbers
from coreloss.physics.gos_table import subshells_of
from coreloss.physics.white_lines import final_shell

SMALLEST_STRENGTH = 1e-3


_HEADER = """\
# Oscillator strengths of white lines, free Dirac Hartree-Slater atoms, vacancy weighted.
# Made by coreloss.atoms.white_lines.write_white_lines(); dimensionless, per atom.
# f_frozen: final orbital of the neutral atom; f_core_hole: final orbital of the element Z + 1.
"""


def compute_white_lines() -> Iterator[tuple[EdgeShell, str, float, float]]:
    """(edge, final shell, f_frozen, f_core_hole) of every edge with a white line."""
    from coreloss.atoms.dirac_atom import SYMBOLS, solve_atom
    from coreloss.atoms.oscillator import bound_oscillator_strength

    atoms = cache(solve_atom)
    for edge in edge_shells():
        final = final_shell(edge)
        if final is None:
            continue
        atom, following = atoms(edge.element), atoms(SYMBOLS[ATOMIC_NUMBER[edge.element]])
        n, l, _ = quantum_numbers(subshells_of(edge.shell)[0])  # noqa: E741
        frozen, core_hole = (
            bound_oscillator_strength(
                atom,
                n=n,
                l=l,
                n_final=final[0],
                l_final=final[1],
                energy_ev=edge.onset_ev,
                final_atom=final_atom,
            )
            for final_atom in (atom, following)
        )
        if max(frozen, core_hole) >= SMALLEST_STRENGTH:
            yield edge, f"{final[0]}{'spdf'[final[1]]}", frozen, core_hole


def write_white_lines(path: str | Path) -> None:
    """Compute all white lines and write them in the layout of ``data/white_lines.csv``."""
    rows = [
        f"{edge.element},{edge.shell},{final},{frozen:.4f},{core_hole:.4f}"
        for edge, final, frozen, core_hole in compute_white_lines()
    ]
    header = "element,shell,final_shell,f_frozen,f_core_hole\n"
    Path(path).write_text(_HEADER + header + "\n".join(rows) + "\n")
