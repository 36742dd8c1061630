"""The gate: features with known values, p-values that are uniform or small, files and figures."""

import json
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from scipy.stats import kstest

from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.datasets.records import ExperimentalRecord
from coreloss.simulation.settings import DISPERSIONS_EV, SimulationSettings
from coreloss.spectra.network_input import NetworkInput, normalise
from coreloss.study.gate import __main__ as script
from coreloss.study.gate import figures as plot_spectra
from coreloss.study.gate.features import FEATURES, spectrum_features, stack_features
from coreloss.study.gate.gate import coverage, gate, shape_distance, summary
from coreloss.study.gate.p_values import (
    cauchy,
    distance_p_values,
    energy_test,
    fisher,
    median_p_value,
    percentiles,
    standardise,
)
from coreloss.study.gate.pools import (
    MeasuredFile,
    read_measured,
    settings_like,
    simulate_pools,
    stand_ins,
)

needs_data = pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
ENERGY_EV = np.arange(3072.0)
RAW = SimulationSettings().without("processed spectra")


def window(first_ev: int, last_ev: int) -> np.ndarray:
    return (first_ev <= ENERGY_EV) & (last_ev >= ENERGY_EV)


def features(spectra, mask) -> dict[str, np.ndarray]:
    """Features of spectra (n, 3072) or (3072,) after normalisation under one mask."""
    spectra = torch.as_tensor(np.atleast_2d(spectra), dtype=torch.float32)
    masks = torch.as_tensor(mask).expand(len(spectra), -1)
    return spectrum_features(normalise(spectra, masks), masks)


def one(spectrum, mask) -> dict[str, float]:
    return {name: float(value[0]) for name, value in features(spectrum, mask).items()}


def power_law(exponent: float, at_ev: float = 500.0) -> np.ndarray:
    return (np.maximum(ENERGY_EV, 1) / at_ev) ** -exponent


# --- features ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "last"), [(300, 330), (300, 800), (100, 1500)])
def test_exponents_of_power_laws(first, last):
    found = one(power_law(3.5), window(first, last))
    # A level is the mean over up to a quarter of its energy, and a power law is not straight.
    for name in ("slope", "exponent_start", "exponent_end"):
        assert found[name] == pytest.approx(3.5, abs=0.1), name
    assert found["curvature"] == pytest.approx(0, abs=0.1)


def test_curvature_is_the_change_of_the_exponent():
    ln_e = np.log(np.maximum(ENERGY_EV, 1) / 500)
    found = one(np.exp(-3 * ln_e - 0.5 * 0.4 * ln_e**2), window(200, 1200))
    assert found["curvature"] == pytest.approx(0.4, abs=0.03)
    assert found["exponent_end"] > found["exponent_start"] + 0.3


def noisy(level, law: float, size: float, kernel=(1.0,), n: int = 64, seed: int = 0) -> np.ndarray:
    """Spectra (n, 3072) with independent noise ``size level^law``, folded with a kernel."""
    noise = np.random.default_rng(seed).normal(size=(n, 3072)) * size * level**law
    return level + np.stack([np.convolve(row, kernel, "same") for row in noise])


def test_noise_level_and_law():
    inside = window(300, 1300)
    level = power_law(3.0) / power_law(3.0)[inside].mean()
    for law in (0.0, 0.5, 1.0):
        found = features(noisy(level, law, 0.01), inside)
        assert np.median(found["noise_law"]) == pytest.approx(law, abs=0.1)
    found = features(noisy(np.ones(3072), 0.5, 0.01), inside)
    assert np.median(found["noise"]) == pytest.approx(-2, abs=0.03)
    assert np.isnan(found["noise_law"]).all()  # the level does not change


def test_noise_correlation_shows_point_spread():
    inside = window(300, 1300)
    level = np.ones(3072)
    independent = features(noisy(level, 0.5, 0.01), inside)
    assert independent["noise_lag1"].mean() == pytest.approx(-0.75, abs=0.02)
    assert independent["noise_lag2"].mean() == pytest.approx(0.30, abs=0.03)
    folded = features(noisy(level, 0.5, 0.01, (0.2, 0.6, 0.2)), inside)
    assert folded["noise_lag1"].mean() > -0.6


def test_rise_jump_and_width_of_an_edge():
    inside, level = window(400, 700), power_law(3.0)
    edge = np.where(ENERGY_EV >= 532, 0.5 * level, 0)
    found = one(level + edge, inside)
    assert found["rise"] == pytest.approx(np.log(1.5), abs=0.02)
    assert found["jump"] == pytest.approx(np.log(1.5), abs=0.03)
    assert found["contrast"] == pytest.approx(0, abs=0.03)
    assert found["rise_width_ev"] < 4.5  # 3 eV levels make a step at least as wide
    wide = np.clip((ENERGY_EV - 526) / 12, 0, 1) * 0.5 * level
    assert one(level + wide, inside)["rise_width_ev"] > found["rise_width_ev"] + 3
    line = edge * (1 + 2 * np.exp(-(((ENERGY_EV - 535) / 2) ** 2)))
    assert one(level + line, inside)["contrast"] > 0.4


def test_edges_and_peaks_count_what_is_significant():
    inside, level = window(400, 900), power_law(3.0)
    signal = level.copy()
    for onset in (532, 640, 780):
        signal += 0.3 * level * (onset <= ENERGY_EV)
    rng = np.random.default_rng(0)
    few, many = (rng.poisson(signal * dose) for dose in (20, 1e6))
    plain = rng.poisson(level * 1e6)
    assert one(many, inside)["edges"] * 5.01 == pytest.approx(3, abs=0.1)
    assert one(few, inside)["edges"] == 0
    assert one(plain, inside)["edges"] == one(plain, inside)["peaks"] == 0
    lines = sum(np.exp(-(((ENERGY_EV - e) / 2) ** 2)) for e in (500, 560, 700, 800))
    assert one(rng.poisson((level + 0.2 * lines) * 1e6), inside)["peaks"] * 5.01 == pytest.approx(
        4, abs=0.1
    )


def test_odd_channels():
    inside = window(400, 699)
    level = noisy(2 * np.ones(3072), 0.5, 0.01, n=1)[0]
    found = one(level, inside)
    assert (found["negative"], found["repeated"]) == (0, 0)
    assert found["spike"] < 0.7
    spiked, stepped, negative, stuck = (level.copy() for _ in range(4))
    spiked[500] += 0.6  # 40 sigma
    stepped[500:] += 0.6
    negative[440:515] = -0.1
    stuck[600:631] = 3.0
    assert one(spiked, inside)["spike"] == pytest.approx(np.log10(40), abs=0.1)
    assert one(stepped, inside)["spike"] < 0.7
    assert one(negative, inside)["negative"] == pytest.approx(0.25)
    assert one(negative, inside)["lowest"] < 0
    assert one(stuck, inside)["repeated"] == pytest.approx(0.1, abs=0.005)
    assert one(stuck, inside)["maximum_at"] == pytest.approx(200 / 295, abs=0.01)


def test_structure_grows_with_oscillations():
    inside = window(400, 700)
    found = [
        one(1 + size * np.cos(2 * np.pi * ENERGY_EV / 32), inside)["structure_16ev"]
        for size in (0.01, 0.1)
    ]
    assert found[1] - found[0] == pytest.approx(1, abs=0.05)


def test_short_windows_have_no_long_features():
    found = one(power_law(3.0) + (ENERGY_EV > 312), window(300, 327))
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"structure_16ev", "jump", "contrast", "noise_law"} & undefined
    assert {"structure_16ev", "jump"} <= undefined
    assert set(found) == set(FEATURES)


def test_features_do_not_depend_on_the_batch():
    rng = np.random.default_rng(1)
    spectra = rng.poisson(power_law(2.0) * 1e4, size=(4, 3072)) + 0.0
    masks = np.stack([window(*limits) for limits in ((60, 90), (400, 700), (30, 3071), (900, 999))])
    spectra = normalise(torch.as_tensor(spectra, dtype=torch.float32), torch.as_tensor(masks))
    together = stack_features(spectrum_features(spectra, masks))
    alone = [stack_features(spectrum_features(spectra[i][None], masks[i][None])) for i in range(4)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-6, atol=1e-9)


def test_broken_windows_are_refused():
    mask = window(400, 700)
    mask[500] = False
    with pytest.raises(ValueError, match="unbroken window"):
        spectrum_features(np.ones((1, 3072)), mask[None])
    with pytest.raises(ValueError, match="23 or more"):
        spectrum_features(np.ones((1, 3072)), window(400, 410)[None])
    with pytest.raises(ValueError, match="two arrays"):
        spectrum_features(np.ones(3072), window(400, 500))


# --- p-values ---------------------------------------------------------------------------------


def toy(n: int, rng, *, shear: float = 0.0, noise: float = 1.0) -> np.ndarray:
    """A simulator on one page: power law, one edge, counting noise, (n, 3072) in 400..700 eV."""
    exponent, jump = rng.uniform(2.5, 3.5, (n, 1)) + shear, rng.uniform(0.1, 0.5, (n, 1))
    level = (np.maximum(ENERGY_EV, 1) / 500) ** -exponent * (1 + jump * (ENERGY_EV >= 532))
    return level + noise * rng.normal(size=level.shape) * 0.02 * np.sqrt(level)


TOY_WINDOW = window(400, 700)


def toy_features(n: int, rng, **changes) -> np.ndarray:
    return stack_features(features(toy(n, rng, **changes), TOY_WINDOW))


def test_p_values_are_uniform_under_the_simulator():
    rng = np.random.default_rng(3)
    p_values = np.concatenate(
        [distance_p_values(*standardise(toy_features(200, rng), toy_features(100, rng)))
         for _ in range(4)]
    )  # fmt: skip
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert (p_values <= 0.05).mean() < 0.09
    assert p_values.min() >= 1 / 201


@pytest.mark.parametrize("wrong", [{"shear": 3.0}, {"noise": 0.1}, {"noise": 3.0}])
def test_p_values_reject_a_wrong_simulator(wrong):
    rng = np.random.default_rng(4)
    pool_z, measured_z = standardise(toy_features(200, rng), toy_features(30, rng, **wrong))
    assert (distance_p_values(pool_z, measured_z) <= 0.05).mean() > 0.5


def test_energy_test_sees_what_all_files_share():
    rng = np.random.default_rng(5)
    pools = [toy_features(200, rng) for _ in range(8)]

    def p_value(**changes) -> float:
        pairs = [standardise(pool, toy_features(1, rng, **changes)) for pool in pools]
        measured = np.concatenate([one_z for _, one_z in pairs])
        return energy_test(measured, [pool_z for pool_z, _ in pairs], rng=rng, n_draws=99)

    under_the_simulator = [p_value() for _ in range(20)]
    assert kstest(under_the_simulator, "uniform").pvalue > 0.01
    assert max(p_value(shear=1.0) for _ in range(2)) <= 0.05
    alone = distance_p_values(*standardise(pools[0], toy_features(20, rng, shear=1.0)))
    assert (alone <= 0.05).mean() < 0.5  # few of them are outliers


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="at least 8"):
        distance_p_values(np.ones((5, 2)), np.ones((1, 2)))


def test_a_feature_that_never_varies_still_counts():
    pool = np.random.default_rng(0).normal(size=(100, 3))
    pool[:, 0] = 0  # no channel below zero in any simulated spectrum
    measured = np.array([[0.0, 0.1, 0.1], [0.3, 0.1, 0.1]])
    p_values = distance_p_values(*standardise(pool, measured))
    assert p_values[0] > 0.2
    assert p_values[1] == pytest.approx(1 / 101)


def test_undefined_features_are_left_out():
    pool = np.random.default_rng(0).normal(size=(100, 3))
    pool[:80, 1] = np.nan
    pool[::7, 2] = np.nan
    pool_z, measured_z = standardise(pool, np.array([[9.0, 9.0, np.nan], [9.0, 9.0, 9.0]]))
    assert (pool_z[:, 1:] == 0).all()
    assert (measured_z[:, 1:] == 0).all()
    assert (measured_z[:, 0] > 2).all()


def test_percentiles_and_combined_p_values():
    pool = np.array([0.0, 0.0, 0.0, 1.0, np.nan])
    np.testing.assert_allclose(percentiles(pool, [0.0, 0.5, 2.0]), [0.375, 0.75, 1.0])
    assert np.isnan(percentiles(np.array([np.nan]), [1.0])).all()
    rng = np.random.default_rng(0)
    for combine in (fisher, cauchy):
        combined = [combine(rng.uniform(size=5)) for _ in range(400)]
        assert kstest(combined, "uniform").pvalue > 0.01
    dependent = [cauchy(np.repeat(rng.uniform(), 5)) for _ in range(400)]
    assert kstest(dependent, "uniform").pvalue > 0.01
    assert np.mean([fisher(np.repeat(p, 5)) <= 0.05 for p in rng.uniform(size=400)]) > 0.1
    assert median_p_value([0.01, 0.02, 0.9]) == pytest.approx(0.04)
    assert median_p_value([0.8, 0.9]) == 1.0


def test_coverage_is_the_share_inside():
    simulated = {"slope": np.arange(101.0), "jump": np.full(3, np.nan)}
    measured = {"slope": np.array([2.0, 50.0, 60.0, np.nan]), "jump": np.ones(4)}
    assert coverage(simulated, measured) == {"slope": pytest.approx(2 / 3)}


def test_shape_distance_ignores_scale_and_survives_zeros():
    rng = np.random.default_rng(0)
    measured = rng.uniform(0.5, 2, 50)
    wiggle = np.where(np.arange(50) % 2, 1.1, 1 / 1.1)
    distance = shape_distance(measured, np.stack([3 * measured, measured * wiggle]))
    np.testing.assert_allclose(distance, [0, np.log(1.1)], atol=1e-12)
    measured[:5] = -1
    assert np.isfinite(shape_distance(measured, measured[None] * wiggle)).all()


# --- files and pools --------------------------------------------------------------------------


def record(**changes) -> ExperimentalRecord:
    values = {
        "id": "oxide", "file": "here/oxide.csv", "kind": "spectrum", "quality": "A",
        "material": "TiO2", "elements_nominal": ("Ti", "O"), "elements_trace_visible": (),
        "out_of_vocabulary": (), "energy_start_ev": 380.0, "energy_end_ev": 680.0,
        "usable_start_ev": 380.0, "usable_end_ev": 680.0, "energy_offset_ev": 0.0,
        "dispersion_ev": 0.3, "n_spectra": 1, "beam_energy_kev": None, "convergence_mrad": None,
        "collection_mrad": None, "source": "made here", "license": "CC0", "sha256": "",
        "notes": "",
    }  # fmt: skip
    return ExperimentalRecord(**{**values, **changes})


def measured_file(spectra, first_ev: int = 380, last_ev: int = 680, **changes) -> MeasuredFile:
    spectra = torch.as_tensor(np.atleast_2d(spectra), dtype=torch.float32)
    masks = torch.as_tensor(window(first_ev, last_ev)).expand(len(spectra), -1)
    inputs = NetworkInput(normalise(spectra, masks), masks)
    made = record(**changes)
    return MeasuredFile(made, inputs, processed="background removed" in made.notes)


def test_pools_cover_the_window_of_the_file():
    file = measured_file(power_law(3.0))
    (_, pool), *_ = simulate_pools([file], RAW, n=200, seed=1)
    assert pool.shape == (200, 3072)
    np.testing.assert_allclose(pool[:, file.mask].mean(1), 1, rtol=1e-4)
    assert (pool[:, ~file.mask] == 0).all()
    assert (pool[:, [380, 680]] > 0).mean() > 0.9


def test_a_pool_depends_on_its_file_and_seed_alone():
    file, other = measured_file(power_law(3.0)), measured_file(power_law(3.0), 390, 640)
    (_, alone), *_ = simulate_pools([file], RAW, n=120, seed=1)
    together = dict(simulate_pools([other, file], RAW, n=120, seed=1))
    np.testing.assert_array_equal(together[1], alone)
    (_, again), *_ = simulate_pools([file], RAW, n=120, seed=2)
    assert not np.array_equal(alone, again)


def test_settings_like_keep_all_but_window_dispersion_and_processing():
    default = SimulationSettings()
    raw = settings_like(measured_file(power_law(3.0)), default)
    processed = settings_like(
        measured_file(power_law(3.0), notes="background removed; narrow"), default
    )
    assert raw.subtracted_probability + raw.deconvolved_probability == 0
    assert processed.subtracted_probability + processed.deconvolved_probability == pytest.approx(1)
    assert settings_like(measured_file(power_law(3.0), notes="background removed"), RAW) == replace(
        raw, subtracted_probability=0.0, deconvolved_probability=0.0
    )
    assert [d for d, w in zip(DISPERSIONS_EV, raw.dispersion_weights, strict=True) if w] == [0.3]
    one_ev = settings_like(measured_file(power_law(3.0)), default.without("dispersions"))
    assert one_ev.dispersion_weights[DISPERSIONS_EV.index(1.0)] == 1
    changed = {k for k, v in raw.as_dict().items() if v != default.as_dict()[k]}
    assert changed == {
        "window_start_min_ev", "window_width_ev", "wide_window_probability",
        "recorded_window_probability", "subtracted_probability", "deconvolved_probability",
        "dispersion_weights", "free_window_probability", "nuisance_window_probability",
    }  # fmt: skip


def test_windows_around_an_edge_that_identifies_nothing():
    file = measured_file(power_law(3.0), 60, 150, elements_nominal=("Al",))
    like = settings_like(file, SimulationSettings())
    assert like.nuisance_window_probability == 1
    assert like.window_width_ev[0] < 250
    (_, pool), *_ = simulate_pools([file], RAW, n=100, seed=0)
    assert len(pool) == 100
    never = SimulationSettings().without("recorded windows")
    for notes in ("", "background removed"):
        file = measured_file(power_law(3.0), 100, 180, elements_nominal=("Al",), notes=notes)
        like = settings_like(file, never)
        assert like.nuisance_window_probability == like.subtracted_probability == 0
        assert like.window_width_ev[0] > 3000
    (_, pool), *_ = simulate_pools([file], never, n=100, seed=0)
    assert len(pool) == 100


def test_windows_without_an_edge_set_in_reach():
    file = measured_file(power_law(3.0), 2000, 2100, id="far", elements_nominal=("Be",))
    (_, pool), *_ = simulate_pools([file], RAW, n=120, seed=0)
    assert len(pool) == 120
    below = measured_file(power_law(3.0), 2, 60, id="low")
    with pytest.raises(ValueError, match="low: 0 simulated"):
        list(simulate_pools([below], RAW, n=120, seed=0))


# --- the gate ---------------------------------------------------------------------------------

WINDOWS = ((380, 680), (400, 620), (430, 560), (350, 800), (440, 700), (300, 900))
ELEMENTS = (("Ti", "O"), ("N", "O"), ("Ti",), ("Ca", "O"), ("O",), ("Sc", "O"))


@pytest.fixture(scope="module")
def simulated_files() -> list[MeasuredFile]:
    """Two files per window that the simulator did make, in streams of their own."""
    files = []
    for i, (limits, elements) in enumerate(zip(WINDOWS, ELEMENTS, strict=True)):
        kind = {"elements_nominal": elements, "quality": "AB"[i % 2], "file": f"lab{i % 2}/x.csv"}
        blanks = [
            measured_file(power_law(3.0), *limits, id=f"f{2 * i + k}", **kind) for k in (0, 1)
        ]
        files += [stand_ins([blank], RAW, seed=77 + k)[0] for k, blank in enumerate(blanks)]
    return files


@pytest.fixture(scope="module")
def report(simulated_files):
    return gate(simulated_files, RAW, n=150, seed=0)


def test_gate_accepts_what_the_simulator_made(report):
    assert report.overall.n_files == 12
    assert report.overall.n_specimens == 6
    assert report.overall.p > 0.01
    assert report.overall.p_energy > 0.01
    assert report.overall.rejected <= 0.25
    assert 0.8 < report.overall.mean_coverage <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda row: row * (np.maximum(ENERGY_EV, 1) / 500) ** -4.0,
        lambda row: np.convolve(row, np.ones(9) / 9, "same"),
        lambda row: row - 0.4 * (row != 0),
    ],
    ids=["exponent + 4", "smoothed", "background taken off"],
)
def test_gate_rejects_what_it_did_not_make(wrong, simulated_files):
    files = []
    for file in simulated_files:
        changed = torch.as_tensor(wrong(file.inputs.spectrum[0].numpy())).float()[None]
        inputs = NetworkInput(normalise(changed, file.inputs.mask), file.inputs.mask)
        files.append(replace(file, inputs=inputs))
    report = gate(files, RAW, n=150, seed=0)
    assert min(report.overall.p, report.overall.p_energy) < 0.01
    assert report.overall.mean_coverage < 0.85


def test_report_names_files_sources_and_features(report):
    assert [file.id for file in report.files] == [f"f{i}" for i in range(12)]
    assert [group.name for group in report.sources] == ["lab0", "lab1"]
    assert [group.name for group in report.qualities] == ["quality A", "quality B"]
    assert sum(group.n_files for group in report.sources) == 12
    inside = [len(f.percentile) - len(f.outside) for f in report.files]
    defined = [len(f.percentile) for f in report.files]
    covered = report.overall.coverage
    n_defined = [sum(name in f.percentile for f in report.files) for name in covered]
    share = np.average(list(covered.values()), weights=n_defined)
    assert share == pytest.approx(sum(inside) / sum(defined))
    first = report.comparisons[0]
    assert first.simulated.shape == (3, len(first.measured)) == (3, 301)
    assert first.distance == report.files[0].distance


def test_report_is_plain_json_and_repeats(report, simulated_files):
    values = report.to_dict()
    text = json.dumps(values, allow_nan=False)
    assert values["settings"]["subtracted_probability"] == 0
    again = gate(simulated_files, RAW, n=150, seed=0)
    assert json.dumps(again.to_dict()) == text
    row = summary(values)
    assert row["coverage all"] == pytest.approx(report.overall.mean_coverage, abs=1e-4)
    assert {"coverage A", "rejected", "distance", "p_energy", "p lab0", "p lab1"} < set(row)


def test_single_spectra_of_a_scan_count_as_one():
    blank = measured_file(power_law(3.0))
    (_, pool), *_ = simulate_pools([blank], RAW, n=100, seed=5)
    scan = measured_file(np.concatenate([pool[:20].sum(0, keepdims=True), pool[:20]]))
    report = gate([scan], RAW, n=150, seed=0)
    assert report.files[0].p_single > 0.1
    assert gate([blank], RAW, n=150, seed=0).files[0].p_single is None


def test_gate_needs_a_file():
    with pytest.raises(ValueError, match="no measured file"):
        gate([], RAW)


@needs_data
def test_gate_of_measured_files():
    measured = read_measured(data_dir(), n_single=3)
    assert len(measured) == 57
    assert sum(file.processed for file in measured) == 20
    assert all(len(file.inputs) <= 4 for file in measured)
    wanted = ("eelsmodel_B3r1_HL", "hyperspy_LSMO_STO_linescan", "eelsdb_Dspec7vKq06")
    files = [file for file in measured if file.record.id in wanted]
    assert {file.source for file in files} == {"eelsmodel", "hyperspy_demos", "eelsdb"}
    report = gate(files, SimulationSettings(), n=128, seed=0)
    processed = next(file for file in report.files if file.processed)
    assert processed.percentile["negative"] > 0.5
    assert all(0 < file.distance < 2 and 0 < file.p <= 1 for file in report.files)


# --- figures and script -----------------------------------------------------------------------


def test_figures_of_the_gate(report):
    figure, axes = plt.subplots(4, 4)
    plot_spectra.plot_comparisons(report.comparisons, axes)
    drawn = [ax for ax in axes.flat if ax.axison]
    assert len(drawn) == 12
    assert all(len(ax.lines) == 4 for ax in drawn)  # three simulated, one measured
    assert "TiO2" in drawn[0].get_title()
    assert [ax for ax in drawn if ax.get_legend()] == [drawn[0]]
    figure.canvas.draw()
    _, ax = plt.subplots()
    assert plot_spectra.plot_places(report.files, ax) is ax
    assert len(ax.lines) == 2
    _, ax = plt.subplots()
    plot_spectra.plot_coverage(report.to_dict()["sources"], ax, title="now")
    assert ax.images[0].get_array().shape == (2, len(report.overall.coverage))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["lab0 (6)", "lab1 (6)"]
    ax.figure.canvas.draw()
    plt.close("all")


def test_script_names_its_settings():
    names = script.named_settings()
    assert list(names)[:2] == ["paper", "default"]
    assert names["without white lines"].white_line_factor == (0.0, 0.0)
    assert list(script.chosen(["default"])) == ["default"]
    with pytest.raises(SystemExit, match="there are: paper, default"):
        script.chosen(["defualt"])


def test_script_keeps_earlier_reports(tmp_path, monkeypatch, report):
    out = tmp_path / "gate.json"
    monkeypatch.setattr(script, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(script, "read_measured", lambda folder: ())
    monkeypatch.setattr(script, "gate", lambda measured, value, n, seed: replace(report, n=n))
    for names in (["default"], ["paper", "without white lines"]):
        arguments = ["gate", "--n", "9", "--out", str(out), "--only", *names]
        monkeypatch.setattr("sys.argv", arguments)
        script.main()
    reports = json.loads(out.read_text())["reports"]
    assert list(reports) == ["paper", "default", "without white lines"]
    assert reports["default"]["files"]
    assert not reports["without white lines"]["files"]
    assert script.kept(reports, n=8, seed=0) == {}
