"""Halves of measured files that share no source."""

from collections import Counter

import pytest
from helpers import record

from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.datasets.records import scored_elements
from coreloss.datasets.split import sources_of, split_by_source


def many():
    """Nine sources with 1 to 9 files each, every third file of quality B."""
    return [
        record(10 * n + i, source=f"lab {n}", quality="B" if i % 3 == 2 else "A")
        for n in range(1, 10)
        for i in range(n)
    ]


def test_a_source_is_an_author_else_a_repository_else_a_folder():
    records = [
        record(1, author="Ada"),
        record(2, author="Ada", source="another"),
        record(3),
        record(4),
        record(5, source=""),
        record(6, source="", file="there/6.csv"),
    ]
    names = ("Ada", "Ada", "repository", "repository", "here", "there")
    assert sources_of(records) == names


def test_notes_that_name_a_record_tie_two_sources():
    records = [
        record(1, author="Ada"),
        record(2, author="Bo", notes="Same acquisition series as record_1."),
        record(3, author="Cy", notes="unlike record_12, and 4 repeats"),
        record(4, author="Bo"),
        record(5, author="Di", id="4"),
    ]
    assert sources_of(records) == ("Bo + Ada", "Bo + Ada", "Cy", "Bo + Ada", "Di")


def test_no_source_is_in_both_halves_and_nothing_is_lost():
    records = many()
    halves = split_by_source(records)
    assert list(halves) == ["validation", "test"]
    assert sorted(r.id for half in halves.values() for r in half) == sorted(r.id for r in records)
    validation, test = ({r.source for r in half} for half in halves.values())
    assert validation
    assert test
    assert not validation & test


def test_the_halves_are_balanced_in_every_quality():
    records = many()
    for seed in range(5):
        half = split_by_source(records, seed=seed)["validation"]
        for quality in "AB":
            share = sum(r.quality == quality for r in half)
            share /= sum(r.quality == quality for r in records)
            assert share == pytest.approx(0.5, abs=0.1)


def test_only_files_that_are_scored_weigh():
    carbon = [record(100 + i, source="carbon", elements_nominal=("C",)) for i in range(9)]
    pair = [record(200 + i, source="pair", kind="low_loss") for i in range(9)]
    for unscored in (carbon, pair):
        halves = split_by_source([*unscored, record(1, source="a"), record(2, source="b")])
        assert len({r.source for r in halves["validation"]} & {"a", "b"}) == 1


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    records = many()

    def chosen(records, seed):
        return {r.id for r in split_by_source(records, seed=seed)["test"]}

    equal = [record(i, source=f"lab {i}") for i in range(8)]
    assert chosen(equal, 0) == chosen(equal[::-1], 0)
    assert chosen(records, 0) == chosen(records[::-1], 0)
    assert len({frozenset(chosen(equal, seed)) for seed in range(5)}) > 1


def test_impossible_splits_are_refused():
    with pytest.raises(ValueError, match="the 2 records have 1 source"):
        split_by_source([record(1), record(2)])


@pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
def test_the_measured_files_split():
    records = read_manifest(data_dir())
    halves = split_by_source(records)
    first, second = (
        set(sources_of(records)[records.index(r)] for r in half) for half in halves.values()
    )
    assert not first & second
    for half in halves.values():
        scored = [r for r in half if r.kind != "low_loss" and scored_elements(r)[0].any()]
        counts = Counter(r.quality for r in scored)
        assert min(counts[quality] for quality in "ABC") >= 5
