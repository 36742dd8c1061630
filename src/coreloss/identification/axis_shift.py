"""The energy scale may be off: the answer of a network for every shift that could be the right one.

A wrong calibration makes edges fit badly to all elements, the right one makes a few elements
certain. That is what the shifts are weighed by, together with how likely such an error is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from coreloss.spectra.network_input import NetworkInput, observable

AXIS_SHIFTS_EV = (-8, -6, -4, -2, 0, 2, 4, 6, 8)
"""Corrections that are tried, whole channels."""
PRIOR_EV = 4.0
"""Standard deviation of the calibration error before the spectrum is seen."""
CERTAIN, DOUBTFUL = 4.0, 1.0
"""Weights, in the logarithm of the likelihood of a shift, of a certain element and of the entropy
of all answers. They and the prior were chosen by the log loss on simulated spectra."""


@dataclass(frozen=True, eq=False)
class Shifted:
    """Answers for spectra whose calibration is unknown.

    probability (n, 80) : mean over the shifts, each with its weight
    weight (n, shifts) : posterior of the shifts; rows add up to 1
    shifts_ev (shifts,) : what is added to the energies
    """

    probability: np.ndarray
    weight: np.ndarray
    shifts_ev: np.ndarray

    @property
    def correction_ev(self) -> np.ndarray:
        """Mean of what must be added to the energies, (n,)."""
        return self.weight @ self.shifts_ev

    @property
    def spread_ev(self) -> np.ndarray:
        """Its standard deviation, (n,)."""
        square = self.weight @ self.shifts_ev**2
        return np.sqrt(np.maximum(square - self.correction_ev**2, 0.0))


def over_shifts(
    probability: Callable[[NetworkInput], np.ndarray],
    inputs: NetworkInput,
) -> Shifted:
    """Answers (n, 80) of ``probability`` averaged over shifts of the energy axis.

    An element counts at the shifts where one of its edges lies inside the moved window.
    """
    shifts = np.array(AXIS_SHIFTS_EV, float)
    answers = np.stack([_answers(probability, moved(inputs, d)) for d in AXIS_SHIFTS_EV])
    weight = posterior(answers, shifts)
    seen = weight.T[:, :, None] * np.isfinite(answers)
    total = seen.sum(0)
    mean = (seen * np.nan_to_num(answers)).sum(0) / np.where(total > 0, total, 1.0)
    return Shifted(np.where(total > 0, mean, np.nan), weight, shifts)


def posterior(answers: np.ndarray, shifts_ev: np.ndarray) -> np.ndarray:
    """Weights (n, shifts) of answers (shifts, n, 80), NaN where an element is not observable.

    >>> answers = np.array([[[0.5, 0.4]], [[0.99, 0.01]]])
    >>> posterior(answers, np.array([0.0, 2.0])).round(2)
    array([[0.04, 0.96]])
    """
    p = np.clip(np.nan_to_num(answers).astype(float), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(-1)
    score = CERTAIN * np.maximum(p - 0.5, 0).sum(-1) - DOUBTFUL * entropy
    score = score - (shifts_ev[:, None] / PRIOR_EV) ** 2 / 2
    weight = np.exp(score - score.max(0))
    return (weight / weight.sum(0)).T


def moved(inputs: NetworkInput, shift_ev: int) -> NetworkInput:
    """The same spectra with ``shift_ev`` added to their energies; what leaves the axis is lost."""
    if not shift_ev:
        return inputs
    spectrum, mask = (torch.roll(x, shift_ev, 1) for x in (inputs.spectrum, inputs.mask))
    lost = slice(0, shift_ev) if shift_ev > 0 else slice(shift_ev, None)
    spectrum[:, lost], mask[:, lost] = 0, False
    return NetworkInput(spectrum, mask)


def _answers(probability, inputs: NetworkInput) -> np.ndarray:
    return np.where(observable(inputs), probability(inputs), np.nan)
