"""The comparisons that the book shows, and its figures of the atomic physics and the materials."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from coreloss.atoms.dirac_atom import solve_atom
from coreloss.beam import Beam
from coreloss.edges import ELEMENTS, identifying_sets
from coreloss.physics.gos_table import read_gosh
from coreloss.study.atomic_checks import checks
from coreloss.study.atomic_checks import figures as draw

REFERENCE = Path(__file__).parents[1] / "reference" / "cross_section_partial.csv"


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_onsets_of_two_sources():
    pytest.importorskip("xraydb")
    onsets = checks.compare_onsets()
    assert {row.source for row in onsets.rows} == {"exspy", "exspy+splitting"}
    found = {name: gap for name, *_, gap in onsets.exceptions("identifying")}
    assert found["O K"] == "-11.1"
    assert "Ti L3" not in found
    assert len(onsets.exceptions()) == onsets.differs.sum() > len(found)
    exact = dataclasses.replace(onsets, table_ev=onsets.xraydb_ev)
    assert not exact.differs.any()


def test_partial_cross_sections_are_those_of_the_reference():
    rows = checks.partial_cross_sections(REFERENCE)
    assert [row.ours for row in rows] == pytest.approx([r.same_model for r in rows], rel=0.02)
    assert rows[1].cells == ("C K", "100", "10", "100", f"{rows[1].ours:.5g}", "5454.1", "5564")
    assert rows[2].cells[-1] == "–"


def test_exspy_agrees_on_the_shipped_file():
    pytest.importorskip("exspy")
    excess_ev, ours, theirs = checks.exspy_cross_sections(
        "Ti_L3", beam=Beam(energy_kev=200.0, collection_mrad=20.0)
    )
    assert excess_ev.shape == ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=5e-4)


def test_photoabsorption_beside_the_tables():
    pytest.importorskip("xraydb")
    carbon = next(edge for edge in identifying_sets() if edge.element == "C")
    ratios = checks.photoabsorption_ratios([carbon], (50, 200))
    assert all(values.shape == (1, 2) for values in ratios.values())
    np.testing.assert_allclose(ratios["Elam"], 1, atol=0.08)


def test_orbitals_beside_the_onsets():
    pytest.importorskip("xraydb")
    rows = {name: values for name, *values in checks.orbital_energies(solve_atom("Ti"))}
    assert list(rows) == ["K", "L1", "L2", "L3", "M1", "M2", "M3", "M4", "M5", "N1"]
    electrons, orbital_ev, table_ev, _ = rows["L3"]
    assert (electrons, table_ev) == (4.0, 456.0)
    assert orbital_ev == pytest.approx(465, abs=1)


def test_change_and_measured_share():
    tables = read_gosh()
    titanium, lanthanum = tables["Ti", "L23"], tables["La", "N45"]
    assert checks.largest_change([titanium]) == 0
    scaled = dataclasses.replace(titanium, gos_per_ev=titanium.gos_per_ev * 1.05)
    assert checks.largest_change([titanium, scaled]) == pytest.approx(0.05)
    assert checks.measured_over_calculated(lanthanum) > 5
    same = dataclasses.replace(titanium, measured=titanium)
    assert checks.measured_over_calculated(same) == 1
    with pytest.raises(ValueError, match="no measured variant"):
        checks.measured_over_calculated(titanium)


def test_figures_draw_into_the_axes_they_are_given(ax):
    table = read_gosh()["C", "K"]
    assert draw.plot_bethe_surface(table, ax) is ax
    assert ax.get_yscale() == "log"
    assert draw.plot_edge_map(ax.figure.add_subplot()).get_xlabel() == "Atomic number"
    assert draw.plot_atom(solve_atom("C"), ax.figure.add_subplot()).get_xscale() == "log"


def test_agreement_leaves_out_zeros_and_names_the_rest(ax):
    labels = {"x_label": "a", "y_label": "b"}
    draw.plot_agreement([1, 0, 4], [1, 2, 1], ("C", "Ne", "O"), ax, labelled=0.5, **labels)
    assert [text.get_text() for text in ax.texts] == ["O"]
    assert len(ax.lines[0].get_xdata()) == 2


def test_ratios_and_differences(ax):
    draw.plot_ratios(("a", "b"), {"x": [0.9, 1.1]}, ax, tolerance=(0.1, 0.2))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    other = ax.figure.add_subplot()
    marked = torch.tensor([True, False, True])
    draw.plot_differences(
        [1, 2, 3], [1, 0, -1], ("p", "q", "p"), other, marked=marked, x_label="", y_label=""
    )
    assert [text.get_text() for text in other.texts] == ["p"]


def test_rows_keep_gaps(ax):
    draw.plot_along_row(ELEMENTS[:3], {"f": {"Be": 1.0, "C": 2.0}}, ax, y_label="f")
    assert np.isnan(ax.lines[0].get_ydata()[1])
