"""The detector adds the noise it says it adds, and nothing else."""

import pytest
import torch

from coreloss.detector import POISSON_LIMIT, bin_channels, counting_noise, record, spread_channels
from coreloss.sampling import generator_for


@pytest.mark.parametrize("expected", [0.5, 5.0, POISSON_LIMIT - 1, POISSON_LIMIT + 1, 1e4, 1e6])
def test_counting_noise_has_the_mean_and_variance_of_a_poisson_law(expected):
    n = 200_000
    counts = counting_noise(torch.full((n,), expected), generator=generator_for(1, 0)).double()
    standard_error = (expected / n) ** 0.5
    assert counts.mean().item() == pytest.approx(expected, abs=5 * standard_error)
    assert counts.var().item() == pytest.approx(expected, rel=0.02)
    assert (counts >= 0).all()
    assert (counts == counts.round()).all()


def test_binning_and_spreading_keep_the_counts():
    ramp = torch.arange(64.0).repeat(2, 1)
    back = spread_channels(bin_channels(ramp, 4), 4)
    assert back.shape == ramp.shape
    torch.testing.assert_close(back[:, 2:-2], ramp[:, 2:-2])  # linear: exact but for the ends


def quiet(n):
    return {"gain_variation": torch.zeros(n), "readout_noise": torch.zeros(n)}


def test_a_quiet_detector_adds_counting_noise_only():
    expected = torch.full((200, 3072), 400.0)
    counts = record(
        expected,
        torch.ones_like(expected, dtype=torch.bool),
        **quiet(200),
        bin_factor=torch.ones(200, dtype=torch.long),
        generator=generator_for(2, 0),
    )
    assert counts.var().item() == pytest.approx(400, rel=0.02)


def test_gain_readout_and_binning_each_leave_their_trace():
    n, level = 100, 1e4
    expected = torch.full((n, 3072), level)
    one = torch.ones(n, dtype=torch.long)
    common = {"generator": generator_for(3, 0)}
    everywhere = torch.ones_like(expected, dtype=torch.bool)
    noisy = quiet(n) | {"gain_variation": torch.full((n,), 0.02)}
    counts = record(expected, everywhere, **noisy, bin_factor=one, **common)
    assert counts.var().item() == pytest.approx(level + (0.02 * level) ** 2, rel=0.03)
    noisy = quiet(n) | {"readout_noise": torch.full((n,), 50.0)}
    counts = record(expected, everywhere, **noisy, bin_factor=one, **common)
    assert counts.var().item() == pytest.approx(level + 50.0**2, rel=0.03)
    coarse = record(expected, everywhere, **quiet(n), bin_factor=4 * one, **common)
    assert coarse.mean().item() == pytest.approx(level, rel=1e-3)
    neighbours = torch.corrcoef(torch.stack([coarse[:, 9], coarse[:, 10]]))[0, 1]
    assert neighbours > 0.5  # resampled coarse channels are correlated


def test_only_the_channels_of_the_window_are_recorded():
    expected = torch.full((4, 3072), 50.0)
    mask = torch.zeros(4, 3072, dtype=torch.bool)
    mask[:, 100:200] = True
    factor = torch.tensor([1, 1, 2, 4])
    noise = {"gain_variation": torch.full((4,), 0.01), "readout_noise": torch.full((4,), 3.0)}
    counts = record(expected, mask, **noise, bin_factor=factor, generator=generator_for(4, 0))
    assert (counts[~mask] == 0).all()
    assert counts[:, 100:200].mean().item() == pytest.approx(50, rel=0.1)
