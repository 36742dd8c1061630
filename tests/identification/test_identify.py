"""Decisions, observability, warnings and loading of models; then the shipped network."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from coreloss.edges import ELEMENTS
from coreloss.identification import trained_model
from coreloss.identification.identify import identify
from coreloss.identification.trained_model import Model, load_model, shipped_models
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

PROBABILITY = {"Ti": 0.97, "O": 0.99, "N": 0.4, "C": 0.9, "Cr": 0.02}


class Constant(torch.nn.Module):
    """Answers the same for every spectrum and remembers what it was shown."""

    def __init__(self, probability=PROBABILITY):
        super().__init__()
        p = torch.tensor([probability.get(e, 0.001) for e in ELEMENTS], dtype=torch.float64)
        self.logits = torch.logit(p).float()
        self.seen = []

    def forward(self, spectrum, mask, axis_error_ev=None):
        self.seen.append((spectrum, mask))
        self.told_ev = axis_error_ev
        return self.logits.expand(len(spectrum), -1)


@pytest.fixture
def model():
    return Model("fake", Constant(), {}, 0.7, 0.1, 1.0)


def background(*, start=350.0, stop=750.0, step=0.5, m=1, counts=1e5):
    energy = np.arange(start, stop + step / 2, step)
    smooth = counts * (energy / energy[0]) ** -3.0
    return Spectrum(energy, np.random.default_rng(0).poisson(smooth, (m, len(energy))))


def test_decisions_follow_the_two_thresholds(model):
    found = identify(background(), model=model)
    assert found.present == ("O", "Ti")
    assert found.undetermined == ("N",)
    assert found.threshold == 0.7
    assert found.probabilities["Cr"] == pytest.approx(0.02, abs=1e-6)


def grouped(**probability):
    known = {"O": 0.99, "Ba": 0.5, "Co": 0.45, "Fe": 0.3} | probability
    return Model("fake", Constant(known), {}, 0.7, 0.1, 1.0, group_threshold=0.9)


def test_one_of_several_neighbours_is_named_with_the_others():
    found = identify(background(start=500, stop=950), model=grouped())
    (elements,) = found.spectra
    assert found.present == ("O", "Ba")
    assert elements.groups == ("Ba",)
    assert elements.alternatives["Ba"] == ("Co",)
    assert elements.label("Ba") == "Ba (or Co)"
    assert elements.label("O") == "O"
    assert found.undetermined == ("Fe",)
    assert {edge.element for edge in elements.evidence} >= {"Ba", "Co"}
    assert found.to_dict()["spectra"][0]["groups"] == ["Ba"]


def test_no_group_where_one_is_present_or_where_they_do_not_reach_the_threshold():
    spectrum = background(start=500, stop=950)
    for p in ({"Co": 0.8}, {"Co": 0.2}):
        (elements,) = identify(spectrum, model=grouped(**p), evidence=False).spectra
        assert "Ba" in elements.undetermined
        assert elements.groups == ()


def test_what_the_window_does_not_show_is_not_observable(model):
    found = identify(background(), model=model)
    assert "C" in found.not_observable  # K 284 eV, below the window
    assert "Al" in found.not_observable  # K 1560 eV, above it
    assert "C" not in found.present
    assert np.isnan(found.probabilities["C"])
    assert len(found.probabilities) == 80
    observable = {e for e, p in found.probabilities.items() if not np.isnan(p)}
    assert observable | set(found.not_observable) == set(ELEMENTS)
    assert not observable & set(found.not_observable)


@pytest.mark.parametrize(
    ("start", "stop", "seen"),
    [(522, 557, True), (523, 600, False), (450, 556, False), (500, 600, True)],
)
def test_an_edge_counts_10_ev_after_the_start_and_25_before_the_end(model, start, stop, seen):
    found = identify(background(start=start, stop=stop, step=1.0), model=model)
    assert ("O" in found.present) == seen  # O K 532 eV
    assert ("O" in found.not_observable) != seen


def test_window_and_shift_act_on_true_energies(model):
    found = identify(background(step=1.0), model=model, shift_ev=20.0, window_ev=(400, 600))
    assert found.window_ev == (400.0, 600.0)
    assert found.spectrum.energy_ev[0] == 400.0
    assert model.network.seen[-1][1].nonzero()[[0, -1], 1].tolist() == [400, 600]
    recorded_at = background(step=1.0).energy_ev == 380.0
    assert found.spectrum.counts[0, 0] == background(step=1.0).counts[0, recorded_at]


def test_each_spectrum_or_their_sum(model):
    several = background(m=3)
    summed = identify(several, model=model)
    assert summed.present == ("O", "Ti")
    assert model.network.seen[-1][0].shape == (1, 3072)
    found = identify(several, model=model, each=True)
    assert len(found) == len(found.spectra) == 3
    assert found.spectra[2].present == ("O", "Ti")
    with pytest.raises(ValueError, match=r"3 spectra.*spectra\[i\]"):
        _ = found.present


def test_many_spectra_go_through_in_batches(model, monkeypatch):
    monkeypatch.setattr(trained_model, "BATCH", 2)
    identify(background(m=5), model=model, each=True)
    assert [len(spectrum) for spectrum, _ in model.network.seen] == [2, 2, 1]


def test_temperature_divides_the_logits():
    warm = Model("warm", Constant(), {}, 0.7, 0.1, 2.0)
    p = identify(background(), model=warm).probabilities["Ti"]
    assert p == pytest.approx(1 / (1 + np.exp(-np.log(0.97 / 0.03) / 2)), abs=1e-6)


def test_dictionary_is_json_without_nan(model):
    found = identify(background(m=2), model=model, each=True).to_dict()
    assert list(found) == [
        *("file", "model", "fingerprint", "threshold", "absent_threshold", "group_threshold"),
        "too_short",
        *("range_ev", "window_ev"),
        *("offset_ev", "offset_error_ev", "spectra"),
    ]
    assert list(found["spectra"][0]) == [
        "present",
        "undetermined",
        "not_observable",
        "probabilities",
        "evidence",
        "alternatives",
        "groups",
        "contamination",
        "warnings",
    ]
    read = json.loads(json.dumps(found, allow_nan=False))
    assert read["spectra"][1]["probabilities"]["O"] == 0.99
    assert "C" not in read["spectra"][1]["probabilities"]


def test_a_good_spectrum_has_no_warnings(model):
    assert identify(background(), model=model).warnings == ()


def test_zero_loss_peak_in_the_window_is_warned_of(model):
    energy = np.arange(-20.0, 400.0)
    counts = 1e6 * np.exp(-(energy**2)) + 1e4 * (energy + 30) ** -1.0
    spectrum = Spectrum(energy, counts)
    (cut,) = identify(spectrum, model=model).warnings
    assert "zero-loss peak and plasmons below 74 eV, cut off" in cut
    (warning,) = identify(spectrum, model=model, window_ev=(-20, 400)).warnings
    assert "the window holds the zero-loss" in warning


@pytest.mark.parametrize(
    ("spectrum", "words"),
    [
        (background(start=20, stop=400), "valence losses below 74 eV, cut off"),
        (background(start=500, stop=545), "eV wide"),
        (background(counts=10), "counts per eV"),
        (background(start=2600, stop=2660.0), "no identifying edge"),
        (Spectrum(np.arange(400.0, 600), np.sin(np.arange(200.0)) + 0.5), "negative"),
    ],
)
def test_warnings(model, spectrum, words):
    assert any(words in warning for warning in identify(spectrum, model=model).warnings)


def test_plasmons_in_a_chosen_window_are_warned_of(model):
    spectrum = background(start=20, stop=400)
    (warning,) = identify(spectrum, model=model, window_ev=(20, 400)).warnings
    assert "among the plasmons" in warning


def test_missing_values_count_in_the_window_only(model):
    whole = background(m=2)
    counts = whole.counts.copy()
    counts[:, :40] = np.nan
    holed = Spectrum(whole.energy_ev, counts)
    with pytest.raises(ValueError, match=r"between 350 and 369\.5 eV are NaN"):
        identify(holed, model=model, window_ev=(350, 750))
    (cut,) = identify(holed, model=model).warnings
    assert cut == "channels below 370 eV are missing in one spectrum or more: cut off"
    assert identify(holed, model=model, window_ev=(370, 750)).warnings == ()
    with pytest.raises(ValueError, match="NaN"):
        identify(holed, model=model, window_ev=(370, 750), shift_ev=10)
    counts[1, 300] = np.nan
    (warning,) = identify(holed, model=model, window_ev=(370, 750)).warnings
    assert warning.startswith("1 of 1522 values was missing")


def test_zero_loss_and_negative_counts_are_warned_of_once(model, tmp_path):
    energy = np.arange(-20.0, 400.0)
    counts = 1e6 * np.exp(-(energy**2)) + 1e4 * (energy + 30) ** -1.0 - 60
    path = tmp_path / "low.csv"
    np.savetxt(path, np.transpose([energy, counts]), header="eV counts")
    spectrum = read_spectrum(path)
    zero_loss, negative = identify(spectrum, model=model, window_ev=(-20, 400)).warnings
    assert "zero-loss" in zero_loss
    assert "negative" in negative
    assert identify(spectrum, model=model, window_ev=(50, 130)).warnings == ()


def test_window_without_data_is_refused(model):
    with pytest.raises(ValueError, match=r"1000\.\.1200"):
        identify(background(), model=model, window_ev=(1000, 1200))


def test_plot_draws_on_the_given_axes(model):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    _, ax = plt.subplots()
    assert identify(background(), model=model).plot(ax) is ax
    plt.close("all")


def test_unknown_model_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'nonsense' is unknown; shipped: "):
        load_model("nonsense")


@pytest.fixture
def saved_model(tmp_path):
    from coreloss.networks.edgenet import EdgeNet, EdgeNetConfig

    config = EdgeNetConfig()
    network = EdgeNet(config)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "mine.safetensors")
    card = {"architecture": "edgenet", "config": vars(config)} | {
        "present_threshold": 0.6,
        "absent_threshold": 0.2,
        "temperature": 1.5,
    }
    (tmp_path / "mine.json").write_text(json.dumps(card))
    return tmp_path / "mine.safetensors", network.eval()


def test_model_survives_writing_and_reading(saved_model):
    path, network = saved_model
    loaded = load_model(str(path))
    assert loaded.group_threshold is None
    assert (loaded.name, loaded.present_threshold, loaded.temperature) == ("mine", 0.6, 1.5)
    assert not loaded.network.training
    found = identify(background(), model=path)
    direct = Model("same", network, {}, 0.6, 0.2, 1.5)
    np.testing.assert_array_equal(
        found.probability, identify(background(), model=direct).probability
    )


def test_folder_of_a_training_run_is_a_model(saved_model):
    path, _ = saved_model
    run = path.parent / "run-7"
    run.mkdir()
    path.rename(run / "weights.safetensors")
    path.with_suffix(".json").rename(run / "card.json")
    assert load_model(str(run)).name == "run-7"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.with_suffix(".json").unlink(), "cannot read"),
        (lambda path: path.with_suffix(".json").write_text("{"), "not JSON"),
        (lambda path: path.with_suffix(".json").write_text("{}"), "lacks"),
        (lambda path: path.write_bytes(b"nothing"), "do not fit"),
        (
            lambda path: safetensors.torch.save_file({"a": torch.zeros(1)}, path),
            "do not fit",
        ),
    ],
)
def test_damaged_models_are_one_line_errors(saved_model, damage, message):
    path, _ = saved_model
    damage(path)
    load_model.cache_clear()
    with pytest.raises(ValueError, match=message) as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)


def test_shipped_network_finds_titanium_and_oxygen():
    if not shipped_models():
        pytest.skip("no trained network is in src/coreloss/weights yet")
    from coreloss.datasets.measured import data_dir

    folder = data_dir()
    files = sorted((folder / "experimental" / "pyTEMlib").glob("*.dm3")) if folder else []
    if not files:
        pytest.skip("no measured spectra: set CORELOSS_DATA_DIR to the folder that holds them")
    for file in files:
        found = identify(read_spectrum(file))
        assert {"Ti", "O"} <= set(found.present)


def test_the_network_is_told_how_far_the_energies_may_be_off(model):
    for options, told_ev in (({}, 1.5), ({"axis_error_ev": 6.0}, 6.0)):
        identify(background(m=3), model=model, each=True, **options)
        assert model.network.told_ev.tolist() == [told_ev] * 3


@pytest.mark.parametrize("axis_error_ev", [0.0, -1.5, 20.1, float("nan")])
def test_errors_of_the_axis_out_of_their_limits_are_refused(model, axis_error_ev):
    with pytest.raises(ValueError, match=r"axis_error_ev = .* allowed: 0.1..20"):
        identify(background(), model=model, axis_error_ev=axis_error_ev)
