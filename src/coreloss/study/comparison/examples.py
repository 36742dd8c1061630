"""Six measured spectra that show where networks are right and where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from coreloss.axis import energy_ev, window_of
from coreloss.datasets.measured import ExperimentalSet
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.figures.spectrum import BLACK, plot_spectrum
from coreloss.study.results import Row

LANTHANIDES = frozenset(ELEMENTS[ELEMENT_INDEX["La"] : ELEMENT_INDEX["Lu"] + 1])
WHITE_LINES = frozenset(ELEMENTS[ELEMENT_INDEX["Ti"] : ELEMENT_INDEX["Ni"] + 1])
LIGHT = frozenset(ELEMENTS[: ELEMENT_INDEX["F"] + 1])


def examples(measured: ExperimentalSet, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Six files of a measured set by what they stand for, the first of each kind that is left.

    A lanthanide, a 3d metal with white lines, light elements alone, the widest and the narrowest
    window, and the file in which the networks of ``rows`` (with their ``named``) are wrong most
    often. Of each: ``index``, ``id``, ``material`` and the ``present`` elements that count.
    """
    there = (measured.present & measured.counted).numpy()
    present = [frozenset(ELEMENTS[k] for k in np.flatnonzero(row)) for row in there]
    low, high = (limit.numpy() for limit in window_of(measured.inputs.mask))
    width = high - low
    ids = [record.id for record in measured.records]
    wrong = [sum(len(present[i] ^ set(row["named"][name])) for row in rows)
             for i, name in enumerate(ids)]  # fmt: skip
    wanted: Mapping[str, Callable[[int], Any]] = {
        "most mistakes": lambda i: wrong[i],
        "a lanthanide": lambda i: bool(present[i] & LANTHANIDES),
        "white lines of a 3d metal": lambda i: bool(present[i] & WHITE_LINES),
        "light elements": lambda i: bool(present[i]) and present[i] <= LIGHT,
        "the widest window": lambda i: width[i],
        "the narrowest window": lambda i: -width[i],
    }
    left, chosen = list(range(len(ids))), {}
    for what, value in wanted.items():
        if not left:
            break
        best = max(left, key=value)  # the first one of equal ones
        left.remove(best)
        names = sorted(present[best], key=ELEMENTS.index)
        material = measured.records[best].material.split(" (")[0]
        chosen[what] = {"index": best, "id": ids[best], "material": material, "present": names}
    return chosen


def plot_example(measured: ExperimentalSet, example: Row, ax):
    """One measured spectrum over its energies, with the edges of the elements that are present."""
    mask = measured.inputs.mask[example["index"]]
    counts = measured.inputs.spectrum[example["index"]][mask].numpy()
    energy = energy_ev()[mask].numpy()
    plot_spectrum(energy, counts, ax, scale="sqrt", colour=BLACK, elements=example["present"])
    ax.margins(y=0.15)  # names of edges stand above the curve
    return ax
