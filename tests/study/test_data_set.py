"""What the chapter on the published set counts and draws, against what is known by hand."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from coreloss.datasets.published_streams import PARTS, Source
from coreloss.datasets.simulated_set import write_set
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.materials.split import query_table
from coreloss.materials.table import make_materials, parse_formulas
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.spectrum import Spectrum
from coreloss.study import data_set as chapter

PAPER = SimulationSettings.paper()


@pytest.fixture(scope="module")
def source():
    """Three oxides of titanium, the last one with two places in the list."""
    oxides = make_materials(parse_formulas(["TiO", "TiO2", "Ti2O3"], origin="here"), source="here")
    queries = query_table(oxides, np.array([0, 1, 2, 2]))
    return Source(Simulator(oxides, queries, settings=PAPER, block_size=8), queries)


@pytest.fixture(scope="module")
def steps():
    """A spectrum in channels of 0.5 eV, of which a part is used, 10 eV higher than recorded."""
    energy = np.arange(390.0, 600.0, 0.5)
    recorded = Spectrum(energy, 1e5 * (energy / 390) ** -3 + 2e4 * (energy > 450))
    return chapter.steps_of(recorded, recorded.crop(400, 560).shift(10))


@pytest.fixture
def axes():
    figure, axes = plt.subplots(3, 4)
    yield axes.ravel()
    plt.close(figure)


def test_spectra_of_each_material_are_counted(tmp_path, source):
    stream, path = source.stream("Ti", seed=3), tmp_path / "TRAIN_Ti.hdf5"
    write_set(path, stream.batches(8), config={}, seed=3)
    assert chapter.spectra_per_material(path, source, "Ti").tolist() == [2, 2, 2]
    write_set(path, stream.batches(5), config={}, seed=3)  # one more of the first
    assert sorted(chapter.spectra_per_material(path, source, "Ti")) == [1, 1, 2]
    other = replace(source.queries, rows=source.queries.rows % 2)
    with pytest.raises(ValueError, match="1 specimens are none of the 4 materials with Ti"):
        chapter.spectra_per_material(path, replace(source, queries=other), "Ti")


def test_occurrence_is_the_share_of_all_files_of_a_part(tmp_path):
    (tmp_path / PARTS[2].folder).mkdir()
    for element in ELEMENTS:
        labels = np.zeros((2, len(ELEMENTS)), np.uint8)
        labels[:, ELEMENT_INDEX[element]] = 1
        labels[0, ELEMENT_INDEX["O"]] = 1
        with h5py.File(tmp_path / PARTS[2].path(element), "w") as file:
            file["labels_identification"] = labels
    shares = chapter.shares_of_elements(tmp_path, PARTS[2])
    assert shares[ELEMENT_INDEX["O"]] == pytest.approx(81 / 160)
    assert np.delete(shares, ELEMENT_INDEX["O"]) == pytest.approx(2 / 160)
    measured = SimpleNamespace(present=torch.eye(80, dtype=torch.bool)[[0, 0, 0, 79]])
    assert chapter.shares_of_measured(measured)[[0, 1, 79]].tolist() == [0.75, 0, 0.25]


def test_steps_end_in_what_a_network_sees(steps):
    assert (steps.recorded.energy_ev[0], steps.used.energy_ev[0]) == (390, 410)
    mask = steps.seen.mask[0].numpy()
    assert np.flatnonzero(mask)[[0, -1]].tolist() == [411, 569]
    assert (steps.per_ev[~mask] == 0).all()
    density = np.interp(np.flatnonzero(mask), steps.used.energy_ev, steps.used.counts[0] / 0.5)
    np.testing.assert_allclose(steps.per_ev[mask], density, rtol=0.08)  # on the step
    assert steps.seen.spectrum[0, mask].mean() == pytest.approx(1)
    assert steps.published.max() == 1
    np.testing.assert_allclose(steps.published * steps.per_ev.max(), steps.per_ev, rtol=1e-5)


def test_simulated_spectra_are_seen_as_their_counts(source):
    batch = source.stream("Ti", seed=3).batch(0, 2)
    steps = chapter.steps_of_simulated(batch, 1)
    assert (steps.seen.mask[0] == batch.mask[1]).all()
    np.testing.assert_array_equal(steps.per_ev, batch.counts[1])


def test_each_step_is_drawn(steps, axes):
    chapter.plot_preprocessing(steps, axes[:5], zoom_ev=(450, 480))
    recorded, used, zoom, padded, divided = axes[:5]
    assert recorded.lines[0].get_xdata()[0] == 390
    assert used.lines[0].get_xdata()[0] == 410
    assert zoom.patches[0].get_data().edges[[0, -1]].tolist() == [449.5, 480.5]
    np.testing.assert_array_equal(padded.lines[0].get_ydata(), steps.per_ev)
    np.testing.assert_array_equal(divided.lines[0].get_ydata(), steps.seen.spectrum[0])
    divided.figure.canvas.draw()
    (right,) = divided.child_axes
    assert right.get_ylim()[1] == pytest.approx(
        divided.get_ylim()[1] / float(steps.seen.spectrum.max())
    )


def test_every_element_has_its_bars(axes):
    shares = {"one": np.arange(80) / 160, "other": np.arange(80)[::-1] / 160}
    chapter.plot_occurrence(shares, axes[:2], marks={"mark": np.full(80, 0.25)})
    names = [text.get_text() for ax in axes[:2] for text in ax.get_xticklabels()]
    assert names == list(ELEMENTS)
    for k, values in enumerate(shares.values()):
        heights = [bar.get_height() for ax in axes[:2] for bar in ax.containers[k]]
        assert heights == pytest.approx(100 * values)
    assert axes[1].lines[0].get_ydata() == pytest.approx(np.full(40, 25))
    assert len(axes[0].get_legend().get_texts()) == 3


def test_parameters_are_drawn_inside_their_limits(source, axes):
    pytest.importorskip("seaborn")
    paper = chapter.drawn_parameters(source.simulator, 2000, seed=1)
    assert list(paper) == list(chapter.PARAMETERS)
    for name, (setting, _) in chapter.PARAMETERS.items():
        if setting is not None:
            low, high = getattr(PAPER, setting)
            found = paper[name].min(), paper[name].max()
            slack = 0.05 * (high - low)  # windows end at whole eV; 2000 draws come near both ends
            assert found == pytest.approx((low, high), abs=slack), name
            assert low - 1 <= found[0] < found[1] <= 1.001 * high, name
    wide = chapter.drawn_parameters(source.simulator, 2000, seed=1, settings=SimulationSettings())
    assert wide["Jump ratio"].max() > 5 > paper["Jump ratio"].max()
    chapter.plot_parameters({"paper": paper, "default": wide}, axes, limits=PAPER)
    jump, dispersion = (axes[list(chapter.PARAMETERS).index(name)]
                        for name in ("Jump ratio", "Dispersion (eV per channel)"))  # fmt: skip
    dotted = [line.get_xdata()[0] for line in jump.lines if line.get_linestyle() == ":"]
    assert dotted == list(PAPER.jump_ratio)
    assert [line.get_xdata()[0] for line in dispersion.lines if line.get_label() == "paper"] == [1]
    assert [ax.get_xlabel() for ax in axes] == list(chapter.PARAMETERS)
