"""How far two lists of materials are from each other."""

from __future__ import annotations

import numpy as np

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.table import Materials


def compare_materials(a: Materials, b: Materials) -> dict[str, object]:
    """How far two lists are from each other, as arrays ordered (a, b).

    ``element_share`` (2, 80): share of the materials that hold an element. ``cooccurrence``
    (2, 80, 80): share that hold both. ``*_cosine``: cosine of the two vectors, off the diagonal for
    pairs. ``n_elements`` (2, 9): share with 1, 2, ... 9 or more labelled elements. ``oxide_share``
    (2,): share with oxygen and another labelled element. ``share_in_other`` (2,):
    formulas in both lists, as a share of each.
    """
    tables = [materials.contains().astype(np.float32) for materials in (a, b)]
    pairs = np.stack([table.T @ table / len(table) for table in tables])
    upper = np.triu_indices(len(ELEMENTS), k=1)
    shared = len(set(a.formulas) & set(b.formulas))
    counts = [table.sum(axis=1).astype(int) for table in tables]
    oxygen = ELEMENT_INDEX["O"]
    return {
        "element_share": np.stack([table.mean(axis=0) for table in tables]),
        "cooccurrence": pairs,
        "element_cosine": _cosine(tables[0].mean(axis=0), tables[1].mean(axis=0)),
        "cooccurrence_cosine": _cosine(pairs[0][upper], pairs[1][upper]),
        "n_elements": np.stack([_histogram(count) for count in counts]),
        "oxide_share": np.array(
            [
                np.mean((table[:, oxygen] > 0) & (n > 1))
                for table, n in zip(tables, counts, strict=True)
            ]
        ),
        "share_in_other": np.array([shared / len(a), shared / len(b)]),
        "pairs": _pair_table(pairs, upper),
    }


def _pair_table(pairs: np.ndarray, upper: tuple[np.ndarray, np.ndarray]) -> list:
    """The 20 pairs whose co-occurrence differs most: (element, element, share in a, share in b)."""
    order = np.argsort(-np.abs(pairs[0][upper] - pairs[1][upper]))[:20]
    return [
        (ELEMENTS[i], ELEMENTS[j], float(pairs[0, i, j]), float(pairs[1, i, j]))
        for i, j in zip(upper[0][order], upper[1][order], strict=True)
    ]


def _histogram(counts: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(counts, 1, 9), minlength=10)[1:] / len(counts)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
