"""Validation and test halves of measured files that share no laboratory."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from coreloss.datasets.records import ExperimentalRecord, scored_elements

HALVES = ("validation", "test")
MEASURED_SPLITS = (*HALVES, "all")
SHORTEST_ID = 6
"""Ids of fewer characters are words and numbers that notes hold by chance."""


def sources_of(records: Sequence[ExperimentalRecord]) -> tuple[str, ...]:
    """The source of each record, as a name: files of one laboratory have the same.

    A source is an author, over all repositories; where no author is known the repository, and
    where there is none either the folder that holds the file. Records whose notes name the id of
    another one ("same acquisition series as ...") belong to the source of that one.
    """
    keys = [_key(record) for record in records]
    root = {key: key for key in keys}

    def find(key: str) -> str:
        while root[key] != key:
            key = root[key]
        return key

    place = {record.id: key for record, key in zip(records, keys, strict=True)}
    for record, key in zip(records, keys, strict=True):
        for name in re.findall(r"[\w.-]+", record.notes):
            name = name.rstrip(".")
            if name in place and len(name) >= SHORTEST_ID:
                root[find(key)] = find(place[name])
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for key in keys:
        members[find(key)][key] += 1
    names = {
        one: " + ".join(sorted(counts, key=lambda key: (-counts[key], key)))
        for one, counts in members.items()
    }
    return tuple(names[find(key)] for key in keys)


def _key(record: ExperimentalRecord) -> str:
    return record.author or record.source or str(PurePosixPath(record.file).parent)


def split_by_source(
    records: Sequence[ExperimentalRecord], *, seed: int = 0
) -> dict[str, tuple[ExperimentalRecord, ...]]:
    """Two halves, "validation" and "test"; all files of one source (`sources_of`) are in one half.

    The same records, in any order, and the same ``seed`` give the same halves. They are balanced
    in the number of files with an element that counts, per quality. Sources are dealt out from the
    largest to the smallest, each to the half where it leaves the smaller imbalance.

    Raises
    ------
    ValueError
        When there are fewer than two sources.
    """
    groups, sources = defaultdict(list), sources_of(records)
    for record, name in zip(records, sources, strict=True):
        groups[name].append(record)
    if len(groups) < 2:
        raise ValueError(
            f"the {len(records)} records have {len(groups)} source; a split by source takes at "
            "least 2: fill in the column author or source_repo, or use all of them"
        )
    sizes = {name: _sizes(group) for name, group in groups.items()}
    total = sum(sizes.values(), Counter())
    dealt: dict[str, Counter[str]] = {half: Counter() for half in HALVES}
    half_of = {}
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    for name in sorted(names, key=lambda name: -sizes[name].total()):
        half_of[name] = min(HALVES, key=lambda half: _imbalance(dealt[half] + sizes[name], total))
        dealt[half_of[name]] += sizes[name]
    return {
        half: tuple(
            record for record, name in zip(records, sources, strict=True) if half_of[name] == half
        )
        for half in HALVES
    }


def _sizes(records: Sequence[ExperimentalRecord]) -> Counter[str]:
    """Number of files with an element that counts, by quality."""
    scored = [r for r in records if r.kind != "low_loss" and bool(scored_elements(r)[0].any())]
    return Counter(record.quality for record in scored)


def _imbalance(dealt: Counter[str], total: Counter[str]) -> float:
    """How full a half is after it took a source, all qualities alike."""
    return sum((dealt[quality] / n) ** 2 for quality, n in total.items())


def records_of_split(
    records: Sequence[ExperimentalRecord], split: str
) -> tuple[ExperimentalRecord, ...]:
    """The records of "validation", "test" (`split_by_source` with its defaults) or "all"."""
    if split not in MEASURED_SPLITS:
        raise ValueError(f"split is {split!r}; allowed: {', '.join(MEASURED_SPLITS)}")
    return tuple(records) if split == "all" else split_by_source(records)[split]
