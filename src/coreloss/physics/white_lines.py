r"""Oscillator strengths of white lines: transitions from a core shell into empty bound orbitals.

The strength f of 2p -> 3d, 3p -> 3d, 3d -> 4f ... of the free atom, weighted with the share of the
final shell that is empty, gives the area of a white line its physical scale: the same units as the
GOS tables, so that a line of area f stands beside an edge of df/dE per eV. Two estimates are kept:
``frozen`` has the final orbital of the neutral atom, ``core_hole`` that of the next element
(Z + 1), which matters where the final orbital only collapses with the core hole (K, Cs). The table
``data/white_lines.csv`` is made by :func:`write_white_lines`.
"""

from __future__ import annotations

import csv
from functools import cache

from coreloss import shipped
from coreloss.edges import ATOMIC_NUMBER, EdgeShell, quantum_numbers
from coreloss.physics.gos_table import subshells_of

FINAL_STATES = ("frozen", "core_hole")


@cache
def bound_oscillator_strengths(final_state: str = "frozen") -> dict[tuple[str, str], float]:
    """White-line strength f by (element, shell); shells without a line are absent.

    >>> round(bound_oscillator_strengths()["Ti", "L23"], 1)
    0.8
    """
    if final_state not in FINAL_STATES:
        raise ValueError(f"final_state is {final_state!r}; choose one of {FINAL_STATES}")
    text = shipped.contents("data/white_lines.csv").decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        (row["element"], row["shell"]): float(row[f"f_{final_state}"])
        for row in csv.DictReader(lines)
    }


_D_ROWS = {3: (19, 28), 4: (37, 45), 5: (55, 78)}  # n of the open d shell: first and last Z


_F_ROW = (55, 69)  # open 4f shell


_P_ROWS = {2: (5, 9), 3: (13, 17)}  # open p shell


def final_shell(edge: EdgeShell) -> tuple[int, int] | None:
    """(n', l') of the open shell that a white line of the edge ends in, or None.

    >>> from coreloss.edges import identifying_sets
    >>> [final_shell(edge) for edge in identifying_sets() if edge.element == "La"]
    [(4, 3), (4, 3)]
    """
    z = ATOMIC_NUMBER[edge.element]
    _, l, _ = quantum_numbers(subshells_of(edge.shell)[0])  # noqa: E741
    if l == 0 and edge.shell == "K":
        return next(((n, 1) for n, (low, high) in _P_ROWS.items() if low <= z <= high), None)
    if l in (1, 3):
        return next(((n, 2) for n, (low, high) in _D_ROWS.items() if low <= z <= high), None)
    if l == 2 and _F_ROW[0] <= z <= _F_ROW[1]:
        return 4, 3
    return None
