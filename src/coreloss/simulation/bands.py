"""Which channels of a spectrum are computed: its window, what scatters into it, and no more.

The bands of a block lie behind each other in one flat tensor. They come in a few lengths, the
spectra sorted by them, so that equally long bands are one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from coreloss.simulation.sampling import rows_of
from coreloss.simulation.specimen import Pairs, Window
from coreloss.simulation.tables import TERMS, TILE, TILES, ShellTables, first_tile

BAND_LEAD_EV = 128
"""Computed before the window: electrons that ionised there and then lost more come into it."""
AFTER_EV = 32
"""Computed after it: an axis with errors shows what lies there."""
BAND_TILES = (5, 8, 12, 17, TILES)
FFT_LENGTHS = (864, 1200, 1680, 2250, 3456)
"""For bands of `BAND_TILES`, with 300 channels of room for what is scattered out of them."""


@dataclass(frozen=True, eq=False)
class Bands:
    """Bands of B spectra that are sorted by length.

    first_tile, n_tiles : (B,) long; base : (B,) long, place of channel 0 eV in the flat tensor
    groups : first and past spectrum, channels, FFT length, of each length that occurs
    """

    first_tile: torch.Tensor
    n_tiles: torch.Tensor
    base: torch.Tensor
    groups: tuple[tuple[int, int, int, int], ...]

    @property
    def first_ev(self) -> torch.Tensor:
        """Energy of the first channel of each band, (B,) float32."""
        return (self.first_tile * TILE).float()

    def matrices(self, flat: torch.Tensor) -> Iterator[tuple[slice, int, torch.Tensor]]:
        """Spectra, FFT length and (spectra, channels) view of each group of the flat tensor."""
        at = 0
        for start, stop, n, n_fft in self.groups:
            size = (stop - start) * n
            yield slice(start, stop), n_fft, flat[at : at + size].view(-1, n)
            at += size


def sorted_bands(window: Window) -> tuple[torch.Tensor, Window, Bands]:
    """Order (B,) that sorts the windows by length of band, sorted windows, their bands."""
    device = window.lo_ev.device
    lengths = torch.tensor(BAND_TILES, device=device)
    tile = ((window.lo_ev - BAND_LEAD_EV).clamp(min=0) / TILE).long()
    needed = ((window.hi_ev + 1 + AFTER_EV) / TILE).ceil().long().clamp(max=TILES) - tile
    group = torch.searchsorted(lengths, needed)
    order = group.argsort(stable=True)
    group, n_tiles = group[order], lengths[group[order]]
    tile = tile[order].minimum(TILES - n_tiles)
    n_channels = n_tiles * TILE
    base = n_channels.cumsum(0) - n_channels - tile * TILE
    counts = torch.bincount(group, minlength=len(BAND_TILES)).tolist()
    groups, start = [], 0
    for tiles, n_fft, n in zip(BAND_TILES, FFT_LENGTHS, counts, strict=True):
        if n:
            groups.append((start, start + n, tiles * TILE, n_fft))
        start += n
    return order, rows_of(window, order), Bands(tile, n_tiles, base, tuple(groups))


def continuum(pairs: Pairs, bands: Bands, shells: ShellTables) -> torch.Tensor:
    """Cross-sections of all pairs added up in the bands of their spectra, flat.

    Tiles of `ShellTables.shifted_rows` below an onset or outside a band are not touched.
    """
    device = pairs.spectrum.device
    n_spectra = len(bands.n_tiles)
    count = torch.bincount(pairs.spectrum, minlength=n_spectra)
    first_pair = count.cumsum(0) - count
    # One bag for each tile of each band, with the pairs of its spectrum in it.
    bag_spectrum = torch.arange(n_spectra, device=device).repeat_interleave(bands.n_tiles)
    first_bag = bands.n_tiles.cumsum(0) - bands.n_tiles
    n_bags = len(bag_spectrum)
    bag_tile = torch.arange(n_bags, device=device) + (bands.first_tile - first_bag)[bag_spectrum]
    bag = torch.arange(n_bags, device=device).repeat_interleave(count[bag_spectrum])
    first_entry = count[bag_spectrum].cumsum(0) - count[bag_spectrum]
    entry = torch.arange(len(bag), device=device)
    pair = entry + (first_pair[bag_spectrum] - first_entry)[bag]
    tile = bag_tile[bag]
    reached = (tile >= shells.first_tile[pairs.shell][pair]).nonzero().squeeze(1)
    bag, pair, tile = (x.index_select(0, reached) for x in (bag, pair, tile))
    row = first_tile(pairs.shell, pairs.shift_step).index_select(0, pair) + tile[:, None]
    filled = torch.bincount(bag, minlength=n_bags)
    return F.embedding_bag(
        row.view(-1),
        shells.shifted_rows,
        (filled.cumsum(0) - filled) * TERMS,
        per_sample_weights=pairs.coefficients.index_select(0, pair).view(-1),
        mode="sum",
    ).view(-1)
