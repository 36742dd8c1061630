"""Figures of the atomic physics and of the materials: edge map, atom, Bethe surface, comparisons.

As in `figures.spectrum`, every function draws into the Axes it is given and returns it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.transforms import Bbox

from coreloss.edges import ATOMIC_NUMBER, edge_shells
from coreloss.figures.spectrum import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    plot_surface,
)

if TYPE_CHECKING:
    from coreloss.atoms.dirac_atom import Atom
    from coreloss.physics.gos_table import GosTable

SHELL_COLOURS = {"K": BLUE, "L23": ORANGE, "M45": GREEN, "N45": RED}
FREE_ELECTRON_EV = 3.80998  # hbar^2 / 2m in eV Angstrom^2
ATOM_RADII_BOHR = (3e-3, 12.0)
NAMED_EVERY = 5
"""Edges of a shell of which one is named in the edge map."""
SURFACE_TO_EV = 2500.0
DOT = 4.0
"""Pixels of a marked point that names keep clear of."""
_MARKERS = ("o", "s", "^", "D", "v")


def plot_edge_map(ax):
    """Onset over atomic number: the identifying sets in colour, nuisance shells in grey."""
    nuisance = [edge for edge in edge_shells() if edge.role == "nuisance"]
    ax.plot(*_positions(nuisance), "_", color="#b0b0b0", ms=5, label="other shells")
    for shell, colour in SHELL_COLOURS.items():
        sets = [e for e in edge_shells() if e.role == "identifying" and e.shell == shell]
        name = f"{shell}: {sets[0].element} to {sets[-1].element}"
        ax.plot(*_positions(sets), "o", color=colour, ms=4, label=name)
        for edge in sets[::NAMED_EVERY]:
            ax.annotate(
                edge.element,
                (ATOMIC_NUMBER[edge.element], edge.onset_ev),
                xytext=(5, -3),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=colour,
            )
    ax.set_yscale("log")
    ax.set_xlabel("Atomic number")
    ax.set_ylabel("Onset (eV)")
    ax.legend(
        frameon=False, fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.17)
    )
    return ax


def _positions(edges) -> tuple[list[int], list[float]]:
    return [ATOMIC_NUMBER[e.element] for e in edges], [e.onset_ev for e in edges]


def plot_atom(atom: Atom, ax):
    """Radial density P^2 + Q^2 of one electron of every nl shell over the radius in bohr."""
    r = atom.grid.r[: atom.grid.inner]
    names = {}
    for orbital in atom.orbitals:
        names[f"{orbital.n}{'spdf'[orbital.l]}"] = orbital
    for i, (name, orbital) in enumerate(names.items()):
        density = (orbital.p**2 + orbital.q**2)[: atom.grid.inner]
        style = "-" if i < len(COLOURS) else "--"
        ax.plot(r, density, style, color=COLOURS[i % len(COLOURS)], lw=1.4, label=name)
    ax.set_xscale("log")
    ax.set_xlim(*ATOM_RADII_BOHR)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Radius (bohr)")
    ax.set_ylabel("Radial density (1/bohr)")
    ax.legend(frameon=False, fontsize="small", ncols=2)
    return ax


def plot_bethe_surface(table: GosTable, ax):
    """GOS of one shell over the energy of the ejected electron and the momentum transfer.

    The dashed line is the Bethe ridge, where a free electron at rest would take up the energy loss:
    E = hbar^2 q^2 / 2m.
    """
    free, q = np.linspace(1, SURFACE_TO_EV, 300), table.q_per_angstrom
    rows = (q > 0.3) & (q < 60)
    gos = [np.interp(free, table.free_energy_ev, row) for row in table.gos_per_ev[rows]]
    plot_surface(
        free,
        q[rows],
        gos,
        ax,
        x_label="Energy above the onset (eV)",
        y_label="Momentum transfer (1/Å)",
        z_label="df/dE (1/eV)",
        log=True,
    )
    ridge = np.sqrt((table.onset_ev + free) / FREE_ELECTRON_EV)
    ax.plot(free, ridge, "--", color="white", lw=1.2)
    ax.set_yscale("log")
    ax.set_title(f"{table.element} {table.shell}", loc="left", fontsize="medium")
    return ax


def plot_ratios(
    names: Sequence[str],
    ratios: Mapping[str, Sequence[float]],
    ax,
    *,
    tolerance: Sequence[float] | None = None,
    x_label: str = "Ratio",
):
    """Ratios of two results as points, one line per name, with the tolerance as a grey bar."""
    places = np.arange(len(names))[::-1]
    if tolerance is not None:
        ax.barh(
            places, 2 * np.asarray(tolerance), left=1 - np.asarray(tolerance), color="#e8e8e8",
            height=0.8, label="tolerance",
        )  # fmt: skip
    for i, (name, values) in enumerate(ratios.items()):
        ax.plot(values, places, _MARKERS[i % 5], color=COLOURS[i], ms=5, label=name)
    ax.axvline(1, color=GREY, lw=1)
    ax.set_yticks(places, names, fontsize="small")
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlabel(x_label)
    ax.legend(
        frameon=False, fontsize="small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )
    return ax


def plot_agreement(
    x,
    y,
    names: Sequence[str],
    ax,
    *,
    x_label: str,
    y_label: str,
    labelled: float = 0.0,
):
    """Two values per name against each other, with the diagonal.

    Names are written where the ratio is more than a factor 1 + ``labelled`` from one. Values of
    zero have no place on a log axis and are left out.
    """
    shown = [(n, a, b) for n, a, b in zip(names, x, y, strict=True) if min(a, b) > 0]
    names, (x, y) = [n for n, *_ in shown], np.array([values for _, *values in shown]).T
    ax.plot(x, y, "o", color=BLUE, ms=3.5)
    limits = [min(x.min(), y.min()), max(x.max(), y.max())]
    ax.plot(limits, limits, color=GREY, lw=1)
    for name, a, b in zip(names, x, y, strict=True):
        if abs(np.log(b / a)) > np.log1p(labelled):
            ax.annotate(name, (a, b), xytext=(4, -2), textcoords="offset points", fontsize=8)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    return ax


def plot_differences(
    x, y, names: Sequence[str], ax, *, marked: npt.ArrayLike, x_label: str, y_label: str
):
    """Differences over a quantity: all as grey points, the marked ones in red; names once each."""
    x, y, marked = np.asarray(x, float), np.asarray(y, float), np.asarray(marked, bool)
    ax.axhline(0, color=GREY, lw=1)
    ax.plot(x[~marked], y[~marked], "o", color="#9a9a9a", ms=3)
    ax.plot(x[marked], y[marked], "o", color=RED, ms=4)
    ax.set_xscale("log")
    ax.margins(x=0.08, y=0.12)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    first_of_name = {names[i]: i for i in np.flatnonzero(marked)[::-1]}
    ax.autoscale_view()
    dots = ax.transData.transform(np.column_stack((x, y))[marked])
    boxes = [Bbox([dot - DOT / 2, dot + DOT / 2]) for dot in dots]
    for name, i in sorted(first_of_name.items(), key=lambda item: x[item[1]]):
        boxes.append(_name_point(name, (x[i], y[i]), ax, boxes))
    return ax


def _name_point(name: str, point: tuple[float, float], ax, taken: Sequence[Bbox]) -> Bbox:
    """Write a name beside its point, away from zero, as near as what is already there lets it."""
    outwards = 1 if point[1] > 0 else -1
    beside: dict[str, Any] = {"xy": point, "textcoords": "offset points"}
    text = ax.annotate(
        name, va="bottom" if outwards > 0 else "top", fontsize=8, xytext=(0, 0), **beside
    )
    for distance in range(3, 80, 4):
        for x, align in ((3, "left"), (-3, "right")):
            text.set_position((x, distance * outwards))
            text.set_horizontalalignment(align)
            box = text.get_window_extent().padded(1)
            if not any(box.overlaps(other) for other in taken):
                line = {"arrowstyle": "-", "lw": 0.5, "color": GREY}
                ax.annotate("", xytext=(x, distance * outwards), arrowprops=line, **beside)
                return box
    return box


def plot_along_row(
    elements: Sequence[str], values: Mapping[str, Mapping[str, float]], ax, *, y_label: str
):
    """Values by element along a row of the periodic table; missing ones leave a gap."""
    for i, (name, by_element) in enumerate(values.items()):
        y = [by_element.get(element, np.nan) for element in elements]
        colour = (BLUE, ORANGE, GREEN, RED, PURPLE, BLACK)[i % 6]
        ax.plot(np.arange(len(elements)), y, _MARKERS[i % 5] + "-", color=colour, ms=4, label=name)
    ax.set_xticks(np.arange(len(elements)), elements, fontsize=8)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(y_label)
    ax.legend(frameon=False, fontsize="small")
    return ax
