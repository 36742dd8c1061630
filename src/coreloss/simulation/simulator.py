"""Simulated core-loss spectra with labels: the one place where all pieces are composed.

Spectra are numbered. Spectrum i of a seed is always the same, whatever the batch it is asked in:
random numbers belong to blocks of `BLOCK` spectra, and a block is computed as a whole.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENTS, observable_elements
from coreloss.materials.split import QueryIndex, query_table, split_materials
from coreloss.materials.table import Materials, load_materials
from coreloss.physics import scattering
from coreloss.simulation import near_edge
from coreloss.simulation.bands import AFTER_EV, Bands, continuum, sorted_bands
from coreloss.simulation.batch import Batch, concatenate
from coreloss.simulation.detector import record
from coreloss.simulation.instrument import (
    background_shape,
    draw_axis,
    draw_background,
    draw_detector,
    draw_low_loss,
    subtract_power_law,
)
from coreloss.simulation.sampling import chance, generator_for, log_uniform, rows_of
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.specimen import (
    Pairs,
    Window,
    draw_pairs,
    draw_specimen,
    draw_window,
    reference_edges,
)
from coreloss.simulation.tables import TILE, TILES, MaterialTables, ShellTables, default_shells

BLOCK = 512
_APART = 1 << 32  # added to the seeds of what is not trained with
_EGERTON_H = 10.0
_LOWEST_EV = 5.0  # where a power law stops to rise, if not in front of its window


class Simulator:
    """Numbered stream of simulated spectra.

    Parameters
    ----------
    materials, queries : the compounds to draw from and, per element, those that contain it
    settings : distributions of all random parameters
    seed : names the stream; different seeds are independent
    device : where everything is computed; CPU results are reproducible bit for bit
    block_size : spectra that are computed together. Another size is another stream; a GPU needs
        thousands to be busy
    """

    def __init__(
        self,
        materials: Materials,
        queries: QueryIndex,
        *,
        settings: SimulationSettings | None = None,
        seed: int = 0,
        device: str = "cpu",
        block_size: int = BLOCK,
    ) -> None:
        self.settings = s = settings or SimulationSettings()
        self.seed = seed
        self.device = device
        self.block_size = block_size
        self.in_turn = False
        self.materials = MaterialTables.build(materials, queries, device=device)
        kind = {"lifetime": s.core_hole_lifetime, "multiplets": s.multiplets}
        self.shells = tuple(default_shells(device, name, **kind) for name in s.gos_tables)

    @classmethod
    def of_split(
        cls, split: str, *, seed: int = 0, materials: str | Path = "embedded", **options: Any
    ) -> Simulator:
        """Stream of the compounds of one split, "train", "validation" or "test".

        ``materials`` as for `load_materials`, ``options`` as for the class. No compound is in two
        splits, and the random numbers are those of no training run, whatever the seed.
        """
        table = load_materials(materials)
        parts = split_materials(table, seed=0)
        if split not in parts:
            raise ValueError(f"split is {split!r}; allowed: {', '.join(parts)}")
        return cls(table, query_table(table, parts[split]), seed=_APART + seed, **options)

    def asking_in_turn(self, queries: QueryIndex, *, seed: int) -> Simulator:
        """Another stream of the same materials, with other queries; the tables are shared.

        Spectrum i is of the i-th compound of the element that it asks for, counted on from the
        first after the last: a stream of one element with m compounds has each of them once in m
        spectra. Second phases are drawn.
        """
        other = copy.copy(self)
        other.materials, other.seed = self.materials.asking(queries), seed
        other.in_turn = True
        return other

    def batch(self, start: int, n: int) -> Batch:
        """Spectra `start` to `start + n - 1` of the stream."""
        if start < 0 or n < 1:
            raise ValueError(f"start = {start}, n = {n}: start must be >= 0 and n >= 1")
        size = self.block_size
        first, last = start // size, (start + n - 1) // size
        blocks = concatenate(self.block(number) for number in range(first, last + 1))
        offset = start - first * size
        return blocks[offset : offset + n]

    def batches(self, n: int) -> Iterator[Batch]:
        """The first n spectra of the stream, a block at a time."""
        for start in range(0, n, self.block_size):
            yield self.batch(start, min(self.block_size, n - start))

    def block(self, number: int) -> Batch:
        """Block `number` of the stream, computed as a whole."""
        generator = generator_for(self.seed, number, device=self.device)
        s, n = self.settings, self.block_size
        shells = self.shells[(self.seed + number) % len(self.shells)]
        window = draw_window(n, shells, self.materials, s, generator=generator)
        order, window, bands = sorted_bands(window)
        turn = number * n + order if self.in_turn else None
        specimen = draw_specimen(window.query, self.materials, s, turn=turn, generator=generator)
        pairs = draw_pairs(specimen, window, shells, s, generator=generator)
        flat, peak_area = self._edges(pairs, bands, shells, generator)
        counts, scale, axis_error_ev = self._record(
            flat, pairs, window, bands, shells, order, generator
        )
        snr = self._snr(flat, pairs, peak_area, scale, window, bands, shells)
        observable = observable_elements(window.lo_ev, window.hi_ev)
        amount = specimen.amount_per_element()
        present = (amount > 0) & observable
        rank = order.argsort()
        mask = rows_of(window, rank).mask(torch.arange(N_CHANNELS, device=self.device))
        processed = window.fit_end_ev > 0
        labels = (present, observable, snr * present, amount, processed, axis_error_ev)
        return Batch(counts, mask, *(label[rank] for label in labels))

    # -- the steps, in the order of the physics -------------------------------------------------

    def _edges(self, pairs: Pairs, bands: Bands, shells: ShellTables, generator):
        """Sum of all edges with their structure, flat in the bands, and the peak area per pair."""
        flat = continuum(pairs, bands, shells)
        area = torch.zeros_like(pairs.height)
        near = pairs.near.nonzero().squeeze(1)
        low = (bands.first_tile * TILE)[pairs.spectrum]
        high = low + (bands.n_tiles * TILE)[pairs.spectrum]
        for edge, first, values in self._structure(rows_of(pairs, near), shells, generator):
            pair = near[edge]
            values = values * pairs.height[pair, None]
            area.index_add_(0, pair, values.sum(1))
            channel = first[:, None] + torch.arange(values.shape[1], device=self.device)
            values *= (channel >= low[pair, None]) & (channel < high[pair, None])
            place = bands.base[pairs.spectrum[pair], None] + channel
            flat.scatter_add_(0, place.clamp_(0, len(flat) - 1).view(-1), values.view(-1))
        return flat.clamp_(min=0), area

    def _structure(self, pairs: Pairs, shells: ShellTables, generator):
        """Strips beside the onsets: (pair, first channel, values in edge heights) of each kind."""
        s, onset_ev, shell = self.settings, pairs.onset_ev, pairs.shell
        subshells = (shells.offset_ev[shell], shells.ratio[shell], shells.width_ev[shell])
        area_ev, templates = shells.bound_area_ev[shell], shells.templates
        if templates is not None:
            always = shells.rare_earth[pairs.element]
            drawn = chance(onset_ev.shape, s.multiplet_share, generator=generator) | always
            ions = (drawn & (templates.count[shell] > 0)).nonzero().squeeze(1)
            area_ev = area_ev.index_fill(0, ions, 0.0)
            yield (
                ions,
                *near_edge.multiplet_strips(
                    onset_ev[ions], shell[ions], templates, s, generator=generator
                ),
            )
        for peaks in (
            near_edge.generic_peaks(onset_ev, s, generator=generator),
            near_edge.resonances(onset_ev, shells.resonance[shell], s, generator=generator),
            near_edge.white_lines(onset_ev, area_ev, *subshells, s, generator=generator),
        ):
            yield peaks.edge, *near_edge.strips(peaks)
        inside = pairs.inside.nonzero().squeeze(1)
        edge, first, values = near_edge.oscillations(onset_ev[inside], s, generator=generator)
        yield inside[edge], first, values

    def _record(self, flat, pairs: Pairs, window: Window, bands: Bands, shells, order, generator):
        """Scattering, background, dose, detector and user.

        Counts (B, 3072), scale (B,), stated errors of the axes in eV (B,). Counts, and they alone,
        come in the order that the spectra had before they were sorted, ``order`` (B,). ``flat``
        holds the expected electrons afterwards.
        """
        s, n = self.settings, len(bands.n_tiles)
        low_loss = draw_low_loss(window, s, generator=generator)
        background = draw_background(window, low_loss, s, generator=generator)
        onset_ev, height = reference_edges(pairs, window, shells, generator=generator)
        mean_counts = log_uniform((n,), s.mean_counts, generator=generator)
        detector = draw_detector(mean_counts, s, generator=generator)
        axis = draw_axis(window, s, generator=generator)
        counts = torch.zeros(n, TILES, TILE, device=self.device)
        scale = torch.empty(n, device=self.device)
        for rows, n_fft, band in bands.matrices(flat):
            first_ev = bands.first_ev[rows]
            channel = torch.arange(band.shape[1], device=self.device)
            energy_ev = (first_ev[:, None] + channel).clamp(min=1.0)
            mask = rows_of(window, rows).mask(energy_ev)
            lowest_ev = (window.lo_ev[rows, None] - AFTER_EV).clamp(min=_LOWEST_EV)
            transfer = rows_of(low_loss, rows).transfer(n_fft)
            below = background_shape(
                rows_of(background, rows), energy_ev.maximum(lowest_ev), mask,
                transfer=transfer, reference_ev=onset_ev[rows],
            )  # fmt: skip
            below *= (height / background.jump_ratio)[rows, None]
            expected = scattering.convolve(band, transfer).clamp_(min=0).add_(below)
            scale[rows] = mean_counts[rows] * mask.sum(1) / (expected * mask).sum(1)
            band.copy_(expected.mul_(scale[rows, None]))
            recorded = record(
                band, mask, first_ev=first_ev, axis=rows_of(axis, rows),
                detector=rows_of(detector, rows), generator=generator,
            )  # fmt: skip
            some = window.fit_end_ev[rows].nonzero().squeeze(1)
            recorded[some] = subtract_power_law(
                recorded[some], mask[some], energy_ev[some], window.fit_end_ev[rows][some]
            )
            tiles = bands.first_tile[rows, None] + channel[::TILE] // TILE
            counts[order[rows, None], tiles] = recorded.view(*tiles.shape, TILE)
        return counts.view(n, -1)[:, :N_CHANNELS], scale, axis.error_ev

    def _snr(self, expected, pairs: Pairs, peak_area, scale, window: Window, bands: Bands, shells):
        """Signal-to-noise ratio of the best edge set of each element, (B, 80).

        ``expected`` : electrons per channel, flat in the bands.
        """
        s, n = self.settings, len(bands.n_tiles)
        lo = pairs.onset_ev
        hi = (lo + s.signal_width_ev).minimum(window.hi_ev[pairs.spectrum])
        counts = pairs.inside & shells.identifying[pairs.shell]
        cumulative = expected.cumsum(0, dtype=torch.float64)
        base = bands.base[pairs.spectrum]
        total = cumulative[(base + hi.long() - 1) * counts]
        total = (total - cumulative[(base + lo.long() - 1) * counts]).clamp(min=0).float()
        signal = (pairs.height * (hi - lo).clamp(min=0) + peak_area) * scale[pairs.spectrum]
        signal = signal.clamp(min=0).minimum(total)
        rest = total - signal
        noise = (signal + _EGERTON_H * rest + (s.background_knowledge * rest) ** 2).sqrt()
        ratio = signal / noise.clamp(min=1e-6)
        index = pairs.spectrum * len(ELEMENTS) + pairs.element
        best = torch.zeros(n * len(ELEMENTS), device=self.device)
        best.scatter_reduce_(0, index, ratio * counts, "amax")
        return best.view(n, len(ELEMENTS))
