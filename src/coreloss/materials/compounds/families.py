"""Drawing compositions of one family: neutral ions on sites, or elements without charges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import sqrt

import numpy as np

from coreloss.materials.compounds import prototypes as table
from coreloss.materials.compounds.ions import (
    Ion,
    atomic_radius,
    compatible,
    electronegativity,
    ion_class,
    simple_anions,
)


def _chooser(rng: np.random.Generator, ions: tuple[Ion, ...]) -> Callable[[], Ion]:
    weights = np.cumsum([i.weight * table.ELEMENT_WEIGHTS.get(i.symbol, 1) for i in ions])
    edges = weights / weights[-1]
    return lambda: ions[int(np.searchsorted(edges, rng.random(), side="right"))]


def _site_drawer(rng: np.random.Generator, pattern: str) -> Callable[[], list[tuple[Ion, int]]]:
    """Draws one ion and one multiplicity for every site of 'A:1:2 B:1'."""
    sites = []
    for word in pattern.split():
        name, *multiplicities = word.split(":")
        sites.append((_chooser(rng, ion_class(name)), [int(m) for m in multiplicities]))
    return lambda: [(pick(), counts[rng.integers(len(counts))]) for pick, counts in sites]


def expand(sites: Iterable[tuple[Ion, int]]) -> list[tuple[str, int]]:
    return [(element, n * count) for ion, count in sites for element, n in ion.atoms]


def _distinct(sites: list[tuple[Ion, int]]) -> bool:
    symbols = [ion.symbol for ion, _ in sites]
    return len(set(symbols)) == len(symbols)


def _ordered(sites: list[tuple[Ion, int]]) -> bool:
    """Electronegativity may fall along the sites by no more than 0.35."""
    values = [electronegativity(ion.symbol) for ion, _ in sites if ion.symbol]
    return all(b > a - 0.35 for a, b in pairwise(values))


def tolerance_factor(sites: list[tuple[Ion, int]], anion_radius_angstrom: float) -> float:
    """Goldschmidt's t = (r_A + r_X) / (sqrt2 (r_B + r_X)), the A site first, B sites averaged."""
    (a, _), *others = sites
    b = sum(i.radius_angstrom * n for i, n in others) / sum(n for _, n in others)
    return (a.radius_angstrom + anion_radius_angstrom) / (sqrt(2) * (b + anion_radius_angstrom))


_ANION_RADIUS = {
    "O": 1.4,
    "F": 1.33,
    "Cl": 1.81,
    "Br": 1.96,
    "I": 2.2,
    "S": 1.84,
    "Se": 1.98,
    "N": 1.46,
}


def _fits_perovskite(sites: list[tuple[Ion, int]], anion: Ion) -> bool:
    return 0.68 <= tolerance_factor(sites, _ANION_RADIUS[anion.symbol]) <= 1.12


def ionic_drawer(rng, family: str, pattern: str, anions: str, number: int | None) -> Callable:
    """Charge-neutral compositions of one ionic family; ``number`` anions, or as many as fit."""
    sites_of, anion_of = _site_drawer(rng, pattern), _chooser(rng, simple_anions(anions))

    def draw() -> list | None:
        sites, anion = sites_of(), anion_of()
        charge = sum(ion.charge * n for ion, n in sites)
        count, rest = divmod(charge, -anion.charge)
        cations = sum(n for _, n in sites)
        if rest or not 0.5 * cations <= count <= 4.5 * cations or number not in (None, count):
            return None
        if not _distinct(sites) or not all(compatible(ion, anion) for ion, _ in sites):
            return None
        if number is None and not _ordered(sites):
            return None
        if family.endswith("perovskite") and not _fits_perovskite(sites, anion):
            return None
        return expand([*sites, (anion, count)])

    return draw


def mixed_drawer(rng, pattern: str, first: tuple[Ion, ...], second: tuple[Ion, ...]) -> Callable:
    """Charge-neutral compositions with two anions, one to four of the second."""
    sites_of, first_of, second_of = (
        _site_drawer(rng, pattern),
        _chooser(rng, first),
        _chooser(rng, second),
    )

    def draw() -> list | None:
        sites, a, b = sites_of(), first_of(), second_of()
        fewer = int(rng.integers(1, 5))
        charge = sum(ion.charge * n for ion, n in sites) + b.charge * fewer
        count, rest = divmod(charge, -a.charge)
        if rest or not 1 <= count <= 12 or not _distinct(sites) or a.symbol == b.symbol != "":
            return None
        pairs = [(ion, anion) for ion, _ in sites for anion in (a, b)]
        if not all(compatible(ion, anion) for ion, anion in pairs) or _repeats(sites, a):
            return None
        return expand([*sites, (a, count), (b, fewer)])

    return draw


def salt_drawer(rng, pattern: str, anions: tuple[Ion, ...]) -> Callable:
    """Salts of a molecular anion with one to four cation sites."""
    sites_of, anion_of = _site_drawer(rng, pattern), _chooser(rng, anions)

    def draw() -> list | None:
        sites, anion = sites_of(), anion_of()
        charge = sum(ion.charge * n for ion, n in sites)
        count, rest = divmod(charge, -anion.charge)
        if rest or not 1 <= count <= 6 or not _distinct(sites) or _repeats(sites, anion):
            return None
        if not all(compatible(ion, anion) for ion, _ in sites):
            return None
        return expand([*sites, (anion, count)])

    return draw


def _repeats(sites: list[tuple[Ion, int]], anion: Ion) -> bool:
    """Whether a cation is the central atom of the molecular anion too."""
    inside = {element for element, _ in anion.atoms}
    return any(ion.symbol in inside for ion, _ in sites)


def element_drawer(rng, pattern: str, ratio: tuple[float, float] | None) -> Callable:
    """Compositions of elements without charges, with an optional range of radius ratios."""
    sites = []
    for word in pattern.split():
        name, amount = word.split(":")
        symbols = table.ELEMENT_CLASSES.get(name, name).split()
        weights = np.array([table.ELEMENT_WEIGHTS.get(symbol, 1.0) for symbol in symbols])
        sites.append((symbols, weights / weights.sum(), int(amount)))

    def draw() -> list | None:
        atoms = [(str(rng.choice(symbols, p=p)), n) for symbols, p, n in sites]
        if len({symbol for symbol, _ in atoms}) < len(atoms):
            return None
        if ratio:
            size = atomic_radius(atoms[0][0]) / atomic_radius(atoms[1][0])
            if not ratio[0] <= size <= ratio[1]:
                return None
        return atoms

    return draw
