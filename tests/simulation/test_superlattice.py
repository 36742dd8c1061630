"""A simulated superlattice against sums, cross-sections and geometry that are worked out here."""

from dataclasses import replace

import numpy as np
import pytest

from coreloss.beam import Beam
from coreloss.edges import ELEMENT_INDEX, observable_elements
from coreloss.physics.cross_section import integrated_cross_section
from coreloss.physics.gos_table import read_gosh
from coreloss.quantification.low_loss import measured_low_loss
from coreloss.quantification.quantify import quantify
from coreloss.simulation.superlattice.image import (
    column_patterns,
    layer_shares,
    simulate_superlattice,
    sites,
)
from coreloss.simulation.superlattice.settings import Layer, Superlattice

STILL = {"energy_offset_ev": 0.0, "energy_drift_ev": 0.0, "chemical_shift_ev": 0.0}
EVEN = {
    "thickness_wedge": 0.0,
    "thickness_roughness": 0.0,
    "column_contrast": 0.0,
    "background_exponent_spread": 0.0,
}
BARE = {**STILL, **EVEN, "fine_structure": 0.0, "point_spread": 0.0}
SMALL = Superlattice(map_shape=(4, 301))


@pytest.fixture(scope="module")
def image():
    return simulate_superlattice(SMALL, seed=3, keep_expected=True)


def pure(formula: str, **changes) -> Superlattice:
    """One compound in a few pixels."""
    return Superlattice(layers=(Layer(formula, 10.0),), map_shape=(2, 3), **changes)


@pytest.mark.parametrize("dispersion_ev", [1.0, 0.5])
def test_an_edge_has_the_counts_of_its_atoms(dispersion_ev):
    settings = pure(
        "BeO", thickness_nm=1.0, gain=2.0, dispersion_ev=dispersion_ev, outer_shells=0.0, **BARE
    )
    image = simulate_superlattice(settings, keep_expected=True)
    energy, counts = image.core_loss.energy_ev, image.expected[0]
    before = (energy > 440) & (energy < 520)
    slope, height = np.polyfit(np.log(energy[before]), np.log(counts[before]), 1)
    edge = counts - np.exp(height) * energy**slope
    sigma_barn = integrated_cross_section(
        read_gosh()["O", "K"],
        beam=Beam(energy_kev=300.0, convergence_mrad=20.0, collection_mrad=50.0),
        window_ev=100.0,
    )
    oxygen_per_nm2 = 2.5 / 0.39**3  # half of the atoms, 1 nm thick
    electrons = settings.electrons_per_pixel * 0.99
    expected = 2.0 * electrons * oxygen_per_nm2 * float(sigma_barn) * 1e-10
    inside = (energy > 520) & (energy <= 632)
    assert edge[inside].sum() == pytest.approx(expected, rel=0.02)


def test_counts_scatter_around_the_expected_ones_as_poisson_says():
    settings = pure("SrTiO3", readout_noise=0.0, gain=3.0, **BARE)
    image = simulate_superlattice(replace(settings, map_shape=(20, 20)), keep_expected=True)
    deviation = (image.core_loss.counts - image.expected) / np.sqrt(3 * image.expected)
    assert abs(deviation.mean()) < 5 / np.sqrt(deviation.size)
    assert deviation.var() == pytest.approx(1.0, abs=0.02)


def test_a_quantification_of_bare_edges_finds_the_truth():
    settings = Superlattice(
        layers=(Layer("BeO", 2.0), Layer("BeF2", 2.0)),  # one shell of O and F each
        map_shape=(3, 20),
        pixel_nm=0.2,
        fine_structure=0.0,
        outer_shells=0.0,
        energy_drift_ev=0.0,
        electrons_per_pixel=1e10,
    )
    image = simulate_superlattice(settings)
    seen = [image.elements.index(element) for element in ("O", "F")]
    found = quantify(
        image.core_loss,
        low_loss=image.low_loss,
        elements=("O", "F"),
        shifts_ev=image.shifts_ev,
        fine_structure="none",
        exposure_ratio=settings.exposure_ratio,
    )
    truth = image.areal_density[:, seen]
    assert found.amount / truth.max(0) == pytest.approx(truth / truth.max(0), abs=0.015)


def test_jump_ratio_is_that_of_the_reference_edge():
    settings = pure("BeO", jump_ratio=0.8, thickness_nm=1.0, outer_shells=0.0, **BARE)
    image = simulate_superlattice(settings, keep_expected=True)
    energy, counts = image.core_loss.energy_ev, image.expected[0]
    before = (energy > 440) & (energy < 520)
    slope, height = np.polyfit(np.log(energy[before]), np.log(counts[before]), 1)
    past = (energy >= 536) & (energy <= 572)
    step = (counts - np.exp(height) * energy**slope)[past].mean()
    assert slope == pytest.approx(-3.0, abs=0.01)
    assert step / (np.exp(height) * 532.0**slope) == pytest.approx(0.8, rel=0.02)


def test_fractions_inside_a_layer_are_those_of_its_compound():
    image = simulate_superlattice(replace(SMALL, column_contrast=0.0))
    inside = (image.layer == 1) & (image.distance_nm > 2.5)
    assert inside.sum() > 20
    fraction = dict(zip(image.elements, image.fraction[inside].mean(0), strict=True))
    assert [fraction[e] for e in ("La", "Mn", "O")] == pytest.approx([0.2, 0.2, 0.6], abs=1e-6)
    total = image.areal_density[inside].sum(1)
    thickness_nm = image.thickness_mfp[inside] * SMALL.mean_free_path_nm
    assert total == pytest.approx(5 / 0.39**3 * thickness_nm)
    names = {image.elements[k] for k in np.flatnonzero(image.present[inside].all(0))}
    assert names == {"La", "Mn", "O"}


def test_shares_of_the_layers_add_up_and_are_half_at_an_interface():
    settings = Superlattice(map_shape=(1, 301), pixel_nm=0.13)  # a pixel ends at 18 cells
    shares = layer_shares(settings)
    assert shares.sum(0) == pytest.approx(np.ones(301))
    border = round(18 * 0.39 / 0.13)
    assert shares[0, border - 1 : border + 1].mean() == pytest.approx(0.5, abs=1e-6)
    sharp = layer_shares(replace(settings, intermixing_nm=0.0, probe_fwhm_nm=0.0))
    assert set(np.unique(sharp)) == {0.0, 1.0}


def test_pixels_know_their_layer_and_the_nearest_interface(image):
    layer, distance = (x.reshape(4, 301)[2] for x in (image.layer, image.distance_nm))
    assert layer[0] == 0
    assert layer[-1] == 9
    last_of_substrate = int(18 * 0.39 / 0.15 - 0.5)
    assert layer[last_of_substrate] == 0
    assert layer[last_of_substrate + 1] == 1
    assert distance[0] == pytest.approx(18 * 0.39 - 0.075)
    assert np.isinf(simulate_superlattice(pure("BaTiO3")).distance_nm).all()


def test_columns_average_to_one_and_lie_on_their_sites():
    settings = Superlattice(
        map_shape=(8, 16), pixel_nm=0.39 / 8, column_contrast=1.0, probe_fwhm_nm=0.1
    )
    patterns = column_patterns(settings)
    for pattern in patterns.values():
        assert pattern.mean() == pytest.approx(1.0, abs=1e-9)
        assert pattern.max() > 1.5
        assert pattern.min() > -1e-6
    assert np.corrcoef(patterns["A"].ravel(), patterns["B"].ravel())[0, 1] < 0
    wide = column_patterns(replace(settings, probe_fwhm_nm=2.0))
    assert all(np.allclose(pattern, 1.0, atol=1e-6) for pattern in wide.values())
    assert sites("LaMnO3") == {"La": "A", "Mn": "B", "O": "X"}
    assert sites("SiO2") == {}


def test_strontium_has_an_edge_in_the_wide_window_only():
    strontium = ELEMENT_INDEX["Sr"]
    assert not observable_elements(*Superlattice().window_ev)[strontium]
    assert observable_elements(*Superlattice.wide().window_ev)[strontium]
    settings = Superlattice.wide(layers=(Layer("SrTiO3", 9.0),), map_shape=(1, 2), **STILL)
    counts = simulate_superlattice(settings, keep_expected=True)
    at = dict(zip(counts.core_loss.energy_ev, counts.expected[0], strict=True))
    assert at[1944.0] > 1.2 * at[1932.0]


def test_low_loss_tells_the_thickness_and_the_dose(image):
    measured = measured_low_loss(
        image.low_loss, exposure_ratio=image.low_loss.metadata["exposure_ratio"]
    )
    assert np.asarray(measured.thickness_mfp) == pytest.approx(image.thickness_mfp, abs=0.02)
    energy, counts = image.low_loss.energy_ev, image.low_loss.counts.sum(0)
    by_hand = np.log(counts.sum() / counts[np.abs(energy) <= 3].sum())
    assert by_hand == pytest.approx(image.thickness_mfp.mean(), abs=0.02)
    dose = SMALL.electrons_per_pixel * (1 - SMALL.low_loss_share)
    assert measured.electrons.numpy() == pytest.approx(np.full(len(image), dose), rel=0.02)


def test_edges_lie_where_their_shifts_say():
    shifts = []
    for offset_ev in (0.0, 2.0):
        settings = pure("BeO", **{**BARE, "energy_offset_ev": offset_ev, "chemical_shift_ev": 1.5})
        image = simulate_superlattice(settings, seed=5, keep_expected=True)
        slope = np.gradient(image.expected[0])
        near = slice(532 - 400 - 6, 532 - 400 + 9)
        rise = (slope[near] - slope[near].min()) ** 4
        position = (image.core_loss.energy_ev[near] * rise).sum() / rise.sum()
        shifts.append(image.shifts_ev["O"])
        assert position == pytest.approx(532.0 + image.shifts_ev["O"], abs=0.4)
    assert shifts[1] - shifts[0] == pytest.approx(2.0)


def test_fine_structure_differs_between_compounds_but_not_much():
    def titanium(formula):
        settings = pure(formula, outer_shells=0.0, **{**STILL, **EVEN})
        image = simulate_superlattice(settings, keep_expected=True)
        return image.expected[0, 50:75] - image.expected[0, 45]

    one, other = titanium("SrTiO3"), titanium("BaTiO3")
    assert one.max() > 3 * one[-1]  # white lines
    assert np.corrcoef(one, other)[0, 1] > 0.9
    assert np.abs(one - other).max() > 0.01 * one.max()


def test_same_seed_same_image(image):
    again = simulate_superlattice(SMALL, seed=3)
    other = simulate_superlattice(SMALL, seed=4)
    assert again.expected is None
    assert again.core_loss.map_shape == (4, 301)
    for name in ("core_loss", "low_loss"):
        counts = getattr(image, name).counts
        assert np.array_equal(counts, getattr(again, name).counts)
        assert not np.array_equal(counts, getattr(other, name).counts)
    assert image.shifts_ev == again.shifts_ev != other.shifts_ev


@pytest.mark.parametrize(
    "changes",
    [
        {"pixel_nm": 0.0},
        {"column_contrast": 1.5},
        {"thickness_nm": -35.0},
        {"thickness_wedge": 1.4, "thickness_roughness": 0.25},
        {"beam_energy_kev": 400.0},
        {"low_loss_share": 1.0},
        {"electrons_per_pixel": float("nan")},
        {"jump_ratio": 0.0},
        {"window_ev": (600.0, 400.0)},
        {"window_ev": (540.0, 900.0)},
        {"reference_edge": ("N", "K")},
        {"map_shape": (7826,)},
        {"layers": ()},
        {"fine_structure": -0.5},
    ],
)
def test_bad_values_are_named(changes):
    with pytest.raises(ValueError, match="allowed") as error:
        Superlattice(**changes)
    named = {"beam_energy_kev": "400", "electrons_per_pixel": "nan", "map_shape": "7826"}
    name = next(iter(changes))
    assert "thickness" in str(error.value) or name in str(error.value) or "edge" in str(error.value)
    assert named.get(name, "") in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("Xy2", 5.0), "Xy2"), (("LiF", 5.0), "Li"), (("MgO", 0.0), "0.0"), (("MgO", 1, -3.0), "-3")],
)
def test_bad_layers_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        Layer(*arguments)
