"""Spectra of ions from the table of lines, and what is left of measured photoabsorption."""

import numpy as np
import pytest

from coreloss.edges import edge_shells
from coreloss.physics.gos_table import read_gosh
from coreloss.physics.multiplets import (
    GIANT_FWHM_EV,
    TAIL_BEHIND_EV,
    continuum_share,
    cumulative,
    line_widths_ev,
    multiplets,
    multiplets_of,
)

EDGES = {(edge.element, edge.shell): edge for edge in edge_shells()}
AT_EV = np.arange(-40.0, 90.0, 0.1)


def shape(ion):
    """Middle energies and strength per eV."""
    edge = EDGES[ion.element, ion.shell]
    density = np.diff(cumulative(ion, edge, AT_EV)) / 0.1
    return edge.onset_ev + (AT_EV[1:] + AT_EV[:-1]) / 2, density


@pytest.mark.parametrize("key", multiplets(), ids=" ".join)
def test_spectra_hold_the_strength_of_their_lines(key):
    for ion in multiplets_of(*key):
        total = cumulative(ion, EDGES[key], AT_EV)[-1]
        assert 0.8 < total / ion.oscillator_strength <= 1  # less the ends of the Lorentzians
        assert (np.diff(ion.energy_ev) >= 0).all()
        assert (ion.strength > 0).all()


@pytest.mark.parametrize(
    ("element", "charge", "low", "high"),
    [
        # Photoabsorption on fine grids (B. L. Henke et al., At. Data Nucl. Data Tables 54 (1993)
        # 181, as of 2007), on one of 2.2 eV for Eu, whose metal is divalent.
        ("La", 3, 117.4, 121.4),
        ("Gd", 3, 147.5, 150.5),
        ("Eu", 2, 137.4, 141.8),
    ],
)
def test_giant_resonances_lie_where_they_are_measured(element, charge, low, high):
    peaks = []
    for ion in multiplets_of(element, "N45"):
        if ion.charge == charge:
            energy_ev, density = shape(ion)
            peaks.append(energy_ev[density.argmax()])
    assert len(peaks) == 3
    assert low < np.mean(peaks) < high


def test_erbium_has_two_maxima_where_photoabsorption_tables_have_one():
    ion = multiplets_of("Er", "N45")[1]
    energy_ev, density = shape(ion)
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])
    maxima = energy_ev[1:-1][inner & (density[1:-1] > 0.5 * density.max())]
    assert len(maxima) == 2
    assert 5 < np.ptp(maxima) < 10
    assert np.diff(maxima) > 2


def test_lines_below_the_threshold_are_narrow():
    la = multiplets_of("La", "N45")[1]
    widths = line_widths_ev(la, EDGES["La", "N45"])
    assert widths[:2] == pytest.approx(1.0)
    assert widths[-1] == pytest.approx(GIANT_FWHM_EV["La"])
    assert line_widths_ev(la, EDGES["La", "N45"], scale=1.35)[-1] == pytest.approx(1.35 * 7.5)


def test_white_lines_have_the_widths_of_their_subshells():
    edge, iron = EDGES["Fe", "L23"], multiplets_of("Fe", "L23")[0]
    widths = line_widths_ev(iron, edge)
    assert set(widths) == set(edge.widths_ev)
    assert widths[0] == edge.widths_ev[0]


def test_shares_of_m5_follow_the_row():
    # M5 in M45 grows from less than the statistical 0.6 to 1: B. T. Thole et al., Phys. Rev. B 32
    # (1985) 5107; the values are those of edrixs with 80 % of Hartree-Fock integrals.
    for element, expected in (("La", 0.406), ("Ce", 0.464), ("Er", 0.927), ("Tm", 0.964)):
        edge, ion = EDGES[element, "M45"], multiplets_of(element, "M45")[0]
        m5 = ion.strength[ion.energy_ev < edge.offsets_ev[1] / 2].sum()
        assert m5 / ion.oscillator_strength == pytest.approx(expected, abs=0.02)
    (yb,) = multiplets_of("Yb", "M45")
    assert len(yb.energy_ev) == 1


def test_the_continuum_has_no_maximum_left():
    table = read_gosh()["Gd", "N45"].measured
    edge = EDGES["Gd", "N45"]
    loss_ev = np.arange(100.0, 400.0)
    table_ev = table.onset_ev + table.free_energy_ev
    share = continuum_share(table_ev, table.gos_per_ev[0], edge, loss_ev)
    optical = np.interp(loss_ev - table.onset_ev, table.free_energy_ev, table.gos_per_ev[0])
    assert ((share >= 0) & (share <= 1)).all()
    assert share[loss_ev < 125].max() == 0
    assert (share[loss_ev > 180] == 1).all()
    peak = optical.argmax()
    behind = optical[peak + int(TAIL_BEHIND_EV)]
    assert (share * optical).max() == pytest.approx(behind, rel=0.05)
    assert behind < 0.2 * optical[peak]


def test_other_edges_have_no_ions():
    assert multiplets_of("O", "K") == ()
    assert multiplets_of("Lu", "N45") == ()
