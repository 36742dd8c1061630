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
FIRST_EV: Range = (-40.0, -5.0)  # uniform
FEWEST = 100.0
"""Electrons in a channel at the end of a file, at least, and beside a change of gain, where one
part was recorded with fewer."""
FAULTLESS = {
    f"{name}_probability": 0.0
    for name in ("subtracted", "deconvolved", "spike", "splice", "saturation", "free_window")
}
"""Faults of other kinds than those of this page."""


@dataclass(frozen=True)
class FileSettings:
    """Distributions of what a file adds to its core loss.

    gain : factor of the counts behind a border, or in front of it in ``drop_probability``; the
        border lies between the first energies and a third of the last one, log-uniform
    soft_probability : it takes several channels
    recounted_probability : the part of small counts was recorded with fewer electrons, up to the
        same factor: its noise is larger
    ragged : smallest and largest share of the counts that is missing, or is too much, at an end
        of the detector of ``ragged_channels``
    """

    zero_loss_probability: float = 0.7
    gain_probability: float = 0.5
    gain: Range = (2.0, 1000.0)  # log-uniform
    gain_from_ev: float = 32.0
    drop_probability: float = 0.15
    soft_probability: float = 0.4
    soft_channels: Range = (2, 5)
    recounted_probability: float = 0.5
    ragged_probability: float = 0.25  # of each end
    ragged: Range = (0.05, 0.9)  # log-uniform
    ragged_channels: Range = (2, 12)


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
        SimulationSettings(**FAULTLESS),
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
    """Low losses (n, 140) from -40 to 99 eV."""
    nothing = torch.zeros(n)
    window = Window(nothing.long(), nothing, nothing, nothing.long(), nothing, nothing.bool())
    generator = torch.Generator().manual_seed(seed)
    transfer = draw_low_loss(window, settings, generator=generator).transfer(4096)
    return low_loss_spectrum(transfer, first_ev=-40, n_channels=140)[1].clamp(min=0).numpy()


def _file(
    first_ev: float,
    core: np.ndarray,
    low_loss: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray],
    settings: FileSettings,
    rng: np.random.Generator,
) -> WholeFile:
    s = settings
    few = np.flatnonzero(uniform_filter1d(core, 50) < FEWEST)
    most_ev = first_ev + (few[few > LAST_EV[0]].min(initial=len(core) - 1))
    last_ev = min(np.exp(rng.uniform(*np.log(LAST_EV))), most_ev)
    core = core[: int(last_ev - first_ev) + 1]
    energy, counts = first_ev + np.arange(len(core)), core
    if rng.random() < s.zero_loss_probability:
        start_ev = round(rng.uniform(*FIRST_EV))
        before = low_loss[40 + start_ev : 40 + int(first_ev)]
        level = max(np.median(core[:5]), 1.0) / max(low_loss[40 + int(first_ev)], 1e-9)
        counts = np.concatenate([rng.poisson(np.minimum(before * level, 1e15)), core])
        energy = start_ev + np.arange(len(counts))
    gain, start_ev, faulty = 1.0, first_ev, counts.astype(float)
    if rng.random() < s.gain_probability:
        start_ev = np.floor(np.exp(rng.uniform(*np.log((s.gain_from_ev, last_ev / 3)))))
        start_ev = max(start_ev, first_ev + 2)
        gain = np.exp(rng.uniform(*np.log(s.gain)))
        gain = 1 / gain if rng.random() < s.drop_probability else gain
        soft = rng.random() < s.soft_probability
        channels = int(rng.integers(*s.soft_channels, endpoint=True)) if soft else 1
        share = np.clip((energy - start_ev + channels) / channels, 0, 1)
        if rng.random() < s.recounted_probability:
            few = share < 1 if gain > 1 else share > 0
            fewer = np.exp(rng.uniform(0, np.log(max(gain, 1 / gain))))
            fewer = np.clip(fewer, 1, max(np.interp(start_ev, energy, faulty) / FEWEST, 1))
            faulty[few] = fewer * rng.poisson(np.maximum(faulty[few], 0) / fewer)
        faulty = faulty * gain ** (share - 1)
    ragged = [0, 0]
    for end in (0, 1):
        if rng.random() < s.ragged_probability:
            ragged[end] = int(rng.integers(*s.ragged_channels, endpoint=True))
            share = np.exp(rng.uniform(*np.log(s.ragged)))
            ramp = share * (1 - np.arange(ragged[end]) / ragged[end])
            ramp = 1 + ramp * 2 if rng.random() < 0.3 else 1 - ramp
            view = faulty[::-1] if end else faulty
            view[: ragged[end]] *= ramp
    keep = energy >= start_ev
    return WholeFile(
        Spectrum(energy, faulty),
        Spectrum(energy[keep], counts[keep]),
        start_ev,
        float(gain),
        (ragged[0], ragged[1]),
        *labels,
    )
