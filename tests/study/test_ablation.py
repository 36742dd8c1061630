"""The ablation table: right differences, and every ingredient in it."""

import pytest

from coreloss.simulation.settings import INGREDIENTS, SimulationSettings
from coreloss.study.ablation import variants as ablation


def test_every_ingredient_has_a_variant():
    named = ablation.variants()
    assert set(named) == {"default", "paper", *(f"without {name}" for name in INGREDIENTS)}
    assert named["default"] == SimulationSettings()
    assert len({str(settings) for settings in named.values()}) == len(named)


def test_costs_are_differences_of_means_with_their_errors():
    entries = [("default", 0, 0.8), ("default", 1, 0.9), ("paper", 0, 0.6), ("paper", 1, 0.6)]
    runs = {
        f"{name}, seed {seed}": {"variant": name, "seed": seed, "f1_measured": f1}
        for name, seed, f1 in entries
    }
    default, paper = ablation.differences(ablation.runs_of({"runs": runs}))
    assert default["f1_measured"] == pytest.approx(0.85)
    assert paper["f1_measured_cost"] == pytest.approx(0.25)
    assert paper["f1_measured_cost_error"] == pytest.approx(0.05)  # sd 0.0707 over root 2
    assert (paper["seeds"], default["f1_measured_cost"]) == (2, 0)


def test_a_short_run_gives_scores(tmp_path):
    found = ablation.run(
        SimulationSettings(),
        seed=0,
        spectra=32,
        directory=None,
        reference=ablation.reference_batch(64),
        out_dir=tmp_path,
        block_size=32,
        batch_size=16,
        report_every=32,
        validation_spectra=32,
    )
    assert set(found) == {
        f"{name}_simulated" for name in ("f1", "exact_match", "average_precision", "cross_entropy")
    }
    assert found["cross_entropy_simulated"] > 0
