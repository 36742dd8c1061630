"""Could the simulator have made this measurement? Simulated beside measured spectra.

Two looks at the question: the simulated spectrum of the same elements that lies nearest to a
measured one, and the distribution of simple features (background slope, jump ratio, height of the
white lines, noise) over simulated and over measured edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from coreloss.axis import window_of
from coreloss.datasets import ExperimentalRecord, ExperimentalSet
from coreloss.edges import ELEMENTS, identifying_sets
from coreloss.materials import make_materials, query_table
from coreloss.settings import SimulationSettings
from coreloss.simulate import Simulator, concatenate

AMOUNTS = (1, 2, 4, 8)
BEFORE_EV = (-60, -6)  # fit of the background, relative to the onset
AFTER_EV = (20, 50)  # the edge behind its white lines
LINE_EV = (-4, 15)  # where white lines are looked for
_MIN_BACKGROUND_CHANNELS = 25


@dataclass(frozen=True, eq=False)
class Comparison:
    """A measured spectrum (n,) over the nearest simulated ones (k, n); `distance` of the first."""

    id: str
    material: str
    source: str
    energy_ev: np.ndarray
    measured: np.ndarray
    simulated: np.ndarray
    distance: float


def credit(record: ExperimentalRecord) -> str:
    """Where a measured spectrum comes from, short enough for a figure."""
    base = "EELS Data Base, via " if "EELS Data Base" in record.license else ""
    return base + record.source


def simulate_like(
    record: ExperimentalRecord, *, n_blocks: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Simulated counts (m, 3072) and masks of the elements of a record that cover its window.

    The atomic ratios take all combinations of 1, 2, 4 and 8; everything else follows the default
    settings, without counting noise worth mentioning.
    """
    elements = record.elements_nominal
    rows = []
    for amounts in product(AMOUNTS, repeat=len(elements)):
        text = [f"{element}{amount}" for element, amount in zip(elements, amounts, strict=True)]
        rows.append(("".join(text), " ".join(text), record.id))
    materials = make_materials(rows, source=record.id)
    low, _ = record.window_ev
    settings = SimulationSettings(
        window_start_min_ev=max(25.0, low - 40),
        window_width_ev=(3047.0, 3047.0),
        wide_window_probability=0.0,
        mean_counts=(1e7, 1e7),
        gain_variation_probability=0.0,
        coarse_axis_probability=0.0,
    )
    index = query_table(materials, np.arange(len(materials)))
    simulator = Simulator(materials, index, settings=settings, seed=seed)
    batch = concatenate([simulator.block(number) for number in range(n_blocks)])
    first = window_of(batch.mask)[0].numpy()
    covers = first <= max(low, 25.0) + 1
    return batch.counts.numpy()[covers], batch.mask.numpy()[covers]


def shape_distance(measured: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Root mean square of ln(measured / simulated) after its mean is taken off, (m,).

    Both over the same channels, (n,) and (m, n); 0.1 is a deviation of 10 %. Channels without
    counts on either side are left out.

    >>> shape_distance(np.array([1.0, 2.0, 4.0]), np.array([[3.0, 6.0, 12.0]])).round(6)
    array([0.])
    """
    valid = (measured > 0) & (simulated > 0)
    ratio = np.where(valid, np.log(np.maximum(measured, 1e-30) / np.maximum(simulated, 1e-30)), 0)
    n = np.maximum(valid.sum(1), 1)
    mean = ratio.sum(1) / n
    return np.sqrt((((ratio - mean[:, None]) * valid) ** 2).sum(1) / n)


def compare_with_nearest(
    measured: ExperimentalSet, row: int, *, n_nearest: int = 3, n_blocks: int = 2, seed: int = 0
) -> Comparison:
    """The simulated spectra that come nearest to one measured spectrum."""
    record = measured.records[row]
    mask = measured.inputs.mask[row].numpy()
    spectrum = measured.inputs.spectrum[row].numpy()[mask]
    counts, _ = simulate_like(record, n_blocks=n_blocks, seed=seed)
    if not len(counts):
        raise ValueError(f"{record.id}: no simulated spectrum covers its window; take more blocks")
    distance = shape_distance(smooth(spectrum[None])[0], smooth(counts[:, mask]))
    nearest = np.argsort(distance)[:n_nearest]
    return Comparison(
        record.id,
        record.material,
        credit(record),
        np.flatnonzero(mask).astype(float),
        spectrum,
        counts[nearest][:, mask],
        float(distance[nearest[0]]),
    )


def smooth(spectra: np.ndarray, width: int = 3) -> np.ndarray:
    """Means over neighbouring channels, (m, n) -> (m, n - width + 1): noise counts less."""
    return np.lib.stride_tricks.sliding_window_view(spectra, width, axis=1).mean(-1)


def edge_features(spectrum: np.ndarray, mask: np.ndarray, onset_ev: float) -> dict | None:
    """Features of one edge in one spectrum (3072,), None where the window is too short for them.

    A power law is fitted to 60 to 6 eV before the onset. `exponent` is its r; `jump_ratio` the
    edge 20 to 50 eV past the onset over the background there; `contrast` the highest 3 eV near the
    onset over that edge, both above the background: 1 without white lines.
    """
    low, high = (round(onset_ev + limit) for limit in (BEFORE_EV[0], AFTER_EV[1]))
    start, end = (round(onset_ev + limit) for limit in (BEFORE_EV[1], AFTER_EV[0]))
    if high >= len(spectrum) or not mask[end:high].all():
        return None
    channel = np.arange(max(low, 1), start)
    channel = channel[mask[channel] & (spectrum[channel] > 0)]
    if len(channel) < _MIN_BACKGROUND_CHANNELS:
        return None
    weight = np.sqrt(spectrum[channel])  # of logarithms under counting noise
    slope, level = np.polyfit(np.log(channel), np.log(spectrum[channel]), 1, w=weight)
    every = np.arange(start, high)
    background = np.exp(level + slope * np.log(every))
    signal = spectrum[start:high] - background
    behind = signal[end - start :].mean()
    first, last = (round(onset_ev + limit) - start for limit in LINE_EV)
    peak = smooth(signal[None, first:last])[0].max()
    return {
        "exponent": -slope,
        "jump_ratio": behind / background[end - start :].mean(),
        "contrast": peak / behind if behind > 0 else np.nan,
    }


def features_of(spectra, masks, present) -> dict[str, np.ndarray]:
    """`edge_features` of the first identifying edge of every present element, where defined.

    ``spectra``, ``masks`` (B, 3072) and ``present`` (B, 80), tensors or arrays. Besides the
    features the result names the `element` and the `row` of each edge. Edges that do not rise
    above their background (jump ratio below 1 %) are left out.
    """
    spectra, masks, present = (np.asarray(x) for x in (spectra, masks, present))
    found = []
    for row, label in zip(*present.nonzero(), strict=True):
        for edge in identifying_sets():
            if edge.element == ELEMENTS[label]:
                values = edge_features(spectra[row], masks[row], edge.onset_ev)
                if values and values["jump_ratio"] > 0.01:
                    found.append({**values, "element": edge.element, "row": row})
                    break
    names = ("exponent", "jump_ratio", "contrast", "element", "row")
    return {name: np.array([one[name] for one in found]) for name in names}


def share_inside(simulated, measured, *, quantiles=(0.05, 0.95)) -> float:
    """Share of the measured values that lie between two quantiles of the simulated ones.

    >>> share_inside(np.arange(101), np.array([50.0, 99.0]))
    0.5
    """
    low, high = np.quantile(simulated, quantiles)
    measured = np.asarray(measured)
    return float(((measured >= low) & (measured <= high)).mean())
