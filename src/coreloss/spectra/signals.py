"""Signals of a file as dictionaries of data, axes and metadata, and the choice among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from coreloss.spectra.axes import axis_values, find_energy_axis, name_of, unit_factor, unit_of, word
from coreloss.spectra.repair import check_extent
from coreloss.spectra.window import ZERO_LOSS_EV

INSTRUMENT = {
    "beam_energy_kev": "Acquisition_instrument.TEM.beam_energy",
    "convergence_mrad": "Acquisition_instrument.TEM.convergence_angle",
    "collection_mrad": "Acquisition_instrument.TEM.Detector.EELS.collection_angle",
}
OTHER_KINDS = ("EDS", "CL", "XRF", "WDS", "AES", "PES", "GAM")
SAMPLE = 64
"""Spectra of a map that are looked at for a zero-loss peak."""


def layout(
    signal: dict[str, Any], reader: str, notes: list[str]
) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Energies (n,), counts (m, n) as they are stored, and what `Spectrum` has besides.

    The counts of a lazily read signal stay a dask array.
    """
    which, energy = _energies(signal, notes)
    notes.extend(signal.get("notes", ()))
    counts = np.moveaxis(_data(signal), which, -1)
    axis = _axes(signal)[which]
    metadata = {"format": reader, "signal_type": _signal_type(signal), "axis_units": unit_of(axis)}
    details = {
        "title": title_of(signal),
        "map_shape": counts.shape[:-1] if counts[..., 0].size > 1 else (),
        "metadata": metadata,
    }
    return energy, counts.reshape(-1, counts.shape[-1]), details | _instrument(signal)


def choose(
    signals: list[dict[str, Any]], wanted: int | str | None, *, zero_loss: bool = False
) -> tuple[int, list[str]]:
    """Number of the signal to take, and notes on the choice.

    It is the one asked for by number or title, else that of the zero-loss peak if it is asked for,
    else the one that starts highest in energy: the core loss. ValueError, with what there is, when
    there is no such signal.
    """
    titles = [title_of(signal) for signal in signals]
    if wanted is not None:
        if (n := sum(title == wanted for title in titles)) > 1:
            raise ValueError(
                f"{n} signals are called {wanted!r}; give the number of one: {_listed(signals)}"
            )
        number = titles.index(wanted) if wanted in titles else wanted
        if not isinstance(number, int) or not 0 <= number < len(signals):
            raise ValueError(f"signal {wanted!r} is not in the file; allowed: {_listed(signals)}")
        return number, []
    readable: dict[int, np.ndarray] = {}
    errors: dict[str, None] = {}  # each reason once, in their order
    for number, signal in enumerate(signals):
        try:
            energy = np.sort(_energies(signal, [])[1])
            check_extent(energy)
            readable[number] = energy
        except ValueError as error:
            errors[str(error)] = None
    if not readable:
        raise ValueError("; ".join(errors))
    if zero_loss:
        readable = {i: energy for i, energy in readable.items() if _holds_zero_loss(signals[i])}
        if not readable:
            raise ValueError(
                f"no zero-loss peak: the file holds {_listed(signals)}; needed: a spectrum whose "
                f"maximum lies within {ZERO_LOSS_EV:g} eV of 0; give the file of the low loss"
            )
    number = max(readable, key=lambda i: (readable[i][0], _size(signals[i]), -i))
    if len(signals) == 1 or (len(readable) == 1 and not zero_loss):
        return number, []
    why = "the low loss" if zero_loss else "the highest in energy"
    listed = _listed(signals, of=None if zero_loss else set(readable))
    return number, [f"the file holds the spectra {listed}; read {number}, {why}"]


def title_of(signal: dict[str, Any]) -> str:
    return word(_walk(signal.get("metadata"), "General.title"))


def _listed(signals: list[dict[str, Any]], *, of: set[int] | None = None) -> str:
    """Number, title, kind and energies of the signals."""
    return ", ".join(
        f"{i} {title_of(signal)!r} ({_described(signal)})"
        for i, signal in enumerate(signals)
        if of is None or i in of
    )


def _described(signal: dict[str, Any]) -> str:
    kind = _signal_type(signal)
    try:
        energy = _energies(signal, [], any_kind=True)[1]
    except ValueError:
        return kind or ("image" if len(signal["axes"]) > 1 else "profile")
    return f"{kind or 'spectrum'}, {energy.min():g}..{energy.max():g} eV"


def _holds_zero_loss(signal: dict[str, Any]) -> bool:
    energy, counts, _ = layout(signal, "", [])
    few = counts[:: max(1, len(counts) // SAMPLE)]
    mean = np.asarray(few, dtype=np.float64).mean(axis=0)
    inside = energy.min() <= 0 <= energy.max() and np.isfinite(mean).any()
    return bool(inside and abs(energy[np.nanargmax(mean)]) <= ZERO_LOSS_EV)


def _energies(
    signal: dict[str, Any], notes: list[str], *, any_kind: bool = False
) -> tuple[int, np.ndarray]:
    """Number of the energy axis and its energies in eV, as they are stored."""
    kind = _signal_type(signal)
    if kind.upper().startswith(OTHER_KINDS) and not any_kind:
        raise ValueError(f"signal type is {kind}; allowed: electron energy loss")
    data, axes = _data(signal), _axes(signal)
    if data.dtype.kind not in "iufb":
        raise ValueError(f"counts are of type {data.dtype}; allowed: real numbers")
    if data.size == 0 or data.ndim != len(axes):
        raise ValueError(f"holds an array of shape {data.shape}; allowed: spectra with an axis")
    which = find_energy_axis(axes)
    axis = axes[which]
    values = axis_values(axis, data.shape[which])
    options = {"remedy": axis["remedy"]} if "remedy" in axis else {}
    factor = unit_factor(unit_of(axis), values, notes, name=name_of(axis), **options)
    return which, values * factor


def _data(signal: dict[str, Any]) -> Any:
    return signal["data"] if hasattr(signal["data"], "dask") else np.asarray(signal["data"])


def _size(signal: dict[str, Any]) -> int:
    return int(np.prod(signal["data"].shape[:-1], dtype=int))


def _axes(signal: dict[str, Any]) -> list[dict[str, Any]]:
    """The axes in the order of the dimensions of the data, with their sizes."""
    axes = list(signal["axes"])
    if not all(isinstance(axis, dict) for axis in axes) or len(axes) != signal["data"].ndim:
        shape = signal["data"].shape
        raise ValueError(f"holds an array of shape {shape}; allowed: spectra with an axis")
    axes.sort(key=_place)
    return [axis | {"size": n} for axis, n in zip(axes, signal["data"].shape, strict=True)]


def _place(axis: dict[str, Any]) -> int:
    number = axis.get("index_in_array")
    return int(number) if isinstance(number, int | np.integer) else 0


def _signal_type(signal: dict[str, Any]) -> str:
    return word(_walk(signal.get("metadata"), "Signal.signal_type"))


def _instrument(signal: dict[str, Any]) -> dict[str, float | None]:
    """Beam energy and semi-angles where the file gives positive numbers."""
    values: dict[str, Any] = {}
    given, mapping = signal.get("instrument") or {}, signal.get("mapping") or {}
    for name, target in INSTRUMENT.items():
        value = given.get(name, _walk(signal.get("metadata", {}), target))
        for source, (mapped, convert) in mapping.items():
            found = _walk(signal.get("original_metadata", {}), source)
            if value is None and mapped == target and found is not None:
                value = _converted(found, convert)
        values[name] = float(value) if _positive(value) else None
    return values


def _converted(value: Any, convert: Any) -> Any:
    """What a reader makes of a value, None when it is not one that it is made for."""
    try:
        return convert(value) if convert else value
    except (TypeError, ValueError, AttributeError, LookupError):
        return None


def _walk(tree: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        if not hasattr(tree, "get"):
            return None
        tree = tree.get(key)
    return tree


def _positive(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)) and float(value) > 0)
    except (TypeError, ValueError):
        return False
