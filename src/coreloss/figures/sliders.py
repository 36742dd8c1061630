"""A file, a window and a shift of the axis, and the answer that follows them, in a notebook."""

from __future__ import annotations

import tempfile
from pathlib import Path

from coreloss.figures.explore import ask, draw_settings, png_bytes, usual_settings
from coreloss.figures.identification import draw_identification
from coreloss.identification.identify import identify
from coreloss.identification.trained_model import DEFAULT_MODEL, Model
from coreloss.spectra.hyperspy import as_spectrum
from coreloss.spectra.reading import read_spectrum
from coreloss.spectra.spectrum import Spectrum

SHIFT_EV = 20.0
"""So far the axis can be moved to either side."""


def explore(
    spectrum,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    scale: str = "log",
    interactive: bool | None = None,
):
    """A file chooser and sliders for window and shift that redraw `draw_identification`.

    ``spectrum`` as for `identify.identify`. Without ipywidgets, or where ``interactive`` is False,
    the Figure of `explore.draw_settings` for three settings.
    """
    whole = as_spectrum(spectrum).sum()
    widgets = None if interactive is False else _widgets(required=bool(interactive))
    if widgets is None:
        settings = usual_settings(whole)
        return draw_settings(ask(whole, settings, model=model), settings, scale=scale)
    return Sliders(widgets, whole, model, scale).box


class Sliders:
    """The widgets in their ``box``: chooser, window, shift, answer.

    A file that cannot be read, or a window that holds too little, says so in the place of the
    answer.
    """

    def __init__(self, widgets, whole: Spectrum, model: str | Path | Model, scale: str) -> None:
        self.model, self.scale = model, scale
        wide = {"continuous_update": False, "layout": widgets.Layout(width="90%")}
        named = {"style": {"description_width": "initial"}, **wide}
        self.file = widgets.FileUpload(description="Another file", multiple=False)
        self.window = widgets.FloatRangeSlider(
            min=0.0, max=1.0, step=1.0, description="Window (eV)", readout_format=".0f", **named
        )
        self.shift = widgets.FloatSlider(
            min=-SHIFT_EV, max=SHIFT_EV, step=0.5, description="Shift (eV)", **named
        )
        self.output = widgets.Output()
        self.box = widgets.VBox([self.file, self.window, self.shift, self.output])
        self.file.observe(self._choose, names="value")
        self._show(whole)

    def _show(self, whole: Spectrum) -> None:
        """Another spectrum: all of it, where it is."""
        for slider in (self.window, self.shift):
            slider.unobserve_all("value")
        self.whole = whole
        low, high = (float(whole.energy_ev[i]) for i in (0, -1))
        with self.window.hold_trait_notifications():
            self.window.min, self.window.max = low, high
            self.window.value = (low, high)
        self.shift.value = 0.0
        for slider in (self.window, self.shift):
            slider.observe(self._answer, names="value")
        self._answer()

    def _choose(self, _change=None) -> None:
        for upload in self.file.value:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / Path(upload["name"]).name
                path.write_bytes(upload["content"])
                try:
                    self._show(read_spectrum(path).sum())
                except (ValueError, OSError) as error:
                    self._say(str(error).replace(f"{folder}/", ""))

    def _answer(self, _change=None) -> None:
        from IPython.display import Image

        # the window moves with the axis: it stays on the same channels
        moved = tuple(limit + self.shift.value for limit in self.window.value)
        used = None if self.window.value == (self.window.min, self.window.max) else moved
        try:
            found = identify(
                self.whole, model=self.model, window_ev=used, shift_ev=self.shift.value
            )
            self._say(Image(png_bytes(draw_identification(found, scale=self.scale))))
        except ValueError as error:
            self._say(str(error))

    def _say(self, what) -> None:
        from IPython.display import display

        self.output.clear_output(wait=True)
        with self.output:
            print(what) if isinstance(what, str) else display(what)


def _widgets(*, required: bool):
    try:
        import ipywidgets
    except ImportError:
        if required:
            raise ValueError("sliders need ipywidgets; try: pip install ipywidgets") from None
        return None
    return ipywidgets
