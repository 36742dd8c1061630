"""Which axis of a file holds energies, and in which unit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

EV_PER_PREFIX = {"": 1.0, "k": 1e3, "K": 1e3, "m": 1e-3}
UNIT = re.compile(r"(?<![A-Za-z])(?<!1/)([kKm]?)(?:e[vV]|E[vV])(?![A-Za-z^⁻])")
IN_FULL = re.compile(r"electron[- ]?volts?", re.I)
NO_UNIT = ("", "none", "<undefined>", "undefined", "t.traits.api.undefined", "unknown", "?")
ENERGY_NAME = re.compile(r"energy|loss|eels", re.I)
PLACE_NAME = re.compile(
    r"^(?:[xyz]|width|height|position|distance|time|frame|wavelength|wavenumber|frequency|angle)s?$",
    re.I,
)
"""Names of axes that are no energies, whatever their numbers."""
REMEDY = "set units='eV', offset and scale of the signal axis"


def ev_per_unit(unit: str) -> float | None:
    """Electronvolts of a unit as programs and people write it, None when it is no energy.

    >>> [ev_per_unit(unit) for unit in ("keV", "Energy Loss (eV)", "1/eV", "nm", "MeV")]
    [1000.0, 1.0, None, None, None]
    """
    found = UNIT.search(unit)
    if found:
        return EV_PER_PREFIX[found.group(1)]
    return 1.0 if IN_FULL.search(unit) else None


def unit_factor(
    unit: str, values: np.ndarray, notes: list[str], *, name: str, remedy: str = REMEDY
) -> float:
    """Electronvolts per unit of an axis with these values (n,); a note where eV is assumed.

    Raises
    ------
    ValueError
        When the unit is none of an energy, or when there is none and the values are channel
        numbers.
    """
    factor = ev_per_unit(unit)
    if factor is not None:
        return factor
    if unit:
        raise ValueError(f"{name} is in {unit}; allowed: energy loss in eV, keV or meV; {remedy}")
    if are_channels(values):
        raise ValueError(
            f"{name} has no unit and counts {values[0]:g}, {values[1]:g}, {values[2]:g} ...: "
            f"channel numbers, not energies; {remedy}"
        )
    notes.append(f"{name} has no unit: eV assumed")
    return 1.0


def are_channels(values: np.ndarray) -> bool:
    """Whether values (n,) count 0, 1, 2, ... or 1, 2, 3, ..., in either direction.

    Real energies hardly ever do, and an axis that nobody has calibrated always does.
    """
    rising = values if len(values) < 2 or values[0] < values[-1] else values[::-1]
    return (
        len(rising) > 2
        and rising[0] in (0.0, 1.0)
        and bool(np.array_equal(rising, rising[0] + np.arange(len(rising))))
    )


def unit_of(axis: dict[str, Any]) -> str:
    """The unit of an axis, '' where it is one of the words for none."""
    unit = word(axis.get("units"))[:80]
    return "" if unit.lower() in NO_UNIT else unit


def name_of(axis: dict[str, Any]) -> str:
    """What messages call an axis."""
    if axis.get("label"):
        return str(axis["label"])
    name = word(axis.get("name"))[:80]
    return f"axis {name!r}" if name and name.lower() not in NO_UNIT else "the axis"


def find_energy_axis(axes: list[dict[str, Any]]) -> int:
    """Number of the energy axis: by unit, else by name, else the only signal axis."""
    names = [word(axis.get("name"))[:80] for axis in axes]
    by_unit = [i for i, axis in enumerate(axes) if ev_per_unit(unit_of(axis)) is not None]
    by_name = [i for i, name in enumerate(names) if ENERGY_NAME.search(name)]
    signal = [i for i, axis in enumerate(axes) if not axis.get("navigate") and axis["size"] > 1]
    both = [i for i in by_unit if i in by_name]
    for found in (both, by_unit, by_name, signal):
        if len(found) == 1:
            only = found[0]
            if not unit_of(axes[only]) and PLACE_NAME.search(names[only]):
                raise ValueError(
                    f"axis {names[only]!r} has no unit and the name of no energy; if it is one, "
                    f"{REMEDY}, and name it 'Energy loss'"
                )
            return only
    listed = ", ".join(
        f"{name or '?'} [{unit_of(axis) or 'no unit'}]"
        for name, axis in zip(names, axes, strict=True)
    )
    raise ValueError(
        f"no energy axis: its axes are {listed}; allowed: one axis in eV, keV or meV; {REMEDY}"
    )


def axis_values(axis: dict[str, Any], size: int) -> np.ndarray:
    """The numbers along an axis, (size,), in its unit."""
    if axis.get("axis") is not None:
        values = np.asarray(axis["axis"])
        if values.shape != (size,) or values.dtype.kind not in "iuf":
            raise ValueError(
                f"{name_of(axis)} has values of shape {values.shape} and type {values.dtype}; "
                f"allowed: {size} numbers, as there are counts"
            )
        return values.astype(np.float64)
    if "scale" not in axis:
        raise ValueError(f"{name_of(axis)} has no scale; export it with a linear axis")
    scale, offset = _number(axis, "scale"), _number(axis, "offset")
    if not (np.isfinite(scale) and np.isfinite(offset)) or scale == 0:
        raise ValueError(f"dispersion is {scale:g} and start {offset:g}; allowed: finite, not 0")
    return offset + scale * np.arange(size)


def word(value: Any) -> str:
    """A title, name or unit that a file gives, '' for what is neither text nor number."""
    return str(value).strip() if isinstance(value, str | int | float | np.number) else ""


def _number(axis: dict[str, Any], key: str) -> float:
    """Scale or offset of an axis; an offset that is not given is 0."""
    value = axis.get(key)
    try:
        return 0.0 if value is None else float(value)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise ValueError(f"{name_of(axis)} has a {kind} for its {key}; {REMEDY}") from None
