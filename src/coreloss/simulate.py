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
from coreloss.cross_section import CrossSectionBank, default_bank
from coreloss.detector import record
from coreloss.edges import (
    ELEMENTS,
    MARGIN_AFTER_EV,
    MARGIN_BEFORE_EV,
    edge_shells,
    observable_elements,
)
from coreloss.materials import Materials, QueryIndex
from coreloss.sampling import chance, generator_for, log_uniform, normal, pick, uniform
from coreloss.settings import SimulationSettings

BLOCK = 512
SHIFT_STEP_EV = 0.5
MAX_SHIFT_STEPS = 8
_EGERTON_H = 10.0


@dataclass(frozen=True)
class Batch:
    """Spectra and labels; B spectra, 80 elements in the order of `edges.ELEMENTS`.

    counts : (B, 3072) float32, electrons per 1 eV channel, 0 outside the window
    mask : (B, 3072) bool, channels inside the window
    present : (B, 80) bool, in the specimen with an edge set inside the window
    observable : (B, 80) bool, an edge set lies inside the window
    snr : (B, 80) float32, signal-to-noise ratio of the element's best edge set, 0 if absent
    amount : (B, 80) float32, atomic fractions of the elements that are present
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


@dataclass(frozen=True)
class Specimen:
    """What a block of spectra is taken of: element indices and amounts, (B, k); -1 pads."""

    elements: torch.Tensor
    amounts: torch.Tensor


@dataclass(frozen=True)
class Pairs:
    """All (spectrum, edge shell) pairs of a block, ordered by spectrum; P pairs.

    spectrum, shell, element : (P,) long; onset_ev : (P,), shifted
    coefficients : (P, rank), of the cross-section rows; shift_step : (P,) long
    height : (P,), mean cross-section past the onset; inside : (P,) bool, onset in the window
    """

    spectrum: torch.Tensor
    shell: torch.Tensor
    element: torch.Tensor
    onset_ev: torch.Tensor
    shift_step: torch.Tensor
    coefficients: torch.Tensor
    height: torch.Tensor
    inside: torch.Tensor


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
        self._load_materials(materials, queries)
        self._load_shells()
        self._load_bank(bank or default_bank())

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
        query, window_lo, window_hi = self._windows(generator)
        specimen = self._specimen(query, generator)
        pairs = self._pairs(specimen, window_lo, window_hi, generator)
        edges, peak_area = self._edges(pairs, generator)
        edges = self._scatter(edges, generator)
        mask = (self.energy_ev >= window_lo[:, None]) & (self.energy_ev <= window_hi[:, None])
        expected, scale = self._with_background(edges, pairs, mask, generator)
        snr = self._snr(expected * mask, pairs, peak_area, scale, window_hi)
        counts = self._record(expected, generator) * mask
        observable = observable_elements(window_lo, window_hi)
        amount = torch.zeros(BLOCK, len(ELEMENTS) + 1, device=self.device)
        amount.scatter_add_(1, specimen.elements % (len(ELEMENTS) + 1), specimen.amounts)
        amount = amount[:, :-1]
        present = (amount > 0) & observable
        return Batch(
            counts,
            mask,
            present,
            observable,
            snr * present,
            amount / amount.sum(1, keepdim=True),
        )

    # -- constant tables ------------------------------------------------------------------------

    def _load_materials(self, materials: Materials, queries: QueryIndex) -> None:
        labels, fractions = materials.padded()
        self._material_elements = torch.as_tensor(labels).to(self.device)
        self._material_amounts = torch.as_tensor(fractions).to(self.device)
        self._query_offsets = torch.as_tensor(queries.offsets).to(self.device)
        self._query_rows = torch.as_tensor(queries.rows).to(self.device)
        self._queried = (self._query_offsets.diff() > 0).nonzero().squeeze(1)

    def _load_shells(self) -> None:
        shells = edge_shells()
        index = {symbol: i for i, symbol in enumerate(ELEMENTS)}
        of_element = [[] for _ in ELEMENTS]
        sets_of_element = [[] for _ in ELEMENTS]
        for i, shell in enumerate(shells):
            of_element[index[shell.element]].append(i)
            if shell.role == "identifying":
                sets_of_element[index[shell.element]].append(i)
        self._shells_of_element = _padded(of_element, self.device)
        self._sets_of_element = _padded(sets_of_element, self.device)
        self._onset_ev = _tensor([shell.onset_ev for shell in shells], self.device)
        self._identifying = _tensor([shell.role == "identifying" for shell in shells], self.device)
        self._resonant = _tensor(
            [s.shell == "K" and s.element in near_edge.RESONANT_ELEMENTS for s in shells],
            self.device,
        )
        self._offset_ev = _tensor([_two(shell.offsets_ev) for shell in shells], self.device)
        self._ratio = _tensor([_two(shell.ratios) for shell in shells], self.device)
        self._bound_area_ev = _tensor(near_edge.white_line_areas_ev(shells), self.device)

    def _load_bank(self, bank: CrossSectionBank) -> None:
        self._bank = bank.to(self.device)
        rows = self._bank.rows
        steps = torch.arange(-MAX_SHIFT_STEPS, MAX_SHIFT_STEPS + 1) * SHIFT_STEP_EV
        shifted = torch.stack([_shift(rows, float(shift)) for shift in steps], 2)
        self._n_channels = rows.shape[-1]
        self._rows = shifted.reshape(-1, self._n_channels)
        past = torch.arange(self._n_channels, device=self.device) - self._onset_ev[:, None]
        near = ((past >= near_edge.HEIGHT_EV[0]) & (past <= near_edge.HEIGHT_EV[1])).to(rows.dtype)
        self._height_rows = torch.einsum("sre,se->sr", rows, near / near.sum(1, keepdim=True))

    # -- the steps, in the order of the physics -------------------------------------------------

    def _windows(self, generator):
        """Query element, first and last energy of the window: an edge set of the query fits in."""
        s = self.settings
        query = self._draw_element(generator)
        sets = self._sets_of_element[query]
        chosen = sets.gather(1, pick(sets >= 0, generator=generator)[:, None]).squeeze(1)
        onset = self._onset_ev[chosen]
        width = log_uniform((BLOCK,), s.window_width_ev, generator=generator)
        wide = chance((BLOCK,), s.wide_window_probability, generator=generator)
        wide_width = uniform((BLOCK,), (1000.0, s.window_width_ev[1]), generator=generator)
        width = torch.where(wide, wide_width, width)
        last = (onset - MARGIN_BEFORE_EV).floor()
        first = (onset + MARGIN_AFTER_EV - width).clamp(min=s.window_start_min_ev)
        lo = uniform((BLOCK,), (first.minimum(last), last), generator=generator).floor()
        hi = (lo + width).floor().maximum((onset + MARGIN_AFTER_EV).ceil())
        return query, lo, hi.clamp(max=N_CHANNELS - 1)

    def _specimen(self, query, generator) -> Specimen:
        """A compound of the query element, perhaps a second phase, a carbon film, an oxide."""
        s = self.settings
        first = self._draw_material(query, generator)
        second = self._draw_material(self._draw_element(generator), generator)
        has_second = chance((BLOCK,), s.second_phase_probability, generator=generator)
        second_amount = log_uniform((BLOCK,), (0.1, 3.0), generator=generator) * has_second
        parts = [(self._material_elements[first], self._material_amounts[first])]
        parts.append(
            (
                self._material_elements[second],
                self._material_amounts[second] * second_amount[:, None],
            )
        )
        for symbol, probability in (("C", s.carbon_probability), ("O", s.oxygen_probability)):
            has = chance((BLOCK, 1), probability, generator=generator)
            amount = log_uniform((BLOCK, 1), s.contamination_amount, generator=generator) * has
            parts.append((torch.full_like(query, ELEMENTS.index(symbol))[:, None], amount))
        elements = torch.cat([part[0] for part in parts], 1)
        amounts = torch.cat([part[1] for part in parts], 1)
        elements = torch.where(amounts > 0, elements, -1)
        return Specimen(elements.long(), amounts.float())

    def _draw_element(self, generator):
        n = len(self._queried)
        return self._queried[torch.randint(n, (BLOCK,), generator=generator, device=self.device)]

    def _draw_material(self, element, generator):
        first, past = self._query_offsets[element], self._query_offsets[element + 1]
        position = uniform((len(element),), (0.0, 1.0), generator=generator)
        return self._query_rows[
            first + (position * (past - first)).long().minimum(past - first - 1)
        ]

    def _pairs(self, specimen: Specimen, window_lo, window_hi, generator) -> Pairs:
        """Cross-sections of all shells of all elements below the end of the window."""
        s = self.settings
        beam = (
            uniform((BLOCK,), s.beam_energy_kev, generator=generator),
            uniform((BLOCK,), s.convergence_mrad, generator=generator),
            log_uniform((BLOCK,), s.collection_mrad, generator=generator),
        )
        element_shift = normal(specimen.elements.shape, s.chemical_shift_ev, generator=generator)
        shells = self._shells_of_element[specimen.elements.clamp(min=0)]  # (B, k, s)
        valid = (specimen.elements >= 0)[:, :, None] & (shells >= 0)
        valid &= self._onset_ev[shells] < window_hi[:, None, None]
        spectrum, slot, _ = valid.nonzero(as_tuple=True)
        shell = shells[valid]
        n = len(shell)
        shift = element_shift[spectrum, slot]
        shift = shift + normal((n,), s.shell_shift_ev, generator=generator)
        step = (shift / SHIFT_STEP_EV).round().long().clamp(-MAX_SHIFT_STEPS, MAX_SHIFT_STEPS)
        error = normal((n,), s.cross_section_error, generator=generator).exp()
        weight = specimen.amounts[spectrum, slot] * error
        coefficients = self._bank.coefficients(*(value[spectrum] for value in beam), shell=shell)
        coefficients = coefficients * weight[:, None]
        onset = self._onset_ev[shell] + step * SHIFT_STEP_EV
        tabulated = self._onset_ev[shell]
        inside = (tabulated >= window_lo[spectrum] + MARGIN_BEFORE_EV) & (
            tabulated <= window_hi[spectrum] - MARGIN_AFTER_EV
        )
        height = (coefficients * self._height_rows[shell]).sum(1).clamp(min=0)
        return Pairs(
            spectrum,
            shell,
            specimen.elements[spectrum, slot],
            onset,
            step,
            coefficients,
            height,
            inside,
        )

    def _edges(self, pairs: Pairs, generator):
        """Sum of all edges with their near-edge structure, (B, n), and the peak area per pair."""
        rank = pairs.coefficients.shape[1]
        n_steps = 2 * MAX_SHIFT_STEPS + 1
        rank_index = torch.arange(rank, device=self.device)
        row = (pairs.shell[:, None] * rank + rank_index) * n_steps
        row = row + (pairs.shift_step + MAX_SHIFT_STEPS)[:, None]
        per_spectrum = torch.bincount(pairs.spectrum, minlength=BLOCK) * rank
        offsets = per_spectrum.cumsum(0) - per_spectrum
        edges = F.embedding_bag(
            row.reshape(-1),
            self._rows,
            offsets,
            per_sample_weights=pairs.coefficients.reshape(-1),
            mode="sum",
        ).clamp_(min=0)
        area = torch.zeros_like(pairs.height)
        flat = edges.view(-1)
        for peaks in self._near_edge(pairs, generator):
            first, values = near_edge.strips(peaks)
            values = values * pairs.height[peaks.edge, None]
            area.index_add_(0, peaks.edge, values.sum(1))
            channel = first[:, None] + torch.arange(scattering.STRIP_CHANNELS, device=self.device)
            values = values * ((channel >= 0) & (channel < self._n_channels))
            channel = channel.clamp(0, self._n_channels - 1)
            index = pairs.spectrum[peaks.edge, None] * self._n_channels + channel
            flat.scatter_add_(0, index.reshape(-1), values.reshape(-1))
        return edges.clamp_(min=0), area

    def _near_edge(self, pairs: Pairs, generator) -> list[near_edge.Peaks]:
        s = self.settings
        shell = pairs.shell
        return [
            near_edge.generic_peaks(pairs.onset_ev, s, generator=generator),
            near_edge.resonances(pairs.onset_ev, self._resonant[shell], s, generator=generator),
            near_edge.white_lines(
                pairs.onset_ev,
                self._bound_area_ev[shell],
                self._offset_ev[shell],
                self._ratio[shell],
                s,
                generator=generator,
            ),
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
        inside = torch.zeros(BLOCK, int(self._max_pairs(pairs)), device=self.device)
        rank_in_spectrum = _position_in_group(pairs.spectrum, BLOCK)
        usable = pairs.inside & self._identifying[pairs.shell] & (pairs.height > 0)
        inside[pairs.spectrum, rank_in_spectrum] = usable.float()
        chosen = pick(inside > 0, generator=generator)
        count = torch.bincount(pairs.spectrum, minlength=BLOCK)
        pair = count.cumsum(0) - count + chosen
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
        background = (shape + level[:, None]) * (pairs.height[pair] / jump)[:, None]
        expected = edges + background
        mean = (expected * mask).sum(1) / mask.sum(1)
        scale = log_uniform((BLOCK,), s.mean_counts, generator=generator) / mean
        return expected * scale[:, None], scale

    def _max_pairs(self, pairs: Pairs) -> torch.Tensor:
        return torch.bincount(pairs.spectrum, minlength=BLOCK).max()

    def _snr(self, expected, pairs: Pairs, peak_area, scale, window_hi):
        """Signal-to-noise ratio of the best edge set of each element, (B, 80)."""
        s = self.settings
        lo = pairs.onset_ev
        hi = (lo + s.signal_width_ev).minimum(window_hi[pairs.spectrum])
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
        counts = pairs.inside & self._identifying[pairs.shell]
        index = pairs.spectrum * len(ELEMENTS) + pairs.element
        best = torch.zeros(BLOCK * len(ELEMENTS), device=self.device)
        best.scatter_reduce_(0, index, ratio * counts, "amax")
        return best.view(BLOCK, len(ELEMENTS))

    def _record(self, expected, generator):
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
            gain_variation=gain,
            readout_noise=readout,
            bin_factor=torch.where(coarse, factor, 1),
            generator=generator,
        ).clamp_(min=0)


def _tensor(values, device) -> torch.Tensor:
    tensor = torch.as_tensor(values, device=device)
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def _padded(lists, device) -> torch.Tensor:
    """(len(lists), longest) long tensor, -1 where a list has ended."""
    longest = max(map(len, lists))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in lists], device=device)


def _two(values) -> list[float]:
    return [float(value) for value in (*values, 0.0, 0.0)[:2]]


def _position_in_group(group: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Running number of each entry within its group; `group` is sorted."""
    count = torch.bincount(group, minlength=n_groups)
    first = count.cumsum(0) - count
    return torch.arange(len(group), device=group.device) - first[group]


def _shift(rows: torch.Tensor, shift_ev: float) -> torch.Tensor:
    """Rows moved up in energy by `shift_ev`, linear between channels, the first value repeated."""
    whole = int(shift_ev // 1)
    fraction = shift_ev - whole
    n = rows.shape[-1]
    channel = torch.arange(n, device=rows.device) - whole
    upper = rows[..., channel.clamp(0, n - 1)]
    lower = rows[..., (channel - 1).clamp(0, n - 1)]
    return (1 - fraction) * upper + fraction * lower
