"""Few counts, none at all, and edges that begin too late: what is not called, and what is said."""

import numpy as np
import pytest

from coreloss import identify
from coreloss.edges import ELEMENT_INDEX
from coreloss.identification.few_counts import edge_significance, nothing_but_noise
from coreloss.mapping.element_maps import map_elements
from coreloss.spectra.network_input import preprocess
from coreloss.spectra.spectrum import Spectrum


def power_law(n_counts, *, m=64, lo=300.0, hi=2300.0, step=3.0, exponent=3.0, edge=0.0, seed=0):
    """Counts (m, n) of a background, perhaps with an O K edge of this jump ratio."""
    energy = np.arange(lo, hi, step)
    mean = energy**-exponent
    mean += edge * 532.0**-exponent * (energy > 532) * (energy / 532) ** -3.5
    return energy, np.random.default_rng(seed).poisson(n_counts * mean / mean.sum(), (m, len(mean)))


def test_four_counts_are_no_element():
    energy = np.arange(170.0, 2750, 5)
    spectrum = Spectrum(energy, np.isin(energy, [170, 210, 455, 2745]).astype(float))
    found = identify(spectrum)
    assert found.present == ()
    assert any("chance" in warning or "counts per eV" in warning for warning in found.warnings)
    assert all(edge.z < 4 for edge in found.spectra[0].evidence)


@pytest.mark.parametrize("evidence", [True, False])
@pytest.mark.parametrize("n_counts", [100, 1000, 5000, 20_000])
def test_a_bare_background_has_no_element(n_counts, evidence):
    m = 24 if evidence else 200
    found = identify(Spectrum(*power_law(n_counts, m=m)), each=True, evidence=evidence)
    assert np.mean([bool(spectrum.present) for spectrum in found.spectra]) <= 0.02


def test_maps_are_as_careful():
    energy, counts = power_law(100, m=400)
    image = Spectrum(energy, counts, map_shape=(20, 20))
    called = np.nan_to_num(map_elements(image).probability) >= 0.676
    assert called.any(-1).mean() <= 0.02


def test_an_edge_with_enough_counts_is_kept():
    spectrum = Spectrum(*power_law(3000, edge=1.0, lo=400, hi=900, step=1.0))
    found = identify(spectrum, each=True, evidence=False)
    assert np.mean(["O" in spectrum.present for spectrum in found.spectra]) > 0.9


def test_significance_grows_as_the_root_of_the_counts():
    z = []
    for n_counts in (500, 5000, 50_000):
        energy, counts = power_law(n_counts, edge=0.3, lo=400, hi=900, step=1.0)
        inputs = preprocess(counts, energy)
        z.append(edge_significance(inputs, counts.sum(1))[:, ELEMENT_INDEX["O"]].mean())
    assert 0.5 < z[0] < z[1] < z[2]
    assert z[2] / z[1] == pytest.approx(10**0.5, rel=0.35)


def test_significance_of_nothing_is_a_standard_normal_deviate():
    energy, counts = power_law(2000, m=2000, lo=400, hi=900, step=1.0)
    z = edge_significance(preprocess(counts, energy), counts.sum(1))[:, ELEMENT_INDEX["Cr"]]
    assert abs(z.mean() - 0.4) < 0.5  # the better of two
    assert z.std() < 1.2


def test_noise_about_zero_is_no_signal():
    energy = 360 + 0.2 * np.arange(2048)
    found = identify(Spectrum(energy, np.random.default_rng(0).normal(0, 50, 2048)))
    assert (found.present, found.undetermined) == ((), ())
    assert any("no signal" in warning for warning in found.warnings)
    assert not any("removed" in warning for warning in found.warnings)
    edge = np.random.default_rng(0).normal(0, 50, 2048) + 200 * ((energy > 532) & (energy < 560))
    assert not nothing_but_noise(edge[None])[0]


def test_several_spectra_are_warned_of_in_the_same_words():
    found = identify(Spectrum(*power_law(900, m=5)), each=True, evidence=False)
    few = {text for spectrum in found.spectra for text in spectrum.warnings if "per eV" in text}
    assert few == {"fewer than 20 counts per eV: weak edges drown in the counting noise"}


def test_an_edge_that_begins_too_late_is_named_beside_its_rivals():
    energy = np.arange(560, 600, 0.1)
    lines = 1600 * np.exp(-0.5 * ((energy - 575) / 1.6) ** 2)
    lines += 900 * np.exp(-0.5 * ((energy - 583.5) / 1.8) ** 2)
    found = identify(Spectrum(energy, 60 + lines + 550 / (1 + np.exp((578 - energy) / 1.5))))
    assert [f"{edge.element} {edge.shell}" for edge in found.too_short] == ["Cr L23"]
    assert found.to_dict()["too_short"] == ["Cr L23"]
    for element in (*found.present, *found.undetermined):
        assert "Cr" in found.spectra[0].alternatives[element]


def test_a_window_too_narrow_for_fits_is_answered_all_the_same():
    energy = np.arange(636.0, 666, 0.2)
    y = 1e9 * energy**-2.2 + 1e4 * np.exp(-0.5 * ((energy - 643) / 1.6) ** 2)
    found = identify(Spectrum(energy, y))
    assert any("fitted in windows of 35 eV" in warning for warning in found.warnings)
    assert "Mn" in {edge.element for edge in found.too_short}
