"""Where the scale of the counts changes within a spectrum: detectors that count and integrate by
turns, exposures that were joined.

In front of such a change and behind it the counts go on with one and the same slope, and the change
is over within a few channels. Edges rise more slowly, and resonances follow; how the two are told
apart is counted on simulated files, see `simulation.whole_files`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coreloss.edges import identifying_sets

STRETCH = (6, 4.0), (10, 8.0)
"""Channels, and energies, in front of a change of gain and behind it that lie on power laws of one
exponent."""
CHANNELS, FINE_EV, SHARP_EV, STEEP = 6, 1.2, 0.35, 0.8
"""Channels that a change of gain may take. Within the third of these no edge rises to all of
its height and goes on as smoothly as the background, nor by this share of it from one channel of
1 eV to the next: such changes are sharp."""
CLEAR = 12.0, 25.0, 60.0
"""Step over what the power laws leave over: of sharp changes, of others, and of others where an
edge lies nearer than `NEAR_EV`."""
LEAST, OF_NO_EDGE, NEAR_EV = (1.7, 2.0, 4.0), 12.0, 6.0
"""Least factor of a sharp change, of others, and of a sharp one where an edge lies half as near as
`NEAR_EV`; and one that no edge reaches."""
EXPONENTS, WIDE_EXPONENTS = (1.0, 10.0), (-3.0, 11.0)
"""Of the power laws beside changes that are not sharp, and beside those that no edge reaches."""
ALONE = 3.0
"""Step over nine tenths of the steps in its neighbourhood."""
HALF = 0.5
"""Of steps that are as clear as the clearest, or this share of it, the shortest counts."""
LEFT_OVER = 0.01
"""No power law describes counts better than that."""
TOGETHER = 1 << 16
"""Numbers that steps are computed from at a time: they stay in the cache of a processor."""


@dataclass(frozen=True)
class GainChange:
    """Last channel in front of a change, first one behind it, and the factor of the counts."""

    before: int
    behind: int
    factor: float


@dataclass(frozen=True, eq=False)
class _Steps:
    """Steps between two power laws of one exponent, (k,) each.

    first : first channel of the step; change : of the logarithm of the counts; steepest : its
    largest part from one channel to the next; exponent : of the power laws; misfit : what they
    leave over, relative to the counts
    """

    first: np.ndarray
    change: np.ndarray
    steepest: np.ndarray
    exponent: np.ndarray
    misfit: np.ndarray


def change_of_gain(energy_ev: np.ndarray, counts: np.ndarray) -> GainChange | None:
    """The clearest change of gain in a spectrum (n,), None without one.

    >>> energy = np.arange(100.0, 400.0)
    >>> change_of_gain(energy, energy**-3.0 * np.where(energy < 180, 1, 20)).behind
    80
    """
    step_ev = energy_ev[1] - energy_ev[0]
    stretch = [max(n, int(wide_ev / step_ev)) for n, wide_ev in STRETCH]
    if len(counts) < 4 * sum(stretch) or energy_ev[0] <= 0:
        return None
    edge_ev, found = _distance_to_edges(energy_ev), []
    for channels in range(1, CHANNELS + 1):
        steps = _steps(energy_ev, counts, channels, stretch)
        size, wide_ev = np.abs(steps.change), channels * step_ev
        sharp = (steps.steepest > STEEP * size) & (step_ev <= FINE_EV) | (wide_ev <= SHARP_EV)
        apart_ev = edge_ev[steps.first]
        least = np.where(apart_ev > NEAR_EV / 2, LEAST[0], LEAST[2])
        near = CLEAR[2] if step_ev <= FINE_EV else np.inf
        limit = _limit_of_soft(steps, np.where(apart_ev > NEAR_EV + wide_ev, CLEAR[1], near))
        clear = size / steps.misfit
        clear[size < np.log(np.where(sharp, least, LEAST[1]))] = 0.0
        clear[clear < np.where(sharp, CLEAR[0], limit)] = 0.0
        i = int(clear.argmax())
        if clear[i] and size[i] > ALONE * _usual(size, i, sum(stretch)):
            found.append((clear[i], channels, int(steps.first[i]), np.exp(steps.change[i])))
    if not found:
        return None
    clearest = max(clear for clear, *_ in found)
    _, channels, first, factor = next(x for x in found if x[0] > HALF * clearest)
    return GainChange(first - 1, first + channels - 1, float(factor))


def _limit_of_soft(steps: _Steps, limit: np.ndarray) -> np.ndarray:
    """How clear a step over several channels must be to be no edge, (k,); ``limit`` where it lies
    between power laws as backgrounds are."""
    low, high = EXPONENTS
    limit[(steps.exponent < low) | (steps.exponent > high)] = np.inf
    low, high = WIDE_EXPONENTS
    usual = (steps.exponent > low) & (steps.exponent < high)
    limit[usual & (np.abs(steps.change) > np.log(OF_NO_EDGE))] = CLEAR[0]
    return limit


def _usual(size: np.ndarray, i: int, apart: int) -> float:
    """Nine tenths of the steps on both sides of channel i, not nearer than ``apart``, are less."""
    sides = (size[max(i - 5 * apart, 0) : max(i - apart, 0)], size[i + apart : i + 5 * apart])
    beside = np.concatenate(sides)
    return float(np.percentile(beside, 90)) if len(beside) else 0.0


def _steps(energy_ev, counts, channels: int, stretch: Sequence[int]) -> _Steps:
    """Steps of so many channels everywhere, with a stretch of channels on either side."""
    x, y = np.log(energy_ev), np.log(np.maximum(counts, np.finfo(float).tiny))
    first = np.arange(stretch[0], len(counts) - stretch[1] - channels + 2)
    rows = max(TOGETHER // sum(stretch), 1)
    parts = [
        _steps_at(first[i : i + rows], x, y, channels, stretch)
        for i in range(0, max(len(first), 1), rows)
    ]
    return _Steps(first, *(np.concatenate(values) for values in zip(*parts, strict=True)))


def _steps_at(first, x, y, channels: int, stretch: Sequence[int]) -> tuple[np.ndarray, ...]:
    """What `_Steps` holds beside ``first``, for logarithms of energies and counts."""
    view = np.lib.stride_tricks.sliding_window_view
    starts = (first - stretch[0], first + channels - 1)
    xs, ys = ([view(v, n)[at] for n, at in zip(stretch, starts, strict=True)] for v in (x, y))
    x_mean, y_mean = ([part.mean(1, keepdims=True) for part in parts] for parts in (xs, ys))
    dx, dy = (
        np.concatenate([part - mean for part, mean in zip(parts, means, strict=True)], axis=1)
        for parts, means in ((xs, x_mean), (ys, y_mean))
    )
    slope = (dx * dy).sum(1) / (dx**2).sum(1)
    misfit = np.sqrt(((dy - slope[:, None] * dx) ** 2).sum(1) / (sum(stretch) - 3))
    change = (y_mean[1] - y_mean[0])[:, 0] - slope * (x_mean[1] - x_mean[0])[:, 0]
    least = np.minimum(*(part.min(1) for part in ys))
    change[least <= np.log(np.finfo(float).tiny)] = 0.0  # nothing was counted there
    steepest = view(np.abs(np.diff(y)), channels)[first - 1].max(1)
    return change, steepest, -slope, misfit.clip(LEFT_OVER)


def _distance_to_edges(energy_ev: np.ndarray) -> np.ndarray:
    """Distance of energies (n,) from the nearest identifying edge, (n,)."""
    onsets = np.sort([edge.onset_ev for edge in identifying_sets()])
    after = np.searchsorted(onsets, energy_ev)
    padded = np.concatenate([[-np.inf], onsets, [np.inf]])
    return np.minimum(energy_ev - padded[after], padded[after + 1] - energy_ev)
