"""Exact diagonalisation against results by hand, sum rules, another program and Hartree-Fock."""

import csv
from pathlib import Path

import numpy as np
import pytest

from coreloss.atoms.multiplet_table import (
    GIANT_EXCHANGE,
    HARTREE_FOCK,
    REDUCTION,
    Variant,
    average_loss_ev,
    ion_of,
    placed,
    rows_of,
    variants,
)
from coreloss.atoms.multiplets import Ion, lines, total_strength
from coreloss.physics.multiplets import multiplets

REFERENCE = Path(__file__).parents[1] / "reference"


def reference_rows(name):
    """Rows of a table of published or independent numbers."""
    text = (REFERENCE / name).read_text().splitlines()
    return list(csv.DictReader(line for line in text if not line.startswith("#")))


def merged(ion, **options):
    """Energies and strengths of lines, equal energies together, without those of no strength."""
    energy, strength = lines(ion, **options)
    order = energy.argsort()
    energy, strength = energy[order], strength[order]
    number = np.concatenate([[0], (np.diff(energy) > 1e-6).cumsum()])
    total = np.bincount(number, strength)
    mean = np.bincount(number, strength * energy) / np.maximum(total, 1e-300)
    kept = total > 1e-9 * total.sum()
    return mean[kept], total[kept]


# -- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("core", "valence", "lower"), [(1, 2, 2 / 3), (2, 3, 3 / 5)], ids=["L23", "M45"]
)
def test_spin_orbit_splits_an_empty_shell_by_its_statistical_weights(core, valence, lower):
    energy, strength = merged(Ion(core, valence, 0, zeta_core=2.0))
    assert np.diff(energy) == pytest.approx(2.0 * (core + 0.5))
    assert strength[0] / strength.sum() == pytest.approx(lower)


def test_a_cubic_field_splits_an_empty_d_shell_by_its_orbitals():
    energy, strength = merged(Ion(1, 2, 0, ten_dq_ev=2.0))
    assert energy == pytest.approx([-0.8, 1.2])  # t_2g at -4 Dq, e_g at 6 Dq
    assert strength / strength.sum() == pytest.approx([0.6, 0.4])


def test_the_giant_resonance_of_an_empty_f_shell_is_the_singlet_p():
    # Exchange of electron and hole raises the singlets L = k, and nothing else, by
    # 2 (2l+1)(2l'+1)/(2L+1) (l L l')^2 G^L, with the 3j symbols (l L l'; 0 0 0).
    exchange = {1: 15.0, 3: 9.0, 5: 6.0}
    squares = {1: 3 / 35, 3: 4 / 105, 5: 10 / 231}
    raised = {k: 70 / (2 * k + 1) * squares[k] * g for k, g in exchange.items()}
    average = sum((2 * k + 1) * value for k, value in raised.items()) / 140
    energy, _ = merged(Ion(2, 3, 0, core_g=exchange))
    assert energy == pytest.approx([raised[1] - average])


def test_ground_states_are_those_of_the_textbook():
    # E. U. Condon and G. H. Shortley, The Theory of Atomic Spectra (1935), chapter 7:
    # 3F of d2 at -8 F_2 - 9 F_4, 3H of f2 at -25 F_2 - 51 F_4 - 13 F_6, F^0 apart.
    from coreloss.atoms import multiplets as module

    for l, f, expected in (  # noqa: E741
        (2, {2: 49.0, 4: 0.08 * 441}, -8 - 0.08 * 9),
        (3, {2: 225.0, 4: 0.15 * 1089, 6: 110.4246}, -25 - 0.15 * 51 - 0.015 * 13),
    ):
        hamiltonian = module._valence_hamiltonian(Ion(l - 1, l, 2, valence_f=f))
        assert np.linalg.eigvalsh(hamiltonian.toarray())[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shell", ["M45", "N45"])
def test_one_hole_in_the_f_shell_makes_one_line(shell):
    energy, strength = merged(ion_of(Variant("Yb", shell, 3)))
    assert len(energy) == 1  # from J = 7/2 only J = 5/2 is reached
    assert strength.sum() == pytest.approx(3 / 7)


# -- sum rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("electrons", [0, 1, 3, 7, 10, 13])
def test_strength_is_proportional_to_the_holes(electrons):
    ion = Ion(2, 3, electrons, {2: 10.0, 4: 6.0, 6: 4.0}, {2: 8.0}, {1: 9.0}, 2.0, 0.2)
    _, strength = lines(ion)
    assert strength.sum() == pytest.approx(total_strength(ion))
    assert total_strength(ion) == pytest.approx((14 - electrons) * 3 / 7)


def test_a_field_does_not_change_the_strength():
    free = Ion(1, 2, 5, {2: 9.0, 4: 5.0}, {2: 5.0}, {1: 4.0, 3: 2.0}, 7.0, 0.05)
    bound = Ion(1, 2, 5, {2: 9.0, 4: 5.0}, {2: 5.0}, {1: 4.0, 3: 2.0}, 7.0, 0.05, ten_dq_ev=1.2)
    assert lines(bound)[1].sum() == pytest.approx(lines(free)[1].sum()) == pytest.approx(2.0)


def test_energies_are_above_the_average_of_the_configuration():
    from coreloss.atoms import multiplets as module

    ion = Ion(2, 3, 2, {2: 10.0, 4: 6.0, 6: 4.0}, {2: 8.0, 4: 5.0}, {1: 9.0, 3: 5.0}, 2.0, 0.2)
    single, valence = module._stacked(3, 3), module._valence_hamiltonian(ion, extra=1)
    every = np.arange(10 * valence.shape[0])
    final = module._final_hamiltonian(ion, valence, single, every)
    assert module._average_ev(ion, extra=1) == pytest.approx(final.diagonal().mean())
    assert abs(final - final.T).max() < 1e-12


# -- another program ------------------------------------------------------------------------------


EDRIXS = {
    "Ti4+ L23": Ion(1, 2, 0, {}, {2: 5.04}, {1: 3.7, 3: 2.1}, 3.78, 0.03, 1.8),
    "Ni2+ L23": Ion(1, 2, 8, {2: 10.4, 4: 6.5}, {2: 6.2}, {1: 4.6, 3: 2.6}, 11.5, 0.1, 1.0),
    "Pr3+ N45": Ion(
        *(2, 3, 2, {2: 10.0, 4: 6.3, 6: 4.5}, {2: 10.6, 4: 6.8}),
        *({1: 12.6, 3: 7.9, 5: 5.5}, 1.375, 0.106),
    ),
    "Tm3+ M45": Ion(
        *(2, 3, 12, {2: 12.0, 4: 7.5, 6: 5.4}, {2: 9.0, 4: 4.2}),
        *({1: 6.4, 3: 3.7, 5: 2.6}, 18.0, 0.35),
    ),
}


@pytest.mark.parametrize("name", EDRIXS)
def test_lines_are_those_of_edrixs(name):
    rows = [row for row in reference_rows("edrixs_lines.csv") if row["ion"] == name]
    energy_ev, strength = merged(EDRIXS[name], temperature_ev=1e-4)
    share = strength / strength.sum()
    energy_ev = energy_ev - share @ energy_ev  # both programs have a zero of their own
    assert len(rows) >= 3
    for row in rows:
        same = np.abs(energy_ev - float(row["energy_ev"])) < 2e-3
        assert share[same].sum() == pytest.approx(float(row["share"]), rel=2e-3, abs=1e-4)


# -- the ions of the table ------------------------------------------------------------------------


def hartree_fock():
    """Published integrals by element, charge and shell."""
    found = {}
    for row in reference_rows("hartree_fock.csv"):
        key = (row["element"], row["shell"], int(row["charge"]))
        found.setdefault(key, {})[row["quantity"], int(row["k"])] = float(row["value_ev"])
    return found


@pytest.mark.parametrize("ion", hartree_fock(), ids=lambda ion: f"{ion[0]}{ion[2]}+ {ion[1]}")
def test_integrals_are_those_of_hartree_fock(ion):
    ours, known = ion_of(Variant(*ion, exchange=REDUCTION)), hartree_fock()[ion]
    integrals = {"valence": ours.valence_f, "direct": ours.core_f, "exchange": ours.core_g}
    spin_orbit = {"core": ours.zeta_core, "open": ours.zeta_valence}
    assert known.keys() & {("core", 0)}
    for (quantity, k), value in known.items():
        if k:
            assert integrals[quantity][k] / REDUCTION == pytest.approx(value, rel=0.08)
        else:
            allowed = 0.06 if quantity == "core" else 0.12
            assert spin_orbit[quantity] == pytest.approx(value, rel=allowed)


def test_the_correction_to_hartree_fock_is_small():
    for known in HARTREE_FOCK.values():
        assert all(0.85 < share < 1 for quantity, share in known.items() if quantity != "open")


def test_lines_of_lanthanum_lie_where_they_are_measured():
    # Maximum of photoabsorption, measured on a fine grid: B. L. Henke et al. (1993), update 2007.
    middle = Variant("La", "N45", 3, exchange=GIANT_EXCHANGE[1])
    ion = ion_of(middle)
    energy_ev, strength = lines(ion)
    at_ev = placed(middle, energy_ev, strength, ion) + 99.0
    assert at_ev[strength.argmax()] == pytest.approx(119.4, abs=2.0)
    assert average_loss_ev(middle) == pytest.approx(103.9, abs=0.5)
    weak = np.unique(at_ev[strength < 0.1].round(1))
    assert len(weak) == 2
    assert all(90 < x < 105 for x in weak)


@pytest.mark.parametrize(
    "variant", [Variant("Ti", "L23", 4, 1.9), Variant("Er", "N45", 3, 0.0, 0.66)], ids=str
)
def test_the_shipped_table_is_what_the_code_computes(variant):
    key = (variant.charge, variant.ten_dq_ev, variant.exchange)
    stored = next(
        ion
        for ion in multiplets()[variant.element, variant.shell]
        if (ion.charge, ion.ten_dq_ev, ion.exchange) == key
    )
    computed = np.array([row.split(",")[5:] for row in rows_of(variant)], float)
    assert stored.energy_ev == pytest.approx(computed[:, 0], abs=0.02)
    assert stored.strength == pytest.approx(computed[:, 1], rel=0.02)


def test_every_ion_of_the_list_is_in_the_table():
    held = {
        (ion.element, ion.shell, ion.charge, ion.ten_dq_ev, ion.exchange)
        for ions in multiplets().values()
        for ion in ions
    }
    assert held == {(v.element, v.shell, v.charge, v.ten_dq_ev, v.exchange) for v in variants()}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"electrons": 14}, "electrons"), ({"core": 0}, "core"), ({"ten_dq_ev": 1.0}, "ten_dq_ev")],
)
def test_impossible_ions_are_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        Ion(**({"core": 2, "valence": 3, "electrons": 3} | wrong))
