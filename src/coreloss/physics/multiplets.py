"""White lines and giant resonances of ions: the table of lines, and the spectra they make.

The table ``data/multiplets.csv.gz`` comes from `coreloss.atoms.multiplet_table`. Lines below the
threshold of a 4d electron are narrow, those above it decay into the continuum within a fraction of
a femtosecond: 4 to 8 eV wide (J. L. Dehmer et al., Phys. Rev. Lett. 26 (1971) 1521; J. Sugar, Phys.
Rev. B 5 (1972) 1785).
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from coreloss import shipped
from coreloss.edges import EdgeShell

GIANT_FWHM_EV = {
    **dict.fromkeys(("La", "Ce", "Pr", "Nd"), 7.5), "Pm": 6.5, "Sm": 5.5, "Eu": 5.0,
    **dict.fromkeys(("Gd", "Tb", "Dy"), 4.5), **dict.fromkeys(("Ho", "Er", "Tm"), 4.0), "Yb": 3.5,
}  # fmt: skip
"""Widths of 4d -> 4f lines above the threshold, by what is measured."""
BELOW_THRESHOLD_FWHM_EV = 1.0
TAIL_BEHIND_EV = 24.0
_RISE_EV = 4.0
"""Over which the continuum begins, up to the first lines."""
_THRESHOLD_EV = (-14.0, -4.0)
"""From narrow to wide, relative to the median of the strength."""
_FOOT_EV = (12.0, 4.0)
"""A Lorentzian foot fades to nothing this far before the first lines: they are Fano profiles."""


@dataclass(frozen=True, eq=False)
class Multiplet:
    """Lines of one ion in one surrounding.

    charge, ten_dq_ev, exchange : see the table; energy_ev (n,) behind the tabulated onset of the
    edge, ascending; strength (n,), oscillator strengths at q -> 0
    """

    element: str
    shell: str
    charge: int
    ten_dq_ev: float
    exchange: float
    energy_ev: np.ndarray
    strength: np.ndarray

    @property
    def oscillator_strength(self) -> float:
        """Of all lines together."""
        return float(self.strength.sum())

    def quantile_ev(self, share: float) -> float:
        """Energy below which this share of the strength lies.

        >>> gd = multiplets_of("Gd", "N45")[0]
        >>> gd.quantile_ev(0.01) < gd.quantile_ev(0.5)
        True
        """
        cumulative = self.strength.cumsum()
        return float(self.energy_ev[np.searchsorted(cumulative, share * cumulative[-1])])


@cache
def multiplets() -> dict[tuple[str, str], tuple[Multiplet, ...]]:
    """All ions of the table by element and shell."""
    data = shipped.contents("data/multiplets.csv.gz")
    text = gzip.decompress(data).decode().splitlines()
    _, *rows = (line.rsplit(",", 2) for line in text if not line.startswith("#"))
    found: dict[tuple[str, str], tuple[Multiplet, ...]] = {}
    for ion, group in groupby(rows, key=lambda row: row[0]):
        lines = np.array([row[1:] for row in group], float)
        element, shell, charge, ten_dq_ev, exchange = ion.split(",")
        about = (int(charge), float(ten_dq_ev), float(exchange))
        ions = found.get((element, shell), ())
        found[element, shell] = (*ions, Multiplet(element, shell, *about, *lines.T))
    return found


def multiplets_of(element: str, shell: str) -> tuple[Multiplet, ...]:
    """The ions of one edge, () where its white lines are those of a smooth doublet.

    >>> [(ion.charge, ion.ten_dq_ev) for ion in multiplets_of("Ca", "L23")]
    [(2, -0.6), (2, 0.6), (2, 1.0), (2, 1.5)]
    """
    return multiplets().get((element, shell), ())


def line_widths_ev(ion: Multiplet, edge: EdgeShell, *, scale: float = 1.0) -> np.ndarray:
    """Full widths at half maximum of the lines (n,), natural ones and by autoionisation.

    ``scale`` multiplies the width of giant resonances.
    """
    if ion.shell == "N45":
        narrow, wide = (ion.quantile_ev(0.5) + x for x in _THRESHOLD_EV)
        above = np.clip((ion.energy_ev - narrow) / (wide - narrow), 0, 1)
        giant = scale * GIANT_FWHM_EV[ion.element] - BELOW_THRESHOLD_FWHM_EV
        return BELOW_THRESHOLD_FWHM_EV + giant * above
    first, second = (*edge.widths_ev, *edge.widths_ev)[:2]
    return np.where(ion.energy_ev < edge.offsets_ev[-1] / 2, first, second)


def continuum_share(
    table_ev: np.ndarray, strength: np.ndarray, edge: EdgeShell, loss_ev: np.ndarray
) -> np.ndarray:
    """What is continuum of an edge that follows measured photoabsorption, (n,) at losses (n,).

    Its maximum is replaced by the lines of the ions: what exceeds the level `TAIL_BEHIND_EV` behind
    it is taken off, and all that lies before the lines. ``table_ev`` and ``strength`` (m,): losses
    and df/dE or cross-section of the edge, in any unit.
    """
    end_ev = table_ev[np.argmax(strength)] + TAIL_BEHIND_EV
    value = np.interp(loss_ev, table_ev, strength)
    level = np.interp(end_ev, table_ev, strength)
    share = np.where(loss_ev < end_ev, np.minimum(level / np.maximum(value, 1e-12), 1.0), 1.0)
    ions = multiplets_of(edge.element, edge.shell)
    start_ev = edge.onset_ev + min(ion.quantile_ev(0.03) for ion in ions)
    begun = np.clip((loss_ev - start_ev) / _RISE_EV + 1, 0, 1)
    return share * begun**2 * (3 - 2 * begun)


def lorentzians(
    energy_ev: np.ndarray, strength: np.ndarray, fwhm_ev: np.ndarray, at_ev: np.ndarray
) -> np.ndarray:
    """Sum of Lorentzian lines (n,) of areas ``strength`` at energies (m,), per eV.

    >>> round(float(lorentzians(np.zeros(1), np.ones(1), np.full(1, 2.0), np.zeros(1))[0]), 4)
    0.3183
    """
    half, from_line = fwhm_ev[:, None] / 2, at_ev - energy_ev[:, None]
    return (strength[:, None] * half / (np.pi * (from_line**2 + half**2))).sum(0)


def cumulative(
    ion: Multiplet, edge: EdgeShell, at_ev: np.ndarray, *, scale: float = 1.0
) -> np.ndarray:
    """Strength of an ion below energies (m,) behind the onset, its lines broadened, (m,).

    Without the feet of the Lorentzians far before the first lines.
    """
    half = line_widths_ev(ion, edge, scale=scale)[:, None] / 2
    shares = 0.5 + np.arctan((at_ev - ion.energy_ev[:, None]) / half) / np.pi
    density = np.diff((ion.strength[:, None] * shares).sum(0))
    before = ion.quantile_ev(0.03) - (at_ev[1:] + at_ev[:-1]) / 2
    faded, full = _FOOT_EV
    foot = np.clip((faded - before) / (faded - full), 0, 1)
    return np.concatenate([[0.0], (density * foot**2 * (3 - 2 * foot)).cumsum()])
