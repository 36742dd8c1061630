"""Element maps of spectrum images by the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import convolve

from coreloss.axis import TYPICAL_AXIS_ERROR_EV, check_axis_error
from coreloss.edges import ELEMENT_INDEX, ELEMENTS
from coreloss.identification.few_counts import borne_out
from coreloss.identification.trained_model import DEFAULT_MODEL, Model, model_of
from coreloss.mapping.rules import (
    FALSE_PIXELS,
    PAPER_SHARE,
    Detection,
    around_largest,
    consistent,
    controlled,
)
from coreloss.mapping.shared_noise import noise_is_shared
from coreloss.mapping.stream import applied, check_target, stream
from coreloss.runtime import hdf5
from coreloss.runtime.border import border, library
from coreloss.runtime.files import replacing
from coreloss.runtime.hdf5_room import hdf5_file, reserve
from coreloss.runtime.threads import at_once
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.spectra.image import SpectrumImage, open_image
from coreloss.spectra.network_input import observable, preprocess
from coreloss.spectra.repair import between_missing
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import NAMED_FROM_EV, usable_window, without_faults

MAPS_VERSION = 1
TOGETHER = 96
"""Spectra that are resampled and shown to the network together: few enough for the cache."""
MOST_SUMMED = 1000
RUN = 512
"""Spectra in which it is looked for noise that neighbours share."""
SHARED_NOISE = (
    "neighbouring spectra share their noise (denoised, filtered or smoothed?): what hangs together"
    f" may be chance; elements in at least {PAPER_SHARE:.0%} of the spectra are given instead"
)


@dataclass(frozen=True, eq=False)
class ElementMaps:
    """Probabilities of all elements in every pixel.

    probability (*map_shape, 80) float32 : NaN where an element has no edge in the window
    fingerprint : of the network, see `trained_model.Model`; empty in files of former versions
    around : probability of detected elements in the sum around their largest cluster
    independent : every pixel has noise of its own; not in denoised images
    """

    probability: np.ndarray
    threshold: float
    absent_threshold: float
    window_ev: tuple[float, float]
    model: str
    title: str = ""
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    around: Mapping[str, float] = field(default_factory=dict)
    independent: bool = True

    @property
    def map_shape(self) -> tuple[int, ...]:
        return self.probability.shape[:-1]

    @property
    def observable(self) -> np.ndarray:
        """Elements with an edge in the window, (80,) bool."""
        return np.isfinite(self.probability).any(tuple(range(self.probability.ndim - 1)))

    @property
    def decision(self) -> np.ndarray:
        """Where each element is called, (*map_shape, 80) bool."""
        return np.nan_to_num(self.probability) >= self.threshold

    def of(self, element: str) -> np.ndarray:
        """Probability of one element, (*map_shape)."""
        if element not in ELEMENT_INDEX:
            raise ValueError(f"element is {element!r}; allowed: one of the 80, Be..Bi")
        return self.probability[..., ELEMENT_INDEX[element]]

    def claimed(self, *, false_share: float = FALSE_PIXELS) -> np.ndarray:
        """Pixels of each element, an expected share of them wrong, see `mapping.rules`."""
        return controlled(self.probability, false_share=false_share)

    def detections(self, **options: float) -> tuple[Detection, ...]:
        """What hangs together in space, see `rules.consistent`."""
        return consistent(
            self.decision,
            observable=self.observable,
            around=self.around,
            independent=self.independent,
            **options,
        )

    def present(self, **options: float) -> tuple[str, ...]:
        """Elements that the image contains, by falling share of the pixels."""
        return tuple(d.element for d in self.detections(**options) if d.detected)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON: the elements that were called, and what of it is by chance."""
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "map_shape": list(self.map_shape),
            "window_ev": list(self.window_ev),
            "threshold": self.threshold,
            "present": list(self.present()),
            "detections": [asdict(found) for found in self.detections()],
            "warnings": list(self.warnings),
        }

    def save(self, path: str | Path) -> None:
        """Write to an HDF5 file, as `load_maps` reads it."""
        with replacing(path) as temporary, hdf5_file(temporary) as file:
            reserve(file, 2 * self.probability.nbytes)
            file.create_dataset("probability", data=self.probability, compression="gzip")
            about = {f.name: getattr(self, f.name) for f in fields(self)[1:]}
            file.attrs.update(_attributes(about) | {"map_shape": self.map_shape})

    def signals(self, elements: Iterable[str] | None = None) -> dict[str, Any]:
        """HyperSpy signals of the probability of each element, the detected ones by default.

        As eXSpy returns intensities: the map is the signal, the element is in the title and in
        ``metadata.Sample``. ValueError when HyperSpy is not installed.
        """
        names = self.present() if elements is None else tuple(elements)
        about = {"model": self.model, "present_threshold": self.threshold}
        return {e: map_signal(self.of(e), f"Probability of {e}", element=e, **about) for e in names}


@dataclass(frozen=True)
class NetworkWork:
    """Probabilities of the spectra of a piece, for `stream.applied`; a name reaches a cluster."""

    model: str | Model
    window_ev: tuple[float, float]
    shift_ev: float = 0.0
    axis_error_ev: float = TYPICAL_AXIS_ERROR_EV

    def __call__(self, spectrum: Spectrum, start: int = 0) -> dict[str, np.ndarray]:
        p = probabilities(
            spectrum,
            model_of(self.model),
            window_ev=self.window_ev,
            shift_ev=self.shift_ev,
            axis_error_ev=self.axis_error_ev,
        )
        return {"probability": p}


def map_elements(
    data: Any,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    window_ev: tuple[float, float] | None = None,
    shift_ev: float = 0.0,
    axis_error_ev: float = TYPICAL_AXIS_ERROR_EV,
    pool: int = 1,
    out: str | Path | None = None,
    client: Any = None,
    progress: bool = False,
) -> ElementMaps:
    """Probabilities of all elements in every spectrum of an image.

    Parameters
    ----------
    data
        What `image.open_image` takes: path, `Spectrum`, HyperSpy signal. A series of images is
        mapped as one, see `image.SpectrumImage.as_one_map`.
    window_ev
        Energies to use, after the shift; by default the usable part of the sum.
    shift_ev
        Added to every energy.
    axis_error_ev
        Standard deviation of the energies, as for `identify`.
    pool
        Odd number: every pixel is seen together with the pool x pool pixels around it, for low
        doses. Needs the image in memory.
    out
        HDF5 file, written piece by piece; an interrupted run goes on. Needed for a ``client``.
    client
        A ``dask.distributed.Client`` whose workers do the work.

    Raises
    ------
    ValueError
        When the data cannot be read, or an option does not fit.
    """
    check_target(out, client)
    check_axis_error(axis_error_ev)
    image = open_image(data).as_one_map()
    if pool != 1:
        image = open_image(pooled(image, pool))
    if out is not None and isinstance(model, Model):
        raise ValueError("a loaded model cannot be sent; give its name or path with out=...")
    seen = image.read(0, 1) if window_ev is not None and image.complete else image.sum()
    window, notes = map_window(seen.shift(shift_ev), window_ev)
    loaded = model_of(model)
    run = image.read(0, min(len(image), RUN)).shift(shift_ev).crop(*window)
    independent = not noise_is_shared(run.counts)
    about: dict[str, Any] = {
        "threshold": loaded.present_threshold,
        "absent_threshold": loaded.absent_threshold,
        "window_ev": window,
        "model": loaded.name,
        "fingerprint": loaded.fingerprint,
        "title": image.title,
        "warnings": notes if independent else (*notes, SHARED_NOISE),
        "around": {},
        "independent": independent,
    }
    axis: dict[str, float] = {"shift_ev": shift_ev, "axis_error_ev": axis_error_ev}
    work = NetworkWork(model if isinstance(model, Model) else str(model), window, **axis)
    attributes = _attributes(about) | axis | {"pool": pool}

    def conclude(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        found = ElementMaps(values["probability"], **about)
        return {"around": around_clusters(image, found, loaded, **axis)}

    if out is not None:
        how: dict[str, Any] = {"client": client, "progress": progress, "conclude": conclude}
        return load_maps(stream(image, work, out, attributes=attributes, **how))
    values = applied(image, work)
    return ElementMaps(values["probability"], **about | conclude(values))


def map_window(
    total: Spectrum, window_ev: tuple[float, float] | None, *, from_ev: float = NAMED_FROM_EV
) -> tuple[tuple[float, float], tuple[str, ...]]:
    """Energies of an image to use, and notes on what was cut off.

    The usable part of ``total``, the sum of the image, above ``from_ev``, unless a window is given,
    which must lie on its axis, and at whose ends no spectrum may lack values.
    """
    if window_ev is not None:
        low, high = map(float, window_ev)
        used = total.crop(low, high)
        part = between_missing(~np.isfinite(used.counts[0]))
        ends = used.counts.copy()
        ends[:, part] = 1.0
        replace(used, counts=ends).mended()
        return (low, high), total.warnings
    whole = total.without_missing_ends()
    usable = usable_window(whole, from_ev=from_ev)
    return (usable.lo_ev, usable.hi_ev), (*whole.warnings, *usable.reasons)


def probabilities(
    spectrum: Spectrum,
    model: Model,
    *,
    window_ev: tuple[float, float],
    shift_ev: float = 0.0,
    axis_error_ev: float = TYPICAL_AXIS_ERROR_EV,
) -> np.ndarray:
    """Probabilities (m, 80) float32 of each spectrum, NaN where not observable."""
    used = spectrum.shift(shift_ev) if shift_ev else spectrum
    used = used.crop(*window_ev).mended()

    def batch(start: int) -> np.ndarray:
        few = replace(used, counts=used.counts[start : start + TOGETHER], map_shape=())
        counts = without_faults(few).counts
        inputs = preprocess(counts, used.energy_ev, axis_error_ev=axis_error_ev)
        p = np.where(observable(inputs), model.probability(inputs), np.nan)
        limits = {"present": model.present_threshold, "absent": model.absent_threshold}
        return borne_out(p, inputs, counts, **limits).astype(np.float32)

    return np.concatenate(at_once(batch, range(0, len(used), TOGETHER)))


def pooled(data: Any, size: int) -> Spectrum:
    """Every spectrum of an image, or line, summed with its ``size`` x ``size`` neighbourhood.

    Fewer neighbours at the borders. ValueError unless ``size`` is an odd number above 0.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"pool is {size}; allowed: odd numbers, 1, 3, 5 ...")
    image = open_image(data)
    whole = image.read(0, len(image)).mended()
    counts = whole.counts.reshape(*image.map_shape, -1)
    kernel = np.ones((size,) * len(image.map_shape) + (1,))
    summed = convolve(counts, kernel, mode="constant")
    return replace(whole, counts=summed.reshape(len(image), -1), map_shape=image.map_shape)


def around_clusters(
    image: SpectrumImage, maps: ElementMaps, model: Model, **axis: float
) -> dict[str, float]:
    """Probability of each detected element in the sum of the spectra around its largest cluster.

    Of up to `MOST_SUMMED` of them, evenly spread. ``axis``: shift and error as for `probabilities`.
    """
    decision, rows = maps.decision, {}
    for element in maps.present():
        near = np.flatnonzero(around_largest(decision[..., ELEMENT_INDEX[element]]))
        spread = np.linspace(0, len(near) - 1, min(len(near), MOST_SUMMED)).astype(int)
        rows[element] = near[spread]
    if not rows:
        return {}
    read = np.unique(np.concatenate(list(rows.values())))
    spectra, found = image.sample(read), {}
    for element, wanted in rows.items():
        counts = spectra.counts[np.searchsorted(read, wanted)]
        own = replace(spectra, counts=counts, map_shape=())
        p = probabilities(own.sum(), model, window_ev=maps.window_ev, **axis)
        found[element] = round(float(np.nan_to_num(p[0, ELEMENT_INDEX[element]])), 4)
    return found


def load_maps(path: str | Path) -> ElementMaps:
    """Maps from a file of `ElementMaps.save` or `map_elements`."""
    what = "element maps"
    with border(path, what=what), hdf5.opened(path) as file:
        check_version(file.attrs.get(FORMAT_VERSION), MAPS_VERSION, what=str(path))
        with library(path, what=what):
            about = {name: file.attrs[name] for name in ("model", "title")}
            return ElementMaps(
                probability=file["probability"][()],
                threshold=float(file.attrs["present_threshold"]),
                absent_threshold=float(file.attrs["absent_threshold"]),
                window_ev=tuple(json.loads(file.attrs["window_ev"])),
                warnings=tuple(json.loads(file.attrs["warnings"])),
                around=json.loads(file.attrs["around"]),
                independent=bool(file.attrs["independent"]),
                fingerprint=str(file.attrs.get("fingerprint", "")),
                **about,
            )


def map_signal(values: np.ndarray, title: str, *, element: str, **about: Any):
    """A HyperSpy signal of one map or line; ValueError when HyperSpy is not installed."""
    try:
        from hyperspy.signals import BaseSignal
    except ImportError:
        raise ValueError("HyperSpy is not installed; try: pip install hyperspy") from None
    signal = BaseSignal(np.asarray(values))
    signal = signal.transpose(signal_axes=min(values.ndim, 2))
    signal.metadata.General.title = title
    signal.metadata.add_dictionary({"Sample": {"elements": [element]}, "coreloss": about})
    return signal


def _attributes(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says besides the probabilities: the fields of `ElementMaps`."""
    lists = {name: json.dumps(about[name]) for name in ("window_ev", "warnings", "around")}
    numbers = {"present_threshold": about["threshold"], "elements": json.dumps(ELEMENTS)}
    names = ("absent_threshold", "model", "fingerprint", "title", "independent")
    plain = {name: about[name] for name in names} | {FORMAT_VERSION: MAPS_VERSION}
    return plain | lists | numbers
