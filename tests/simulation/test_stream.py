"""The identity of the simulator: its record is true, and notices what it should."""

import copy

import numpy as np
import pytest

from coreloss.simulation import stream
from coreloss.simulation.settings import SimulationSettings


@pytest.fixture(scope="module")
def drawn():
    return stream.drawn()


def test_the_record_is_what_the_code_draws(drawn):
    found = stream.changes(drawn, stream.recorded())
    assert not found, (
        f"the simulator draws other spectra than data/stream.json says ({', '.join(found)}): where"
        " that is meant, `make results stream`, and then `make results` lists what is to be redone"
    )


def test_a_small_change_of_any_entry_is_noticed(drawn):
    for entry in ("counts", "amount"):
        other = copy.deepcopy(drawn)
        other["default"][entry][5] *= 1.001
        assert stream.changes(other, drawn) == [f"default, {entry}"]
    other = copy.deepcopy(drawn)
    other["paper"]["windows and labels"] = "0"
    other["default"]["snr"]["Fe"] *= 1.001
    assert stream.changes(other, drawn) == ["default, snr, Fe", "paper, windows and labels"]
    del other["superlattice"]
    assert "superlattice, core_loss" in stream.changes(other, drawn)


def test_rounding_of_another_machine_is_not_a_change(drawn):
    other = copy.deepcopy(drawn)
    counts = np.array(other["default"]["counts"])
    other["default"]["counts"] = list(counts * (1 + 1e-6))
    assert stream.changes(other, drawn) == []


def test_fingerprint_follows_settings_tables_and_record(monkeypatch):
    plain = stream.simulator_fingerprint()
    assert plain == stream.simulator_fingerprint(SimulationSettings().as_dict())
    changed = SimulationSettings(axis_error_ev=(0.3, 7.0)).as_dict()
    found = {plain, stream.simulator_fingerprint(changed)}
    read = stream._content
    for name in (*stream.TABLES, stream.RECORD):
        with monkeypatch.context() as patch:
            patch.setattr(stream, "_content", lambda n, name=name: read(n) + b"1" * (n == name))
            found.add(stream.simulator_fingerprint())
    assert len(found) == 2 + len(stream.TABLES) + 1
