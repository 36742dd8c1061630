"""Scores, thresholds and counts in prose are not typed: they come from results, or are the paper's.

What counts as typed: a number in a text cell or page that also stands in a results file or card,
in a line that speaks of scores, thresholds or spectra.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coreloss.identification.trained_model import load_model, shipped_models
from coreloss.study import results
from coreloss.study.identification.tables import PUBLISHED_SCORES
from coreloss.study.training.tables import stages_of

ROOT = Path(__file__).resolve().parents[2]
SCORES = "f1 precision recall micro_f1 micro_precision micro_recall exact_match_ratio ece threshold"
SPEAKS_OF_SCORES = re.compile(
    r"\b(F1|EMR|exact match|precision|recall|ECE|thresholds?|present from|absent below)\b"
)
SPEAKS_OF_A_LEVEL = re.compile(r"\bnames\b.*\bright\b|\bright\b.*\bnames\b")
SPEAKS_OF_SPECTRA = re.compile(r"\b(spectra|spectrum|pixels)\b")
GENERATED = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)
"""Parts of pages that `study.front_page` writes from results."""
DECIMAL = re.compile(r"(?<![\d.,])0\.\d{2,4}(?![\d.])")
PERCENT = re.compile(r"(?<![\d.,-])(\d{1,2}(?:\.\d)?) ?%")
COUNT = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")


def numbers(content, names: frozenset[str]) -> Iterator[float]:
    """All numbers under one of the names, however deep."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name in names and isinstance(value, int | float):
                yield float(value)
            else:
                yield from numbers(value, names)
    elif isinstance(content, list):
        for value in content:
            yield from numbers(value, names)


def known() -> tuple[set[float], set[int]]:
    """Scores and thresholds, and counts of spectra, of all results and cards."""
    wanted, counted = frozenset(SCORES.split()), frozenset({"spectra", "n"})
    stored = [results.read(name) for name in results.RESULTS if results.path_of(name).is_file()]
    cards = [dict(load_model(name).card) for name in shipped_models()]
    shares = {x for content in stored for x in numbers(content, wanted)}
    counts = {int(x) for content in [*stored, *cards] for x in numbers(content, counted)}
    for card in cards:
        shares |= {card["present_threshold"], card["absent_threshold"], card["right_names"]}
        counts.add(sum(stages_of(card)))
    return shares, {n for n in counts if n > 999}


def typed(line: str, shares: set[float], counts: set[int]) -> list[str]:
    """Numbers of a line that also stand in results."""
    found = []
    if SPEAKS_OF_SCORES.search(line):
        found += [
            text
            for text in DECIMAL.findall(line)
            if any(round(x, len(text) - 2) == float(text) for x in shares)
        ]
        found += [
            f"{text} %"
            for text in PERCENT.findall(line)
            if "." in text and any(round(100 * x, 1) == float(text) for x in shares)
        ]
    if SPEAKS_OF_A_LEVEL.search(line):
        found += [f"{text} %" for text in PERCENT.findall(line)]
    if SPEAKS_OF_SPECTRA.search(line):
        found += [t for t in COUNT.findall(line) if int(t.replace(",", "")) in counts]
    published = {f"{x:.2f}" for _, *values in PUBLISHED_SCORES for x in values if x}
    return [] if "Annys" in line else [t for t in found if t not in published or t in line.split()]


def lines() -> Iterator[tuple[str, str]]:
    """(place, line) of every line of prose."""
    for page in [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]:
        text = GENERATED.sub(lambda m: "\n" * m[0].count("\n"), page.read_text(encoding="utf-8"))
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{page.name}:{number}", line
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                for line in "".join(cell["source"]).splitlines():
                    yield f"{path.name}, cell {i + 1}", line


def test_numbers_in_prose_come_from_results():
    shares, counts = known()
    bad = [
        f"{place}: {', '.join(t)}" for place, line in lines() if (t := typed(line, shares, counts))
    ]
    assert not bad, "typed by hand; make them from the results:\n" + "\n".join(bad)


@pytest.mark.parametrize(
    "line",
    [
        "The shipped network has an F1 of 0.964 on them.",
        "present from 0.70 on",
        "from where on 95 % of the names are right",
        "a recall of 97.5 % of them",
        "it was trained on 1,514,496 spectra",
    ],
)
def test_each_kind_is_noticed(line):
    assert typed(line, {0.9644444, 0.7, 0.975}, {1_514_496})


@pytest.mark.parametrize(
    "line",
    [
        "an offset of 0.70 eV",
        "Annys et al. reach an F1 of 0.96",
        "a share of 12 % of the names",
        "precision with 95 % intervals",
        "a data set of 736,000 spectra",
    ],
)
def test_other_numbers_are_not(line):
    assert not typed(line, {0.9644444, 0.7, 0.975}, {1_514_496})
