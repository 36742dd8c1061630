"""What is under microscopes most often: pure elements, minerals, oxides, materials of devices."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from coreloss.compounds.ions import Key, reduced_key
from coreloss.compounds.prototypes import MINERALS_AND_DEVICES
from coreloss.edges import ELEMENTS
from coreloss.formulas import read_composition
from coreloss.materials import Materials

_ATOMS = re.compile(r"([A-Z][a-z]?)(\d*)")


@cache
def common_compounds() -> frozenset[Key]:
    """Reduced compositions of the pure elements and of `prototypes.MINERALS_AND_DEVICES`.

    Read without pymatgen, which trainings do without.

    >>> (("B", 1), ("N", 1)) in common_compounds(), (("Fe", 2), ("O", 3)) in common_compounds()
    (True, True)
    """
    formulas = [*MINERALS_AND_DEVICES.split(), *ELEMENTS]
    return frozenset(
        reduced_key((element, int(n or 1)) for element, n in _ATOMS.findall(formula))
        for formula in formulas
    )


def are_common(materials: Materials) -> np.ndarray:
    """Which materials of a list are common ones, (n,) bool, whatever the list calls them."""
    known = common_compounds()
    amounts = (read_composition(text) for text in materials.compositions)
    return np.array(
        [reduced_key((e, round(n)) for e, n in atoms.items()) in known for atoms in amounts]
    )
