"""The comparisons that the book shows, and its figures of the atomic physics and the materials."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from coreloss.atoms.dirac_atom import solve_atom
from coreloss.atoms.multiplet_table import Variant, ion_of
from coreloss.atoms.multiplets import Ion
from coreloss.beam import Beam
from coreloss.edges import ELEMENTS, identifying_sets
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import multiplets_of
from coreloss.simulation.settings import SimulationSettings
from coreloss.study.atomic_checks import (
    checks,
    measured_lines,
    multiplet_figures,
    multiplets,
    simulated_lines,
)
from coreloss.study.atomic_checks import figures as draw

REFERENCES = Path(__file__).parents[1] / "reference"
REFERENCE = REFERENCES / "cross_section_partial.csv"


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
    assert [text.get_text() for text in other.texts if text.get_text()] == ["p"]


def test_rows_keep_gaps(ax):
    draw.plot_along_row(ELEMENTS[:3], {"f": {"Be": 1.0, "C": 2.0}}, ax, y_label="f")
    assert np.isnan(ax.lines[0].get_ydata()[1])


# -- white lines and giant resonances -------------------------------------------------------------


def test_exchange_raises_the_giant_resonance():
    lanthanum = ion_of(Variant("La", "N45", 3))
    none, half, full = multiplets.lines_by_exchange(lanthanum, (0.0, 0.5, 1.0))
    assert [len(energy_ev) for energy_ev, _ in (none, half, full)] == [3, 3, 3]
    g1_ev = lanthanum.core_g[1]
    assert full[0][-1] - half[0][-1] == pytest.approx(
        multiplets.singlet_raised_ev(g1_ev / 2), rel=0.05
    )
    assert full[1][-1] / full[1].sum() > 0.99 > none[1].max() / none[1].sum()


def test_equal_energies_become_one_line():
    energy_ev, strength = multiplets.merged_lines(Ion(1, 2, 0, zeta_core=2.0))
    assert energy_ev == pytest.approx([-1.0, 2.0])
    assert strength.sum() == pytest.approx(4.0)


def test_resonances_hold_the_strength_of_their_ions():
    erbium = multiplets.resonance_of(multiplets.trivalent("Er", "N45")[1])
    step_ev = erbium.loss_ev[1] - erbium.loss_ev[0]
    assert erbium.lines.sum() * step_ev == pytest.approx(erbium.ion.oscillator_strength, rel=0.1)
    assert erbium.tabulated
    assert (erbium.continuum <= erbium.before + 1e-12).all()
    assert erbium.line_ev[erbium.ion.strength.argmax()] == pytest.approx(erbium.peak_ev, abs=0.5)
    ytterbium = multiplets.resonance_of(multiplets.trivalent("Yb", "N45")[0])
    assert not ytterbium.tabulated
    assert (ytterbium.continuum == ytterbium.before).all()


def test_maxima_of_the_tables_lie_between_their_points():
    pytest.importorskip("periodictable")
    # parabola through f2/E of B. L. Henke et al. (1993), update 2007
    assert multiplets.tabulated_peak_ev("La") == pytest.approx((119.4, 1.4), abs=0.1)
    assert multiplets.tabulated_peak_ev("Gd") == pytest.approx((149.0, 1.7), abs=0.1)
    rows = {row[0]: row for row in multiplets.peak_rows()}
    assert rows["La"][5].startswith("119.4")
    assert rows["Yb"][-1] == "no maximum"
    assert rows["Dy"][-1].endswith("coarse")
    ours, cxro = ([float(x) for x in row[2:]] for row in list(multiplets.shape_rows())[:2])
    assert ours[0] > cxro[0]
    assert ours[1] < cxro[1]


def test_shares_are_those_of_another_program():
    reference = multiplets.reference_shares(REFERENCES / "branching_edrixs.csv")
    differences = multiplets.share_differences(reference)
    assert len(differences) == len(reference) == 10
    assert np.abs(differences).max() < 0.02
    off = {key: value + 0.1 for key, value in reference.items()}
    assert np.abs(multiplets.share_differences(off)).max() > 0.08
    shares = multiplets.shares_by_charge("M45")
    assert shares[3]["La"] < 0.6 < shares[3]["Er"] < shares[3]["Yb"]
    assert set(shares[4]) == {"Ce", "Pr", "Tb"}


def test_checks_of_the_integrals_and_by_hand():
    for by_hand, computed in multiplets.cases_by_hand().values():
        assert computed == pytest.approx(by_hand)
    ratios = multiplets.hartree_fock_ratios(REFERENCES / "hartree_fock.csv")
    assert {quantity for _, quantity in ratios} == {"valence", "direct", "exchange", "core", "open"}
    assert all(values.mean() == pytest.approx(1, abs=0.02) for values in ratios.values())
    assert multiplets.sum_rule_error([Variant("Yb", "N45", 3)]) < 1e-9


def test_a_spectrum_of_an_ion_is_found_again():
    case = measured_lines.Case("", "x", (("Ti", "L23", 4),), (425, 448), (448, 475))
    energy_ev = np.arange(420, 480, 0.2)
    fine_ev = np.arange(410, 490, 0.1)
    choices = measured_lines.ions_of("Ti", "L23", 4)
    made = sum(measured_lines.split_lines(choices[2], fine_ev))
    made = gaussian_filter1d(made, 0.9 / 2.355 / 0.1)
    counts = 1e9 * energy_ev**-3.0 + 100 * np.interp(energy_ev - 1.0, fine_ev, made)
    found = measured_lines.compared(case, energy_ev, counts, [choices])
    assert found.multiplets.ions == (choices[2],)
    assert found.multiplets.shift_ev == pytest.approx(1.0, abs=0.21)
    assert found.multiplets.width_ev == 0.9
    assert found.multiplets.unexplained < 0.05 < 0.3 < found.doublet.unexplained
    assert found.cells[:3] == ("x", "Ti4+ L23", "1.9")


def test_reduced_integrals_give_other_lines():
    full, less = (measured_lines.ions_of("La", "M45", 3, reduction=x) for x in (0.8, 0.4))
    assert full == tuple(ion for ion in multiplets_of("La", "M45"))
    assert multiplets.first_share(less[0]) > multiplets.first_share(full[0]) + 0.05


def test_files_that_a_manifest_lacks_are_left_out(tmp_path):
    from coreloss.datasets.manifest import write_manifest

    write_manifest(tmp_path, [])
    assert list(measured_lines.read_cases(tmp_path)) == []


def test_simulated_resonances_begin_with_the_same_draws():
    settings = SimulationSettings(**simulated_lines.ONLY_EDGES)
    without = settings.without("multiplets")
    pair = [simulated_lines.simulated("Er2O3", kind, n=3, seed=1) for kind in (settings, without)]
    (energy_ev, ions), (other_ev, smooth) = pair
    assert (energy_ev == other_ev).all()
    assert ions.shape == smooth.shape == (3, len(energy_ev))
    before = energy_ev < 140
    # the same background below the edge, another edge
    shapes = [
        spectra[:, before] / spectra[:, before].mean(1, keepdims=True) for spectra in (ions, smooth)
    ]
    assert np.abs(shapes[0] - shapes[1]).max() < 0.1
    assert np.abs(ions - smooth).max() > 0.2


def test_doublets_have_two_lines():
    at_ev, spectra = simulated_lines.simulated_doublets("Fe", "L23", n=4, seed=1)
    assert spectra.shape == (4, len(at_ev))
    for spectrum in spectra:
        assert spectrum[(at_ev > -1) & (at_ev < 8)].max() > 0.05
        assert spectrum[(at_ev > 11) & (at_ev < 21)].max() > 0.02


def test_figures_of_white_lines(ax):
    erbium = multiplets.resonance_of(multiplets.trivalent("Er", "N45")[1])
    assert multiplet_figures.plot_resonance(erbium, ax) is ax
    assert ax.get_title(loc="left") == "Er N45"
    stack = multiplet_figures.plot_stack([erbium, erbium], ax.figure.add_subplot())
    assert [text.get_text() for text in stack.get_yticklabels()] == ["Er", "Er"]
    found = [(np.zeros(2), np.ones(2)), (np.array([0.0, 5.0]), np.ones(2))]
    exchange = multiplet_figures.plot_exchange(
        (0, 1), found, ax.figure.add_subplot(), names=("a", "b"), by_hand_ev=np.zeros(2)
    )
    assert [text.get_text() for text in exchange.texts] == ["a", "b"]
    shares = multiplet_figures.plot_shares(
        ("La", "Ce"), {"3+": {"La": 0.4, "Ce": 0.5}, "other": {"Ce": 0.4}},
        ax.figure.add_subplot(), statistical=0.6, spread=(0.5, 0.7), y_label="",
    )  # fmt: skip
    assert shares.get_ylim() == (0, 1.05)
