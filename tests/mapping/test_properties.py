"""Answers that must not depend on how numbers are stored, scaled, cut into pieces or counted."""

import numpy as np
import pytest
from helpers import spectrum as simulated

from coreloss.edges import ELEMENT_INDEX
from coreloss.identification.edge_fit import edge_evidence
from coreloss.identification.identify import identify
from coreloss.mapping import element_maps
from coreloss.mapping.amount_maps import quantify_image
from coreloss.mapping.element_maps import NetworkWork, map_elements
from coreloss.mapping.stream import stream
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.spectra.image import open_image
from coreloss.spectra.spectrum import Spectrum

ENERGY_EV = np.arange(400.0, 800.0)


@pytest.fixture(scope="module")
def counts():
    """Whole numbers with the edges of Ti and O, few enough for 16 bits, (400,)."""
    found, window, _ = simulated(("Ti", "L23", 1.0), ("O", "K", 0.6), lo=400, hi=799, counts=2e4)
    return found[window]


@pytest.fixture(scope="module")
def image():
    """Core loss of a small image in whole numbers, with the edges that it has above 430 eV."""
    made = simulate_superlattice(Superlattice(map_shape=(4, 12)), seed=3).core_loss
    inside = (made.energy_ev >= 430) & (made.energy_ev <= 900)
    rows = made.counts[:, inside].clip(0).round()
    return Spectrum(made.energy_ev[inside], rows, map_shape=(4, 12))


def amounts_of(counts, energy_ev=ENERGY_EV, **options):
    return quantify_image(Spectrum(energy_ev, counts), elements=("O", "Ti"), **options)


def read_only(counts):
    counts = counts.copy()
    counts.flags.writeable = False
    return counts


STORED = {
    "float32": lambda x: x.astype(np.float32),
    "big-endian float64": lambda x: x.astype(">f8"),
    "big-endian float32": lambda x: x.astype(">f4"),
    "int32": lambda x: x.astype(np.int32),
    "int64": lambda x: x.astype(np.int64),
    "uint16": lambda x: x.astype(np.uint16),
    "big-endian uint16": lambda x: x.astype(">u2"),
    "read only": read_only,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "Fortran order": lambda x: np.asfortranarray(np.stack([x, x]))[:1],
}


@pytest.mark.parametrize("stored", STORED)
def test_answers_do_not_depend_on_how_counts_are_stored(counts, stored):
    other, before = STORED[stored](counts), counts.copy()
    found, again = (identify(Spectrum(ENERGY_EV, x)) for x in (counts, other))
    assert {"Ti", "O"} <= set(found.present)
    np.testing.assert_allclose(again.probability, found.probability, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        amounts_of(other).fraction.ravel(), amounts_of(counts).fraction.ravel(), rtol=1e-4
    )
    np.testing.assert_array_equal(np.ravel(other)[: len(before)], before)  # left as it was


def test_energies_may_be_stored_in_any_way_too(counts):
    found = identify(Spectrum(ENERGY_EV, counts)).probability
    for energy in (ENERGY_EV.astype(">f8"), ENERGY_EV.astype(np.int64), read_only(ENERGY_EV)):
        np.testing.assert_allclose(identify(Spectrum(energy, counts)).probability, found)
    with pytest.raises(ValueError, match="not ascending"):
        Spectrum(ENERGY_EV[::-1], counts[::-1])


@pytest.mark.parametrize("scale", [1e-3, 0.37, 8.0, 1e6])
def test_scaled_counts_have_the_same_elements(counts, scale):
    """Units are not known: above a few thousand electrons only ratios of counts are used.

    Below, counts are taken as electrons, see `few_counts`: a scale of 1e-3 is answered as a dose of
    that many would be, never with another element.
    """
    found, scaled = (identify(Spectrum(ENERGY_EV, x)) for x in (counts, scale * counts))
    assert set(scaled.present) <= set(found.present)
    if scale > 0.1:
        np.testing.assert_allclose(scaled.probability, found.probability, atol=1e-3)


@pytest.mark.parametrize("scale", [0.37, 8.0, 1e6])
def test_scaled_counts_have_the_same_composition(counts, scale):
    """Fractions stay; amounts without a low loss are relative; errors follow the counts."""
    found, scaled = amounts_of(counts), amounts_of(scale * counts)
    np.testing.assert_allclose(scaled.fraction, found.fraction, rtol=2e-2)


@pytest.mark.parametrize("size", [1, 7, 48])
def test_maps_do_not_depend_on_pieces_and_batches(image, size, tmp_path, monkeypatch):
    whole = map_elements(image)
    monkeypatch.setattr(element_maps, "TOGETHER", size)
    batched = map_elements(image)
    np.testing.assert_allclose(batched.probability, whole.probability, atol=1e-5)
    work = NetworkWork("edgenet-small", whole.window_ev)
    stream(open_image(image), work, tmp_path / "maps.h5", piece=12 * max(size // 12, 1))
    import h5py

    with h5py.File(tmp_path / "maps.h5") as file:
        np.testing.assert_allclose(file["probability"][()], whole.probability, atol=1e-5)


def test_a_pixel_is_mapped_as_it_is_alone(image):
    whole = map_elements(image)
    for row in (0, 17, 47):
        one = Spectrum(image.energy_ev, image.counts[row : row + 1], map_shape=(1,))
        alone = map_elements(one, window_ev=whole.window_ev)
        assert alone.map_shape == (1,)
        np.testing.assert_allclose(alone.probability[0], whole.probability.reshape(48, 80)[row],
                                   atol=1e-5)  # fmt: skip
    assert amounts_of(image.counts[:1], image.energy_ev).fraction.shape == (1, 2)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 30, 100, 10_000])
@pytest.mark.parametrize(
    "answer",
    [
        lambda s: identify(s).probability,
        lambda s: map_elements(s).probability,
        lambda s: quantify_image(s, elements=("O",)).amount,
    ],
    ids=["identify", "map", "quantify"],
)
def test_any_number_of_channels_is_answered_or_refused_in_words(n, answer):
    energy = np.linspace(450.0, 450.0 + 0.05 * n if n > 1000 else 450.0 + n, n, endpoint=False)
    counts = np.random.default_rng(0).poisson(1e5 * (energy / 450) ** -3.0).astype(float)
    if n < 30:
        with pytest.raises(ValueError, match=r"^[^\n]{20,}$"):
            answer(Spectrum(energy, counts))
        return
    try:
        found = answer(Spectrum(energy, counts))
    except ValueError:
        assert n <= 100
    else:
        assert np.isfinite(found).any() or n == 30  # too short for any edge: all not observable


def test_a_hundred_thousand_channels_are_identified():
    energy = 450 + 0.01 * np.arange(100_000)
    counts = np.random.default_rng(0).poisson(1e5 * (energy / 450) ** -3.0).astype(float)
    assert np.isfinite(identify(Spectrum(energy, counts)).probability).any()


@pytest.mark.parametrize("shape", [(0, 400), (2, 0, 400)])
def test_images_without_a_spectrum_are_refused_in_words(shape):
    with pytest.raises(ValueError, match=r"0|no |empty"):
        map_elements(Spectrum(ENERGY_EV, np.zeros(shape)))


@pytest.mark.parametrize("edge", [("O", "K", 0.06), ("Ti", "L23", 0.06), ("La", "M45", 0.06)])
def test_more_counts_never_lower_the_significance_of_a_true_edge(edge):
    """On average of 16 spectra, from 300 to 300,000 electrons a channel at the start."""
    hi = 1100 if edge[0] == "La" else 700
    means = []
    for dose in (3e2, 3e3, 3e4, 3e5):
        z = []
        for seed in range(16):
            y, window, _ = simulated(edge, lo=400, hi=hi, counts=dose, seed=seed)
            z.append(max(found.z for found in edge_evidence(y, window, [edge[0]])))
        means.append(np.mean(z))
    assert np.all(np.diff(means) > 0), means
    assert means[-1] > 5


def test_more_counts_never_make_a_true_element_less_probable():
    means = []
    for dose in (1e2, 1e3, 1e4, 1e5):
        rows = [
            simulated(("O", "K", 0.5), lo=400, hi=799, counts=dose, seed=seed)[0][400:800]
            for seed in range(8)
        ]
        found = identify(Spectrum(ENERGY_EV, np.array(rows)), each=True)
        means.append(found.probability[:, ELEMENT_INDEX["O"]].mean())
    assert np.all(np.diff(means) > -0.02), means
    assert means[-1] > 0.9
