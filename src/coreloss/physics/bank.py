"""Cross-sections of all shells at once, in a fast low-rank form.

:class:`CrossSectionBank` holds them as

    dsigma/dE (E; E0, alpha, beta) ~ sum_k c_k(E0, alpha, beta) phi_k(E)

on the channels of the spectra, with the c_k interpolated over a grid of beam settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes

from coreloss import shipped
from coreloss.axis import N_CHANNELS
from coreloss.beam import Beam
from coreloss.edges import EdgeShell, edge_shells
from coreloss.physics.bethe_integral import (
    TableStack,
    cross_section_at_nodes,
    interpolate_over_energy,
)
from coreloss.physics.cross_section import subshell_stack
from coreloss.physics.gos_files import fetch_published
from coreloss.physics.gos_table import GosTable, read_gosh
from coreloss.runtime.files import replacing

BANK_VERSION = 2
BANK_CHANNELS = N_CHANNELS + 64  # beyond the axis, so that shifts and scattering have a source
RANK = 4
BEAM_ENERGY_NODES_KEV = np.geomspace(60.0, 300.0, 6)
COLLECTION_NODES_MRAD = np.geomspace(2.0, 120.0, 15)
MAX_CONVERGENCE_MRAD = 40.0
# convergence over collection semi-angle; a node at 1, where the collected fraction has its kink
ANGLE_RATIO_NODES = np.array(
    [0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.8, 2.3, 3, 4, 5.5, 7.5, 10, 14, 20]
)
BEAM_LIMITS: tuple[tuple[float, float], ...] = (
    (float(BEAM_ENERGY_NODES_KEV[0]), float(BEAM_ENERGY_NODES_KEV[-1])),
    (0.0, MAX_CONVERGENCE_MRAD),
    (float(COLLECTION_NODES_MRAD[0]), float(COLLECTION_NODES_MRAD[-1])),
)
"""Lowest and highest beam energy in keV, convergence and collection semi-angle in mrad."""
_N_BASIS_BEAMS = 60
_N_FIT_ENERGIES = 12
_N_BANK_NODES = 12
ERROR_TAIL_EV, TAIL_POWER = 200.0, 3.0  # relative errors weigh less this far past an onset
_FINE_CHANNELS = 48  # channels past an onset that are averaged over their width
_SUBCELLS = 8


@dataclass(frozen=True, eq=False)
class CrossSectionBank:
    """Cross-sections of many shells in low-rank form, for all practical beam settings.

    rows (shells, rank, channels) float32: phi_k(E) at E = channel eV, averaged over the channel
    near the onset, zero below it. log_scale (shells, beam energies, collections, angle ratios):
    logarithm of the mean cross-section, without the factor min(1, beta^2/alpha^2); shape
    (..., rank): the c_k over that mean. Shells follow the order they were built with.
    """

    rows: torch.Tensor
    log_scale: torch.Tensor
    shape: torch.Tensor

    def to(self, device: torch.device | str) -> CrossSectionBank:
        """Copy on another device."""
        return CrossSectionBank(*(x.to(device) for x in (self.rows, self.log_scale, self.shape)))

    def coefficients(self, *, beam: Beam, shell: torch.Tensor | None = None) -> torch.Tensor:
        """Coefficients c_k: (batch, shells, rank), or (batch, rank) for one shell per beam.

        ``(c[..., None] * rows).sum(-2)`` is dsigma/dE in barn/eV/atom. ValueError outside 60-300
        keV, convergence 0-40 mrad, collection 2-120 mrad (semi-angles).
        """
        if wrong := beam.outside(BEAM_LIMITS, tolerance=1e-6):
            name, value, low, high = wrong
            raise ValueError(
                f"{name} is {value:g}, the bank holds {low:g} to {high:g}; use dsigma_de outside"
            )
        settings = beam.stacked(dtype=torch.float32, device=self.rows.device)
        corners, weights = _beam_corners(settings)
        n_beams = self.log_scale[0].numel()
        if shell is None:
            shell = torch.arange(len(self.rows), device=corners.device).repeat(len(corners))
            corners, weights = (x.repeat_interleave(len(self.rows), 0) for x in (corners, weights))
            collected = _collected_at_zero(*settings[1:]).repeat_interleave(len(self.rows))
        else:
            collected = _collected_at_zero(*settings[1:])
        index = corners + shell[:, None] * n_beams
        log_scale = (self.log_scale.reshape(-1)[index] * weights).sum(1)
        shape = F.embedding_bag(
            index, self.shape.reshape(-1, RANK), per_sample_weights=weights, mode="sum"
        )
        result = shape * (torch.exp(log_scale) * collected)[:, None]
        return (
            result
            if len(result) == settings.shape[1]
            else result.reshape(settings.shape[1], len(self.rows), RANK)
        )

    def cross_sections(self, *, beam: Beam, shells: Sequence[int] | None = None) -> torch.Tensor:
        """dsigma/dE in barn/eV for a single beam, (shells, channels), of all shells or of some.

        ValueError for several beams, and outside the limits of `coefficients`.
        """
        if not beam.single:
            raise ValueError("beam holds arrays, allowed: three numbers; use `coefficients`")
        chosen = slice(None) if shells is None else list(shells)
        terms = self.coefficients(beam=beam)[0][chosen, :, None] * self.rows[chosen]
        return terms.sum(1).clamp(min=0)

    def save(self, path: str | Path, *, key: str = "") -> None:
        """Write to a safetensors file (temporary, then renamed); ``key`` names its sources."""
        tensors = {"rows": self.rows, "log_scale": self.log_scale, "shape": self.shape}
        content = as_bytes({k: v.cpu().contiguous() for k, v in tensors.items()}, {"key": key})
        with replacing(path) as temporary:
            temporary.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path, *, key: str | None = None) -> CrossSectionBank:
        """Read a file of :meth:`save`; ValueError when it is unreadable or its key differs."""
        try:
            with safe_open(path, framework="pt") as file:
                found = (file.metadata() or {}).get("key")
                tensors = [file.get_tensor(name) for name in ("rows", "log_scale", "shape")]
        except (OSError, SafetensorError) as error:
            raise ValueError(
                f"{path} is not a cross-section bank ({error}); build it again"
            ) from None
        if key is not None and key != found:
            raise ValueError(f"{path} was made from other tables; build it again")
        return cls(*tensors)


def _collected_at_zero(convergence: torch.Tensor, collection: torch.Tensor) -> torch.Tensor:
    return torch.clamp(collection / convergence, max=1.0) ** 2


def _beam_corners(settings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices and weights (batch, 8) of the grid nodes around beams (3, batch)."""
    beam_energy, convergence, collection = settings
    index = torch.zeros(len(beam_energy), 1, dtype=torch.long, device=beam_energy.device)
    weight = torch.ones(len(beam_energy), 1, device=beam_energy.device)
    for value, nodes in (
        (torch.log(beam_energy), np.log(BEAM_ENERGY_NODES_KEV)),
        (torch.log(collection), np.log(COLLECTION_NODES_MRAD)),
        (torch.log(0.5 + convergence / collection), np.log(0.5 + ANGLE_RATIO_NODES)),
    ):
        grid = torch.as_tensor(nodes, dtype=torch.float32, device=value.device)
        left = torch.clamp(torch.searchsorted(grid, value, right=True) - 1, 0, len(grid) - 2)
        t = torch.clamp((value - grid[left]) / (grid[left + 1] - grid[left]), 0, 1)[:, None]
        left = index * len(grid) + left[:, None]
        index = torch.cat([left, left + 1], 1)
        weight = torch.cat([weight * (1 - t), weight * t], 1)
    return index, weight


def build_bank(
    tables: Mapping[tuple[str, str], GosTable] | None = None,
    shells: Sequence[EdgeShell] | None = None,
) -> CrossSectionBank:
    """Bank of ``shells`` (default: all) from GOS ``tables`` (default: the shipped ones).

    A shell with a measured variant uses it. Raises ValueError when a table is missing.
    """
    tables = read_gosh() if tables is None else tables
    shells = edge_shells() if shells is None else shells
    missing = [f"{s.element} {s.shell}" for s in shells if (s.element, s.shell) not in tables]
    if missing:
        raise ValueError(
            f"no GOS table for {', '.join(missing[:8])} ({len(missing)} in all); "
            "take a complete library or fewer shells"
        )
    grid = _grid_beams()
    supported = grid.select(grid.convergence_mrad <= MAX_CONVERGENCE_MRAD)
    last = len(supported.energy_kev) - 1
    basis = supported.select(torch.linspace(0, last, _N_BASIS_BEAMS).long())
    parts = [
        _bank_shell(shell, tables[shell.element, shell.shell], grid, basis) for shell in shells
    ]
    rows, log_scale, shape = (torch.stack(x) for x in zip(*parts, strict=True))
    size = (len(shells), len(BEAM_ENERGY_NODES_KEV), len(COLLECTION_NODES_MRAD), -1)
    source = _grid_source()
    return CrossSectionBank(
        rows, log_scale[:, source].reshape(size), shape[:, source].reshape(*size, RANK)
    )


def _grid_needed() -> np.ndarray:
    """Which (collection, angle ratio) nodes border a supported convergence angle."""
    below = np.concatenate([[0.0], ANGLE_RATIO_NODES[:-1]])
    return COLLECTION_NODES_MRAD[:, None] * below < MAX_CONVERGENCE_MRAD


def _grid_beams() -> Beam:
    """The grid nodes that are needed, (nodes,)."""
    nodes = (BEAM_ENERGY_NODES_KEV, COLLECTION_NODES_MRAD, ANGLE_RATIO_NODES)
    axes = torch.meshgrid(*(torch.from_numpy(x) for x in nodes), indexing="ij")
    energy, collection, ratio = (x[:, _grid_needed()].reshape(-1) for x in axes)
    return Beam(energy_kev=energy, convergence_mrad=ratio * collection, collection_mrad=collection)


def _grid_source() -> torch.Tensor:
    """For every node of the full grid the needed one it takes its values from."""
    needed = np.broadcast_to(_grid_needed(), (len(BEAM_ENERGY_NODES_KEV), *_grid_needed().shape))
    return torch.from_numpy(np.cumsum(needed.ravel()) - 1)


def _bank_shell(
    shell: EdgeShell, table: GosTable, grid: Beam, basis: Beam
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows (rank, channels), log_scale (nodes,) and shape (nodes, rank) of one shell."""
    ratios: tuple[float, ...] = shell.ratios
    if table.measured is not None:
        stack, ratios = subshell_stack(table.measured, (0.0,), (1.0,)), (1.0,)
    else:
        stack = subshell_stack(table, shell.offsets_ev, ratios)
    used = int((stack.energy_loss_ev[0] < BANK_CHANNELS).sum()) + 2
    stack = stack.select(torch.arange(min(max(used, 8), stack.free_energy_ev.shape[1])))
    sample = cross_section_at_nodes(stack, beam=basis, n_nodes=_N_BANK_NODES)
    sample = sample / sample.mean((1, 2), keepdim=True)
    reference = sample.mean(0)
    weight = _energy_weight(stack)
    relative = (sample / reference * weight).flatten(1)
    relative = relative / relative.mean(1, keepdim=True)
    right = torch.linalg.svd(relative, full_matrices=False).Vh[:RANK]
    psi = right.reshape(RANK, *reference.shape) / weight
    log_scale, shape = _fit_grid(stack, psi, reference, grid)
    return _rows(stack, psi, reference, ratios), log_scale.float(), shape.float()


def _energy_weight(stack: TableStack) -> torch.Tensor:
    """Weight of relative errors: the tail far past an onset adds little to a spectrum."""
    return (1 + stack.free_energy_ev / (stack.onset_ev[:, None] + ERROR_TAIL_EV)) ** -TAIL_POWER


def _fit_grid(stack: TableStack, psi: torch.Tensor, reference: torch.Tensor, grid: Beam):
    """Least-squares coefficients of all grid beams from a few energies of the first subshell."""
    n = psi.shape[2]
    chosen = torch.linspace(0, n - 1, min(_N_FIT_ENERGIES, n)).round().long()
    first = stack.first().select(chosen)
    values = cross_section_at_nodes(first, beam=grid, n_nodes=_N_BANK_NODES)[:, 0]
    relative = values / reference[0, chosen]
    weight = _energy_weight(stack)[0, chosen]
    scale = (relative * weight).sum(1, keepdim=True) / weight.sum()
    shape = (relative / scale * weight) @ torch.linalg.pinv(psi[:, 0, chosen] * weight)
    collected = _collected_at_zero(grid.convergence_mrad, grid.collection_mrad)
    return torch.log(scale[:, 0] / collected), shape


def _rows(stack: TableStack, psi, reference, ratios) -> torch.Tensor:
    """phi_k on the channels: sum of the subshells, (rank, channels) float32."""
    rows = torch.zeros(RANK, BANK_CHANNELS, dtype=torch.float64)
    values = torch.cat([torch.log(reference)[None], psi])
    for i, (onset, ratio) in enumerate(zip(stack.onset_ev.tolist(), ratios, strict=True)):
        first = max(math.floor(onset + 0.5), 0)
        if first >= BANK_CHANNELS:
            continue
        channel = torch.arange(first, BANK_CHANNELS, dtype=torch.float64)
        cell = (torch.arange(_SUBCELLS, dtype=torch.float64) + 0.5) / _SUBCELLS - 0.5
        fine = (channel[:_FINE_CHANNELS, None] + cell).reshape(-1)
        energy = torch.cat([fine, channel[_FINE_CHANNELS:]])
        free = (energy - onset)[None]
        at = interpolate_over_energy(values[:, i : i + 1], stack.free_energy_ev[i : i + 1], free)
        phi = at[1:, 0] * torch.exp(at[0, 0])
        share = torch.clamp((fine - onset) * _SUBCELLS + 0.5, 0, 1)  # of a cell above the onset
        near = (phi[:, : len(fine)] * share).reshape(RANK, -1, _SUBCELLS).mean(2)
        rows[:, first:] += ratio * torch.cat([near, phi[:, len(fine) :]], 1)
    return rows.float()


def bank_key(gosh: str | Path | None = None) -> str:
    """Hash of everything a bank is made of: the shipped GOS tables and others, shells, grids."""
    digest = hashlib.sha256(shipped.contents("data/gos.gosh"))
    if gosh is not None:
        digest.update(Path(gosh).read_bytes())
    shells = [(s.element, s.shell, s.onset_ev, s.offsets_ev, s.ratios) for s in edge_shells()]
    nodes = (BEAM_ENERGY_NODES_KEV, COLLECTION_NODES_MRAD, ANGLE_RATIO_NODES)
    grids = [list(map(float, x)) for x in nodes]
    counts = (BANK_VERSION, BANK_CHANNELS, RANK, _N_BASIS_BEAMS, _N_FIT_ENERGIES, _N_BANK_NODES)
    digest.update(
        json.dumps(
            [shells, grids, counts, _FINE_CHANNELS, _SUBCELLS, ERROR_TAIL_EV, TAIL_POWER]
        ).encode()
    )
    return digest.hexdigest()[:24]


def cache_dir() -> Path:
    """Where computed tables are kept: ``CORELOSS_CACHE_DIR`` or the user's cache folder."""
    if folder := os.environ.get("CORELOSS_CACHE_DIR"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coreloss"


@cache
def bank_of(gos_table: str = "builtin") -> CrossSectionBank:
    """Bank of all shells from the shipped tables or from published ones, 'dft' or 'dirac'.

    Built once (seconds) and kept on disk. Shells that a published file lacks keep the shipped
    table, and so do those with a measured q -> 0 shape. ValueError when a file cannot be had.
    """
    published = None if gos_table == "builtin" else fetch_published(gos_table)
    key = bank_key(published)
    path = cache_dir() / f"bank-{key}.safetensors"
    if path.exists():
        with contextlib.suppress(ValueError):
            return CrossSectionBank.load(path, key=key)
    bank = build_bank(tables_with(published) if published else None)
    with contextlib.suppress(OSError):  # a read-only home must not stop the work
        bank.save(path, key=key)
    return bank


def tables_with(gosh: str | Path) -> dict[tuple[str, str], GosTable]:
    """The shipped tables, with those of another file in the place of calculated ones.

    Onsets stay those of the edge table: files differ in them by electronvolts.
    """
    tables = dict(read_gosh())
    for key, table in read_gosh(gosh).items():
        if key in tables and tables[key].measured is None:
            tables[key] = replace(table, onset_ev=tables[key].onset_ev)
    return tables
