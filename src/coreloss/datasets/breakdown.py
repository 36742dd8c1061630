"""Scores on measured files group by group: source, energy range, dose and edge family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from coreloss.datasets.measured import ExperimentalSet
from coreloss.datasets.records import edges_that_count
from coreloss.edges import ELEMENTS
from coreloss.scoring.metrics import Scores, bootstrap_intervals, scores

START_EDGES_EV = (300.0, 1000.0)
"""Where a window starts decides its energy range."""
DOSE_EDGES_THOUSAND = (10.0, 1000.0)
"""Bins of the median counts per channel, all spectra of a file together, in thousands."""
FAMILIES = ("K", "L23", "M45", "N45")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class GroupScores:
    """Scores of the files (or element decisions) of one group, with 95 % bootstrap intervals.

    ``by`` is 'source', 'window start', 'counts per channel' or 'edge family'; the name of the
    group is ``scores.subset``.
    """

    by: str
    scores: Scores
    intervals: dict[str, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON files."""
        intervals = {name: list(limits) for name, limits in self.intervals.items()}
        return {"by": self.by, "scores": self.scores.to_dict(), "intervals": intervals}


def breakdown(
    measured: ExperimentalSet, probability: np.ndarray, *, threshold: float, seed: int = 0
) -> tuple[GroupScores, ...]:
    """Scores per source, range of the window's start, dose and edge family, in this order.

    ``probability`` (m, 80). Sources with many files come first. The first three divide the files.
    An edge family (`edge_families`) has the decisions on its elements and the files with at least
    one of them.
    """
    present, counted = measured.present.numpy(), measured.counted.numpy()
    files, thousands = Counter(measured.sources), measured.dose / 1000
    starts = [record.window_ev[0] for record in measured.records]
    groups = [
        *_divided("source", measured.sources, sorted(files, key=lambda name: (-files[name], name))),
        *_divided("window start", *binned(starts, START_EDGES_EV, unit=" eV")),
        *_divided("counts per channel", *binned(thousands, DOSE_EDGES_THOUSAND, unit=" k")),
    ]
    result = [
        _scored(by, name, rows, (present, probability, counted), threshold, seed)
        for by, name, rows in groups
    ]
    family = np.array([edge_families(record.window_ev) for record in measured.records])
    for name in FAMILIES:
        inside = counted & (family == name)
        if (rows := inside.any(axis=1)).any():
            labels = (present, probability, inside)
            result.append(_scored("edge family", name, rows, labels, threshold, seed))
    return tuple(result)


def binned(
    values: np.ndarray | Sequence[float], edges: Sequence[float], *, unit: str = ""
) -> tuple[list[str], list[str]]:
    """Name of the bin of each value, and all bins from the lowest to the highest, then unknown.

    >>> binned([250.0, 300.0, float("nan")], (300.0, 1000.0), unit=" eV")[0]
    ['below 300 eV', '300..1000 eV', 'unknown']
    """
    between = [f"{low:g}..{high:g}{unit}" for low, high in pairwise(edges)]
    names = [f"below {edges[0]:g}{unit}", *between, f"from {edges[-1]:g}{unit}"]
    places = np.searchsorted(edges, values, side="right")
    return (
        [UNKNOWN if np.isnan(v) else names[i] for v, i in zip(values, places, strict=True)],
        [*names, UNKNOWN],
    )


def edge_families(window_ev: tuple[float, float]) -> list[str]:
    """Family (K, L23, M45, N45) of each of the 80 elements in a window, "" where it has none.

    It is the shell of its strongest identifying edge set that counts there
    (`records.edges_that_count`). The strongest of an element is the one with the lowest
    onset: cross-sections fall with the onset, by a factor of ten and more between these sets.

    >>> families = dict(zip(ELEMENTS, edge_families((400.0, 2000.0))))
    >>> families["O"], families["Ti"], families["La"], families["Si"], families["Be"]
    ('K', 'L23', 'M45', 'K', '')
    """
    families = [""] * len(ELEMENTS)
    for edge in sorted(edges_that_count(window_ev), key=lambda edge: -edge.onset_ev):
        families[edge.label] = edge.shell
    return families


def _divided(
    by: str, group_of: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    for name in names:
        rows = np.array([group == name for group in group_of])
        if rows.any():
            yield by, name, rows


def _scored(by, name, rows, labels, threshold: float, seed: int) -> GroupScores:
    present, probability, counted = (values[rows] for values in labels)
    return GroupScores(
        by=by,
        scores=scores(present, probability, threshold=threshold, subset=name, counted=counted),
        intervals=bootstrap_intervals(
            present,
            probability,
            threshold=threshold,
            generator=np.random.default_rng(seed),
            counted=counted,
        ),
    )
