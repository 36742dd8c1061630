"""What a set in the size of the published one is made of: parts, sizes, and a stream per file.

For each of the 80 elements there are 7000 spectra for training, 600 for validation, 1500 for the
test and 100 of the element alone (Annys, Jannis and Verbeeck, Sci. Rep. 13, 13724 (2023)). Every
specimen of a file has the element of the file, and an edge set of it lies in the window; with the
default settings a few windows lie anywhere. Materials are split as for training, no compound is in
two parts, and as many are used per element as in the paper (`materials.split.PAPER_COUNTS`). Bare
elements have no contamination.

The materials of a file take turns: with m of them, spectrum i is of material i mod m. As in the
paper, each of 1400 training materials has 5 spectra, each of 300 for validation 2, and each of 300
for the test 5. At another scale than 1 the numbers of spectra of two of the m differ by one at
most; where there are fewer spectra than materials, n of them, in no order, have one each. An
element with fewer distinct materials than asked for has some of them more than once among its m
(`QueryIndex.drawn_with_replacement`), and so many times the spectra of the others.

Each file is a stream of its own, with its own seed: it depends on seed, part, element, number of
spectra, settings, materials and simulator, not on the other files, nor on the order in which they
are made.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.split import PAPER_COUNTS, QueryIndex, query_table, split_materials
from coreloss.materials.table import load_materials, make_materials
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import BLOCK, Simulator

FIRST_SEED = 1 << 44
"""Of the streams of all files: their random numbers are those of no training or other set."""
MAX_SEED = (1 << 32) - 1
MAX_SCALE = 10.0


class Part(NamedTuple):
    """A folder of the set: what it is for, names, and published spectra per element."""

    split: str
    folder: str
    prefix: str
    n: int

    def path(self, element: str) -> Path:
        """Path of the file of an element inside the set."""
        return Path(self.folder) / f"{self.prefix}_{element}.hdf5"


PARTS = (
    Part("train", "trainingset", "TRAIN", 7000),
    Part("validation", "validationset", "VALIDATION", 600),
    Part("test", "testset", "TEST", 1500),
    Part("single", "single_element_spectra", "CONFMAT", 100),
)


@dataclass(frozen=True)
class SetPlan:
    """What to simulate.

    scale : spectra per file relative to the published set, at least one
    seed : same seed, same spectra
    materials : source of the compounds, see `table.load_materials`
    settings : "paper", the published procedure, or "default", wider distributions
    elements : the elements whose files are written
    """

    scale: float = 1.0
    seed: int = 0
    materials: str = "embedded"
    settings: str = "paper"
    elements: tuple[str, ...] = ELEMENTS

    def __post_init__(self) -> None:
        if not 0 < self.scale <= MAX_SCALE:
            raise ValueError(f"scale is {self.scale:g}; allowed: above 0, at most {MAX_SCALE:g}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed is {self.seed}; allowed: 0 to {MAX_SEED}")
        SimulationSettings.named(self.settings)
        wrong = [name for name in self.elements if name not in ELEMENT_INDEX]
        if wrong or not self.elements:
            raise ValueError(
                f"elements are {' '.join(self.elements)!r}; allowed: symbols from Be to Bi, for "
                "instance 'O Ti'; leave them out for all 80"
            )

    def n(self, part: Part) -> int:
        """Spectra per file of a part.

        >>> [SetPlan(scale=0.01).n(part) for part in PARTS]
        [70, 6, 15, 1]
        """
        return max(1, round(part.n * self.scale))

    def settings_of(self, part: Part) -> SimulationSettings:
        """Settings of a part: bare elements have no second phase, no contamination, no damage."""
        settings = SimulationSettings.named(self.settings)
        return settings if part.split in PAPER_COUNTS else settings.without("mixed specimens")


@dataclass(frozen=True, eq=False)
class Source:
    """What the files of a part are drawn from: simulator and compounds of all elements."""

    simulator: Simulator
    queries: QueryIndex

    def stream(self, element: str, *, seed: int) -> Simulator:
        """Simulator of specimens with one element, whose materials take turns."""
        rows = self.queries.rows_of(element)
        past = np.arange(len(self.queries.offsets)) > ELEMENT_INDEX[element]
        only = replace(self.queries, offsets=len(rows) * past, rows=rows)
        return self.simulator.asking_in_turn(only, seed=seed)


def sources_of(plan: SetPlan) -> tuple[dict[str, Source], dict[str, Any]]:
    """Source of each part, and what the configurations of all files have in common."""
    materials = load_materials(plan.materials)
    splits = split_materials(materials, seed=0)
    sources = {}
    for part in PARTS:
        settings, size = plan.settings_of(part), block_size(plan.n(part))
        if count := PAPER_COUNTS.get(part.split):
            rows = splits[part.split]
            queries = query_table(materials, rows, per_element=count, seed=plan.seed)
            simulator = Simulator(materials, queries, settings=settings, block_size=size)
            sources[part.split] = Source(simulator, queries)
        else:
            sources[part.split] = bare_source(settings, block_size=size)
    text = "\n".join(materials.compositions)
    config = {
        "materials": Path(plan.materials).name,
        "materials_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "materials_of_a_file": "in turn",
    }
    return sources, config


def stream_seed(seed: int, part: Part, element: str) -> int:
    """Seed of the stream of one file; no two are equal, whatever the seed of the set.

    >>> stream_seed(1, PARTS[0], "Be") - stream_seed(0, PARTS[3], "Bi")
    1
    """
    file = PARTS.index(part) * len(ELEMENTS) + ELEMENT_INDEX[element]
    return FIRST_SEED + seed * len(PARTS) * len(ELEMENTS) + file


def block_size(n: int) -> int:
    """Spectra computed together for a file of n, at most `BLOCK`: equal blocks, none for nothing.

    >>> [block_size(n) for n in (7000, 600, 100)]
    [500, 300, 100]
    """
    return math.ceil(n / math.ceil(n / BLOCK))


def bare_source(settings: SimulationSettings, *, block_size: int) -> Source:
    """Source of specimens of one element alone, for each of the 80.

    ``settings`` say whether they stay bare: `SetPlan.settings_of`.
    """
    bare = make_materials(((e, f"{e}1", "element") for e in ELEMENTS), source="elements")
    queries = query_table(bare, np.arange(len(bare)))
    return Source(Simulator(bare, queries, settings=settings, block_size=block_size), queries)
