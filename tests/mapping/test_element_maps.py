import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.trained_model import Model, load_model
from coreloss.mapping.amount_maps import found_elements, load_amounts, quantify_image
from coreloss.mapping.element_maps import (
    NetworkWork,
    around_clusters,
    load_maps,
    map_elements,
    pooled,
)
from coreloss.mapping.rules import (
    cluster_sizes,
    consistent,
    controlled,
    expected_clusters,
    paper_rule,
)
from coreloss.mapping.stream import stream
from coreloss.simulation.superlattice.image import simulate_superlattice
from coreloss.simulation.superlattice.settings import Superlattice
from coreloss.spectra.image import open_image
from coreloss.spectra.spectrum import Spectrum

ALL = ("O", "Ti", "Mn", "Ba", "La")


@pytest.fixture(scope="module")
def sample():
    return simulate_superlattice(Superlattice(map_shape=(4, 201)), seed=2)


@pytest.fixture(scope="module")
def maps(sample):
    return map_elements(sample.core_loss)


# -- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "rate", "size"), [((80, 90), 0.02, 3), ((4000,), 0.05, 3)])
def test_clusters_by_chance_are_as_many_as_expected(shape, rate, size):
    rng = np.random.default_rng(0)
    n = 300
    counted = sum((cluster_sizes(rng.random(shape) < rate) >= size).sum() for _ in range(n))
    expected = n * expected_clusters(int(np.prod(shape)), size, rate, dimensions=len(shape))
    # the formula leaves out larger clusters and the empty rim: tens of per cent at these rates
    assert counted == pytest.approx(expected, rel=0.3)


def decisions(calls: dict[str, np.ndarray]) -> np.ndarray:
    shape = next(iter(calls.values())).shape
    result = np.zeros((*shape, len(ELEMENTS)), bool)
    for element, where in calls.items():
        result[..., ELEMENT_INDEX[element]] = where
    return result


def test_a_patch_is_found_and_as_many_scattered_calls_are_not():
    rng = np.random.default_rng(1)
    patch, scattered = np.zeros((2, 60, 60), bool)
    patch[10:14, 20:24] = True
    scattered.flat[rng.permutation(3600)[:16]] = True
    found = {d.element: d for d in consistent(decisions({"Ti": patch, "Co": scattered}))}
    assert found["Ti"].detected
    assert found["Ti"].largest == 16
    assert not found["Co"].detected
    assert found["Ti"].expected_false < 1e-6 < found["Co"].expected_false


def test_false_elements_are_as_rare_as_stated():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(60):
        calls = rng.random((40, 50, len(ELEMENTS))) < 2e-3
        wrong += sum(d.detected for d in consistent(calls))
    assert wrong <= 60 * 0.05 + 4


def test_the_rule_of_the_paper_counts_pixels():
    calls = np.zeros((10, 100), bool)
    calls.flat[:10] = True
    assert paper_rule(decisions({"O": calls})) == ("O",)
    calls.flat[9] = False
    assert paper_rule(decisions({"O": calls})) == ()


def test_claimed_pixels_are_wrong_as_often_as_stated():
    rng = np.random.default_rng(3)
    p = rng.beta(0.3, 0.3, (200, 200))
    truth = rng.random(p.shape) < p
    probability = np.zeros((*p.shape, len(ELEMENTS)))
    probability[..., 7] = p
    claimed = controlled(probability, false_share=0.05)[..., 7]
    assert (~truth[claimed]).mean() == pytest.approx(0.05, abs=0.01)
    assert claimed.mean() > 0.3


def test_rules_tell_what_they_cannot_use():
    with pytest.raises(ValueError, match="a line or an image"):
        consistent(np.zeros((2, 2, 2, 80), bool))
    with pytest.raises(ValueError, match="expected_false = 0"):
        consistent(np.zeros((5, 80), bool), expected_false=0)


# -- maps -----------------------------------------------------------------------------------------


def test_the_superlattice_is_found(sample, maps):
    assert set(maps.present()) == set(ALL)
    far = (sample.distance_nm > 1.0).reshape(maps.map_shape)
    for element in ("Ti", "Mn", "La"):
        truth = sample.present[:, sample.elements.index(element)].reshape(maps.map_shape)
        called = maps.decision[..., ELEMENT_INDEX[element]]
        assert (truth == called)[far].mean() > 0.97
    assert not maps.observable[ELEMENT_INDEX["Sr"]]
    assert np.isnan(maps.of("Sr")).all()


def test_the_stated_error_of_the_axis_reaches_every_spectrum(sample, monkeypatch):
    told_ev, probability = set(), Model.probability

    def noting(model, inputs):
        told_ev.update(inputs.axis_error_ev.tolist())
        return probability(model, inputs)

    monkeypatch.setattr(Model, "probability", noting)
    few = replace(sample.core_loss, counts=sample.core_loss.counts[:201], map_shape=(201,))
    map_elements(few, axis_error_ev=4.0)
    assert told_ev == {4.0}


def test_maps_survive_a_file(maps, tmp_path):
    maps.save(tmp_path / "maps.h5")
    found = load_maps(tmp_path / "maps.h5")
    np.testing.assert_array_equal(found.probability, maps.probability)
    assert (found.threshold, found.window_ev) == (maps.threshold, maps.window_ev)
    with pytest.raises(ValueError, match="no such file"):
        load_maps(tmp_path / "none.h5")


def test_streamed_maps_are_those_in_memory(sample, maps, tmp_path):
    found = map_elements(sample.core_loss, out=tmp_path / "maps.h5")
    np.testing.assert_allclose(found.probability, maps.probability, atol=2e-6)
    assert not list(tmp_path.glob(".*"))


def test_pooled_neighbours_are_summed():
    counts = np.arange(12.0)[:, None] * np.ones(60)
    image = Spectrum(np.arange(400.0, 460.0), counts, map_shape=(3, 4))
    summed = pooled(image, 3).counts[:, 0].reshape(3, 4)
    assert summed[1, 1] == sum((0, 1, 2, 4, 5, 6, 8, 9, 10))
    assert summed[0, 0] == 0 + 1 + 4 + 5
    with pytest.raises(ValueError, match="pool is 2"):
        pooled(image, 2)


def test_what_only_noise_calls_is_not_called_in_the_sum_around_it(sample, maps):
    false = maps.probability.copy()
    false[1:3, 5:7, ELEMENT_INDEX["Co"]] = 0.95  # a cluster large enough to be detected
    false = replace(maps, probability=false, around={})
    assert "Co" in false.present()
    around = around_clusters(open_image(sample.core_loss), false, load_model())
    assert around["Co"] < 0.5 < around["La"]
    assert set(replace(false, around=around).present()) == set(maps.present())


def test_signals_carry_the_element(maps):
    pytest.importorskip("hyperspy")
    signals = maps.signals(["Ti"])
    assert signals["Ti"].metadata.Sample.elements == ["Ti"]
    np.testing.assert_array_equal(signals["Ti"].data, maps.of("Ti"))


# -- streams --------------------------------------------------------------------------------------


class Interrupted:
    """Sums of spectra; stops once before a certain spectrum."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.seen = stop_at, []

    def __repr__(self) -> str:
        return "Interrupted()"

    def __call__(self, spectrum, start):
        if start == self.stop_at:
            self.stop_at = -1
            raise KeyboardInterrupt
        self.seen.append(start)
        return {"total": spectrum.counts.sum(1)}


def test_an_interrupted_stream_goes_on(sample, tmp_path):
    image, out = open_image(sample.core_loss), tmp_path / "sums.h5"
    work = Interrupted(402)
    with pytest.raises(KeyboardInterrupt):
        stream(image, work, out, piece=201)
    assert not out.exists()
    stream(image, work, out, piece=201)
    assert work.seen == [0, 201, 402, 603]
    with h5py.File(out) as file:
        expected = sample.core_loss.counts.sum(1).reshape(4, 201)
        np.testing.assert_allclose(file["total"][()], expected)
        assert "done" not in file


def test_other_settings_start_anew(sample, tmp_path):
    image, out = open_image(sample.core_loss), tmp_path / "sums.h5"
    work = Interrupted(402)
    with pytest.raises(KeyboardInterrupt):
        stream(image, work, out, piece=201, attributes={"a": 1})
    stream(image, work, out, piece=201, attributes={"a": 2})
    assert work.seen == [0, 201, 0, 201, 402, 603]


def written(path, spectrum: Spectrum):
    signals = pytest.importorskip("hyperspy.signals")
    counts = spectrum.counts.reshape(*spectrum.map_shape, -1).astype(np.uint16)
    signal = signals.Signal1D(counts)
    axis = signal.axes_manager[-1]
    axis.name, axis.units, axis.offset = "Energy loss", "eV", float(spectrum.energy_ev[0])
    signal.metadata.General.title = "lattice"
    microscope = "Acquisition_instrument.TEM"
    signal.metadata.set_item(f"{microscope}.beam_energy", 300.0)
    signal.metadata.set_item(f"{microscope}.convergence_angle", 20.0)
    signal.metadata.set_item(f"{microscope}.Detector.EELS.collection_angle", 50.0)
    signal.save(path)
    return path


def test_files_are_read_piece_by_piece(sample, tmp_path):
    from coreloss.spectra.reading import read_spectrum

    path = written(tmp_path / "image.hspy", sample.core_loss)
    image, whole = open_image(path), read_spectrum(path)
    assert image.lazy
    assert (len(image), image.map_shape, image.title) == (804, (4, 201), "lattice")
    part = image.read(300, 310)
    np.testing.assert_array_equal(part.counts, whole.counts[300:310])
    np.testing.assert_array_equal(part.energy_ev, whole.energy_ev)
    assert (part.beam_energy_kev, part.file) == (300.0, str(path))
    np.testing.assert_allclose(image.sum().counts, whole.sum().counts)
    rows = np.array([3, 500, 803])
    np.testing.assert_array_equal(image.sample(rows).counts, whole.counts[rows])
    with pytest.raises(ValueError, match=r"within 0\.\.804"):
        image.read(800, 900)


def test_lazy_signals_stay_lazy(sample, tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    path = written(tmp_path / "image.hspy", sample.core_loss)
    image = open_image(hs.load(path, lazy=True))
    assert image.lazy
    np.testing.assert_allclose(image.read(10, 12).counts, sample.core_loss.counts[10:12], atol=1)


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_two_workers_gives_the_same(sample, tmp_path):
    distributed = pytest.importorskip("distributed")
    path = written(tmp_path / "image.hspy", sample.core_loss)
    with (
        distributed.LocalCluster(
            2, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        found = map_elements(path, out=tmp_path / "two.h5", client=client, window_ev=(400, 1000))
    here = map_elements(path, window_ev=(400, 1000))
    np.testing.assert_allclose(found.probability, here.probability, atol=2e-6)


def test_a_client_needs_a_file(sample):
    with pytest.raises(ValueError, match="out="):
        map_elements(sample.core_loss, client=object())


def test_the_work_tells_its_settings():
    assert "shift_ev=2.0" in repr(NetworkWork("edgenet-small", (400.0, 900.0), 2.0))


# -- amounts --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def amounts(sample):
    return quantify_image(
        sample.core_loss,
        low_loss=sample.low_loss,
        exposure_ratio=sample.core_loss.metadata["exposure_ratio"],
        outer_elements=sample.elements,
    )


def test_the_network_feeds_the_fit(sample, amounts):
    assert set(amounts.elements) == set(ALL)
    assert amounts.absolute
    far = sample.distance_nm > 1.0
    for element in ALL:
        truth = sample.areal_density[:, sample.elements.index(element)]
        found = amounts.of(element)[0].ravel()
        rich = far & (truth > 0.5 * truth.max())
        assert found[rich].sum() / truth[rich].sum() == pytest.approx(1, abs=0.15)
        poor = far & (truth < 1e-3 * truth.max())
        assert not poor.any() or found[poor].mean() < 0.05 * truth[rich].mean()


def test_amounts_of_a_wrong_exposure_are_not_called_absolute(sample, amounts):
    assert amounts.absolute
    found = quantify_image(sample.core_loss, low_loss=sample.low_loss, elements=ALL)
    assert not found.absolute
    assert found.unit == "relative"
    assert any("ratio of exposures, 1 now" in note for note in found.warnings)


def test_amounts_survive_a_file_and_streams(sample, amounts, tmp_path):
    amounts.save(tmp_path / "a.h5")
    found = load_amounts(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.amount, amounts.amount)
    assert (found.elements, found.overall) == (
        amounts.elements,
        {e: list(x) for e, x in amounts.overall.items()},
    )
    streamed = quantify_image(
        sample.core_loss,
        low_loss=sample.low_loss,
        exposure_ratio=sample.core_loss.metadata["exposure_ratio"],
        outer_elements=sample.elements,
        elements=amounts.elements,
        out=tmp_path / "b.h5",
    )
    np.testing.assert_allclose(streamed.amount, amounts.amount, rtol=1e-4, atol=1e-3)


def test_one_spectrum_is_quantified_too(sample):
    total = sample.core_loss.sum()
    assert set(found_elements(open_image(total), window_ev=(400.0, 1000.0))) == set(ALL)
    found = quantify_image(total)
    assert found.unit == "relative"
    assert found.overall["O"][0] == pytest.approx(0.62, abs=0.12)


def test_numbers_of_spectra_must_fit(sample):
    few = Spectrum(sample.low_loss.energy_ev, sample.low_loss.counts[:7])
    with pytest.raises(ValueError, match=r"has \(7,\) spectra, the core loss \(4, 201\)"):
        quantify_image(sample.core_loss, low_loss=few, elements=("O",))
    turned = replace(sample.low_loss, map_shape=(201, 4))
    with pytest.raises(ValueError, match=r"has \(201, 4\) spectra"):
        quantify_image(sample.core_loss, low_loss=turned, elements=("O",))


def test_commands_map_and_quantify(sample, tmp_path, run):
    path = written(tmp_path / "image.hspy", sample.core_loss)
    low = tmp_path / "low.npz"
    np.savez(low, energy_ev=sample.low_loss.energy_ev, counts=sample.low_loss.counts)
    maps_file, amounts_file = tmp_path / "maps.h5", tmp_path / "amounts.h5"
    written_maps = ("-o", maps_file, "--plot", tmp_path / "m.png", "--json", tmp_path / "m.json")
    assert run("map", path, *written_maps)[0] == 0
    assert set(json.loads((tmp_path / "m.json").read_text())["present"]) == set(ALL)
    assert load_maps(maps_file).map_shape == (4, 201)
    assert (tmp_path / "m.png").stat().st_size > 5000
    written_amounts = ("-o", amounts_file, "--plot", tmp_path / "q.png")
    code, out, _ = run(
        "quantify", path, "--low-loss", low, "--exposure-ratio", "99", *written_amounts
    )
    assert code == 0
    assert load_amounts(amounts_file).absolute
    assert "atomic %" in out
    code, _, err = run("quantify", path, "--elements", "Sr")
    assert code == 2
    assert "Sr: no edge" in err
