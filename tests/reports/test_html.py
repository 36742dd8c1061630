"""The page stands alone, is the same every time, and escapes what files say of themselves."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.metadata import version

import numpy as np
import pytest
from helpers import answer
from rich.console import Console

from coreloss.cli.identify import csv_rows
from coreloss.edges import ELEMENT_INDEX
from coreloss.reports.html import html_report
from coreloss.reports.terminal import identification_table
from coreloss.spectra.spectrum import Spectrum

VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Tags in their order; every one that opens must close."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page():
    nasty = Spectrum(
        answer().spectrum.energy_ev,
        answer().spectrum.counts,
        title="<script>alert('$x_1$')</script>",
        file="folder/a & <b>.csv",
    )
    warned = replace(answer(), spectrum=nasty, spectrum_warnings=(("counts < 0 & more",),))
    results = [warned, answer(m=2)]
    text = html_report(results)
    assert text == html_report(results)
    return text


def parsed(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker.seen


def test_page_is_well_formed_and_accessible(page):
    seen = parsed(page)
    assert ("html", {"lang": "en"}) in seen
    images = [attributes for tag, attributes in seen if tag == "img"]
    assert len(images) == 3
    assert all("Present: O, Ti" in image["alt"] for image in images)
    heads = [attributes for tag, attributes in seen if tag == "th"]
    assert {head["scope"] for head in heads} == {"col", "row"}
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_page_loads_nothing(page):
    sources = [
        value
        for _, attributes in parsed(page)
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert all(value.startswith(("data:image/svg+xml;base64,", "#file-")) for value in sources)
    assert "@import" not in page
    assert "url(" not in page


def test_text_of_files_is_escaped(page):
    assert "<script" not in page
    assert "a &amp; &lt;b&gt;.csv" in page
    assert "counts &lt; 0 &amp; more" in page


def test_page_says_what_was_found(page):
    for words in (
        "): present from a probability of 0.700, absent below 0.020",
        "L23 457 eV z 28",
        ">O 0.99: K 530 eV z 8</span><br>",
        ">Ti 0.97: L23 457 eV z 28</span></td>",
        f"coreloss {version('coreloss')}",
        "possible contamination; could be Sb",
        "Energy axis: -1.2 ± 1.0 eV off",
        "Spectrum 2 of 2",
        "undetermined",
        "Not observable (",
    ):
        assert words in page
    assert not re.search(r"20\d\d-\d\d-\d\d", page)


def test_long_files_are_cut(monkeypatch):
    monkeypatch.setattr("coreloss.reports.html.MOST_SECTIONS", 1)
    monkeypatch.setattr("coreloss.reports.html.MOST_ROWS", 2)
    page = html_report([answer(m=3)])
    assert page.count("<img") == 1
    assert "Shown are 1 of 3 spectra" in page
    assert "1 more spectra are not listed" in page


def test_no_results_are_refused():
    with pytest.raises(ValueError, match="0 results"):
        html_report([])


def test_a_group_is_shown_with_all_its_names_everywhere():
    """N 0.40 and V 0.30 stand for each other where they are said to be rivals."""
    one = replace(answer(), group_threshold=0.6)
    near = np.zeros((80, 80), bool)
    n, v = ELEMENT_INDEX["N"], ELEMENT_INDEX["V"]
    near[n, v] = near[v, n] = True
    one.__dict__["_rivals"] = near
    assert one.present == ("O", "Ti", "N")
    assert "N (or V)" in html_report([one])
    console = Console(width=120, file=io.StringIO())
    console.print(identification_table(one))
    assert "N (or V)" in console.file.getvalue()
    decision = {row[2]: row[4] for row in csv_rows([one])}
    found = [decision[e] for e in ("N", "V", "Sn", "Cr")]
    assert found == ["present", "alternative", "undetermined", "absent"]
