"""The beam of a microscope: energy and the two semi-angles, with their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

ENERGY_RANGE_KEV = (20.0, 1000.0)
CONVERGENCE_RANGE_MRAD = (0.0, 200.0)
COLLECTION_RANGE_MRAD = (0.1, 300.0)
_LIMITS = (ENERGY_RANGE_KEV, CONVERGENCE_RANGE_MRAD, COLLECTION_RANGE_MRAD)
_HINTS = {
    "beam energy [keV]": "such as 200",
    "convergence semi-angle [mrad]": "0 = parallel",
    "collection semi-angle [mrad]": "such as 20",
}


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Beam energy in keV, convergence and collection semi-angle in mrad; parallel by default.

    Each is a number, or an array or tensor (batch,) with one value per spectrum; numbers become
    floats and arrays float64 tensors, tensors stay as they are. Beams of numbers compare and hash
    by value.

    Raises
    ------
    ValueError
        When a value is NaN or outside what microscopes have (the ranges above), or shapes disagree.

    >>> Beam(energy_kev=200, collection_mrad=20)
    Beam(energy_kev=200.0, convergence_mrad=0.0, collection_mrad=20.0)
    >>> Beam(energy_kev=[100, 200], collection_mrad=20).stacked().tolist()
    [[100.0, 200.0], [0.0, 0.0], [20.0, 20.0]]
    """

    energy_kev: Any
    convergence_mrad: Any = 0.0
    collection_mrad: Any

    def __post_init__(self) -> None:
        values = [_tensor(value) for value in self._settings]
        shapes = {tuple(value.shape) for value in values if value.ndim}
        if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
            told = " and ".join(map(str, sorted(shapes)))
            raise ValueError(f"beam settings have shapes {told}; allowed: numbers and one (batch,)")
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value if value.ndim else float(value))
        if wrong := self.outside(_LIMITS):
            name, first, low, high = wrong
            raise ValueError(f"{name} is {first:g}, allowed {low:g} to {high:g}; {_HINTS[name]}")

    @property
    def _settings(self) -> tuple[Any, Any, Any]:
        return self.energy_kev, self.convergence_mrad, self.collection_mrad

    @property
    def single(self) -> bool:
        """Whether all three are numbers, so that results need no batch axis."""
        return all(isinstance(value, float) for value in self._settings)

    def outside(
        self, limits: Sequence[tuple[float, float]], *, tolerance: float = 0.0
    ) -> tuple[str, float, float, float] | None:
        """Name, value and both limits of the first setting outside its limits or NaN, if any.

        ``limits`` : lowest and highest beam energy, convergence and collection semi-angle, each
        widened by the relative ``tolerance``.
        """
        values = [_tensor(value) for value in self._settings]
        wrong = [
            ~((value >= low * (1 - tolerance)) & (value <= high * (1 + tolerance)))
            for value, (low, high) in zip(values, limits, strict=True)
        ]
        anywhere = wrong[0].any() | wrong[1].any() | wrong[2].any()
        if not bool(anywhere):  # asked once: on a GPU, every answer is a wait
            return None
        for name, value, bad, (low, high) in zip(_HINTS, values, wrong, limits, strict=True):
            if bool(bad.any()):
                return name, float(value[bad][0]), low, high
        return None

    def stacked(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> torch.Tensor:
        """The three settings as rows, (3, batch); batch is 1 for a single beam."""
        rows = (torch.as_tensor(x, dtype=dtype, device=device) for x in self._settings)
        return torch.stack(torch.broadcast_tensors(*map(torch.atleast_1d, rows)))

    def select(self, spectra: Any) -> Beam:
        """The beam of some spectra, given by index or mask; numbers hold for all of them.

        >>> Beam(energy_kev=[100, 200, 300], collection_mrad=20).select([2, 0]).energy_kev.tolist()
        [300.0, 100.0]
        """
        values = [x if isinstance(x, float) else x[spectra] for x in self._settings]
        return Beam(energy_kev=values[0], convergence_mrad=values[1], collection_mrad=values[2])


def _tensor(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(np.asarray(value, dtype=np.float64))
