"""Figures draw what they are given, on the Axes they are given."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from coreloss.edges import ATOMIC_NUMBER, ELEMENTS
from coreloss.figures import spectrum as plot
from coreloss.figures import tables as plot_tables
from coreloss.scoring import calibration as calibrate
from coreloss.study.one_spectrum import plot_steps


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    figure.canvas.draw()  # a figure that cannot be drawn is a failure
    plt.close("all")


ENERGY_EV = np.arange(350.0, 750.0)
COUNTS = 1e5 * (ENERGY_EV / 350) ** -3.0


def test_spectrum_with_onsets_inside_its_window(ax):
    assert plot.plot_spectrum(ENERGY_EV, COUNTS, ax, elements=["Ti", "C"], undetermined=["O"]) is ax
    spectrum, titanium, oxygen = ax.lines
    np.testing.assert_array_equal(spectrum.get_ydata(), COUNTS)
    assert titanium.get_xdata()[0] == 456
    assert (titanium.get_linestyle(), oxygen.get_linestyle()) == ("-", "--")
    assert [text.get_text() for text in ax.texts] == ["Ti L", "O K"]
    assert ax.get_yscale() == "log"


def test_names_of_close_edges_do_not_share_a_height(ax):
    close = ["V", "O", "Sb", "Te", "Sn", "Cr", "I"]
    plot.plot_spectrum(ENERGY_EV, COUNTS, ax, elements=close)
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert heights["V L"] != heights["Sb M"] != heights["O K"] != heights["V L"]
    ax.figure.set_size_inches(9, 4)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_names_of_edges_keep_apart_in_a_small_panel():
    figure, axes = plt.subplots(2, 3, figsize=(9, 5))
    for ax in axes.flat:
        plot.plot_spectrum(ENERGY_EV, COUNTS, ax, elements=["Ti", "V", "O", "Mn"])
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == 4
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    plt.close(figure)


def test_an_element_has_one_colour_and_neighbours_another(ax):
    shown = (["O", "Ti", "Mn", "La"], ["O", "Ti", "Sr", "Ba", "La", "Mn"], ["O", "Ca", "Fe", "Si"])
    for elements in shown:
        assert len({plot.element_colour(e) for e in elements}) == len(elements)
    style = {"x_label": "x", "y_label": "y"}
    plot.plot_lines([0, 1], {"fit": [0, 1], "La": [1, 0], "Ti": [1, 1]}, ax, **style)
    assert [line.get_color() for line in ax.lines] == [plot.BLUE, plot.RED, plot.ORANGE]


@pytest.mark.parametrize("scale", plot.SCALES)
def test_scales_show_zeros_and_negatives(ax, scale):
    counts = COUNTS.copy()
    counts[10], counts[20] = 0, -5
    plot.plot_spectrum(ENERGY_EV, counts, ax, scale=scale)
    low, high = ax.get_ylim()
    assert high >= COUNTS.max()
    assert scale != "log" or 0 < low < COUNTS.min()


def test_unknown_scale_is_refused(ax):
    with pytest.raises(ValueError, match="linear, log, sqrt"):
        plot.plot_spectrum(ENERGY_EV, COUNTS, ax, scale="logarithmic")


def test_overlay_has_mean_one(ax):
    simulated = np.stack([3 * COUNTS, COUNTS * np.linspace(1, 2, 400)])
    plot.plot_overlay(ENERGY_EV, 7 * COUNTS, simulated, ax)
    for line in ax.lines:
        assert line.get_ydata().mean() == pytest.approx(1)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["simulated", "measured"]


def test_steps_go_below_each_other():
    _, axes = plt.subplots(2)
    plot_steps(ENERGY_EV, {"edges": COUNTS, "noise": 2 * COUNTS}, axes)
    assert [ax.get_title(loc="left") for ax in axes] == ["edges", "noise"]
    with pytest.raises(ValueError, match="3 steps need 3 Axes, 2 given"):
        plot_steps(ENERGY_EV, dict.fromkeys("abc", COUNTS), axes)
    plt.close("all")


def test_periodic_table_cells_are_distinct_and_in_their_columns():
    cells = {e: plot_tables.table_cell(ATOMIC_NUMBER[e]) for e in ELEMENTS}
    assert len(set(cells.values())) == 80
    columns = {e: cells[e][1] for e in ("Be", "B", "Ne", "Na", "K", "Fe", "Kr", "Cs", "Hf", "Bi")}
    assert list(columns.values()) == [2, 13, 18, 1, 1, 8, 18, 1, 4, 15]
    assert [cells[e] for e in ("La", "Lu")] == [(8, 3), (8, 17)]


def test_periodic_table_colours_follow_the_values(ax):
    values = dict.fromkeys(ELEMENTS, 0.0) | {"O": 1.0, "Ti": np.nan}
    plot_tables.plot_periodic_table(values, ax, outlined=("O",))
    faces = dict(zip(ELEMENTS, (to_hex(p.get_facecolor()) for p in ax.patches), strict=True))
    assert faces["O"] == to_hex(matplotlib.colormaps["Blues"](1.0))
    assert faces["C"] == to_hex(matplotlib.colormaps["Blues"](0.0))
    assert faces["Ti"] == "#f4f4f4"
    assert to_hex(ax.patches[ELEMENTS.index("O")].get_edgecolor()).upper() == plot.RED


def test_probability_bars_are_sorted(ax):
    p = {"O": 0.9, "Ti": 0.95, "C": np.nan, "N": 0.3}
    plot_tables.plot_probabilities(p, ax, threshold=0.7, absent_threshold=0.1)
    assert [bar.get_width() for bar in ax.patches] == [0.3, 0.9, 0.95]
    assert to_hex(ax.patches[0].get_facecolor()) == plot.GREY


def test_lines_bars_surface_and_reliability():
    generator = np.random.default_rng(0)
    figure, axes = plt.subplots(2, 2)
    x = np.geomspace(1, 100, 20)
    curves = {"ours": 1 / x, "theirs": 1.1 / x}
    labels = {"x_label": "Energy (eV)", "y_label": "GOS (1/eV)"}
    plot.plot_lines(x, curves, axes[0, 0], x_scale="log", scale="log", **labels)
    plot.plot_bars(["O", "Ti"], {"a": [1, 2], "b": [2, 3]}, axes[0, 1], y_label="Share")
    plot.plot_surface(
        x, x, np.outer(1 / x, x), axes[1, 0], x_label="E", y_label="q", z_label="GOS", log=True
    )
    p = generator.random((500, 4))
    diagram = calibrate.reliability(generator.random(p.shape) < p, p)
    plot_tables.plot_reliability({"simulated": diagram}, axes[1, 1])
    figure.canvas.draw()
    assert [len(ax.lines) for ax in axes.flat] == [2, 0, 0, 2]
    assert [bar.get_height() for bar in axes[0, 1].patches] == [1, 2, 2, 3]
    plt.close("all")
