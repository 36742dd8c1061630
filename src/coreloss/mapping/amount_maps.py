"""Amounts in whole images, the elements found by the network: no hand in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from coreloss.identification.identify import identify
from coreloss.identification.trained_model import DEFAULT_MODEL, Model, model_of
from coreloss.mapping.element_maps import map_elements, map_signal, map_window, probabilities
from coreloss.mapping.rules import paper_rule
from coreloss.mapping.stream import applied, check_target
from coreloss.quantification.linear_model import quantifiable
from coreloss.quantification.low_loss import LowLoss, measured_low_loss
from coreloss.quantification.plan import Plan, make_plan, sample_rows
from coreloss.quantification.quantify import apply_plan
from coreloss.runtime import hdf5
from coreloss.runtime.border import border, library
from coreloss.runtime.files import replacing
from coreloss.runtime.hdf5_room import hdf5_file, reserve
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.spectra.image import Source, SpectrumImage, open_image, reopened
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import CORE_LOSS_EV, NAMED_FROM_EV

SUMMED_UP_TO = 3
"""Spectra up to which their sum is identified, not each of them."""
WHOLE_MAP = 20_000
"""Spectra up to which all are asked for their elements, and not a sample."""
THICKEST = 1e5
"""Atoms/nm^2 in a micrometre of a solid."""
AMOUNTS_VERSION = 1
ADDED = ("model", "fingerprint")
"""What the first files of this version do not have."""
DATASETS = ("amount", "error", "fraction", "fraction_error", "goodness", "thickness_mfp")


@dataclass(frozen=True, eq=False)
class AmountMaps:
    """Amounts of k elements in every pixel.

    amount, error (*map_shape, k) : atoms/nm^2 if ``absolute``, else relative; standard deviations
    fraction, fraction_error (*map_shape, k) : among these elements
    goodness (*map_shape) : chi^2 per degree of freedom; thickness_mfp (*map_shape)
    shifts_ev : where the edges were found, relative to the tables
    overall : atomic fraction and its error in the sum of all spectra, where weak elements do not
        suffer from amounts that cannot be negative
    left_out : elements that were found, but have too little of an edge in the window
    model, fingerprint : the network that found the elements, see `trained_model.Model`; empty where
        they were named
    """

    elements: tuple[str, ...]
    amount: np.ndarray
    error: np.ndarray
    fraction: np.ndarray
    fraction_error: np.ndarray
    goodness: np.ndarray
    thickness_mfp: np.ndarray
    absolute: bool
    window_ev: tuple[float, float]
    shifts_ev: Mapping[str, float]
    overall: Mapping[str, tuple[float, float]]
    left_out: tuple[str, ...] = ()
    title: str = ""
    warnings: tuple[str, ...] = ()
    model: str = ""
    fingerprint: str = ""

    @property
    def unit(self) -> str:
        return "atoms/nm^2" if self.absolute else "relative"

    def of(self, element: str) -> tuple[np.ndarray, np.ndarray]:
        """Amount of one element and its standard deviation, (*map_shape) each."""
        if element not in self.elements:
            raise ValueError(f"element is {element!r}; allowed: {', '.join(self.elements)}")
        k = self.elements.index(element)
        return self.amount[..., k], self.error[..., k]

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON: the mean composition and how it was found."""
        return {
            "elements": {
                e: {"atomic_fraction": round(share, 4), "error": round(error, 4)}
                for e, (share, error) in self.overall.items()
            },
            "unit": self.unit,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "window_ev": list(self.window_ev),
            "shifts_ev": dict(self.shifts_ev),
            "goodness": float(np.nanmedian(self.goodness)),
            "left_out": list(self.left_out),
            "warnings": list(self.warnings),
        }

    def save(self, path: str | Path) -> None:
        """Write to an HDF5 file, as `load_amounts` reads it."""
        with replacing(path) as temporary, hdf5_file(temporary) as file:
            for name in DATASETS:
                reserve(file, getattr(self, name).nbytes)
                file.create_dataset(name, data=getattr(self, name))
            about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in DATASETS}
            about[FORMAT_VERSION] = AMOUNTS_VERSION
            for name, value in about.items():
                file.attrs[name] = json.dumps(value)

    def signals(self, what: str = "amount") -> dict[str, Any]:
        """HyperSpy signals of one of the datasets, one for each element."""
        if what not in DATASETS[:4]:
            raise ValueError(f"{what!r} is asked for; allowed: {', '.join(DATASETS[:4])}")
        values = getattr(self, what)
        about = {"unit": self.unit if what in DATASETS[:2] else "atomic fraction"}
        return {
            e: map_signal(values[..., k], f"{what.capitalize()} of {e}", element=e, **about)
            for k, e in enumerate(self.elements)
        }


@dataclass(frozen=True)
class AmountsWork:
    """Amounts of the spectra of a piece, for `stream.applied`.

    ``low_loss`` : one for all, one for each spectrum of the image, or the file with them.
    """

    plan: Plan = field(repr=False)
    low_loss: LowLoss | Source | None = field(repr=False)
    exposure_ratio: float
    shift_ev: float
    key: str

    def __call__(self, spectrum: Spectrum, start: int) -> dict[str, np.ndarray]:
        stop = start + len(spectrum)
        low_loss = self.low_loss
        if isinstance(low_loss, tuple):
            part = reopened(low_loss).read(start, stop)
            low_loss = measured_low_loss(
                part, exposure_ratio=self.exposure_ratio, usual=self.plan.low_loss
            )
        elif low_loss is not None:
            low_loss = low_loss[start:stop]
        found = apply_plan(self.plan, spectrum.shift(self.shift_ev), low_loss=low_loss)
        thickness = (low_loss or self.plan.low_loss).thickness_mfp.numpy()
        results = {name: getattr(found, name) for name in DATASETS[:-1]}
        results["thickness_mfp"] = np.broadcast_to(thickness, len(found))
        return {name: values.astype(np.float32) for name, values in results.items()}


def quantify_image(
    data: Any,
    *,
    low_loss: Any = None,
    elements: Sequence[str] | str = "auto",
    window_ev: tuple[float, float] | None = None,
    shift_ev: float = 0.0,
    exposure_ratio: float = 1.0,
    model: str | Path | Model = DEFAULT_MODEL,
    out: str | Path | None = None,
    client: Any = None,
    progress: bool = False,
    **options: Any,
) -> AmountMaps:
    """Amounts in every spectrum of an image, line or file.

    Parameters
    ----------
    data, low_loss
        What `image.open_image` takes, a series of images as for `element_maps.map_elements`; the
        low loss is one for all or one for each pixel, and may be in the same file.
    elements
        Names, or ``auto``: those that the network finds.
    window_ev, shift_ev
        Energies to use, after the shift that is added to all energies of the core loss.
    exposure_ratio
        Exposure of the core loss over that of the low loss.
    out, client, progress
        As for `element_maps.map_elements`.
    options
        As for `plan.make_plan`.

    Raises
    ------
    ValueError
        When nothing can be quantified, or the data or options do not fit.
    """
    check_target(out, client)
    asked = model_of(model) if elements == "auto" else None
    image = open_image(data).as_one_map()
    source = None if low_loss is None else open_image(low_loss, zero_loss=True).as_one_map()
    scattering, sampled = _scattering(source, image, exposure_ratio)
    total = image.sum().shift(shift_ev)
    from_ev = NAMED_FROM_EV if elements == "auto" else CORE_LOSS_EV
    window, notes = map_window(total, window_ev, from_ev=from_ev)
    names = (
        found_elements(image, window_ev=window, shift_ev=shift_ev, model=asked)
        if asked is not None
        else tuple(elements)
    )
    usable = tuple(e for e in names if quantifiable(e, window)) if elements == "auto" else names
    if not usable:
        raise ValueError(
            f"no element to quantify between {window[0]:g} and {window[1]:g} eV; name them, or"
            " widen the window"
        )
    sample = image.sample(sample_rows(len(image))).shift(shift_ev)
    plan = make_plan(total.crop(*window), sample, elements=usable, low_loss=sampled, **options)
    whole = apply_plan(plan, total)
    mean = float(whole.amount.sum()) / len(image)
    absolute = plan.low_loss.electrons is not None and mean < THICKEST
    if low_loss is not None and not absolute:
        notes = (
            *notes,
            f"{mean:.1e} atoms/nm^2 would be more than a micrometre: amounts are relative until the"
            f" ratio of exposures, {exposure_ratio:g} now, is given",
        )
    shares = zip(whole.fraction[0].tolist(), whole.fraction_error[0].tolist(), strict=True)
    about: dict[str, Any] = {
        "elements": usable,
        "overall": dict(zip(usable, shares, strict=True)),
        "absolute": absolute,
        "window_ev": plan.window_ev,
        "shifts_ev": dict(plan.model.shifts_ev),
        "left_out": tuple(e for e in names if e not in usable),
        "title": image.title,
        "warnings": (*notes, *plan.low_loss.warnings, *plan.warnings),
        "model": asked.name if asked else "",
        "fingerprint": asked.fingerprint if asked else "",
    }
    settings = repr((plan.model.first, plan.model.exponents, plan.noise, plan.beam))
    key = hashlib.sha256(plan.model.sharp.numpy().tobytes() + settings.encode()).hexdigest()
    work = AmountsWork(plan, scattering, exposure_ratio, shift_ev, key)
    stored = about | {FORMAT_VERSION: AMOUNTS_VERSION}
    as_json = {name: json.dumps(value) for name, value in stored.items()}
    how: dict[str, Any] = {"attributes": as_json, "client": client, "progress": progress}
    values: dict[str, Any] = applied(image, work, out=out, **how)
    return AmountMaps(**values, **about)


def found_elements(
    image: SpectrumImage,
    *,
    window_ev: tuple[float, float],
    shift_ev: float = 0.0,
    model: str | Path | Model = DEFAULT_MODEL,
) -> tuple[str, ...]:
    """Elements that the network finds in an image, by what hangs together in its maps.

    Up to `SUMMED_UP_TO` spectra are summed; of more than `WHOLE_MAP` a sample is asked, and 1 % of
    its spectra must have an element.
    """
    if len(image) <= SUMMED_UP_TO:
        found = identify(image.sum(), model=model, window_ev=window_ev, shift_ev=shift_ev)
        return found.present
    if len(image) <= WHOLE_MAP:
        maps = map_elements(image, model=model, window_ev=window_ev, shift_ev=shift_ev)
        return maps.present()
    loaded = model_of(model)
    some = image.sample(sample_rows(len(image)))
    p = probabilities(some, loaded, window_ev=window_ev, shift_ev=shift_ev)
    return paper_rule(np.nan_to_num(p) >= loaded.present_threshold)


def load_amounts(path: str | Path) -> AmountMaps:
    """Amounts from a file of `AmountMaps.save` or `quantify_image`."""
    what = "a file of amounts"
    with border(path, what=what), hdf5.opened(path) as file:
        check_version(file.attrs.get(FORMAT_VERSION), AMOUNTS_VERSION, what=str(path))
        with library(path, what=what):
            values = {name: file[name][()] for name in DATASETS}
            names = [f.name for f in fields(AmountMaps) if f.name not in DATASETS]
            known = [name for name in names if name not in ADDED or name in file.attrs]
            stored = {name: json.loads(file.attrs[name]) for name in known}
            about: dict[str, Any] = {
                n: tuple(v) if type(v) is list else v for n, v in stored.items()
            }
            return AmountMaps(**values, **about)


def _scattering(
    source: SpectrumImage | None, image: SpectrumImage, exposure_ratio: float
) -> tuple[LowLoss | Source | None, LowLoss | None]:
    """Low losses of all pixels, or the file with them, and those of the sample."""
    if source is None:
        return None, None
    fits = source.map_shape == image.map_shape or source.map_shape == (len(image),)
    if len(source) > 1 and not fits:
        raise ValueError(
            f"the low loss has {source.map_shape} spectra, the core loss {image.map_shape};"
            " allowed: one low loss for all, or one for each in the same order; transpose or crop"
            " one of them"
        )
    if len(source) == 1 or not source.lazy:
        whole = measured_low_loss(source.read(0, len(source)), exposure_ratio=exposure_ratio)
        return whole, whole[sample_rows(len(image))]
    sampled = measured_low_loss(
        source.sample(sample_rows(len(image))), exposure_ratio=exposure_ratio
    )
    return source.source, sampled
