"""A set in the size and layout of the published one: 736,000 spectra in 320 HDF5 files.

What the files are drawn from is said in `published_streams`, what is in each in `simulated_set`.
A folder is filled file by file: one that is there is kept, when it belongs to the same set.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreloss.datasets.published_streams import (
    PARTS,
    Part,
    SetPlan,
    Source,
    sources_of,
    stream_seed,
)
from coreloss.datasets.simulated_set import read_header, stored_bytes, write_set
from coreloss.edges import ELEMENTS
from coreloss.runtime.files import replacing
from coreloss.runtime.progress import told
from coreloss.runtime.provenance import provenance
from coreloss.simulation.settings import SimulationSettings

MANIFEST = "manifest.json"
FREE_SHARE = 0.95  # of the free disk that a set may take
FILE_BYTES = 30_000  # of HDF5 and the attributes
REPORT_EVERY = 50_000  # spectra


@dataclass(frozen=True, eq=False)
class Job:
    """A plan made ready for a folder: sources by split, missing files, and what they will take."""

    out: Path
    plan: SetPlan
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


def prepare(out: str | Path, plan: SetPlan) -> Job:
    """Look at the folder and the disk, and measure time and size on some blocks; writes nothing.

    Raises
    ------
    ValueError
        When the folder holds files of another run, a part has no material with an element, or the
        disk is too small.
    """
    out = Path(out)
    sources, config = sources_of(plan)
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
    made_with, plan = provenance(), job.plan
    for part, element in told(
        job.missing, "spectra", REPORT_EVERY, job.n_spectra, size=lambda file: plan.n(file[0])
    ):
        stream = job.sources[part.split].stream(element, seed=stream_seed(plan.seed, part, element))
        write_set(
            job.out / part.path(element),
            stream.batches(plan.n(part)),
            config=_config(plan, job.config, part, element),
            seed=plan.seed,
            provenance=made_with,
        )
    return _write_manifest(job, made_with)


# -- preparation ----------------------------------------------------------------------------------


def _measured(plan: SetPlan, sources: Mapping[str, Source]) -> tuple[str, dict[Part, float], float]:
    """Hash of a block of training spectra, seconds per file of each part, bytes per spectrum.

    The hash tells simulators apart: files made by another one would not belong to the set.
    """
    seconds_per_block, blocks = {}, {}
    for part in PARTS:
        started = time.perf_counter()
        blocks[part] = sources[part.split].simulator.block(0)
        seconds_per_block[part] = time.perf_counter() - started
    started = time.perf_counter()
    some = blocks[PARTS[0]]
    n_bytes, counts = stored_bytes(some), some.counts.contiguous().numpy()
    digest = hashlib.sha256(counts.data).hexdigest()
    seconds_per_row = (time.perf_counter() - started) / len(some)
    seconds_per_file = {
        part: math.ceil(plan.n(part) / len(blocks[part])) * seconds + plan.n(part) * seconds_per_row
        for part, seconds in seconds_per_block.items()
    }
    return digest, seconds_per_file, n_bytes / len(some)


def _missing(
    out: Path, plan: SetPlan, sources: Mapping[str, Source], config: Mapping[str, Any]
) -> Iterator[tuple[Part, str]]:
    """Files to be made; `_finished_hash` says what is wrong with one that is there."""
    for part in PARTS:
        queries = sources[part.split].queries
        for element in ELEMENTS:
            finished = _finished_hash(out, plan, config, part, element)
            if finished is not None or element not in plan.elements:
                continue
            if not len(queries.rows_of(element)):
                raise ValueError(
                    f"materials {plan.materials}: none with {element} among the {part.split} "
                    "materials; allowed: one or more; use other materials or elements"
                )
            yield part, element


# -- files ----------------------------------------------------------------------------------------


def _config(plan: SetPlan, common: Mapping[str, Any], part: Part, element: str) -> dict[str, Any]:
    """Configuration of a file."""
    own = {"part": part.folder, "element": element, "n": plan.n(part)}
    return {**common, **own, "settings": plan.settings_of(part).as_dict()}


def _finished_hash(
    out: Path, plan: SetPlan, common: Mapping[str, Any], part: Part, element: str
) -> str | None:
    """SHA-256 that a finished file carries, None where there is no file; contents are not read.

    Raises
    ------
    ValueError
        When something else is there: another format, seed or configuration, an unreadable file.
    """
    path = out / part.path(element)
    if not path.exists():
        return None
    header = read_header(path)
    wanted = {"seed": plan.seed, **_flat(_config(plan, common, part, element))}
    stored = {"seed": header.seed, **_flat(header.config)}
    for name in wanted | stored:
        if stored.get(name) != wanted.get(name):
            raise ValueError(
                f"{path}: {name} is {stored.get(name)}, this run has {wanted.get(name)}; "
                "use another folder, or the options and the version of the first run"
            )
    if header.n != plan.n(part):
        raise ValueError(f"{path}: holds {header.n} spectra instead of {plan.n(part)}; delete it")
    return header.sha256


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration as JSON keeps it, settings one by one and first: the first that differs is
    the cause."""
    flat = json.loads(json.dumps(config, sort_keys=True))
    settings = flat.pop("settings", {})
    return {**{f"settings.{name}": value for name, value in settings.items()}, **flat}


def _free_bytes(out: Path) -> int:
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{out}: {folder} is a file; give the name of a folder")
    return shutil.disk_usage(folder).free


def _write_manifest(job: Job, made_with: Mapping[str, str]) -> Path:
    """List all finished files of the folder, those of earlier runs too."""
    files: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        for element in ELEMENTS:
            if digest := _finished_hash(job.out, job.plan, job.config, part, element):
                path = part.path(element).as_posix()
                files[path] = {"n": job.plan.n(part), "sha256": digest}
    content = {
        "n": sum(entry["n"] for entry in files.values()),
        "elements": " ".join(ELEMENTS),
        "scale": job.plan.scale,
        "seed": job.plan.seed,
        "config": {**job.config, "settings": SimulationSettings.named(job.plan.settings).as_dict()},
        "provenance": made_with,
        "files": files,
    }
    with replacing(job.out / MANIFEST) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    return job.out / MANIFEST
