"""A set in the size and layout of the published one: 736,000 spectra in 320 HDF5 files.

For each of the 80 elements there are 7000 spectra for training, 600 for validation, 1500 for the
test and 100 of the element alone (Annys, Jannis and Verbeeck, Sci. Rep. 13, 13724 (2023)); the
layout is that of `datasets_published_file`. Every specimen of a file has the element of the file,
and an edge set of it lies in the window; with the default settings a few windows lie anywhere.
Materials are split as for training, no compound is in two parts, and as many are used per element
as in the paper (`materials.PAPER_COUNTS`). Bare elements have no contamination.

Each file is a stream of its own, with its own seed: it depends on seed, part, element, number of
spectra, settings, materials and simulator, not on the other files, nor on the order in which they
are made.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.datasets.published_file import (
    PARTS,
    Part,
    attributes_of,
    columns_of,
    finished_hash,
    stored_bytes,
    write_file,
)
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.split import PAPER_COUNTS, QueryIndex, query_table, split_materials
from coreloss.materials.table import load_materials, make_materials
from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import provenance
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import BLOCK, Simulator

MANIFEST = "manifest.json"
STREAM = 1 << 44
"""Added to all seeds here: their random numbers are those of no training run or stored set."""
MAX_SEED = (1 << 32) - 1
MAX_SCALE = 10.0  # a file is made in memory: 86 MB at scale 1
FREE_SHARE = 0.95  # of the free disk that a set may take
FILE_BYTES = 12_000  # of HDF5 and the attributes
REPORT_EVERY_S = 30.0
SETTINGS = {"paper": SimulationSettings.paper, "default": SimulationSettings}


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    scale : spectra per file relative to the published set, at least one
    seed : same seed, same spectra
    materials : source of the compounds, see `materials.load_materials`
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
        if self.settings not in SETTINGS:
            raise ValueError(f"settings are {self.settings!r}; allowed: {', '.join(SETTINGS)}")
        wrong = [name for name in self.elements if name not in ELEMENT_INDEX]
        if wrong or not self.elements:
            raise ValueError(
                f"elements are {' '.join(self.elements)!r}; allowed: symbols from Be to Bi, for "
                "instance 'O Ti'; leave them out for all 80"
            )

    def n(self, part: Part) -> int:
        """Spectra per file of a part.

        >>> [Plan(scale=0.01).n(part) for part in PARTS]
        [70, 6, 15, 1]
        """
        return max(1, round(part.n * self.scale))

    def settings_of(self, part: Part) -> SimulationSettings:
        """Settings of a part: bare elements have no second phase, no contamination, no damage."""
        settings = SETTINGS[self.settings]()
        return settings if part.split in PAPER_COUNTS else settings.without("mixed specimens")


@dataclass(frozen=True, eq=False)
class Source:
    """What the files of a part are drawn from: simulator and compounds of all elements."""

    simulator: Simulator
    queries: QueryIndex

    def stream(self, element: str, *, seed: int) -> Simulator:
        """Simulator of specimens with one element."""
        rows = self.queries.rows_of(element)
        past = np.arange(len(self.queries.offsets)) > ELEMENT_INDEX[element]
        only = replace(self.queries, offsets=len(rows) * past, rows=rows)
        return self.simulator.asking(only, seed=seed)


@dataclass(frozen=True, eq=False)
class Job:
    """A plan made ready for a folder: sources by split, missing files, and what they will take."""

    out: Path
    plan: Plan
    sources: Mapping[str, Source]
    config: Mapping[str, Any]
    missing: tuple[tuple[Part, str], ...]
    seconds: float
    n_bytes: float
    free_bytes: int

    @property
    def n_spectra(self) -> int:
        """Spectra to be made."""
        return sum(self.plan.n(part) for part, _ in self.missing)

    def summary(self) -> str:
        """What will be done, and what it will take."""
        finished = len(PARTS) * len(set(self.plan.elements)) - len(self.missing)
        return (
            f"{self.out}: {self.n_spectra} spectra to simulate, {len(self.missing)} files to write"
            f" ({finished} are there); about {self.seconds / 60:.1f} minutes,"
            f" {self.n_bytes / 1e9:.3f} GB of {self.free_bytes / 1e9:.1f} GB free"
        )


def prepare(out: str | Path, plan: Plan) -> Job:
    """Look at the folder and the disk, and measure time and size on some blocks; writes nothing.

    Raises
    ------
    ValueError
        When the folder holds files of another run, a part has no material with an element, or the
        disk is too small.
    """
    out = Path(out)
    sources, config = _sources(plan)
    digest, seconds_per_file, bytes_per_row = _measured(plan, sources)
    config["simulator_sha256"] = digest
    missing = tuple(_missing(out, plan, sources, config))
    n_bytes = sum(plan.n(part) * bytes_per_row + FILE_BYTES for part, _ in missing)
    free_bytes = _free_bytes(out)
    if n_bytes > FREE_SHARE * free_bytes:
        raise ValueError(
            f"{out}: the set takes about {n_bytes / 1e9:.3g} GB, allowed: {FREE_SHARE:.0%} of the "
            f"{free_bytes / 1e9:.3g} GB free; use another disk, a smaller scale or fewer elements"
        )
    return Job(
        out=out,
        plan=plan,
        sources=sources,
        config=config,
        missing=missing,
        seconds=sum(seconds_per_file[part] for part, _ in missing),
        n_bytes=n_bytes,
        free_bytes=free_bytes,
    )


def write(job: Job) -> Path:
    """Write the missing files and the manifest; returns the path of the manifest.

    When this is interrupted, `prepare` and `write` of the same plan go on with the next file.
    """
    made_with = provenance()
    with _progress(job.n_spectra) as advance:
        for part, element in job.missing:
            seed, n = stream_seed(job.plan.seed, part, element), job.plan.n(part)
            batch = job.sources[part.split].stream(element, seed=seed).batch(0, n)
            write_file(
                job.out / part.path(element),
                columns_of(batch),
                _attributes(job.plan, job.config, part, element),
                provenance=made_with,
            )
            advance(n)
    return _write_manifest(job, made_with)


def stream_seed(seed: int, part: Part, element: str) -> int:
    """Seed of the stream of one file; no two are equal, whatever the seed of the set.

    >>> stream_seed(1, PARTS[0], "Be") - stream_seed(0, PARTS[3], "Bi")
    1
    """
    file = PARTS.index(part) * len(ELEMENTS) + ELEMENT_INDEX[element]
    return STREAM + seed * len(PARTS) * len(ELEMENTS) + file


def block_size(n: int) -> int:
    """Spectra computed together for a file of n, at most `BLOCK`: equal blocks, none for nothing.

    >>> [block_size(n) for n in (7000, 600, 100)]
    [500, 300, 100]
    """
    return math.ceil(n / math.ceil(n / BLOCK))


def bare_source(settings: SimulationSettings, *, block_size: int) -> Source:
    """Source of specimens of one element alone, for each of the 80.

    ``settings`` say whether they stay bare: `Plan.settings_of`.
    """
    bare = make_materials(((e, f"{e}1", "element") for e in ELEMENTS), source="elements")
    queries = query_table(bare, np.arange(len(bare)))
    return Source(Simulator(bare, queries, settings=settings, block_size=block_size), queries)


# -- preparation ----------------------------------------------------------------------------------


def _sources(plan: Plan) -> tuple[dict[str, Source], dict[str, Any]]:
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
    }
    return sources, config


def _measured(plan: Plan, sources: Mapping[str, Source]) -> tuple[str, dict[Part, float], float]:
    """Hash of a block of training spectra, seconds per file of each part, bytes per spectrum.

    The hash tells simulators apart: files made by another one would not belong to the set.
    """
    seconds_per_block, blocks = {}, {}
    for part in PARTS:
        started = time.perf_counter()
        blocks[part] = sources[part.split].simulator.block(0)
        seconds_per_block[part] = time.perf_counter() - started
    started = time.perf_counter()
    columns = columns_of(blocks[PARTS[0]])
    n_bytes, digest = stored_bytes(columns), hashlib.sha256(columns["spectra"]).hexdigest()
    rows = len(columns["spectra"])
    seconds_per_row = (time.perf_counter() - started) / rows
    seconds_per_file = {
        part: math.ceil(plan.n(part) / len(blocks[part])) * seconds + plan.n(part) * seconds_per_row
        for part, seconds in seconds_per_block.items()
    }
    return digest, seconds_per_file, n_bytes / rows


def _missing(
    out: Path, plan: Plan, sources: Mapping[str, Source], config: Mapping[str, Any]
) -> Iterator[tuple[Part, str]]:
    """Files to be made; `finished_hash` says what is wrong with one that is there."""
    for part in PARTS:
        queries = sources[part.split].queries
        for element in ELEMENTS:
            attributes = _attributes(plan, config, part, element)
            finished = finished_hash(out / part.path(element), attributes)
            if finished is not None or element not in plan.elements:
                continue
            if not len(queries.rows_of(element)):
                raise ValueError(
                    f"materials {plan.materials}: none with {element} among the {part.split} "
                    "materials; allowed: one or more; use other materials or elements"
                )
            yield part, element


# -- files ----------------------------------------------------------------------------------------


def _attributes(plan: Plan, config: Mapping[str, Any], part: Part, element: str) -> dict[str, Any]:
    own = {"part": part.folder, "element": element, "n": plan.n(part)}
    settings = plan.settings_of(part).as_dict()
    return attributes_of(config={**config, **own, "settings": settings}, seed=plan.seed)


def _free_bytes(out: Path) -> int:
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{out}: {folder} is a file; give the name of a folder")
    return shutil.disk_usage(folder).free


def _write_manifest(job: Job, made_with: Mapping[str, str]) -> Path:
    """List all finished files of the folder, those of earlier runs too."""
    files = {}
    for part in PARTS:
        for element in ELEMENTS:
            path = part.path(element)
            attributes = _attributes(job.plan, job.config, part, element)
            if digest := finished_hash(job.out / path, attributes):
                files[path.as_posix()] = {"n": job.plan.n(part), "sha256": digest}
    content = {
        "n": sum(entry["n"] for entry in files.values()),
        "elements": " ".join(ELEMENTS),
        "scale": job.plan.scale,
        "seed": job.plan.seed,
        "config": {**job.config, "settings": SETTINGS[job.plan.settings]().as_dict()},
        "provenance": made_with,
        "files": files,
    }
    with replacing(job.out / MANIFEST) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
    return job.out / MANIFEST


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, else a line now and then, on standard error."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=" spectra", smoothing=0.05) as bar:
            yield bar.update
        return
    done, started = 0, time.monotonic()
    reported = started

    def advance(n: int) -> None:
        nonlocal done, reported
        done += n
        now = time.monotonic()
        if now - reported > REPORT_EVERY_S or done == total:
            print(f"{done} of {total} spectra, {now - started:.0f} s", file=sys.stderr, flush=True)
            reported = now

    yield advance
