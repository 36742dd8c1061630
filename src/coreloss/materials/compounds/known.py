"""Compounds that come with pymatgen, and their variations by data-mined substitution."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from coreloss.edges import ELEMENTS
from coreloss.materials.compounds import prototypes as table
from coreloss.materials.compounds.ions import (
    COMPOUND_ELEMENTS,
    Key,
    guess_charges,
    parse_atoms,
    reduced_key,
)

MOST_ATOMS = 200  # per reduced formula; longer ones are measured phase boundaries, not compounds
_REPLACEABLE = tuple(symbol for symbol in COMPOUND_ELEMENTS if symbol not in table.NOBLE_GASES)


@cache
def known_compounds() -> tuple[tuple[Key, str], ...]:
    """Measured compounds and AFLOW prototypes that come with pymatgen, and our short lists."""
    from pymatgen import analysis

    folder = Path(next(iter(analysis.__path__)))
    with gzip.open(folder / "compatibility" / "exp_compounds.json.gz") as file:
        measured = [entry["formula"] for entry in json.load(file)]
    with gzip.open(folder / "prototypes" / "aflow_prototypes.json.gz") as file:
        cells = [entry["snl"]["sites"] for entry in json.load(file)]
    found = [(parse_atoms(formula), "measured") for formula in measured]
    found += [
        ([(site["species"][0]["element"], 1) for site in cell], "prototype") for cell in cells
    ]
    found += [(parse_atoms(f), "well known") for f in table.MINERALS_AND_DEVICES.split()]
    found += [(parse_atoms(formula), "alloy") for formula in table.ALLOYS.split()]
    keys = {reduced_key(atoms): family for atoms, family in reversed(found)}
    return tuple((key, family) for key, family in keys.items() if _is_allowed(key))


@cache
def common_compounds() -> frozenset[Key]:
    """What is under microscopes most often: pure elements and `prototypes.MINERALS_AND_DEVICES`."""
    formulas = [*table.MINERALS_AND_DEVICES.split(), *ELEMENTS]
    return frozenset(reduced_key(parse_atoms(formula)) for formula in formulas)


def _is_allowed(key: Key) -> bool:
    return all(e in COMPOUND_ELEMENTS for e, _ in key) and sum(n for _, n in key) <= MOST_ATOMS


def substituted(rng: np.random.Generator) -> Iterator[tuple[list, str]]:
    """Endless variations of known compounds by ionic or Mendeleev substitution."""
    seeds = [
        (key, guess_charges(key))
        for key, _ in known_compounds()
        if 2 <= len(key) <= 5 and sum(n for _, n in key) <= 60
    ]
    while True:
        key, charges = seeds[rng.integers(len(seeds))]
        swap = {e: _substitute(rng, e, charges[e] if charges else None) for e, _ in key}
        if len(set(swap.values())) == len(key):
            yield (
                [(swap[e], n) for e, n in key],
                "substitution" if charges else "metal substitution",
            )


def _substitute(rng: np.random.Generator, element: str, charge: float | None) -> str:
    """The element itself or, two times in three, a likely stand-in."""
    if rng.random() < 0.33:
        return element
    names, weights = _ion_stand_ins(element, int(charge)) if charge else _metal_stand_ins(element)
    return str(rng.choice(names, p=weights)) if names else element


@cache
def _ion_stand_ins(element: str, charge: int) -> tuple[list[str], np.ndarray]:
    """Elements that replace an ion at equal charge, weighted by the data-mined probability."""
    from pymatgen.core import Species

    model = _substitution_model()
    own = Species(element, charge)
    others = [
        s
        for s in model.species
        if s.oxi_state == charge and s != own and s.element.symbol in _REPLACEABLE
    ]
    if own not in model.species or not others:
        return [], np.array([])
    weights = np.array([model.cond_prob(s, own) for s in others]) ** 0.7
    order = sorted(range(len(others)), key=lambda i: others[i].element.symbol)
    return [others[i].element.symbol for i in order], weights[order] / weights.sum()


@cache
def _substitution_model():
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    return SubstitutionProbability()


@cache
def _metal_stand_ins(element: str) -> tuple[list[str], np.ndarray]:
    """Elements near on the Mendeleev scale, weight exp(-distance / 3)."""
    from pymatgen.core import Element

    number = Element(element).mendeleev_no
    symbols = [s for s in _REPLACEABLE if s not in ("H", "O", "F", "N")]
    if element not in symbols:
        return [], np.array([])
    weights = np.array([np.exp(-abs(Element(s).mendeleev_no - number) / 3) for s in symbols])
    weights *= [table.ELEMENT_WEIGHTS.get(s, 1.0) for s in symbols]
    return symbols, weights / weights.sum()
