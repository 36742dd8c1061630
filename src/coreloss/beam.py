"""The beam of a microscope: energy and the two semi-angles, with their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ENERGY_RANGE_KEV = (20.0, 1000.0)
CONVERGENCE_RANGE_MRAD = (0.0, 200.0)
COLLECTION_RANGE_MRAD = (0.1, 300.0)


@dataclass(frozen=True)
class Beam:
    """Beam energy, convergence and collection semi-angle; numbers, or arrays of one shape.

    ``ValueError`` with quantity, value and limits for what no microscope has.

    >>> Beam(energy_kev=200, collection_mrad=20)
    Beam(energy_kev=200, convergence_mrad=0.0, collection_mrad=20)
    """

    energy_kev: Any
    convergence_mrad: Any = 0.0
    collection_mrad: Any = 0.0
