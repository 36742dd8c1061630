"""Measured files, and for each of them the spectra a simulator makes in its place.

A simulated spectrum is comparable with a measured one when it has the same elements, covers the
same window, was recorded at a similar dispersion, and was processed or not as the measured one was.
All else is left to the settings, noise and detector included.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss.axis import N_CHANNELS, window_of
from coreloss.datasets.manifest import read_manifest
from coreloss.datasets.measured import load_record
from coreloss.datasets.records import ExperimentalRecord
from coreloss.edges import MARGIN_AFTER_EV, MARGIN_BEFORE_EV, edge_shells
from coreloss.materials.split import query_table
from coreloss.materials.table import make_materials
from coreloss.simulation.settings import DISPERSIONS_EV, SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.specimen import NUISANCE_WINDOW_EV
from coreloss.spectra.network_input import NetworkInput, normalise, preprocess

AMOUNTS = (1, 2, 4, 8)
MIN_POOL = 100
MAX_BLOCKS = 40
N_SINGLE = 50
PROCESSED_NOTE = "background removed"
_ROUND_EV = 10
_REACH = 2.0
_HOPELESS = 8
_WIDEST_EV = N_CHANNELS - 25.0


@dataclass(frozen=True, eq=False)
class MeasuredFile:
    """A file of the manifest: ``inputs`` (1 + k, 3072), the sum of its spectra, then k single ones.

    ``processed`` says that somebody took the background off before publication.
    """

    record: ExperimentalRecord
    inputs: NetworkInput
    processed: bool

    @property
    def source(self) -> str:
        """The folder of the file, which names where it comes from."""
        return Path(self.record.file).parts[0]

    @property
    def mask(self) -> np.ndarray:
        """The measured channels, (3072,) bool."""
        return self.inputs.mask[0].numpy()


def read_measured(directory: str | Path, *, n_single: int = N_SINGLE) -> tuple[MeasuredFile, ...]:
    """Every core-loss file, with at most ``n_single`` spectra of each scan."""
    wanted = [r for r in read_manifest(directory) if r.kind != "low_loss"]
    if not wanted:
        raise ValueError(f"{directory} has no core-loss file; fill it as book/data.md says")
    return tuple(_measured(record, directory, n_single) for record in wanted)


def _measured(record: ExperimentalRecord, directory, n_single: int) -> MeasuredFile:
    spectra = load_record(record, directory)
    counts = spectra.counts.sum(0, keepdims=True)
    if len(spectra) > 1:
        lit = np.flatnonzero(spectra.counts.sum(1) > 0)
        rows = lit[np.linspace(0, len(lit) - 1, min(n_single, len(lit))).astype(int)]
        counts = np.concatenate([counts, spectra.counts[rows]])
    inputs = preprocess(counts, spectra.energy_ev)
    return MeasuredFile(record, inputs, PROCESSED_NOTE in record.notes)


def stand_ins(
    files: Sequence[MeasuredFile], settings: SimulationSettings, *, seed: int
) -> tuple[MeasuredFile, ...]:
    """For each file one simulated spectrum in its place: what the gate says of these is chance.

    Take another seed than for the gate.
    """
    made = {}
    for position, pool in simulate_pools(files, settings, n=MIN_POOL, seed=seed):
        spectrum, mask = torch.as_tensor(pool[:1]), files[position].inputs.mask[:1]
        made[position] = replace(files[position], inputs=NetworkInput(spectrum, mask))
    return tuple(made[position] for position in range(len(files)))


def simulate_pools(
    files: Sequence[MeasuredFile], settings: SimulationSettings, *, n: int, seed: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(position in ``files``, spectra (at most n, 3072) with mean 1 under its mask), in any order.

    Files of the same elements and neighbouring windows share simulations. A pool depends on its
    file, the settings, ``n`` and ``seed``, not on the other files.

    Raises
    ------
    ValueError
        When the simulator hardly ever covers the window of a file.
    """
    groups: dict[tuple, list[int]] = {}
    for position, file in enumerate(files):
        key = (file.record.elements_nominal, settings_like(file, settings))
        groups.setdefault(key, []).append(position)
    for (elements, like), members in groups.items():
        name = f"{elements} {like.window_start_min_ev} {like.window_width_ev}"
        stream = seed * (1 << 32) + zlib.crc32(name.encode())
        simulator = _simulator(elements, like, seed=stream)
        masks = [files[position].inputs.mask[0] for position in members]
        pools = _collect(simulator, masks, n)
        for position, pool in zip(members, pools, strict=True):
            if len(pool) < MIN_POOL:
                raise ValueError(
                    f"{files[position].record.id}: {len(pool)} simulated spectra cover its "
                    f"window, {MIN_POOL} are needed; widen the windows or leave the file out"
                )
            yield position, pool


def settings_like(file: MeasuredFile, settings: SimulationSettings) -> SimulationSettings:
    """The settings, restricted to spectra that can be compared with a file.

    Windows cover that of the file, with up to half its width to spare. They lie around an
    identifying edge of its elements, or around another one in case none is near and the settings
    have such windows; without either, all widths are drawn. A processed file is compared with
    processed spectra, in case the settings have any that begin at an edge near by, a raw one with
    raw ones. The dispersion is the nearest one in use.
    """
    channels = np.flatnonzero(file.mask)
    low = float(channels[0] // _ROUND_EV * _ROUND_EV)
    high = float(-(-channels[-1] // _ROUND_EV) * _ROUND_EV)
    own = [edge for edge in edge_shells() if edge.element in file.record.elements_nominal]
    found = _window([e.onset_ev for e in own if e.role == "identifying"], low, high)
    nuisance = 0.0
    if found is None and settings.nuisance_window_probability > 0:
        deep = [e.onset_ev for e in own if e.onset_ev > NUISANCE_WINDOW_EV]
        found, nuisance = _window(deep, low, high), 1.0
    start, width = found or (0.0, _WIDEST_EV)
    return replace(
        settings,
        window_start_min_ev=float(np.clip(start, settings.window_start_min_ev, 1999)),
        window_width_ev=(width, width),
        wide_window_probability=0.0,
        recorded_window_probability=0.0,
        free_window_probability=0.0,
        nuisance_window_probability=nuisance,
        **_processing(settings, file.processed and found is not None),
        dispersion_weights=_dispersion(settings, file.record.dispersion_ev),
    )


def _window(onsets_ev: Sequence[float], low: float, high: float) -> tuple[float, float] | None:
    """Lowest start and width of windows, in eV, that cover low..high around one of the edges.

    None where no edge is near.
    """
    needed = [
        max(high, onset + MARGIN_AFTER_EV) - min(low, onset - MARGIN_BEFORE_EV)
        for onset in onsets_ev
    ]
    near = [width for width in needed if width <= _REACH * (high - low) + 60]
    if not near:
        return None
    width = min(max(near) + max(40.0, (high - low) / 2), _WIDEST_EV)
    return min(high - width, low), width


def _processing(settings: SimulationSettings, processed: bool) -> dict[str, Any]:
    names = ("subtracted_probability", "deconvolved_probability")
    values = [getattr(settings, name) for name in names]
    scale = 1 / sum(values) if processed and sum(values) else 0.0
    return {name: min(1.0, value * scale) for name, value in zip(names, values, strict=True)}


def _dispersion(settings: SimulationSettings, dispersion_ev: float) -> tuple[float, ...]:
    """Weights with one dispersion left, the nearest to ``dispersion_ev`` that is in use."""
    weights = np.array(settings.dispersion_weights)
    ratio = np.abs(np.log(np.array(DISPERSIONS_EV) / dispersion_ev))
    nearest = np.where(weights > 0, ratio, np.inf).argmin()
    return tuple(float(i == nearest) for i in range(len(weights)))


def _simulator(elements: Sequence[str], settings: SimulationSettings, *, seed: int) -> Simulator:
    """Compounds of the elements in all ratios of 1, 2, 4 and 8."""
    rows = []
    for amounts in product(AMOUNTS, repeat=len(elements)):
        text = [f"{element}{amount}" for element, amount in zip(elements, amounts, strict=True)]
        rows.append(("".join(text), " ".join(text), "ratios"))
    materials = make_materials(rows, source="ratios")
    queries = query_table(materials, np.arange(len(materials)))
    return Simulator(materials, queries, settings=settings, seed=seed)


def _collect(simulator: Simulator, masks: Sequence[torch.Tensor], n: int) -> list[np.ndarray]:
    """For each mask (3072,) the first n spectra of a stream that cover it, (at most n, 3072)."""
    found: list[list[torch.Tensor]] = [[] for _ in masks]
    missing = [n] * len(masks)
    limits = [tuple(float(x) for x in window_of(mask[None])) for mask in masks]
    for number in range(MAX_BLOCKS):
        if max(missing) <= 0 or (number == _HOPELESS and max(missing) == n):
            break
        batch = simulator.block(number)
        first, last = window_of(batch.mask)
        for i, (mask, (low, high)) in enumerate(zip(masks, limits, strict=True)):
            rows = ((first <= low) & (last >= high)).nonzero().squeeze(1)[: max(missing[i], 0)]
            missing[i] -= len(rows)
            found[i].append(normalise(batch.counts[rows], mask.expand(len(rows), -1)))
    return [torch.cat(parts).numpy() for parts in found]
