"""Low losses as they come from microscopes, against the same without their faults."""

import numpy as np
import pytest
import torch

from coreloss.physics.scattering import low_loss_spectrum, low_loss_transfer
from coreloss.quantification.low_loss import measured_low_loss
from coreloss.spectra.spectrum import Spectrum

ENERGY = np.arange(-40.0, 200.0)


def counts(*, thickness_mfp=0.6, centre_ev=0, electrons=1e7, energy=ENERGY):
    """A plasmon of 20 eV, 8 eV wide, on whole electronvolts."""
    one = torch.ones(1, dtype=torch.float64)
    transfer = low_loss_transfer(
        thickness_mfp=thickness_mfp * one,
        plasmon_energy_ev=20 * one[None],
        plasmon_width_ev=8 * one[None],
        plasmon_share=one[None],
        zero_loss_fwhm_ev=2.2 * one,
        zero_loss_shape="gaussian",
    )
    first_ev = int(energy[0]) - centre_ev
    values = low_loss_spectrum(transfer, first_ev=first_ev, n_channels=len(energy))[1][0]
    return electrons * values.clamp(min=0).numpy()


def low_loss(**options):
    energy = options.get("energy", ENERGY)
    return Spectrum(energy, counts(**options))


def difference(found, expected) -> float:
    return float((found.probability - expected.probability).abs().sum())


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
def test_a_dark_level_is_taken_off_and_told(level):
    rng = np.random.default_rng(0)
    clean = counts(electrons=1e9)
    raised = Spectrum(ENERGY, rng.poisson(clean + level * clean.max()).astype(float))
    found, expected = measured_low_loss(raised), measured_low_loss(Spectrum(ENERGY, clean))
    assert difference(found, expected) < 0.01
    assert float(found.electrons) == pytest.approx(float(expected.electrons), rel=0.01)
    (note,) = found.warnings
    assert note.startswith("low loss: a dark level of")
    assert expected.warnings == ()


def test_noise_about_zero_adds_no_counts():
    rng = np.random.default_rng(1)
    clean = counts(electrons=1e5)
    noisy = Spectrum(ENERGY, clean + rng.normal(0, 200, (400, len(ENERGY))))
    expected = measured_low_loss(Spectrum(ENERGY, clean)).electrons
    assert float(measured_low_loss(noisy).electrons.mean()) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("end_ev", [40, 60, 100])
@pytest.mark.parametrize("thickness_mfp", [0.3, 1.0])
def test_what_is_missing_at_the_end_is_put_back(end_ev, thickness_mfp):
    whole = low_loss(thickness_mfp=thickness_mfp)
    found, expected = measured_low_loss(whole.crop(-40, end_ev)), measured_low_loss(whole)
    guess, left_out = (float(x.probability[0, end_ev + 21 :].sum()) for x in (found, expected))
    assert guess == pytest.approx(left_out, abs=max(0.3 * left_out, 0.02))
    assert any("was guessed" in note for note in found.warnings) == (guess > 0.03)
    assert float(found.thickness_mfp) == pytest.approx(thickness_mfp, abs=0.07)


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (low_loss().crop(-40, 29), "30 eV behind it"),
        (low_loss().crop(-2, 199), "3 eV in front of it"),
        (low_loss(centre_ev=14), "maximum at 14 eV"),
        (Spectrum(np.arange(-180.0, 41.0), counts()[220::-1]), "reverse its energy axis"),
        (Spectrum(ENERGY[35:], counts()[35:] + 5e5), "dark level, but it begins 5 eV in front"),
        (Spectrum(ENERGY, np.stack([counts(), 0 * ENERGY, 0 * ENERGY])), "2 of 3 spectra"),
    ],
)
def test_what_cannot_be_used_is_refused(spectrum, message):
    with pytest.raises(ValueError, match=message):
        measured_low_loss(spectrum)


def flat_top() -> Spectrum:
    energy = -40 + 0.2 * np.arange(1200)
    peak = 1e6 * np.exp(-0.5 * energy**2) + np.interp(energy, ENERGY + 0.01, 0.01 * counts())
    return Spectrum(energy, np.minimum(peak, 65535.0))


def lorentzian() -> Spectrum:
    energy = np.arange(-16.0, 200.0)
    return Spectrum(energy, counts(energy=energy) + 3e6 / (1 + (energy / 1.3) ** 2) + 4e3)


@pytest.mark.parametrize(
    ("spectrum", "note"),
    [
        (low_loss(centre_ev=5), "zero-loss peak lies at 5 eV and was moved to 0"),
        (flat_top(), "1 of 1 spectra is flat: saturated"),
        (Spectrum(ENERGY[34:], counts()[34:] + 1e4), "a dark level of up to 1"),
        (Spectrum(ENERGY, counts() + 1e6 * (ENERGY > 5)), "scattering falls faster"),
        (Spectrum(ENERGY, np.where(ENERGY < -30, np.nan, counts())), "below -30 eV are missing"),
        (lorentzian(), "cannot be told from a tail"),
    ],
)
def test_what_is_doubtful_is_told(spectrum, note):
    found = measured_low_loss(spectrum)
    assert any(note in warning for warning in found.warnings), found.warnings


def test_empty_pixels_get_the_mean_of_the_others():
    several = np.stack([counts(), 3 * counts(thickness_mfp=1.0), 0 * ENERGY, np.nan * ENERGY])
    found = measured_low_loss(Spectrum(ENERGY, several), exposure_ratio=2.0)
    mean = (several[0] + several[1])[20:221]
    for pixel in (2, 3):
        np.testing.assert_allclose(found.probability[pixel], mean / mean.sum(), rtol=1e-6)
        assert float(found.electrons[pixel]) == pytest.approx(2 * mean.sum() / 2, rel=1e-3)
    assert "low loss: 2 of 4 spectra are empty: the mean of the others is used" in found.warnings
    part = measured_low_loss(
        Spectrum(ENERGY, np.zeros((3, len(ENERGY)))), exposure_ratio=2.0, usual=found.mean()
    )
    np.testing.assert_allclose(part.probability[1], found.mean().probability[0])
    np.testing.assert_allclose(part.electrons, float(found.mean().electrons))


def test_zero_loss_peaks_that_drift_far_are_moved_each():
    drifting = Spectrum(ENERGY, np.stack([counts(centre_ev=c) for c in (-8, 0, 0, 0, 7)]))
    found = measured_low_loss(drifting)
    assert found.probability.argmax(1).tolist() == [20] * 5
    np.testing.assert_allclose(found.thickness_mfp, 0.6, atol=0.03)
