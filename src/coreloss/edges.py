"""The 80 elements, their ionisation edges between 30 and 3100 eV, and the label order.

The elements (Be to Bi; H, He, Li and everything past Bi are left out) and the 107 edge sets that
identify them follow Annys, Jannis and Verbeeck, Sci. Rep. 13, 13724 (2023), figure 1. Every other
subshell of the same elements inside the energy window is listed too, as a nuisance edge: not used
to identify, but present in the spectrum.

The onsets live in ``data/edges.csv``, which :func:`build_edge_table` makes from eXSpy and XrayDB.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from coreloss import shipped

_SYMBOLS = """
    Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er
    Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
"""
ELEMENTS: tuple[str, ...] = tuple(_SYMBOLS.split())
ATOMIC_NUMBER: dict[str, int] = {element: z for z, element in enumerate(ELEMENTS, start=4)}
ELEMENT_INDEX: dict[str, int] = {element: index for index, element in enumerate(ELEMENTS)}

ONSET_RANGE_EV = (30.0, 3100.0)
MARGIN_BEFORE_EV = 10.0
"""An edge counts when the spectrum starts at least this far before its onset (Annys et al.)..."""
MARGIN_AFTER_EV = 25.0
"""... and runs at least this far past it."""
CONFUSABLE_EV = 8.0
"""Edges so near to each other can be taken for one another on a badly calibrated axis..."""
RIVAL_EV = 3 * CONFUSABLE_EV
"""... and so near where no axis was calibrated at all, or the lines of an ion begin late."""
_SHELL_NAMES = "K L1 L23 M1 M23 M45 N1 N23 N45 N67 O1 O23 O45 P1 P23"
SHELLS: tuple[str, ...] = tuple(_SHELL_NAMES.split())
_IDENTIFYING_RANGES = {  # shell: first and last atomic number, both included
    "K": (4, 17),
    "L23": (14, 44),
    "M45": (37, 83),
    "N45": (57, 71),
}
_TABLE_HEADER = """\
# Ionisation-edge onsets between 30 and 3100 eV of the 80 elements Be..Bi, one row per j-subshell.
# Made by coreloss.edges.write_edge_table(); edit the rules there, not this file. Onsets in eV.
# role: identifying (one of the 107 edge sets) or nuisance (carries its element's label as well).
# source:
#   exspy           onset table of eXSpy (exspy.material.elements).
#   exspy+splitting eXSpy gives one onset for a spin-orbit pair: its value for the lower member,
#                   plus the splitting of XrayDB for the upper member.
#   xraydb          XrayDB (Elam, Ravel and Sieber, Radiat. Phys. Chem. 63 (2002) 121) where eXSpy
#                   has no value.
# width_ev: natural width (FWHM) of the core hole, by XrayDB after Krause and Oliver, J. Phys. Chem.
#   Ref. Data 8 (1979) 329, and Keski-Rahkonen and Krause, At. Data Nucl. Data Tables 14 (1974) 139.
# Left out: 2s of N, O, F and Ne, which are valence levels.
"""
_COLUMNS = ("element", "subshell", "onset_ev", "width_ev", "role", "source")


@dataclass(frozen=True)
class Subshell:
    """One j-subshell of one element, such as Ti L3.

    ``occupancy_ratio`` is its share of the electrons of the full nl shell, (2j+1)/(2(2l+1));
    ``width_ev`` the natural width (FWHM) of its core hole.
    """

    element: str
    subshell: str
    shell: str
    n: int
    l: int  # noqa: E741
    onset_ev: float
    width_ev: float
    occupancy_ratio: float
    role: str
    source: str


@dataclass(frozen=True)
class EdgeShell:
    """One nl shell of one element, such as Ti L23, with its j-subshells inside the window.

    ``onset_ev`` is the lowest onset, ``offsets_ev`` the subshell onsets relative to it (ascending),
    ``ratios`` and ``widths_ev`` their occupancy ratios and core-hole widths in the same order.
    """

    element: str
    shell: str
    onset_ev: float
    role: str
    offsets_ev: tuple[float, ...]
    ratios: tuple[float, ...]
    widths_ev: tuple[float, ...]
    subshells: tuple[str, ...]

    @property
    def label(self) -> int:
        """Index of the element in :data:`ELEMENTS`."""
        return ELEMENT_INDEX[self.element]


def quantum_numbers(subshell: str) -> tuple[int, int, float]:
    """Quantum numbers (n, l, j) of a subshell in X-ray notation.

    >>> quantum_numbers("L3")
    (2, 1, 1.5)
    >>> quantum_numbers("K")
    (1, 0, 0.5)
    """
    letter, number = subshell[:1], int(subshell[1:] or 1)
    n = "KLMNOP".find(letter) + 1
    l, j = number // 2, number // 2 - 0.5 if number % 2 == 0 else number // 2 + 0.5  # noqa: E741
    if not letter or n < 1 or not 1 <= number <= 2 * n - 1:
        raise ValueError(f"subshell {subshell!r} does not exist; use K, L1..L3, M1..M5, N1..N7 ...")
    return n, l, j


def shell_of(subshell: str) -> str:
    """The nl shell that a j-subshell belongs to.

    >>> [shell_of(name) for name in ("K", "L1", "L3", "M4", "N7")]
    ['K', 'L1', 'L23', 'M45', 'N67']
    """
    _, l, _ = quantum_numbers(subshell)  # noqa: E741
    if l == 0:
        return subshell
    return f"{subshell[0]}{2 * l}{2 * l + 1}"


def occupancy_ratio(subshell: str) -> float:
    """Share of one j-subshell in the electrons of its full nl shell: (2j+1) / (2(2l+1)).

    >>> round(occupancy_ratio("L3"), 3), occupancy_ratio("M4"), occupancy_ratio("K")
    (0.667, 0.4, 1.0)
    """
    _, l, j = quantum_numbers(subshell)  # noqa: E741
    return (2 * j + 1) / (2 * (2 * l + 1))


def role_of(element: str, shell: str) -> str:
    """'identifying' for the 107 edge sets, 'nuisance' for every other shell."""
    first, last = _IDENTIFYING_RANGES.get(shell, (1, 0))
    return "identifying" if first <= ATOMIC_NUMBER[element] <= last else "nuisance"


def read_edge_table(path: str | Path | None = None) -> tuple[Subshell, ...]:
    """Read a table of subshell onsets; ``None`` is the one in the package."""
    data = Path(path).read_bytes() if path else shipped.contents("data/edges.csv")
    lines = [line for line in data.decode().splitlines() if not line.startswith("#")]
    return tuple(
        _subshell(
            row["element"],
            row["subshell"],
            float(row["onset_ev"]),
            float(row["width_ev"]),
            row["role"],
            row["source"],
        )
        for row in csv.DictReader(lines)
    )


def _subshell(
    element: str, name: str, onset_ev: float, width_ev: float, role: str, source: str
) -> Subshell:
    n, l, _ = quantum_numbers(name)  # noqa: E741
    shell, ratio = shell_of(name), occupancy_ratio(name)
    return Subshell(element, name, shell, n, l, onset_ev, width_ev, ratio, role, source)


@cache
def subshells() -> tuple[Subshell, ...]:
    """Every j-subshell with an onset in the window, by element, then K, L1, L2, ... P3."""
    return read_edge_table()


@cache
def edge_shells() -> tuple[EdgeShell, ...]:
    """Every nl shell in the window: the 107 identifying sets first, then the nuisance shells.

    Each of the two groups runs in the order of :data:`ELEMENTS`, then by onset.

    >>> [(edge.shell, round(edge.onset_ev)) for edge in edge_shells() if edge.element == "O"]
    [('K', 532)]
    """
    groups: dict[tuple[str, str], list[Subshell]] = {}
    for row in subshells():
        groups.setdefault((row.element, row.shell), []).append(row)
    shells = [_edge_shell(rows) for rows in groups.values()]
    return tuple(
        sorted(shells, key=lambda edge: (edge.role != "identifying", edge.label, edge.onset_ev))
    )


def _edge_shell(rows: list[Subshell]) -> EdgeShell:
    rows = sorted(rows, key=lambda row: (row.onset_ev, -row.occupancy_ratio))
    onset_ev = rows[0].onset_ev
    return EdgeShell(
        element=rows[0].element,
        shell=rows[0].shell,
        onset_ev=onset_ev,
        role=rows[0].role,
        offsets_ev=tuple(round(row.onset_ev - onset_ev, 6) for row in rows),
        ratios=tuple(row.occupancy_ratio for row in rows),
        widths_ev=tuple(row.width_ev for row in rows),
        subshells=tuple(row.subshell for row in rows),
    )


@cache
def identifying_sets() -> tuple[EdgeShell, ...]:
    """The 107 edge sets that identify the 80 elements.

    >>> len(identifying_sets())
    107
    """
    return tuple(edge for edge in edge_shells() if edge.role == "identifying")


def inside_window(onset_ev: torch.Tensor, lo_ev, hi_ev) -> torch.Tensor:
    """Whether edges at `onset_ev` (n,) count in windows lo..hi, scalars or (B,): (n,) or (B, n)."""
    lo, hi = (torch.as_tensor(limit, dtype=torch.float32)[..., None] for limit in (lo_ev, hi_ev))
    return (onset_ev >= lo + MARGIN_BEFORE_EV) & (onset_ev <= hi - MARGIN_AFTER_EV)


def observable_elements(lo_ev, hi_ev) -> torch.Tensor:
    """Elements with an identifying edge set inside the window from `lo_ev` to `hi_ev`.

    Limits are scalars or tensors (B,); the answer is bool, (80,) or (B, 80).

    >>> seen = observable_elements(400.0, 700.0)
    >>> bool(seen[ELEMENT_INDEX["O"]]), bool(seen[ELEMENT_INDEX["Si"]])
    (True, False)
    """
    device = lo_ev.device if isinstance(lo_ev, torch.Tensor) else "cpu"
    sets = identifying_sets()
    onset = torch.tensor([edge.onset_ev for edge in sets], device=device)
    label = torch.tensor([edge.label for edge in sets], device=device)
    inside = inside_window(onset, lo_ev, hi_ev)
    seen = torch.zeros(*inside.shape[:-1], len(ELEMENTS), dtype=torch.int8, device=device)
    return seen.index_add_(-1, label, inside.to(torch.int8)) > 0


def begin_too_late(lo_ev: float, hi_ev: float) -> tuple[EdgeShell, ...]:
    """Identifying edges that begin inside a window, too near to its ends to be judged.

    Only those of elements that have no other edge to judge there.

    >>> [edge.element for edge in begin_too_late(561.0, 599.0)]
    ['Cr']
    """
    seen = observable_elements(lo_ev, hi_ev)
    return tuple(
        edge
        for edge in identifying_sets()
        if lo_ev < edge.onset_ev < hi_ev and not seen[edge.label]
    )


def neighbours(
    element: str, onsets_ev: Mapping[str, float], window_ev: tuple[float, float]
) -> tuple[str, ...]:
    """Elements whose onsets lie less than `CONFUSABLE_EV` from one of an element in a window."""
    own = [
        edge.onset_ev
        for edge in identifying_sets()
        if edge.element == element and window_ev[0] < edge.onset_ev < window_ev[1]
    ]
    return tuple(
        other
        for other, at_ev in onsets_ev.items()
        if any(abs(at_ev - onset_ev) < CONFUSABLE_EV for onset_ev in own)
    )


def rivals(lo_ev: float, hi_ev: float) -> np.ndarray:
    """Pairs of elements with identifying edges in a window, less than `RIVAL_EV` apart.

    (80, 80) bool, symmetric, no element with itself.

    >>> bool(rivals(700.0, 1200.0)[ELEMENT_INDEX["Ba"], ELEMENT_INDEX["Co"]])
    True
    """
    sets = identifying_sets()
    onset = torch.tensor([edge.onset_ev for edge in sets])
    inside = inside_window(onset, lo_ev, hi_ev).numpy()
    onset_ev, label = onset.numpy()[inside], np.array([edge.label for edge in sets])[inside]
    one, other = np.nonzero(np.abs(onset_ev[:, None] - onset_ev) < RIVAL_EV)
    found = np.zeros((len(ELEMENTS), len(ELEMENTS)), bool)
    found[label[one], label[other]] = True
    np.fill_diagonal(found, False)
    return found


# --- how data/edges.csv is made -----------------------------------------------------------------


def exspy_onsets_ev() -> dict[tuple[str, str], float]:
    """eXSpy's onsets by (element, subshell); 'L2,3' keeps its name. Needs the package exspy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between hyperspy and its extensions
        from exspy.material import elements

    onsets = {}
    for element in ELEMENTS:
        properties = elements[element].as_dictionary()["Atomic_properties"]
        for name, entry in properties.get("Binding_energies", {}).items():
            onsets[element, name] = float(entry["onset_energy (eV)"])
    return onsets


def xraydb_onsets_ev() -> dict[tuple[str, str], float]:
    """XrayDB's edge energies by (element, subshell). Needs the package xraydb."""
    import xraydb

    return {
        (element, name): round(float(edge.energy), 1)
        for element in ELEMENTS
        for name, edge in xraydb.xray_edges(element).items()
    }


def build_edge_table() -> tuple[Subshell, ...]:
    """Merge the two sources into the table of ``data/edges.csv``; rules in the file's header."""
    from xraydb import core_width

    exspy, xraydb = exspy_onsets_ev(), xraydb_onsets_ev()
    rows = []
    for element in ELEMENTS:
        widths_ev = core_width(element)
        for name in _subshell_names():
            onset_ev, source = _merge(element, name, exspy, xraydb)
            if onset_ev is None or _is_valence(element, name):
                continue
            if ONSET_RANGE_EV[0] <= onset_ev <= ONSET_RANGE_EV[1]:
                role = role_of(element, shell_of(name))
                width_ev = round(float(widths_ev.get(name) or 0.0), 3)
                rows.append(_subshell(element, name, onset_ev, width_ev, role, source))
    return tuple(rows)


def _merge(element: str, name: str, exspy: dict, xraydb: dict) -> tuple[float | None, str]:
    """Onset and source of one subshell: eXSpy where it has one, spin-orbit splitting restored."""
    _, l, j = quantum_numbers(name)  # noqa: E741
    own = exspy.get((element, name))
    if l == 0:
        return (own, "exspy") if own else (xraydb.get((element, name)), "xraydb")
    lower, upper = f"{name[0]}{2 * l + 1}", f"{name[0]}{2 * l}"
    pair = f"{name[0]}{2 * l},{2 * l + 1}"
    base = exspy.get((element, lower), exspy.get((element, pair)))
    if j > l:
        return (base, "exspy") if base else (xraydb.get((element, name)), "xraydb")
    if base and (own is None or own <= base):
        split = xraydb.get((element, upper), 0.0) - xraydb.get((element, lower), 0.0)
        return round(base + max(split, 0.0), 1), "exspy+splitting"
    return (own, "exspy") if own else (xraydb.get((element, name)), "xraydb")


def _subshell_names() -> list[str]:
    counts = {"L": 3, "M": 5, "N": 7, "O": 5, "P": 3}
    return ["K"] + [f"{shell}{i}" for shell, last in counts.items() for i in range(1, last + 1)]


def _is_valence(element: str, name: str) -> bool:
    """The 2s level of N, O, F and Ne: bound by 37-49 eV, but part of the valence shell."""
    return name == "L1" and element in ("N", "O", "F", "Ne")


def write_edge_table(path: str | Path) -> None:
    """Write :func:`build_edge_table` to ``path`` in the layout of ``data/edges.csv``."""
    rows = [
        f"{r.element},{r.subshell},{r.onset_ev:g},{r.width_ev:g},{r.role},{r.source}"
        for r in build_edge_table()
    ]
    Path(path).write_text(_TABLE_HEADER + ",".join(_COLUMNS) + "\n" + "\n".join(rows) + "\n")
