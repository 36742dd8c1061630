"""How the embedded list of plausible compounds is made from pymatgen's own knowledge.

Nobody's database is copied: :func:`generate_compounds` fills the structure families of
`prototypes` with ions (oxidation states and their ICSD frequencies, charge neutrality, ionic
radii, order of electronegativity) and elements (metallic radii), adds the measured compounds and
the AFLOW prototypes that come with pymatgen, and varies those by data-mined
ionic substitution (Hautier et al., Inorg. Chem. 50 (2011) 656) and, where there are no charges, by
neighbours on the Mendeleev scale. The list says what is plausible, not what exists.

Only needed to rebuild ``data/compounds.csv.gz``; reading it needs nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, product
from math import gcd
from pathlib import Path

import numpy as np

from coreloss.edges import ELEMENTS
from coreloss.materials.compounds import prototypes as table
from coreloss.materials.compounds.families import (
    element_drawer,
    expand,
    ionic_drawer,
    mixed_drawer,
    salt_drawer,
)
from coreloss.materials.compounds.ions import (
    Key,
    common_cations,
    compatible,
    electronegativity,
    molecular_ions,
    parse_atoms,
    reduced_key,
    simple_anions,
)
from coreloss.materials.compounds.known import (
    MOST_ATOMS,
    common_compounds,
    known_compounds,
    substituted,
)
from coreloss.materials.formula import reduce_formula
from coreloss.materials.table import TABLE_COLUMNS, write_table

_HEADER = """\
# Plausible compounds, made by coreloss.materials.compounds.generate.write_compounds(seed=0).
# composition: amounts of every element, so that reading needs no pymatgen. origin: family.
# Elements are listed as compounds of themselves; 'gas in solid' is a noble gas in a host.
# common: 1 for pure elements, minerals, oxides and materials of devices.
"""


class Pool:
    """Distinct compositions with the family that first made each."""

    def __init__(self) -> None:
        self.origin: dict[Key, str] = {}

    def add(self, atoms: Iterable[tuple[str, int]], family: str) -> bool:
        """Add one composition; False when it is there already or is not sensible."""
        key = reduced_key(atoms)
        if key in self.origin or sum(n for _, n in key) > MOST_ATOMS:
            return False
        if not any(element in ELEMENTS for element, _ in key):
            return False
        self.origin[key] = family
        return True

    def draw(self, make: Callable[[], list | None], family: str, number: int) -> None:
        """Add up to ``number`` new compositions from repeated draws, giving up after many."""
        found = 0
        for _ in range(60 * number):
            atoms = make()
            found += self.add(atoms, family) if atoms else False
            if found >= number:
                return


def binary_ionic() -> Iterator[tuple[list, str]]:
    """Every neutral pair of a common cation and a simple anion."""
    for cation, anion in product(common_cations(), simple_anions(table.SIMPLE_ANIONS)):
        rise = electronegativity(anion.symbol) - electronegativity(cation.symbol)
        if cation.symbol == "H" or rise < 0.15 or not compatible(cation, anion):
            continue
        divisor = gcd(cation.charge, -anion.charge)
        yield (
            expand([(cation, -anion.charge // divisor), (anion, cation.charge // divisor)]),
            "binary",
        )


def alloys(rng: np.random.Generator) -> Iterator[tuple[list, str]]:
    """Solid solutions of neighbours: pairs at two of nine ratios, and some of three to five."""
    ratios = [(1, 1), (3, 1), (1, 3), (4, 1), (1, 4), (9, 1), (1, 9), (19, 1), (1, 19)]
    for group in table.ALLOY_GROUPS:
        symbols = group.split()
        for pair in combinations(symbols, 2):
            for index in rng.choice(len(ratios), 3, replace=False):
                yield list(zip(pair, ratios[index], strict=True)), "alloy"
        for _ in range(12 * len(symbols)):
            size = min(int(rng.integers(3, 6)), len(symbols))
            chosen = rng.choice(symbols, size, replace=False)
            yield [(str(s), int(rng.integers(1, 5))) for s in chosen], "alloy"


def gas_in_solid() -> Iterator[tuple[list, str]]:
    """Noble gases in common hosts: bubbles and implants, with five contents."""
    for gas, host, (gas_atoms, host_atoms) in product(
        table.NOBLE_GASES, table.GAS_HOSTS.split(), table.GAS_AMOUNTS
    ):
        atoms = parse_atoms(host)
        size = sum(n for _, n in atoms)
        yield [(gas, gas_atoms * size), *((e, n * host_atoms) for e, n in atoms)], "gas in solid"


def hydrates(rng: np.random.Generator, pool: Pool) -> Callable:
    """Salts of the pool with water of crystallisation or ammonia."""
    families = ("oxo-salt", "complex salt", "ternary halide", "binary")
    halides = {"F", "Cl", "Br", "I"}
    salts = [
        key
        for key, family in pool.origin.items()
        if family in families and (family != "binary" or halides & {e for e, _ in key})
    ]

    def draw() -> list | None:
        key = salts[rng.integers(len(salts))]
        count = int(rng.choice([1, 2, 3, 4, 6, 8]))
        ligand = [("H", 2), ("O", 1)] if rng.random() < 0.67 else [("N", 1), ("H", 3)]
        if sum(n for _, n in key) > 25:
            return None
        return [*key, *((element, n * count) for element, n in ligand)]

    return draw


# --- the list -----------------------------------------------------------------------------------


def generate_compounds(
    seed: int = 0, *, scale: float = 1.0, least_per_element: int = 330
) -> dict[Key, str]:
    """The embedded list: reduced compositions and the family of each, equal for equal seeds.

    ``scale`` multiplies the size of every family.
    """
    rng = np.random.default_rng(seed)
    pool = Pool()
    for element in ELEMENTS:
        pool.add([(element, 1)], "element")
    for source in (known_compounds(), binary_ionic(), alloys(rng), gas_in_solid()):
        for atoms, family in source:
            pool.add(atoms, family)
    for family, pattern, anions, number, count in table.IONIC:
        pool.draw(ionic_drawer(rng, family, pattern, anions, number), family, round(count * scale))
    for family, pattern, first, second, count in table.MIXED_ANION:
        pool.draw(
            mixed_drawer(rng, pattern, simple_anions(first), simple_anions(second)),
            family,
            round(count * scale),
        )
    for family, pattern, kind, count in table.SALTS:
        pool.draw(salt_drawer(rng, pattern, molecular_ions(kind)), family, round(count * scale))
    for family, pattern, kind, second, count in table.MIXED_SALTS:
        pool.draw(
            mixed_drawer(rng, pattern, molecular_ions(kind), simple_anions(second)),
            family,
            round(count * scale),
        )
    pool.draw(hydrates(rng, pool), "hydrate", round(table.HYDRATES * scale))
    for family, pattern, count, ratio in table.INTERMETALLICS:
        pool.draw(element_drawer(rng, pattern, ratio), family, round(count * scale))
    variations = substituted(rng)
    for _ in range(round(table.SUBSTITUTIONS * scale)):
        pool.add(*next(variations))
    _top_up(pool, variations, least_per_element)
    return pool.origin


def _top_up(pool: Pool, variations: Iterator, least: int) -> None:
    """Further variations until every element but the noble gases is in enough compounds."""
    counts = dict.fromkeys(ELEMENTS, 0)
    for key in pool.origin:
        counts.update({e: counts[e] + 1 for e, _ in key if e in counts})
    short = {e for e, n in counts.items() if n < least and e not in table.NOBLE_GASES}
    for _ in range(200_000):
        if not short:
            return
        atoms, family = next(variations)
        if short & {e for e, _ in atoms} and pool.add(atoms, family):
            counts.update({e: counts[e] + 1 for e, _ in atoms if e in counts})
            short = {e for e in short if counts[e] < least}


def compound_rows(seed: int = 0) -> list[tuple[str, str, str, str]]:
    """Rows (formula, composition text, family, "1" if common) of ``data/compounds.csv.gz``."""
    rows: dict[str, tuple[str, str, str, str]] = {}
    common = common_compounds()
    for key, family in generate_compounds(seed).items():
        formula, text = reduce_formula(" ".join(f"{e}{n}" for e, n in key))
        rows.setdefault(formula, (formula, text, family, "1" if key in common else ""))
    return sorted(rows.values())


def write_compounds(path: str | Path, seed: int = 0) -> None:
    """Write the embedded list; equal seeds and versions of pymatgen give equal files."""
    write_table(path, compound_rows(seed), columns=(*TABLE_COLUMNS, "common"), header=_HEADER)
