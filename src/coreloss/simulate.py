"""Simulated core-loss spectra with labels: the one place where all pieces are composed.

Spectra are numbered. Spectrum i of a seed is always the same, whatever the batch it is asked in:
random numbers belong to blocks of `BLOCK` spectra, and a block is computed as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from coreloss import near_edge, scattering
from coreloss.axis import N_CHANNELS, energy_ev
from coreloss.cross_section_bank import CrossSectionBank
from coreloss.detector import record
from coreloss.edges import ELEMENTS, observable_elements
from coreloss.materials import Materials, QueryIndex
from coreloss.sampling import chance, generator_for, log_uniform, normal, pick, uniform
from coreloss.settings import SimulationSettings
from coreloss.simulate_specimen import Pairs, Window, draw_pairs, draw_specimen, draw_window
from coreloss.simulate_tables import (
    MaterialTables,
    ShellTables,
    default_shells,
    shifted_row,
)

BLOCK = 512
_EGERTON_H = 10.0


@dataclass(frozen=True)
class Batch:
    """Spectra and labels; B spectra, 80 elements in the order of `edges.ELEMENTS`.

    counts : (B, 3072) float32, electrons per 1 eV channel, 0 outside the window
    mask : (B, 3072) bool, channels inside the window
    present : (B, 80) bool, in the specimen with an edge set inside the window
    observable : (B, 80) bool, an edge set lies inside the window
    snr : (B, 80) float32, signal-to-noise ratio of the element's best edge set, 0 if absent
    amount : (B, 80) float32, shares of the specimen's atoms, of all its labelled elements, whether
        an edge of theirs is in the window or not; rows add up to 1
    """

    counts: torch.Tensor
    mask: torch.Tensor
    present: torch.Tensor
    observable: torch.Tensor
    snr: torch.Tensor
    amount: torch.Tensor

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows) -> Batch:
        return Batch(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: str) -> Batch:
        """Copy on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def concatenate(batches) -> Batch:
    """One batch of several."""
    return Batch(*(torch.cat([getattr(b, f.name) for b in batches]) for f in fields(Batch)))


class Simulator:
    """Numbered stream of simulated spectra.

    Parameters
    ----------
    materials, queries : the compounds to draw from and, per element, those that contain it
    settings : distributions of all random parameters
    seed : names the stream; different seeds are independent
    device : where everything is computed; CPU results are reproducible bit for bit
    """

    def __init__(
        self,
        materials: Materials,
        queries: QueryIndex,
        *,
        settings: SimulationSettings | None = None,
        seed: int = 0,
        device: str = "cpu",
        bank: CrossSectionBank | None = None,
    ) -> None:
        self.settings = settings or SimulationSettings()
        self.seed = seed
        self.device = device
        self.energy_ev = energy_ev().to(device)
        self.materials = MaterialTables.build(materials, queries, device=device)
        self.shells = ShellTables.build(bank, device=device) if bank else default_shells(device)

    def batch(self, start: int, n: int) -> Batch:
        """Spectra `start` to `start + n - 1` of the stream."""
        if start < 0 or n < 1:
            raise ValueError(f"start = {start}, n = {n}: start must be >= 0 and n >= 1")
        first, last = start // BLOCK, (start + n - 1) // BLOCK
        blocks = concatenate([self.block(number) for number in range(first, last + 1)])
        offset = start - first * BLOCK
        return blocks[offset : offset + n]

    def block(self, number: int) -> Batch:
        """Block `number` of `BLOCK` spectra, computed as a whole."""
        generator = generator_for(self.seed, number, device=self.device)
        window = draw_window(BLOCK, self.shells, self.materials, self.settings, generator=generator)
        specimen = draw_specimen(window.query, self.materials, self.settings, generator=generator)
        pairs = draw_pairs(specimen, window, self.shells, self.settings, generator=generator)
        edges, peak_area = self._edges(pairs, generator)
        edges = self._scatter(edges, generator)
        mask = window.mask(self.energy_ev)
        expected, scale = self._with_background(edges, pairs, mask, generator)
        snr = self._snr(expected * mask, pairs, peak_area, scale, window)
        counts = self._record(expected, mask, generator)
        observable = observable_elements(window.lo_ev, window.hi_ev)
        amount = specimen.amount_per_element()
        present = (amount > 0) & observable
        return Batch(counts, mask, present, observable, snr * present, amount)

    # -- the steps, in the order of the physics -------------------------------------------------

    def _edges(self, pairs: Pairs, generator):
        """Sum of all edges with their near-edge structure, (B, n), and the peak area per pair."""
        n_channels = self.shells.shifted_rows.shape[1]
        row = shifted_row(pairs.shell, pairs.shift_step)
        per_spectrum = torch.bincount(pairs.spectrum, minlength=BLOCK) * row.shape[1]
        offsets = per_spectrum.cumsum(0) - per_spectrum
        edges = F.embedding_bag(
            row.reshape(-1),
            self.shells.shifted_rows,
            offsets,
            per_sample_weights=pairs.coefficients.reshape(-1),
            mode="sum",
        ).clamp_(min=0)
        area = torch.zeros_like(pairs.height)
        flat = edges.view(-1)
        near = pairs.near.nonzero().squeeze(1)
        for peaks in self._near_edge(pairs.onset_ev[near], pairs.shell[near], generator):
            pair = near[peaks.edge]
            first, values = near_edge.strips(peaks)
            values = values * pairs.height[pair, None]
            area.index_add_(0, pair, values.sum(1))
            channel = first[:, None] + torch.arange(scattering.STRIP_CHANNELS, device=self.device)
            values = values * ((channel >= 0) & (channel < n_channels))
            index = pairs.spectrum[pair, None] * n_channels + channel.clamp(0, n_channels - 1)
            flat.scatter_add_(0, index.reshape(-1), values.reshape(-1))
        return edges.clamp_(min=0), area

    def _near_edge(self, onset_ev, shell, generator) -> list[near_edge.Peaks]:
        s, tables = self.settings, self.shells
        resonant = tables.resonant[shell]
        split = (tables.bound_area_ev[shell], tables.offset_ev[shell], tables.ratio[shell])
        return [
            near_edge.generic_peaks(onset_ev, s, generator=generator),
            near_edge.resonances(onset_ev, resonant, s, generator=generator),
            near_edge.white_lines(onset_ev, *split, s, generator=generator),
        ]

    def _scatter(self, edges, generator):
        """Plural scattering, zero-loss width and energy offset: (B, n) -> (B, 3072)."""
        s = self.settings
        n = (BLOCK,)
        energy = uniform((BLOCK, 2), s.plasmon_energy_ev, generator=generator)
        width = log_uniform((BLOCK, 2), s.plasmon_width_ev, generator=generator)
        second = chance(n, s.second_plasmon_probability, generator=generator)
        share = uniform(n, (0.1, 0.9), generator=generator) * second
        offset = normal(n, s.axis_shift_ev, generator=generator)
        bad = chance(n, s.bad_axis_probability, generator=generator)
        bad_offset = uniform(n, s.bad_axis_shift_ev, generator=generator)
        transfer = scattering.low_loss_transfer(
            thickness_mfp=log_uniform(n, s.thickness_mfp, generator=generator),
            plasmon_energy_ev=energy,
            plasmon_width_ev=width,
            plasmon_share=torch.stack([1 - share, share], 1),
            zero_loss_fwhm_ev=log_uniform(n, s.zero_loss_fwhm_ev, generator=generator),
            shift_ev=torch.where(bad, bad_offset, offset),
        )
        return scattering.convolve(edges, transfer)[:, :N_CHANNELS].clamp(min=0)

    def _with_background(self, edges, pairs: Pairs, mask, generator):
        """Background and dose: expected electrons (B, 3072) and their scale (B,)."""
        s = self.settings
        count = torch.bincount(pairs.spectrum, minlength=BLOCK)
        first = count.cumsum(0) - count
        number = torch.arange(len(pairs.spectrum), device=self.device) - first[pairs.spectrum]
        candidates = torch.zeros(BLOCK, int(count.max()), dtype=torch.bool, device=self.device)
        usable = pairs.inside & self.shells.identifying[pairs.shell] & (pairs.height > 0)
        candidates[pairs.spectrum, number] = usable
        pair = first + pick(candidates, generator=generator)
        jump = log_uniform((BLOCK,), s.jump_ratio, generator=generator)
        onset = pairs.onset_ev[pair]
        exponent = uniform((BLOCK,), s.background_exponent, generator=generator)
        curvature = normal((BLOCK,), s.background_curvature, generator=generator)
        shape = scattering.power_law(
            self.energy_ev.clamp(min=5.0)[None],
            reference_ev=onset,
            amplitude=torch.ones_like(onset),
            exponent=exponent,
            exponent_slope=curvature,
        )
        has_offset = chance((BLOCK,), s.background_offset_probability, generator=generator)
        share = log_uniform((BLOCK,), s.background_offset, generator=generator) * has_offset
        level = share * (shape * mask).sum(1) / mask.sum(1)
        height = scattering.background_for_jump_ratio(pairs.height[pair], jump_ratio=jump)
        background = (shape + level[:, None]) * height[:, None]
        expected = edges + background
        mean = (expected * mask).sum(1) / mask.sum(1)
        scale = log_uniform((BLOCK,), s.mean_counts, generator=generator) / mean
        return expected * scale[:, None], scale

    def _snr(self, expected, pairs: Pairs, peak_area, scale, window: Window):
        """Signal-to-noise ratio of the best edge set of each element, (B, 80)."""
        s = self.settings
        lo = pairs.onset_ev
        hi = (lo + s.signal_width_ev).minimum(window.hi_ev[pairs.spectrum])
        cumulative = F.pad(expected.cumsum(1, dtype=torch.float64), (1, 0))
        lo_channel = lo.long().clamp(0, N_CHANNELS - 1)
        hi_channel = hi.long().clamp(0, N_CHANNELS - 1)
        total = cumulative[pairs.spectrum, hi_channel] - cumulative[pairs.spectrum, lo_channel]
        total = total.clamp(min=0).float()
        signal = (pairs.height * (hi - lo).clamp(min=0) + peak_area) * scale[pairs.spectrum]
        signal = signal.clamp(min=0).minimum(total)
        rest = total - signal
        noise = (signal + _EGERTON_H * rest + (s.background_knowledge * rest) ** 2).sqrt()
        ratio = signal / noise.clamp(min=1e-6)
        counts = pairs.inside & self.shells.identifying[pairs.shell]
        index = pairs.spectrum * len(ELEMENTS) + pairs.element
        best = torch.zeros(BLOCK * len(ELEMENTS), device=self.device)
        best.scatter_reduce_(0, index, ratio * counts, "amax")
        return best.view(BLOCK, len(ELEMENTS))

    def _record(self, expected, mask, generator):
        s = self.settings
        n = (BLOCK,)
        gain = log_uniform(n, s.gain_variation, generator=generator)
        gain = gain * chance(n, s.gain_variation_probability, generator=generator)
        readout = log_uniform(n, s.readout_noise, generator=generator)
        readout = readout * chance(n, s.readout_noise_probability, generator=generator)
        coarse = chance(n, s.coarse_axis_probability, generator=generator)
        factor = torch.where(chance(n, 0.6, generator=generator), 2, 4)
        return record(
            expected,
            mask,
            gain_variation=gain,
            readout_noise=readout,
            bin_factor=torch.where(coarse, factor, 1),
            generator=generator,
        ).clamp_(min=0)
