"""Scattering: areas, Poisson weights, comparison with explicit convolutions."""

import math

import pytest
import torch

from coreloss.physics import scattering as sc

DOUBLE = {"dtype": torch.float64}


def parameters(**changes):
    values = {
        "thickness_mfp": torch.tensor([0.7], **DOUBLE),
        "plasmon_energy_ev": torch.tensor([[16.0, 23.0]], **DOUBLE),
        "plasmon_width_ev": torch.tensor([[4.0, 8.0]], **DOUBLE),
        "plasmon_share": torch.tensor([[0.6, 0.4]], **DOUBLE),
        "zero_loss_fwhm_ev": torch.tensor([0.0], **DOUBLE),
    }
    return values | {k: torch.tensor(v, **DOUBLE) for k, v in changes.items()}


@pytest.mark.parametrize("plasmon_shape", ["drude", "lorentzian"])
@pytest.mark.parametrize("zero_loss_shape", ["lorentzian", "gaussian"])
def test_the_low_loss_spectrum_has_area_one(plasmon_shape, zero_loss_shape):
    transfer = sc.low_loss_transfer(
        **parameters(zero_loss_fwhm_ev=[1.4]),
        plasmon_shape=plasmon_shape,
        zero_loss_shape=zero_loss_shape,
    )
    energy, low_loss = sc.low_loss_spectrum(transfer, first_ev=-2048, n_channels=4096)
    assert energy[0] == -2048
    assert float(low_loss.sum()) == pytest.approx(1.0, rel=1e-6)


def test_orders_of_scattering_have_poisson_weights_and_equal_explicit_convolutions():
    p = parameters()
    channel = torch.arange(sc.PLASMON_CHANNELS, **DOUBLE)
    peaks = sc.drude(
        channel, energy_ev=p["plasmon_energy_ev"].mT, width_ev=p["plasmon_width_ev"].mT
    )
    single = (peaks / peaks.sum(1, keepdim=True) * p["plasmon_share"].mT).sum(0)
    order = torch.zeros(600, **DOUBLE)
    order[0] = 1.0
    expected = torch.zeros_like(order)
    for n in range(14):
        expected += order * 0.7**n * math.exp(-0.7) / math.factorial(n)
        order = torch.nn.functional.conv1d(
            torch.nn.functional.pad(order, (len(single) - 1, 0))[None, None],
            single.flip(0)[None, None],
        )[0, 0]
    _, found = sc.low_loss_spectrum(sc.low_loss_transfer(**p), first_ev=0, n_channels=600)
    assert float(found[0, 0]) == pytest.approx(math.exp(-0.7), rel=1e-6)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9)


def test_narrow_plasmons_sit_at_multiples_with_poisson_weights():
    p = parameters(plasmon_energy_ev=[[20.0]], plasmon_width_ev=[[1e-6]], plasmon_share=[[1.0]])
    transfer = sc.low_loss_transfer(**p, plasmon_shape="lorentzian")
    _, found = sc.low_loss_spectrum(transfer, first_ev=0, n_channels=81)
    weights = [0.7**n * math.exp(-0.7) / math.factorial(n) for n in range(5)]
    assert found[0, ::20].tolist() == pytest.approx(weights, rel=1e-3)


def test_drude_peak_has_its_maximum_and_width():
    energy = torch.linspace(0, 60, 60001, **DOUBLE)
    shape = sc.drude(energy, energy_ev=25.0, width_ev=2.0)
    above = energy[shape > shape.max() / 2]
    assert float(energy[shape.argmax()]) == pytest.approx(25.0, abs=0.06)
    assert float(above[-1] - above[0]) == pytest.approx(2.0, abs=0.02)
    assert float(sc.drude(torch.tensor(-5.0), energy_ev=25.0, width_ev=2.0)) == 0.0


@pytest.mark.parametrize(("shape", "half"), [("lorentzian", 0.5), ("gaussian", 0.5)])
def test_the_zero_loss_peak_has_its_full_width_at_half_maximum(shape, half):
    p = parameters(thickness_mfp=[0.0], zero_loss_fwhm_ev=[12.0])
    _, peak = sc.low_loss_spectrum(
        sc.low_loss_transfer(**p, zero_loss_shape=shape), first_ev=0, n_channels=7
    )
    assert float(peak[0, 6] / peak[0, 0]) == pytest.approx(half, rel=2e-3)


def test_convolution_preserves_area():
    spectrum = torch.zeros(2, 3136, **DOUBLE)
    spectrum[:, 500:600] = torch.rand(100, generator=torch.Generator().manual_seed(0), **DOUBLE)
    p = {k: v.expand(2, *v.shape[1:]) for k, v in parameters(thickness_mfp=[0.0]).items()}
    torch.testing.assert_close(
        sc.convolve(spectrum, sc.low_loss_transfer(**p)), spectrum, rtol=0, atol=1e-12
    )
    thick = sc.convolve(
        spectrum, sc.low_loss_transfer(**(p | {"thickness_mfp": torch.full((2,), 1.5, **DOUBLE)}))
    )
    assert thick.sum(1).tolist() == pytest.approx(spectrum.sum(1).tolist(), rel=1e-3)


def test_plural_background_is_the_poisson_sum_of_shifted_power_laws():
    """Against the sum itself, where a plasmon is small beside the loss."""
    energy, one = torch.tensor([[600.0, 1200.0, 2400.0]], **DOUBLE), torch.ones(1, **DOUBLE)
    exponent, thickness, plasmon = 3.1, 0.9, 18.0
    found = sc.plural_background(
        energy,
        exponent=exponent * one,
        thickness_mfp=thickness * one,
        plasmon_energy_ev=plasmon * one,
    ).exp()
    total = torch.zeros_like(energy)
    for n in range(20):
        weight = thickness**n * math.exp(-thickness) / math.factorial(n)
        total += weight * (1 - n * plasmon / energy).clamp(min=0.1) ** -exponent
    torch.testing.assert_close(found, total, rtol=4e-3, atol=0)
    assert float(found[0, 0]) > 1.05


def test_a_sharp_edge_does_not_ring():
    """Far from a strong step nothing alternates from channel to channel."""
    step = torch.zeros(1, 3136, **DOUBLE)
    step[0, 100:] = 1.0
    p = parameters(thickness_mfp=[0.5], zero_loss_fwhm_ev=[0.5])
    far = sc.convolve(step, sc.low_loss_transfer(**p))[0, 600:2500]
    alternating = (far[2:] - 2 * far[1:-1] + far[:-2]).abs().max()
    assert float(alternating) < 1e-6


def test_nothing_from_the_end_of_the_axis_comes_back_at_its_start():
    spectrum = torch.zeros(1, 3136, **DOUBLE)
    spectrum[0, 3100:] = 1.0
    result = sc.convolve(spectrum, sc.low_loss_transfer(**parameters(thickness_mfp=[2.0])))
    assert float(result[0, :3099].abs().max()) < 1e-7


def test_power_law_with_drifting_exponent():
    energy = torch.tensor([[50.0, 100.0, 400.0]], **DOUBLE)
    found = sc.power_law(
        energy,
        reference_ev=torch.tensor([100.0, 100.0], **DOUBLE),
        amplitude=torch.tensor([3.0, 3.0], **DOUBLE),
        exponent=torch.tensor([2.5, 2.5], **DOUBLE),
        exponent_slope=torch.tensor([0.0, 0.2], **DOUBLE),
    )
    plain = [3 * 0.5**-2.5, 3.0, 3 * 4**-2.5]
    assert found[0].tolist() == pytest.approx(plain)
    assert float(found[1, 2]) == pytest.approx(3 * 4 ** -(2.5 + 0.2 * math.log(4)))
    with pytest.raises(ValueError, match="above 0 eV"):
        sc.power_law(energy - 60, reference_ev=energy[0], amplitude=energy[0], exponent=energy[0])


def test_mean_free_path_against_the_universal_curve():
    # Seah and Dench in monolayers, 538/E^2 + 0.41 sqrt(a E), times the monolayer a
    energy, a = torch.tensor([5.0, 50.0, 500.0], **DOUBLE), torch.tensor(0.2, **DOUBLE)
    monolayers = 538 / energy**2 + 0.41 * torch.sqrt(a * energy)
    found = sc.inelastic_mean_free_path_nm(energy, atom_size_nm=a)
    torch.testing.assert_close(found, monolayers * a)
    # 50 eV, 0.2 nm: lambda = 0.302 nm, v = 4.194e6 m/s, Gamma = 6.582e-16 v / lambda
    width = sc.lifetime_width_ev(energy, atom_size_nm=a)
    assert float(width[1]) == pytest.approx(9.15, rel=5e-3)
    assert bool(torch.isfinite(sc.lifetime_width_ev(torch.zeros(1), atom_size_nm=torch.ones(1))))


def test_strips_keep_areas_of_narrow_peaks_and_heights_of_wide_ones():
    positions = torch.tensor([[20.3, 60.0], [50.0, 50.0]], **DOUBLE)
    widths = torch.tensor([[0.4, 3.0], [20.0, 20.0]], **DOUBLE)
    amplitudes = torch.tensor([[5.0, 1.0], [1.0, 2.0]], **DOUBLE)
    strips = sc.fine_structure_strips(positions, widths, amplitudes)
    assert strips.shape == (2, 96)
    gauss = math.sqrt(math.pi / math.log(2)) / 2
    assert float(strips[0, :40].sum()) == pytest.approx(5.0 * 0.4 * gauss, rel=1e-9)
    assert float(strips[1, 50]) == pytest.approx(3.0, rel=1e-3)
    assert float(strips[1, 60]) == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thickness_mfp": [-0.1]}, "thickness"),
        ({"plasmon_share": [[0.9, 0.9]]}, "shares"),
        ({"plasmon_width_ev": [[0.0, 3.0]]}, "plasmon width"),
        ({"zero_loss_fwhm_ev": [-1.0]}, "zero-loss width"),
    ],
)
def test_bad_low_loss_parameters_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sc.low_loss_transfer(**parameters(**changes))


def test_unknown_shapes_and_too_long_spectra_are_refused():
    with pytest.raises(ValueError, match="plasmon shape"):
        sc.low_loss_transfer(**parameters(), plasmon_shape="box")
    with pytest.raises(ValueError, match="zero-loss shape"):
        sc.low_loss_transfer(**parameters(), zero_loss_shape="box")
    with pytest.raises(ValueError, match="channels"):
        sc.convolve(torch.zeros(1, 5000, **DOUBLE), sc.low_loss_transfer(**parameters()))
