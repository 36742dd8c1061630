"""Files as spectrometers write them: zero loss, changes of gain, ragged ends of the detector.

What is simulated elsewhere is the core loss alone. Here it is put behind a zero-loss peak and
plasmons, and one part of the file has another gain than the rest, as where detectors count and
integrate by turns, or where two exposures were joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from coreloss.physics.scattering import low_loss_spectrum
from coreloss.simulation.instrument import draw_low_loss
from coreloss.simulation.settings import Range, SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.specimen import Window
from coreloss.spectra.spectrum import Spectrum

HIGHEST_START_EV = 60.0
"""Where the core loss of a whole file begins, at most."""
LAST_EV: Range = (300.0, 3071.0)  # log-uniform
LOW_LOSS_EV = 40
FIRST_EV: Range = (-float(LOW_LOSS_EV), -5.0)  # uniform
FEWEST = 100.0
"""Electrons in a channel at the end of a file, at least, and beside a change of gain, where one
part was recorded with fewer."""
WITHOUT_FAULTS = SimulationSettings(
    subtracted_probability=0.0,
    deconvolved_probability=0.0,
    spike_probability=0.0,
    splice_probability=0.0,
    saturation_probability=0.0,
    free_window_probability=0.0,
)
"""Core losses without faults of other kinds than those of this page."""


@dataclass(frozen=True)
class FileSettings:
    """Distributions of what a file adds to its core loss.

    gain : factor of the counts behind a border, or in front of it in ``drop_probability``; the
        border lies between the first energies and a third of the last one, log-uniform
    soft_probability : it takes several channels
    recounted_probability : the part of small counts was recorded with fewer electrons, up to the
        same factor: its noise is larger
    ragged : share of the counts that is missing in the first of ``ragged_channels`` at an end of
        the detector, or, twice as much, is in excess there
    """

    zero_loss_probability: float = 0.7
    gain_probability: float = 0.5
    gain: Range = (2.0, 1000.0)  # log-uniform
    gain_from_ev: float = 32.0
    drop_probability: float = 0.15
    soft_probability: float = 0.4
    soft_channels: tuple[int, int] = (2, 5)
    recounted_probability: float = 0.5
    ragged_probability: float = 0.25  # of each end
    ragged: Range = (0.05, 0.9)  # log-uniform
    ragged_channels: tuple[int, int] = (2, 12)
    excess_probability: float = 0.3


@dataclass(frozen=True, eq=False)
class WholeFile:
    """A file, and what is true of it.

    spectrum : what is in the file
    core_loss : the same core loss without the faults, from ``start_ev`` on
    start_ev : where core losses of one gain begin
    gain : factor of the counts behind ``start_ev``, 1 where there is no change
    ragged : channels of the ragged first and last end, 0 where there is none
    present, counted : (80,) bool, elements of the specimen with an edge, and those of which an
        answer is expected, before the file was cut
    """

    spectrum: Spectrum
    core_loss: Spectrum
    start_ev: float
    gain: float
    ragged: tuple[int, int]
    present: np.ndarray
    counted: np.ndarray


def whole_files(n: int, *, seed: int, settings: FileSettings | None = None) -> Iterator[WholeFile]:
    """``n`` files of test materials, in channels of 1 eV; the same for the same seed."""
    settings, made = settings or FileSettings(), 0
    wide = replace(
        WITHOUT_FAULTS,
        window_width_ev=(3046.0, 3046.0),
        recorded_window_probability=0.0,
        wide_window_probability=0.0,
        mean_counts=(1e4, 1e8),
    )
    simulator, block = Simulator.of_split("test", seed=seed, settings=wide), 0
    rng = np.random.default_rng(seed)
    while made < n:
        batch = simulator.block(block)
        first = batch.mask.to(torch.uint8).argmax(1)
        least = batch.counts[:, int(LAST_EV[0]) - 50 : int(LAST_EV[0])].mean(1)
        rows = torch.nonzero((first <= HIGHEST_START_EV) & (least > FEWEST)).squeeze(1)[: n - made]
        low_loss = _low_losses(len(rows), wide, seed=seed + block)
        for row, low in zip(rows.tolist(), low_loss, strict=True):
            counts = batch.counts[row, int(first[row]) :].numpy().astype(float)
            labels = batch.present[row].numpy(), batch.counted[row].numpy()
            yield _file(float(first[row]), counts, low, labels, settings, rng)
        made, block = made + len(rows), block + 1


def _low_losses(n: int, settings: SimulationSettings, *, seed: int) -> np.ndarray:
    """Low losses (n, 140), from ``-LOW_LOSS_EV`` on."""
    nothing = torch.zeros(n)
    window = Window(nothing.long(), nothing, nothing, nothing.long(), nothing, nothing.bool())
    generator = torch.Generator().manual_seed(seed)
    transfer = draw_low_loss(window, settings, generator=generator).transfer(4096)
    return (
        low_loss_spectrum(transfer, first_ev=-LOW_LOSS_EV, n_channels=140)[1].clamp(min=0).numpy()
    )


def _file(
    first_ev: float,
    core: np.ndarray,
    low_loss: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray],
    settings: FileSettings,
    rng: np.random.Generator,
) -> WholeFile:
    few = np.flatnonzero(uniform_filter1d(core, 50) < FEWEST)
    most_ev = first_ev + few[few > LAST_EV[0]].min(initial=len(core) - 1)
    last_ev = min(float(np.exp(rng.uniform(*np.log(LAST_EV)))), most_ev)
    core = core[: int(last_ev - first_ev) + 1]
    energy, counts = first_ev + np.arange(len(core)), core
    if rng.random() < settings.zero_loss_probability:
        energy, counts = _behind_zero_loss(first_ev, core, low_loss, rng)
    gain, border_ev, faulty = 1.0, first_ev, counts.copy()
    if rng.random() < settings.gain_probability:
        drawn_ev = np.exp(rng.uniform(*np.log((settings.gain_from_ev, last_ev / 3))))
        border_ev = max(float(np.floor(drawn_ev)), first_ev + 2)
        gain, faulty = _with_gain(energy, counts, border_ev, settings, rng)
    ends = [_ragged_end(faulty[::step], settings, rng) for step in (1, -1)]
    keep = energy >= border_ev
    return WholeFile(
        Spectrum(energy, faulty),
        Spectrum(energy[keep], counts[keep]),
        border_ev,
        gain,
        (ends[0], ends[1]),
        *labels,
    )


def _behind_zero_loss(
    first_ev: float, core: np.ndarray, low_loss: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Energies and counts of a core loss with the low loss in front of it, on the same level."""
    start_ev, border = round(rng.uniform(*FIRST_EV)), LOW_LOSS_EV + int(first_ev)
    level = max(np.median(core[:5]), 1.0) / max(low_loss[border], 1e-9)
    expected = np.minimum(low_loss[LOW_LOSS_EV + start_ev : border] * level, 1e15)
    counts = np.concatenate([rng.poisson(expected).astype(float), core])
    return start_ev + np.arange(len(counts)), counts


def _with_gain(
    energy: np.ndarray,
    counts: np.ndarray,
    border_ev: float,
    settings: FileSettings,
    rng: np.random.Generator,
) -> tuple[float, np.ndarray]:
    """A factor, and counts that rise by it up to the border; counts behind it are as they were."""
    s = settings
    gain = float(np.exp(rng.uniform(*np.log(s.gain))))
    gain = 1 / gain if rng.random() < s.drop_probability else gain
    soft = rng.random() < s.soft_probability
    channels = int(rng.integers(*s.soft_channels, endpoint=True)) if soft else 1
    share = np.clip((energy - border_ev + channels) / channels, 0, 1)
    if rng.random() < s.recounted_probability:
        weak = share < 1 if gain > 1 else share > 0
        fewer = np.exp(rng.uniform(0, abs(np.log(gain))))
        fewer = np.clip(fewer, 1, max(np.interp(border_ev, energy, counts) / FEWEST, 1))
        again = fewer * rng.poisson(np.maximum(counts, 0) / fewer)
        counts = np.where(weak, again, counts)
    return gain, counts * gain ** (share - 1)


def _ragged_end(counts: np.ndarray, settings: FileSettings, rng: np.random.Generator) -> int:
    """Bend the first channels of counts (n,) in place, perhaps; how many."""
    if rng.random() >= settings.ragged_probability:
        return 0
    n = int(rng.integers(*settings.ragged_channels, endpoint=True))
    off = np.exp(rng.uniform(*np.log(settings.ragged))) * (1 - np.arange(n) / n)
    counts[:n] *= 1 + 2 * off if rng.random() < settings.excess_probability else 1 - off
    return n
