"""Splits that do not leak, and the materials of each element to draw from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.table import Materials

SPLITS = ("train", "validation", "test")


SPLIT_FRACTIONS = (0.70, 0.15, 0.15)


PAPER_COUNTS = {"train": 1400, "validation": 300, "test": 300}  # materials per element


@dataclass(frozen=True, eq=False)
class QueryIndex:
    """For every element the rows of the materials that hold it, one after the other.

    The rows of element e are ``rows[offsets[e]:offsets[e + 1]]``; ``available[e]`` distinct ones
    existed. An element without any material has an empty range: do not query it.
    """

    offsets: np.ndarray  # (81,) int64
    rows: np.ndarray  # (k,) int64
    available: np.ndarray  # (80,) int64
    requested: int | None = None

    def rows_of(self, element: str) -> np.ndarray:
        """Rows of the materials that hold one element."""
        label = ELEMENT_INDEX[element]
        return self.rows[self.offsets[label] : self.offsets[label + 1]]

    def drawn_with_replacement(self) -> dict[str, int]:
        """Elements with fewer materials than requested, and how many they have."""
        short = np.flatnonzero(self.available < (self.requested or 0))
        return {ELEMENTS[label]: int(self.available[label]) for label in short}


def split_materials(materials: Materials, *, seed: int) -> dict[str, np.ndarray]:
    """Rows of the training, validation and test materials.

    The split of a material depends on the seed and its reduced formula only (BLAKE2b hash), so a
    formula lies in one split, whatever the source it comes from or the size of the list: what was
    trained with the embedded list never meets its training formulas in the test split of another.
    """
    draws = _draws(materials, seed)
    assignment = np.searchsorted(np.cumsum(SPLIT_FRACTIONS)[:2], draws, side="right")
    return {name: np.flatnonzero(assignment == i) for i, name in enumerate(SPLITS)}


@lru_cache(4)
def _draws(materials: Materials, seed: int) -> np.ndarray:
    return np.array([_uniform_hash(formula, seed) for formula in materials.formulas])


def _uniform_hash(formula: str, seed: int) -> float:
    """A number in [0, 1) that depends on the formula and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{formula}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def query_table(
    materials: Materials,
    rows: np.ndarray,
    *,
    per_element: int | None = None,
    seed: int = 0,
    common: np.ndarray | None = None,
    common_share: float = 0.0,
) -> QueryIndex:
    """The materials of one split by element, all of them or a fixed number for each element.

    ``per_element`` materials are drawn for each element (the paper: 1400 for training, 300 for
    validation and for test), with replacement where an element has fewer; which ones is in
    :meth:`QueryIndex.drawn_with_replacement`. Otherwise, the materials that ``common`` (n,) marks
    are repeated until they are ``common_share`` of those of each element.
    """
    if not 0 <= common_share < 1:
        raise ValueError(f"common_share {common_share}: give a share of 0 or more, below 1")
    if per_element is not None and per_element < 1:
        raise ValueError(f"per_element {per_element}: give at least 1, or None for all materials")
    present = materials.contains()[rows]
    generator = np.random.default_rng(seed)
    picked = []
    for label in range(len(ELEMENTS)):
        own = np.asarray(rows, dtype=np.int64)[present[:, label]]
        if per_element is not None and len(own):
            own = generator.choice(own, per_element, replace=len(own) < per_element)
        elif common is not None and common[own].any():
            often = own[common[own]]
            wanted = common_share / (1 - common_share) * (len(own) - len(often)) / len(often)
            own = np.concatenate([own, np.repeat(often, max(round(wanted) - 1, 0))])
        picked.append(own)
    return QueryIndex(
        offsets=np.concatenate([[0], np.cumsum([len(own) for own in picked])]).astype(np.int64),
        rows=np.concatenate(picked).astype(np.int64),
        available=present.sum(axis=0).astype(np.int64),
        requested=per_element,
    )
