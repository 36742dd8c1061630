"""Ions and atoms for the embedded list: charges, radii, electronegativity, from pymatgen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, reduce
from itertools import product
from math import gcd
from pathlib import Path

import numpy as np

from coreloss.edges import ELEMENTS
from coreloss.materials.compounds import prototypes as table

Key = tuple[tuple[str, int], ...]  # reduced whole-number composition, sorted by symbol

_UNLABELLED = ("H", "Li", "Th", "U")  # elements without a label that belong in the list
COMPOUND_ELEMENTS = (*_UNLABELLED, *ELEMENTS)
_NON_METALS = frozenset(
    ("H", "B", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "I", "As", "Te", "Si")
)
_TRANSITION = frozenset(("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"))


@dataclass(frozen=True)
class Ion:
    """An ion on a site, simple or molecular: its atoms, charge, and weight when it is drawn."""

    atoms: tuple[tuple[str, int], ...]
    charge: int
    weight: float
    radius_angstrom: float = 0.0

    @property
    def symbol(self) -> str:
        """Element of a simple ion, empty for a molecular one."""
        return self.atoms[0][0] if len(self.atoms) == 1 and self.atoms[0][1] == 1 else ""


def parse_atoms(formula: str) -> list[tuple[str, int]]:
    from pymatgen.core import Composition

    whole, _ = Composition(formula).get_integer_formula_and_factor()
    return [(element.symbol, round(n)) for element, n in Composition(whole).items()]


def reduced_key(atoms: Iterable[tuple[str, int]]) -> Key:
    """Composition with equal elements added up and the common divisor taken out.

    >>> reduced_key([("O", 6), ("Ti", 2), ("Ba", 2)])
    (('Ba', 1), ('O', 3), ('Ti', 1))
    """
    amounts: dict[str, int] = {}
    for element, amount in atoms:
        amounts[element] = amounts.get(element, 0) + amount
    divisor = reduce(gcd, amounts.values())
    return tuple(sorted((element, amount // divisor) for element, amount in amounts.items()))


@cache
def common_cations() -> tuple[Ion, ...]:
    """Cations: oxidation states seen at least 20 times in the ICSD, weight = count^0.4."""
    from monty.serialization import loadfn
    from pymatgen import core

    occurrence = loadfn(Path(core.__file__).parent / "icsd_bv.yaml")["occurrence"]
    counts: dict[tuple[str, int], int] = {}
    for name, count in occurrence.items():
        symbol = name.rstrip("+-0123456789")
        charge = int(name[len(symbol) : -1] or 1) if name.endswith("+") else 0
        if charge > 0 and count >= 20 and symbol in COMPOUND_ELEMENTS:
            counts[symbol, charge] = count
    for name in table.EXTRA_SPECIES.split():
        key = (name[:-1], int(name[-1]))
        counts[key] = max(counts.get(key, 0), 80)
    return tuple(
        Ion(((symbol, 1),), charge, count**0.4, _ionic_radius(symbol, charge))
        for (symbol, charge), count in sorted(counts.items())
        if not _odd_state(symbol, charge)
    )


def _odd_state(symbol: str, charge: int) -> bool:
    """Averages over clusters and cation-cation bonds rather than charges of an ion."""
    from pymatgen.core import Element

    element = Element(symbol)
    usual = set(element.icsd_oxidation_states) | set(element.common_oxidation_states)
    extra = f"{symbol}{charge}" in table.EXTRA_SPECIES.split()
    return not extra and (charge not in usual or (element.is_alkaline and charge != 2))


def _ionic_radius(symbol: str, charge: int) -> float:
    from pymatgen.core import Element

    radii = {round(k): float(r) for k, r in Element(symbol).ionic_radii.items() if r}
    if charge in radii:
        return radii[charge]
    return float(np.mean(list(radii.values()))) if radii else 0.8


@cache
def ion_class(name: str) -> tuple[Ion, ...]:
    """The ions of one class of the patterns, such as 'A' (large) or 'B3' (small, charge 3)."""
    if name == "ammonium":
        return molecular_ions(name)
    species = common_cations()
    metals = [ion for ion in species if ion.symbol not in _NON_METALS]
    rare = table.RARE_EARTHS.split()
    rules: dict[str, Callable[[Ion], bool]] = {
        "alkali+": lambda i: i.symbol in ["Li", "Na", "K", "Rb", "Cs"] and i.charge == 1,
        "earth+": lambda i: i.symbol in ["Mg", "Ca", "Sr", "Ba", "Pb", "Eu"] and i.charge == 2,
        "coinage": lambda i: i.symbol in ("Cu", "Ag") and i.charge == 1,
        "M1": lambda i: i.charge == 1 and i.symbol not in ("In", "Hg", "Ga", "Co", "Ni", "Au"),
        "M2": lambda i: i.charge == 2 and i.symbol not in ("Ag", "In", "Ga", "Nb", "Sc", "Zr"),
        "R": lambda i: i.symbol in rare and i.charge == 3,
        "A": lambda i: _is_large(i) and i.charge <= 3,
        "T": lambda i: i.symbol in _TRANSITION and 2 <= i.charge <= 4,
        "cation": lambda i: i.charge <= 3 or i.symbol in ("Zr", "Hf", "Th", "U", "Ce", "Sn", "Ti"),
        "B": lambda i: _is_small(i) or i.symbol == "Li",
    }
    if name in rules:
        return tuple(ion for ion in metals if rules[name](ion))
    letter = name.rstrip("123456")
    charge = int(name[len(letter) :] or 0)
    if letter in ("B", "T"):
        pool = ion_class(letter) + (_of("Si Sb Bi As", species) if letter == "B" else ())
        return tuple(dict.fromkeys(i for i in pool if i.charge == charge))
    chosen = tuple(i for i in metals if i.symbol == letter and charge in (0, i.charge))
    if not chosen:
        raise ValueError(f"pattern: no ion class {name!r}")
    return chosen


def _of(symbols: str, species: Iterable[Ion]) -> tuple[Ion, ...]:
    return tuple(ion for ion in species if ion.symbol in symbols.split())


def _is_large(ion: Ion) -> bool:
    return ion.radius_angstrom >= 0.98 or ion.symbol in (
        "Y",
        "Ca",
        "Na",
        "Ho",
        "Er",
        "Tm",
        "Yb",
        "Lu",
    )


def _is_small(ion: Ion) -> bool:
    rare = ion.symbol in table.LANTHANIDES.split() and ion.charge == 3
    return ion.charge >= 2 and ion.radius_angstrom < 0.98 and not rare and ion.symbol != "Ca"


def simple_anions(text: str) -> tuple[Ion, ...]:
    """Ions of a list such as 'O-2 OH-1'; oxygen and the halogens are commoner in nature too."""
    weights = {"O": 3, "S": 2, "Se": 1.4, "F": 1.6, "Cl": 1.5}
    parts = [word.split("-") for word in text.split()]
    return tuple(
        Ion(
            tuple(parse_atoms(f)) if len(f) > 1 and f not in COMPOUND_ELEMENTS else ((f, 1),),
            -int(q),
            weights.get(f, 1),
        )
        for f, q in parts
    )


def molecular_ions(kind: str) -> tuple[Ion, ...]:
    source = {
        "oxo": table.OXO_ANIONS,
        "phosphate": [row for row in table.OXO_ANIONS if row[0].startswith("P")],
        "other": table.OTHER_ANIONS,
        "ammonium": table.MOLECULAR_CATIONS,
    }[kind]
    return tuple(
        Ion(tuple(parse_atoms(formula)), charge, weight) for formula, charge, weight in source
    )


def compatible(cation: Ion, anion: Ion) -> bool:
    """Whether the anion tolerates the cation's charge (no Mn4+ iodide, no Bi5+ sulfide)."""
    if not anion.symbol:
        return cation.charge <= 5 or anion.atoms[-1][0] == "O"
    name = f"{cation.symbol}{cation.charge}"
    if anion.symbol in table.SOFT_ANIONS.split() and name in table.OXIDISING.split():
        return False
    return cation.charge <= table.HIGHEST_CHARGE.get(anion.symbol, 4)


@cache
def electronegativity(symbol: str) -> float:
    """Pauling electronegativity; 1.2 where there is none (Eu, Tb, Yb, Pm)."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(Element(symbol).X)
    return value if value == value else 1.2


@cache
def atomic_radius(symbol: str) -> float:
    """Metallic radius, or the atomic one where there is none [Angstrom]."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns where it has no metallic radius
        element = Element(symbol)
        return float(element.metallic_radius or element.atomic_radius or 1.4)


def guess_charges(key: Key) -> dict[str, int] | None:
    """The neutral assignment of one charge to each element that the ICSD makes most likely.

    >>> guess_charges((("O", 3), ("Sr", 1), ("Ti", 1)))
    {'O': -2, 'Sr': 2, 'Ti': 4}
    """
    options = [_charge_options(element) for element, _ in key]
    best, best_weight = None, 0.0
    for charges in product(*options):
        weight = float(np.prod([weight for _, weight in charges]))
        if weight > best_weight and not sum(
            q * n for (q, _), (_, n) in zip(charges, key, strict=True)
        ):
            best, best_weight = charges, weight
    return {e: q for (e, _), (q, _) in zip(key, best, strict=True)} if best else None


@cache
def _charge_options(element: str) -> list[tuple[int, float]]:
    """Charges of an element with weights; every simple anion has its usual charge."""
    anions = {ion.symbol: ion for ion in simple_anions(table.SIMPLE_ANIONS)}
    positive = [(ion.charge, ion.weight) for ion in common_cations() if ion.symbol == element]
    return positive + ([(anions[element].charge, 15.0)] if element in anions else [])
