"""All methods are judged alike: thresholds from validation, labels of the true axis, one pass."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from coreloss.axis import window_of
from coreloss.datasets.measured import NO_DATA, data_dir
from coreloss.identification.evidence import Combination
from coreloss.identification.trained_model import load_model
from coreloss.scoring.calibration import threshold_precision_equals_recall
from coreloss.scoring.metrics import scores
from coreloss.spectra.network_input import observable
from coreloss.study import results
from coreloss.study.identification import __main__ as script
from coreloss.study.identification import methods as bench
from coreloss.study.identification.baselines import edge_finder
from coreloss.study.identification.figures import plot_robustness

N = 96


@pytest.fixture(scope="module")
def validation():
    return bench.simulated("validation", n=N)


@pytest.fixture(scope="module")
def test():
    return bench.simulated("test", n=N)


def knows(*sets, noise=0.0):
    """A method that knows the labels of the spectra of some sets, more or less surely."""
    known = {
        row.numpy().tobytes(): present
        for labelled in sets
        for row, present in zip(labelled.inputs.spectrum, labelled.present, strict=True)
    }

    def method(inputs):
        labels = np.stack([known[row.numpy().tobytes()] for row in inputs.spectrum])
        error = np.random.default_rng(0).normal(0, noise, labels.shape)
        return 1 / (1 + np.exp(-(8 * labels - 4 + error)))

    return method


def test_a_method_that_knows_is_perfect(validation, test):
    row = bench.compare(knows(validation, test), validation, {"simulated": test})
    found = row["sets"]["simulated"]
    wanted = dict.fromkeys(("f1", "precision", "recall", "exact_match_ratio"), 1.0)
    assert {name: found[name] for name in wanted} == wanted
    assert found["ece_calibrated"] < 0.01
    assert found["n"] == N
    json.dumps(row, allow_nan=False)


def test_the_threshold_comes_from_validation_only(validation, test):
    method = knows(validation, test, noise=4.0)
    row = bench.compare(method, validation, {"simulated": test}, own_threshold=0.9)
    score = method(validation.inputs)
    wanted = threshold_precision_equals_recall(
        validation.present, score, counted=validation.counted, average="micro"
    )
    assert row["decision"]["threshold"] == wanted
    at = {"threshold": wanted, "subset": "", "counted": test.counted}
    assert row["sets"]["simulated"]["f1"] == scores(test.present, method(test.inputs), **at).f1
    at["threshold"] = 0.9
    own = row["own_threshold"]["simulated"]
    assert own["f1"] == scores(test.present, method(test.inputs), **at).f1
    assert own["f1"] != row["sets"]["simulated"]["f1"]
    wrong = replace(test, present=~test.present & test.counted)
    other = bench.compare(method, validation, {"simulated": wrong})
    assert other["decision"] == row["decision"]
    assert bench.decision_of(json.loads(json.dumps(row))) == bench.decide(score, validation)


def test_a_threshold_at_which_nearly_nothing_is_found_is_not_chosen():
    present = np.zeros((12, 80), bool)
    present[np.arange(12), np.arange(12)] = True  # every element once
    score = np.where(present, np.linspace(0.3, 0.9, 12)[:, None], 0.0)
    score[0, 11] = 0.85  # one false name, likelier than all true ones but one
    few = bench.Labelled("", bench.NetworkInput(torch.zeros(12, 3072), torch.zeros(12, 3072)),
                         present, np.ones_like(present))  # fmt: skip
    assert bench.decide(score, few).threshold < 0.5


def test_calibration_turns_scores_into_probabilities(validation, test):
    sure = knows(validation, test, noise=4.0)

    def timid(inputs):  # the same order, but never above one half
        return sure(inputs) / 2

    found = bench.compare(timid, validation, {"simulated": test})["sets"]["simulated"]
    assert found["ece_calibrated"] < 0.7 * found["ece"]


@pytest.mark.parametrize("kind", ["offset", *bench.STRETCHED_ABOUT])
def test_no_error_of_the_axis_is_the_plain_score(kind, validation):
    plain = bench.simulated("test", n=N, settings=bench.TRUE_AXIS)
    decision = bench.decide(edge_finder(validation.inputs), validation)
    here = bench.simulated_at(kind, 0.0, n=N)
    wanted = bench.measures(plain, edge_finder(plain.inputs), decision)
    point = bench.curve_point(edge_finder, here, decision, kind=kind, x=0.0)
    assert point == {"kind": kind, "x": 0.0} | wanted
    there = bench.simulated_at(kind, bench.GRIDS[kind][-1], n=N)
    far = bench.curve_point(edge_finder, there, decision, kind=kind, x=1.0)
    assert far["average_precision"] < point["average_precision"]
    np.testing.assert_array_equal(there.present, plain.present)
    np.testing.assert_array_equal(there.counted, plain.counted)


def test_offsets_and_stretches_move_edges_by_what_they_say():
    spectrum = torch.zeros(1, 3072)
    spectrum[:, 400:801] = 1.0
    spectrum[:, 600:801] = 3.0
    inputs = bench.NetworkInput(spectrum, spectrum > 0)
    labels = np.zeros((1, 80), bool)
    labelled = bench.Labelled("", inputs, labels, labels)

    def edge(changed):
        first, last = (int(limit) for limit in window_of(changed.mask))
        step = np.diff(changed.spectrum[0, first : last + 1].numpy())
        return first, last, first + 1 + int(step.argmax())

    assert edge(bench._wrong_axis(labelled, "offset", 10).inputs) == (410, 810, 610)
    assert edge(bench.stretched(inputs, 0.01, about=0.0)) == (400, 804, 602)
    assert edge(bench.stretched(inputs, 0.01, about=0.5)) == (398, 802, 600)
    same = bench.stretched(inputs, 0.0, about=0.5)
    torch.testing.assert_close(same.spectrum, inputs.spectrum / inputs.spectrum[:, 400:801].mean())


def test_moved_spectra_lose_what_leaves_the_axis():
    error_ev = torch.full((1,), 4.0)
    whole = bench.NetworkInput(torch.ones(1, 3072), torch.ones(1, 3072, dtype=torch.bool), error_ev)
    up, down = bench.moved(whole, 3), bench.moved(whole, -2)
    assert (up.mask[0, :3].any(), down.mask[0, -2:].any()) == (False, False)
    assert up.spectrum.sum() == 3069
    assert down.spectrum.sum() == 3070
    assert up.axis_error_ev is error_ev


def test_dose_and_window_are_set_and_the_rest_stays():
    few, many = (bench.simulated_at("dose", x, n=8) for x in (100.0, 1e7))
    np.testing.assert_array_equal(few.present, many.present)
    np.testing.assert_array_equal(few.counted, observable(few.inputs))
    assert _roughness(few) > 5 * _roughness(many)
    for width in (100.0, 800.0):
        first, last = window_of(bench.simulated_at("window", width, n=8).inputs.mask)
        ends = last == 3071
        assert ((last - first - width).abs()[~ends] <= 1).all()


def test_cropped_windows_keep_an_edge_and_count_what_can_be_seen(test):
    narrow = bench.cropped(test, 120.0, generator=np.random.default_rng(0))
    assert 0 < len(narrow) < N
    first, last = window_of(narrow.inputs.mask)
    assert ((last - first) <= 121).all()
    assert (narrow.present & narrow.counted).any(1).all()
    assert not (narrow.counted & ~observable(narrow.inputs)).any()
    channels, values = narrow.inputs.mask.sum(1), narrow.inputs.spectrum
    mean_is_one, size_is_one = (
        (x.sum(1) / channels - 1).abs() < 1e-4 for x in (values, values.abs())
    )
    assert (mean_is_one | size_is_one).all()  # the size of spectra about zero
    assert mean_is_one.float().mean() > 0.9
    assert len(bench.cropped(test, 3071.0, generator=np.random.default_rng(0))) == 0


def test_network_and_fit_joins_both(test):
    model = replace(load_model(), combination=Combination(fit=0.7))
    some = test.head(4).inputs
    alone, both = (m(some) for m in (bench.network_alone(model), bench.network_and_fit(model)))
    tested = alone >= model.absent_threshold
    np.testing.assert_array_equal(both[~tested], alone[~tested])
    assert (both[tested] >= alone[tested] - 1e-6).all()
    assert both.sum() > alone.sum()
    assert model.fingerprint != load_model().fingerprint
    assert load_model().fingerprint == replace(load_model(), name="x").fingerprint


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="allowed: offset"):
        bench.simulated_at("colour", 1.0, n=1)
    with pytest.raises(ValueError, match="allowed: offset"):
        plot_robustness([], None, kind="colour")


@pytest.mark.skipif(data_dir() is None, reason=NO_DATA)
def test_measured_spectra_are_moved_thinned_and_cropped():
    plain = bench.measured(data_dir())
    same = bench.measured_at("offset", 0.0, directory=data_dir())
    torch.testing.assert_close(same.inputs.spectrum, plain.inputs.spectrum, rtol=0, atol=0)
    thin = bench.measured_at("dose", 100.0, directory=data_dir())
    assert 0 < len(thin) <= len(plain)
    assert thin.counted.any(1).all()
    much = bench.measured_at("dose", 1e7, directory=data_dir())
    assert len(much) == len(thin)
    assert _roughness(thin) > 5 * _roughness(much)
    assert len(bench.measured_at("dose", 1e12, directory=data_dir())) == 0
    narrow = bench.measured_at("window", 100.0, directory=data_dir())
    assert 0 < len(narrow) <= len(plain)


def test_figure_shows_every_method_in_its_order():
    import matplotlib.pyplot as plt

    points = [
        {"method": m, "kind": k, "x": x, "f1": 0.5, "intervals": {"f1": [0.4, 0.6]}}
        for k in ("offset", "dispersion about start")
        for m in ("a", "b")
        for x in (0.01, 0.0)
    ]
    figure, ax = plt.subplots()
    plot_robustness(points, ax, kind="dispersion about start")
    assert [line.get_label() for line in ax.get_lines()] == ["a", "b"]
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), [0.0, 1.0])
    assert ax.get_xlabel().endswith("(%)")
    plt.close(figure)


def test_stored_rows_are_not_computed_again(validation, test, tmp_path, monkeypatch):
    asked = []

    def method(inputs):
        asked.append(len(inputs))
        return edge_finder(inputs)

    args = argparse.Namespace(n=N, n_fit=16)
    entry = script.Entry(method, "v1", 0.5)
    about = {"sizes": {"n": N}}

    def go(entry):
        store = script.Store(results.Writer("identify", tmp_path / "identify.json"), about)
        row = script.table_row(store, "finder", entry, args, None)
        script.curve_points(store, "offset", "simulated", 4.0, {"finder": entry}, args, None)
        return row

    first = go(entry)
    assert len(asked) == 3
    assert go(entry) == first
    assert len(asked) == 3
    go(entry._replace(version="v2"))  # other weights
    assert len(asked) == 6
    monkeypatch.setattr(results, "provenance", lambda: {"commit": "b"})
    go(entry)
    assert len(asked) == 9
    stored = json.loads((tmp_path / "identify.json").read_text())
    assert [row["method"] for row in stored["table"]] == ["finder"]
    assert [(row["kind"], row["data"], row["x"]) for row in stored["curves"]] == [
        ("offset", "simulated", 4.0)
    ]
    slow = entry._replace(slow=True)
    row = script.table_row(
        script.Store(results.Writer("identify", tmp_path / "b.json"), about),
        "slow",
        slow,
        args,
        None,
    )
    assert row["n_validation"] == 16


def test_a_network_joins_the_fit_where_its_card_says_how():
    names = list(script.entries_of({}))
    assert names[:2] == ["edge finder", "fit alone"]
    assert ("edgenet-small and fit" in names) == script.joined(load_model())


def _roughness(labelled) -> float:
    """Median scatter of a channel against the middle of its neighbours."""
    x, mask = labelled.inputs.spectrum, labelled.inputs.mask
    bend = x[:, 1:-1] - (x[:, 2:] + x[:, :-2]) / 2
    return float(bend[mask[:, 2:] & mask[:, :-2]].abs().median())
