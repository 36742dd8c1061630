"""Stored numbers: what they were made with is what the checkout holds, or they say so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coreloss.identification.trained_model import load_model, shipped_models
from coreloss.networks.architectures import weights_fingerprint
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.stream import simulator_fingerprint
from coreloss.study import certificate, results

ROOT = Path(__file__).resolve().parents[2]


def test_no_result_is_stale():
    states = [results.state_of(name) for name in results.RESULTS]
    bad = [s.complaint for s in states if s.state not in (results.FRESH, results.PINNED)]
    assert not bad, "\n".join(bad)


def test_every_results_file_is_in_the_registry():
    files = {path.stem for path in results.FOLDER.glob("*.json")}
    assert files <= set(results.RESULTS), "unknown to `make results`"


@pytest.mark.parametrize("name", shipped_models())
def test_cards_belong_to_their_weights_and_simulator(name):
    model = load_model(name)
    about = model.card["certificate"]
    assert about["weights"] == weights_fingerprint(model.network), f"{name}: other weights"
    if "pinned" not in about:
        assert about["simulator"] == simulator_fingerprint(), (
            f"{name}: its decisions are of another simulator; train it on, or pin its card"
        )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A registry of one result, made just now."""
    monkeypatch.setattr(
        results, "RESULTS", {"one": results.Result("one", (certificate.SIMULATOR,))}
    )
    results.Writer("one", tmp_path / "one.json").write({"x": 1})
    return tmp_path


def test_a_new_result_is_fresh(folder):
    found = results.state_of("one", folder)
    assert (found.state, found.reasons) == (results.FRESH, ())
    assert results.read("one", folder)["x"] == 1
    assert "made on 20" in results.origin("one", folder=folder)


@pytest.fixture
def changed_setting(monkeypatch):
    other = SimulationSettings(axis_error_ev=(0.3, 7.0)).as_dict()
    monkeypatch.setattr(SimulationSettings, "as_dict", lambda self: other)
    certificate.fingerprint_of.cache_clear()
    yield
    certificate.fingerprint_of.cache_clear()


def test_a_changed_setting_makes_it_stale(folder, changed_setting):
    found = results.state_of("one", folder)
    assert found.state == results.STALE
    assert found.complaint.startswith("one is stale (simulator was ")
    assert found.complaint.endswith("make results one")
    assert results.origin("one", folder=folder).startswith("**Stale.**")
    assert results.Writer("one", folder / "one.json").kept() == {}


def test_a_pinned_result_says_so_wherever_it_is_shown(folder, changed_setting):
    with pytest.raises(ValueError, match="needs a reason"):
        results.pin("one", "", folder)
    results.pin("one", "a day on a GPU", folder)
    found = results.state_of("one", folder)
    assert found.state == results.PINNED
    said = results.origin("one", folder=folder)
    assert said.startswith("**Pinned.**")
    assert "simulator changed since" in said
    assert "a day on a GPU" in said
    results.Writer("one", folder / "one.json").write({"x": 2})
    assert results.state_of("one", folder).state == results.FRESH


def test_missing_and_uncertified_results_are_complained_of(folder):
    (folder / "one.json").write_text('{"x": 1}')
    assert results.state_of("one", folder).reasons == ("no certificate",)
    (folder / "one.json").unlink()
    assert results.state_of("one", folder).state == results.MISSING
    with pytest.raises(ValueError, match="make results one"):
        results.read("one", folder)
    with pytest.raises(ValueError, match="there are: one"):
        results.path_of("two")


def test_a_result_that_lacks_a_dependency_is_stale(folder):
    content = json.loads((folder / "one.json").read_text())
    content["certificate"]["depends"] = {}
    (folder / "one.json").write_text(json.dumps(content))
    assert "simulator is not in its certificate" in results.state_of("one", folder).complaint


def test_an_interrupted_result_goes_on_by_the_same_code_only(folder, monkeypatch):
    path = folder / "one.json"
    assert results.Writer("one", path).kept() == {"x": 1}
    monkeypatch.setattr(results, "provenance", lambda: {"commit": "another"})
    assert results.Writer("one", path).kept() == {}


def test_measured_files_count_only_where_they_are(monkeypatch):
    monkeypatch.setattr(certificate, "data_dir", lambda: None)
    certificate.fingerprint_of.cache_clear()
    try:
        assert certificate.changed({certificate.MEASURED: "something"}) == []
        assert certificate.depends_on([certificate.MEASURED]) == {certificate.MEASURED: None}
    finally:
        certificate.fingerprint_of.cache_clear()


def test_the_list_names_everything():
    command = [sys.executable, "-m", "coreloss.study.results"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = found.splitlines()
    assert [line.split()[0] for line in lines] == ["result", *results.RESULTS]
    unknown = subprocess.run([*command, "gat"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "there are: scores, gate" in unknown.stderr


def test_certificates_do_not_say_where_things_were(monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys, "orig_argv", ["python", "-m", "one", "/somewhere/runs", "two/three", "--n", "4"]
    )
    writer = results.Writer("scores", tmp_path / "scores.json")
    writer.write({})
    about = json.loads((tmp_path / "scores.json").read_text())["certificate"]
    assert about["command"] == "python -m one runs two/three --n 4"
