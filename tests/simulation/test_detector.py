"""The detector adds the noise it says it adds, and nothing else."""

from dataclasses import replace

import pytest
import torch

from coreloss.simulation import detector as det
from coreloss.simulation.instrument import draw_detector
from coreloss.simulation.sampling import generator_for
from coreloss.simulation.settings import SimulationSettings

N = 3072


def quiet(n):
    """A detector that only counts, and a perfect axis of 1 eV."""
    zero, one = torch.zeros(n), torch.ones(n)
    detector = det.Detector(
        *(zero for _ in det.Detector.__dataclass_fields__),
    )
    detector = replace(detector, noise_excess=one, ripple_channels=30 * one)
    return {"detector": detector, "axis": det.Axis(one, zero, zero, zero, one, zero)}


def recorded(expected, *, seed=0, mask=None, first_ev=0.0, axis=None, **changes):
    """Counts for one expected level or spectrum, with some parameters changed for all rows."""
    n = len(expected)
    parts = quiet(n)
    parts["detector"] = replace(
        parts["detector"], **{k: torch.full((n,), float(v)) for k, v in changes.items()}
    )
    parts["axis"] = replace(
        parts["axis"], **{k: torch.full((n,), float(v)) for k, v in (axis or {}).items()}
    )
    mask = torch.ones_like(expected, dtype=torch.bool) if mask is None else mask
    first = torch.full((n,), first_ev)
    return det.record(expected, mask, first_ev=first, generator=generator_for(seed, 0), **parts)


def flat(level, n=200):
    return torch.full((n, N), float(level))


def correlation(counts, lag):
    deviation = counts - counts.mean(0)
    return float((deviation[:, :-lag] * deviation[:, lag:]).mean() / deviation.var())


@pytest.mark.parametrize("expected", [0.5, 5, det.POISSON_LIMIT - 1, 13, 1e4, 1e6])
def test_counting_noise_has_the_mean_and_variance_of_a_poisson_law(expected):
    n = 200_000
    level = torch.full((n,), float(expected))
    counts = det.counting_noise(level, generator=generator_for(1, 0)).double()
    standard_error = (expected / n) ** 0.5
    assert counts.mean().item() == pytest.approx(expected, abs=5 * standard_error)
    wider = 1 / 3 if expected > det.POISSON_LIMIT else 0
    assert counts.var().item() == pytest.approx(expected + wider, rel=0.015)
    skewness = ((counts - counts.mean()) / counts.std()).pow(3).mean().item()
    assert skewness == pytest.approx(expected**-0.5, rel=0.6, abs=0.03)
    assert (counts >= 0).all()
    assert (counts == counts.round()).all()


def test_excess_noise_multiplies_the_variance():
    counts = det.counting_noise(flat(400), excess=1.7, generator=generator_for(1, 0))
    assert counts.var().item() == pytest.approx(1.7 * 400, rel=0.02)


def test_a_quiet_detector_adds_counting_noise_only():
    counts = recorded(flat(400))
    assert counts.var().item() == pytest.approx(400, rel=0.02)
    assert abs(correlation(counts, 1)) < 0.01


@pytest.mark.parametrize(
    ("changes", "variance"),
    [
        ({"gain_variation": 0.02}, 1e4 + (0.02 * 1e4) ** 2),
        ({"readout_noise": 50.0}, 1e4 + 50.0**2),
        ({"noise_excess": 2.0}, 2e4),
        ({"gain_ripple": 0.03}, 1e4 + (0.03 * 1e4) ** 2 / 2),
    ],
)
def test_each_imperfection_adds_its_variance(changes, variance):
    assert recorded(flat(1e4, 100), **changes).var().item() == pytest.approx(variance, rel=0.03)


def test_a_point_spread_correlates_the_noise_and_keeps_the_counts():
    a, b = 0.15, 0.15 * det.FAR_NEIGHBOUR
    kernel = torch.tensor([b, a, 1 - 2 * a - 2 * b, a, b])
    lags = [float((kernel[lag:] * kernel[: len(kernel) - lag]).sum()) for lag in range(3)]
    counts = recorded(flat(1e4), point_spread=a)
    assert counts.mean().item() == pytest.approx(1e4, rel=1e-3)
    assert counts.var().item() == pytest.approx(1e4 * lags[0], rel=0.03)
    assert correlation(counts, 1) == pytest.approx(lags[1] / lags[0], abs=0.01)
    assert correlation(counts, 2) == pytest.approx(lags[2] / lags[0], abs=0.01)


@pytest.mark.parametrize("dispersion", [0.5, 0.7, 0.8, 1.0])
def test_shared_channels_are_those_of_a_resampled_recording(dispersion):
    """Against recording in channels of the dispersion and resampling as measured files are."""
    import numpy as np

    from coreloss.spectra.network_input import resample

    level, phase, n = 2500.0, 0.3, 400
    counts = recorded(flat(level, n), axis={"dispersion_ev": dispersion, "phase": phase})
    # channel boundaries at (k - phase) * dispersion, with 0 at the left border of channel 0
    energy = (np.arange(int(300 / dispersion)) - phase + 0.5) * dispersion + 99.5
    source = np.random.default_rng(0).poisson(level * dispersion, (n, len(energy)))
    per_ev, covered = resample(source.astype(float), energy)
    direct = torch.from_numpy(per_ev[:, covered])
    found = counts[:, 100 : 100 + direct.shape[1]].double()
    assert found.mean().item() == pytest.approx(level, rel=2e-3)
    assert found.var(0).mean().item() == pytest.approx(direct.var(0).mean().item(), rel=0.03)
    assert correlation(found, 1) == pytest.approx(correlation(direct, 1), abs=0.02)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_coarse_channels_are_interpolated(factor):
    counts = recorded(flat(1e4, 100), axis={"dispersion_ev": factor})
    assert counts.mean().item() == pytest.approx(1e4, rel=1e-3)
    assert correlation(counts, 1) > 0.5


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_binning_and_spreading_keep_a_parabola(factor):
    parabola = (torch.arange(96.0) / 10).square().repeat(2, 1)
    back = det.spread_channels(det.bin_channels(parabola, factor), factor, n=96)
    inner = slice(2 * factor, -3 * factor)
    # the mean of a parabola over a bin is off its centre by (factor^2 - 1) / 12 curvatures
    expected = parabola + 0.01 * (factor**2 - 1) / 12
    torch.testing.assert_close(back[:, inner], expected[:, inner], rtol=1e-3, atol=1e-3)


def test_an_axis_error_moves_a_line_where_it_says():
    energy = torch.arange(N) + 100.0
    line = torch.exp(-(((energy - 700) / 6) ** 2)).repeat(1, 1)
    axis = det.Axis(*(torch.tensor([v]) for v in (1.0, 3.3, 4e-3, 450.0, 1.0, 0.0)))
    shown = det.on_recorded_axis(line, torch.tensor([100.0]), axis)[0]
    centre = float((shown * energy).sum() / shown.sum())
    assert centre == pytest.approx(700 + 3.3 + 4e-3 * (700 - 450), abs=0.02)
    assert float(shown.sum() / line.sum()) == pytest.approx(1.004, abs=1e-3)


def test_splice_spike_and_saturation_leave_their_traces():
    counts = recorded(flat(1e4, 50), splice_step=0.1, splice_at=0.5)
    right, left = counts[:, N // 2 + 1 :].mean(), counts[:, : N // 2].mean()
    assert float(right / left) == pytest.approx(1.1, abs=2e-3)
    counts = recorded(flat(1e4, 50), spike=40.0, spike_at=0.25)
    assert (counts.argmax(1) == N // 4).all()
    assert counts.amax(1).mean().item() == pytest.approx(1e4 + 40 * 100, rel=0.02)
    ramp = torch.linspace(1e4, 1e5, N).repeat(50, 1)
    counts = recorded(ramp, saturation=0.5)
    assert counts.amax().item() == pytest.approx(5.5e4)
    assert (counts[:, N // 2 + 100 :] == counts.amax()).float().mean() > 0.99


def test_only_the_channels_of_the_window_are_recorded():
    expected = flat(50, 4)
    mask = torch.zeros(4, N, dtype=torch.bool)
    mask[:, 100:200] = True
    counts = recorded(expected, mask=mask, readout_noise=3, gain_variation=0.01)
    assert (counts[~mask] == 0).all()
    assert counts[:, 100:200].mean().item() == pytest.approx(50, rel=0.1)


def test_readout_noise_grows_with_the_root_of_the_frames():
    settings = SimulationSettings(
        frames=(100.0, 100.0), readout_noise=(4.0, 4.0), readout_noise_probability=1.0
    )
    many, few = 1e6 * torch.ones(50), 200 * torch.ones(50)
    noise = draw_detector(many, settings, generator=generator_for(0, 0)).readout_noise
    assert noise.tolist() == pytest.approx([40.0] * 50)
    noise = draw_detector(few, settings, generator=generator_for(0, 0)).readout_noise
    assert noise.tolist() == pytest.approx([4 * 20**0.5] * 50)  # ten electrons a frame
