"""The figure of one answer, with and without what supports it; sliders redraw it."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from helpers import BELOW, ENERGY_EV, EVIDENCE, answer

from coreloss.edges import ELEMENTS
from coreloss.figures import explore as plot_explore
from coreloss.figures import sliders
from coreloss.figures.identification import (
    draw_identification,
    label_levels,
    local_background,
    weakest_edges,
)
from coreloss.identification.edge_fit import EdgeEvidence
from coreloss.identification.identify import Identification
from coreloss.spectra.spectrum import Spectrum


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_figure_has_spectrum_zooms_and_table():
    figure = draw_identification(answer())
    figure.canvas.draw()
    spectrum, first, second, table, _ = figure.axes
    assert [ax.get_title() for ax in (first, second)] == [
        "O K 530 eV, z = 8",
        "Ti L23 457 eV, z = 28",
    ]
    assert first.get_xlim() == (490, 570)
    styles = {t.get_text(): t.get_color() for t in spectrum.texts}
    assert list(styles) == ["N K", "Ti L", "V L", "O K"]  # tin is too unlikely
    assert styles["Ti L"] == styles["O K"] != styles["N K"]
    dashes = {line.get_xdata()[0]: line.get_linestyle() for line in spectrum.lines[2:]}
    assert (dashes[456.0], dashes[532.0], dashes[401.0]) == ("-", "-", "--")
    assert "0.97" in texts(table)
    assert "made" in figure.get_suptitle()


def test_labels_do_not_overlap():
    figure = draw_identification(answer())
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    crossings = [a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert len(crossings) > 3
    assert not any(crossings)


def test_label_levels_keep_texts_off_each_other_and_off_lines():
    starts, widths = [0.0, 1.0, 1.5, 8.0, 8.5], [3.0, 3.0, 3.0, 3.0, 3.0]
    levels = label_levels(starts, widths)
    for i, start in enumerate(starts):
        for j, other in enumerate(starts):
            if start < other < start + widths[i]:
                assert levels[i] > levels[j]
    assert levels == [2, 1, 0, 1, 0]


def test_background_is_drawn():
    spectrum = draw_identification(answer()).axes[0]
    assert spectrum.lines[1].get_label() == "background of the fit"
    np.testing.assert_allclose(spectrum.lines[1].get_ydata(), BELOW)


def test_zooms_show_counts_above_a_local_background():
    _, oxygen, titanium, *_ = draw_identification(answer()).axes
    for ax, onset_ev, share in ((oxygen, 530, 0.1), (titanium, 457, 1.0)):
        energy_ev, above = ax.lines[0].get_data()
        below = np.interp(energy_ev, ENERGY_EV, BELOW)
        before, behind = energy_ev < onset_ev, energy_ev > onset_ev
        assert np.abs(above[before] / below[before]).max() < 1e-6
        np.testing.assert_allclose(above[behind], share * below[behind], rtol=1e-3)


@pytest.mark.parametrize("missing", [None, np.full((1, 400), np.nan)])
def test_unknown_background_is_left_out(missing, monkeypatch):
    monkeypatch.setattr(Identification, "background", property(lambda self: missing))
    spectrum, zoom, *_ = draw_identification(answer()).axes
    assert len(spectrum.lines) == 1 + 4
    assert np.isfinite(zoom.lines[0].get_ydata()).all()


def test_local_background_bears_energies_and_counts_that_have_no_power_law():
    energy_ev = np.arange(-5.0, 75.0)
    for counts in (np.exp(-energy_ev / 30), np.zeros(80), -np.ones(80)):
        assert np.isfinite(local_background(energy_ev, counts, fit_ev=(10.0, 30.0))).all()
        assert np.isfinite(local_background(energy_ev, counts, fit_ev=(10.0, 10.0))).all()


def with_steps(result, steps):
    """The answer for counts with a step at each of some energies, in shares of what is below."""
    counts = BELOW * np.prod([1 + share * (e <= ENERGY_EV) for e, share in steps.items()], axis=0)
    return replace(result, spectrum=Spectrum(ENERGY_EV, counts))


def test_weakest_edges_have_the_smallest_relative_steps():
    for small, large, order in ((530.0, 457.0, ["O", "Ti"]), (457.0, 530.0, ["Ti", "O"])):
        result = with_steps(answer(), {small: 0.02, large: 0.5})
        assert [edge.element for edge in weakest_edges(result)] == order


def test_local_background_ends_before_an_edge_that_is_close():
    close = EdgeEvidence("O", "O K", 466.0, 466.0, 9.0)
    result = with_steps(answer(evidence=(EVIDENCE[0], close)), {457.0: 0.2})
    for ax in draw_identification(result).axes[1:3]:
        energy_ev, above = ax.lines[0].get_data()
        np.testing.assert_allclose(above[energy_ev < 457], 0, atol=1e-6 * BELOW[0])


def test_without_evidence_there_are_no_zooms():
    figure = draw_identification(answer(evidence=()))
    figure.canvas.draw()
    assert len(figure.axes) == 3  # spectrum, table and its colours
    assert weakest_edges(answer(evidence=())) == ()


def test_energies_outside_the_window_are_grey():
    result = replace(answer(window_ev=(400.0, 700.0)), cut_ev=(0.0, 749.0))
    ax = draw_identification(result).axes[0]
    spans = sorted((p.get_x(), p.get_x() + p.get_width()) for p in ax.patches)
    assert spans[0][0] < 350
    assert [round(spans[0][1]), round(spans[1][0])] == [400, 700]
    assert not draw_identification(answer()).axes[0].patches


@pytest.mark.parametrize("scale", ["log", "sqrt", "linear"])
def test_rows_and_scales(scale):
    figure = draw_identification(answer(m=3), row=2, scale=scale)
    figure.canvas.draw()
    assert "spectrum 3 of 3" in figure.get_suptitle()
    with pytest.raises(ValueError, match="row is 3; allowed: 0 to 2"):
        draw_identification(answer(m=3), row=3)


def test_nothing_found_is_said():
    result = answer(evidence=())
    empty = replace(result, probability=np.where(result.observable, 0.001, np.nan)[None])
    assert "no element" in draw_identification(empty).get_suptitle()
    assert len(ELEMENTS) == empty.probability.shape[1]


@pytest.fixture
def asked(monkeypatch):
    """Windows and shifts that were identified."""
    calls = []

    def identify(spectrum, *, model, window_ev=None, shift_ev=0.0, evidence=None):
        calls.append((window_ev, shift_ev))
        if window_ev is not None and window_ev[1] - window_ev[0] < 50:
            raise ValueError("window too narrow")
        return answer()

    for module in (sliders, plot_explore):
        monkeypatch.setattr(module, "identify", identify)
    return calls


def test_explore_without_widgets_shows_three_settings(asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    for interactive in (None, False):
        figure = sliders.explore(answer().spectrum, interactive=interactive)
        figure.canvas.draw()
        titles = [ax.get_title(loc="left") for ax in figure.axes[::2]]
        assert titles[0] == "As it is, 350 to 749 eV: O Ti"
        assert len(titles) == 3
    with pytest.raises(ValueError, match="pip install ipywidgets"):
        sliders.explore(answer().spectrum, interactive=True)
    assert asked == [(None, 0.0), ((350.0, 549.5), 0.0), (None, 8.0)] * 2


def test_settings_need_results_of_their_own():
    with pytest.raises(ValueError, match="0 results for 1 settings"):
        plot_explore.draw_settings([], [plot_explore.Setting("any")])


def test_explore_redraws_when_a_slider_moves(asked):
    pytest.importorskip("ipywidgets")
    pytest.importorskip("IPython")
    _file, window, shift, _output = sliders.explore(answer().spectrum).children
    shift.value = 2.0
    window.value = (400.0, 600.0)
    window.value = (400.0, 420.0)  # said in the output, not raised
    assert asked == [(None, 0.0), (None, 2.0), ((402.0, 602.0), 2.0), ((402.0, 422.0), 2.0)]


def test_another_file_is_asked_with_its_own_window(asked, capsys):
    pytest.importorskip("ipywidgets")
    pytest.importorskip("IPython")
    file, window, shift, _output = sliders.explore(answer().spectrum).children
    shift.value = 2.0
    lines = "\n".join(f"{e},{1e6 / e}" for e in range(500, 900))
    file.value = [_upload("other.csv", lines)]
    assert (window.min, window.max, shift.value) == (500.0, 899.0, 0.0)
    assert window.value == (500.0, 899.0)
    assert asked[-1] == (None, 0.0)
    n = len(asked)
    file.value = [_upload("broken.csv", "nothing here")]
    assert len(asked) == n
    assert "broken.csv" in capsys.readouterr().out
    assert window.value == (500.0, 899.0)


def _upload(name, text):
    content = memoryview(text.encode())
    about = {"type": "text/csv", "size": len(text), "last_modified": datetime.now(UTC)}
    return {"name": name, "content": content, **about}
