"""Generalised oscillator strengths (GOS) integrated over the angles a spectrometer accepts.

A probe of convergence semi-angle alpha and a spectrometer of collection semi-angle beta accept

    dsigma/dE = 4 pi a0^2 R^2 / (E T) * int df/dE(E, q) F(theta) d ln(q^2)

over scattering angles theta from 0 to alpha + beta, with ``T = m v^2 / 2`` (M. Inokuti, Rev. Mod.
Phys. 43 (1971) 297; R. F. Egerton, *EELS in the Electron Microscope*, 3rd ed. (2011), Eq. 3.151)
and F the exact overlap of the illumination and collection discs (H. Kohl, Ultramicroscopy 16
(1985) 265). The integral is done by parts: ``G(q) = int df/dE d ln(q^2)`` is tabulated once, and

    int df/dE F d ln(q^2) = int_0^pi (2 beta^2 / pi) sin^2(phi) / theta^2 [G(theta) - G(0)] dphi,
    theta^2 = alpha^2 + beta^2 - 2 alpha beta cos(phi),

because ``-dF/dtheta`` is the chord of the overlap. G is smooth where df/dE has the narrow Bethe
ridge, and alpha = 0 needs no limit: theta = beta everywhere.

The kinematics is relativistic; the transverse (magnetic) interaction is left out, and so is
anisotropy in crystals. Work is in float64 on the device of the :class:`TableStack`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from coreloss.beam import Beam
from coreloss.physics.kinematics import (
    BOHR_RADIUS_ANGSTROM,
    RYDBERG_EV,
    effective_kinetic_energy_ev,
    squared_wavenumbers,
)

if TYPE_CHECKING:
    from coreloss.physics.gos_table import GosTable

BARN_PER_SQUARE_ANGSTROM = 1e8
GOS_FLOOR = 1e-12  # relative to the largest value of a table, so that its logarithm exists
MAX_LN_Q_STEP = 0.1
LARGEST_CHUNK = 100_000  # nodes evaluated at once: keeps temporaries in the cache of a CPU core


@dataclass(frozen=True)
class TableStack:
    """Integrated GOS of several shells on one uniform grid in ln q, padded to one energy count.

    onset_ev (shells,), free_energy_ev (shells, energies), integral (shells, energies, nq) with
    ``G(q) = int df/dE d ln(q^2)`` in 1/eV from the first q, slope = dG/d ln q = 2 df/dE, first ln q
    (q in 1/Angstrom) and its step. float64 tensors on one device.
    """

    onset_ev: torch.Tensor
    free_energy_ev: torch.Tensor
    integral: torch.Tensor
    slope: torch.Tensor
    ln_q_first: float
    ln_q_step: float

    @property
    def energy_loss_ev(self) -> torch.Tensor:
        """Energy losses of the nodes, (shells, energies)."""
        return self.onset_ev[:, None] + self.free_energy_ev

    def select(self, energies: torch.Tensor) -> TableStack:
        """Keep some energies of the grid, given by index."""
        parts = (self.free_energy_ev, self.integral, self.slope)
        free, integral, slope = (x[:, energies] for x in parts)
        return TableStack(self.onset_ev, free, integral, slope, self.ln_q_first, self.ln_q_step)

    def first(self) -> TableStack:
        """The first shell alone."""
        parts = (self.onset_ev, self.free_energy_ev, self.integral, self.slope)
        onset, free, integral, slope = (x[:1] for x in parts)
        return TableStack(onset, free, integral, slope, self.ln_q_first, self.ln_q_step)

    def at_onsets(self, onsets_ev: Sequence[float]) -> TableStack:
        """The first shell repeated at several onsets, one for each j-subshell."""
        n = len(onsets_ev)
        integral, slope = (x[:1].repeat(n, 1, 1) for x in (self.integral, self.slope))
        onsets = torch.tensor(onsets_ev, dtype=torch.float64, device=self.onset_ev.device)
        free = self.free_energy_ev[:1].repeat(n, 1)
        return TableStack(onsets, free, integral, slope, self.ln_q_first, self.ln_q_step)

    def to(self, device: torch.device | str) -> TableStack:
        """Copy of the stack on another device."""
        parts = (self.onset_ev, self.free_energy_ev, self.integral, self.slope)
        onset, free, integral, slope = (x.to(device) for x in parts)
        return TableStack(onset, free, integral, slope, self.ln_q_first, self.ln_q_step)


def stack_tables(
    tables: Sequence[GosTable],
) -> TableStack:
    """Integrate tables over ln q^2 and stack them on a common grid.

    ln GOS is interpolated over ln q by a cubic spline and held constant outside its table. Short
    energy grids are padded with further energies of the same GOS.
    """
    if not tables:
        raise ValueError("no GOS tables to stack; give at least one")
    onsets = [t.onset_ev for t in tables]
    grid = _common_ln_q([np.log(np.asarray(t.q_per_angstrom, dtype=float)) for t in tables])
    n_energies = max(len(t.free_energy_ev) for t in tables)
    free = np.empty((len(tables), n_energies))
    integral, slope = np.empty((2, len(tables), n_energies, len(grid)))
    for i, table in enumerate(tables):
        n = len(table.free_energy_ev)
        free[i, :n] = table.free_energy_ev
        free[i, n:] = free[i, n - 1] * (1 + 1e-3 * np.arange(1, n_energies - n + 1))
        integral[i, :n], slope[i, :n] = _integrate_over_ln_q(grid, table)
        integral[i, n:], slope[i, n:] = integral[i, n - 1], slope[i, n - 1]
    step = float(grid[1] - grid[0])
    return TableStack(
        torch.from_numpy(np.array(onsets, dtype=float)),
        torch.from_numpy(free),
        torch.from_numpy(integral),
        torch.from_numpy(slope),
        float(grid[0]),
        step,
    )


def _common_ln_q(ln_q: list[np.ndarray]) -> np.ndarray:
    low, high = min(x[0] for x in ln_q), max(x[-1] for x in ln_q)
    step = min(MAX_LN_Q_STEP, min(float(np.median(np.diff(x))) for x in ln_q))
    return np.linspace(low, high, min(round((high - low) / step), 400) + 1)


def _integrate_over_ln_q(grid: np.ndarray, table: GosTable) -> tuple[np.ndarray, np.ndarray]:
    """``int df/dE d ln(q^2)`` from the first grid point and its slope, each (energies, grid)."""
    from scipy.interpolate import CubicSpline  # slow to import, and seldom needed

    gos = np.asarray(table.gos_per_ev, dtype=float)
    ln_q = np.log(np.asarray(table.q_per_angstrom, dtype=float))
    ln_gos = CubicSpline(ln_q, np.log(np.maximum(gos, GOS_FLOOR * gos.max())))
    node, weight = np.polynomial.legendre.leggauss(3)
    half = (grid[1] - grid[0]) / 2
    points = np.append((grid[:-1, None] + half * (1 + node)).ravel(), grid)
    values = np.exp(ln_gos(np.clip(points, ln_q[0], ln_q[-1])))  # (points, energies)
    n_cells = len(grid) - 1
    cells = 2 * half * np.einsum("cne,n->ec", values[: 3 * n_cells].reshape(n_cells, 3, -1), weight)
    integral = np.concatenate([np.zeros((len(cells), 1)), np.cumsum(cells, axis=1)], axis=1)
    return integral, 2 * values[3 * n_cells :].T


def collected_fraction(
    theta: torch.Tensor, convergence: torch.Tensor, collection: torch.Tensor
) -> torch.Tensor:
    """Fraction of electrons scattered by theta that enter the spectrometer, F(theta) in [0, 1].

    Overlap of a disc of radius alpha, displaced by theta, with a disc of radius beta, over the area
    of the former (H. Kohl, Ultramicroscopy 16 (1985) 265). All angles in one unit,
    broadcasting. alpha = 0 gives a step at theta = beta.
    """
    floor = torch.finfo(theta.dtype).tiny
    alpha = torch.clamp(convergence, min=1e-6 * collection)
    beta, theta = collection, torch.clamp(theta, min=floor**0.5)
    a2, b2, t2 = alpha**2, beta**2, theta**2
    x = torch.clamp((a2 + t2 - b2) / (2 * alpha * theta), -1, 1)
    y = torch.clamp((b2 + t2 - a2) / (2 * beta * theta), -1, 1)
    root = torch.sqrt(torch.clamp(4 * a2 * b2 - (a2 + b2 - t2) ** 2, min=0))
    partial = (torch.arccos(x) + b2 / a2 * torch.arccos(y) - root / (2 * a2)) / math.pi
    inner = torch.clamp(b2 / a2, max=1.0)
    fraction = torch.where(theta <= (alpha - beta).abs(), inner, partial)
    return torch.where(theta >= alpha + beta, torch.zeros_like(fraction), fraction).clamp(0, 1)


def cross_section_at_nodes(stack: TableStack, *, beam: Beam, n_nodes: int = 32) -> torch.Tensor:
    """dsigma/dE at the energies of the tables, (batch, shells, energies) in barn/eV/atom.

    Gauss-Legendre rule with ``n_nodes`` in the angle phi of the module's formula: within 0.1 % of
    the converged integral, usually 1e-6. ValueError when a table goes beyond the beam energy.
    """
    settings = beam.stacked(device=stack.integral.device)
    highest_ev, lowest_kev = float(stack.energy_loss_ev.max()), float(settings[0].min())
    if highest_ev >= 1e3 * lowest_kev:
        raise ValueError(
            f"energy losses up to {highest_ev:.0f} eV exceed the beam energy {lowest_kev:g} keV; "
            "raise it or shorten the table"
        )
    per_beam = stack.free_energy_ev.numel() * n_nodes
    chunks = settings.split(max(1, LARGEST_CHUNK // per_beam), dim=1)
    return torch.cat([_cross_section_chunk(stack, chunk, n_nodes) for chunk in chunks])


def angular_quadrature(
    convergence: torch.Tensor, collection: torch.Tensor, n_nodes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scattering angles and weights (..., n_nodes) with ``sum w f(theta) = -int f dF``.

    The weights add up to F(0) = min(1, beta^2 / alpha^2) exactly.
    """
    alpha, beta = convergence[..., None], collection[..., None]
    legendre = np.polynomial.legendre.leggauss(n_nodes)
    node, weight = (torch.as_tensor(x, dtype=alpha.dtype, device=alpha.device) for x in legendre)
    phi = math.pi / 2 * (1 + node)
    theta2 = (alpha - beta) ** 2 + 4 * alpha * beta * torch.sin(phi / 2) ** 2
    weight = weight * torch.sin(phi) ** 2 / theta2
    total = torch.clamp((beta / alpha) ** 2, max=1.0)
    return torch.sqrt(theta2), weight * total / weight.sum(-1, keepdim=True)


def _cross_section_chunk(stack: TableStack, settings: torch.Tensor, n_nodes: int) -> torch.Tensor:
    beam_energy = settings[0, :, None, None]  # (batch, 1, 1)
    loss = stack.energy_loss_ev  # (shells, energies)
    before, after = squared_wavenumbers(loss, beam_energy_kev=beam_energy)
    lowest = ((before - after) / (torch.sqrt(before) + torch.sqrt(after))) ** 2
    angles, weights = angular_quadrature(settings[1] * 1e-3, settings[2] * 1e-3, n_nodes)
    sine2 = torch.sin(angles / 2)[:, None, None] ** 2  # (batch, 1, 1, nodes)
    q2 = lowest[..., None] + 4 * torch.sqrt(before * after)[..., None] * sine2
    accepted = (_integral_at(stack, q2) * weights[:, None, None]).sum(-1)
    accepted -= _integral_at(stack, lowest[..., None])[..., 0] * weights.sum(-1)[:, None, None]
    area = 4 * math.pi * BOHR_RADIUS_ANGSTROM**2 * BARN_PER_SQUARE_ANGSTROM
    return area * RYDBERG_EV**2 / (loss * effective_kinetic_energy_ev(beam_energy)) * accepted


def _integral_at(stack: TableStack, q2: torch.Tensor) -> torch.Tensor:
    """G at ``(q a0)^2`` (batch, shells, energies, nodes) by cubic Hermite interpolation over ln q.

    Outside the table df/dE is constant, so G goes on as a straight line.
    """
    n_q = stack.integral.shape[-1]
    ln_q = torch.log(q2) / 2 - math.log(BOHR_RADIUS_ANGSTROM)
    position = (ln_q - stack.ln_q_first) / stack.ln_q_step
    inside = torch.clamp(position, 0, n_q - 1)
    index = torch.clamp(inside.floor(), max=n_q - 2)
    t = inside - index
    row = torch.arange(stack.free_energy_ev.numel(), device=q2.device)
    left = row.reshape(*stack.free_energy_ev.shape, 1) * n_q + index.long()
    low, high = torch.take(stack.integral, left), torch.take(stack.integral, left + 1)
    d_low, d_high = (torch.take(stack.slope, left + k) * stack.ln_q_step for k in (0, 1))
    rise, s = high - low, 1 - t
    cubic = low + t * t * (3 - 2 * t) * rise + t * s * (s * d_low - t * d_high)
    return cubic + (position - inside) * torch.where(position < 0, d_low, d_high)


def interpolate_over_energy(
    values: torch.Tensor, free_energy_ev: torch.Tensor, at_ev: torch.Tensor
) -> torch.Tensor:
    """Values (batch, shells, energies) at other free energies (shells, n): (batch, shells, n).

    4-point Lagrange over ln(1 + free energy); straight lines beyond the ends and in the first
    interval, where GOS may rise from nothing.
    """
    x = torch.log1p(free_energy_ev)
    target = torch.log1p(torch.clamp(at_ev, min=0.0))
    n = x.shape[-1]
    index = torch.clamp(torch.searchsorted(x, target.contiguous(), right=True) - 1, 0, n - 2)
    outside = (index == 0) | (target > x[:, -1:])
    start = torch.clamp(index - 1, 0, n - 4)
    points = torch.stack([torch.gather(x, 1, start + k) for k in range(4)])  # (4, shells, n)
    ends = torch.stack([torch.gather(x, 1, index + k) for k in range(2)])
    fraction = (target - ends[0]) / (ends[1] - ends[0])
    total = torch.zeros(
        *values.shape[:2], at_ev.shape[-1], dtype=values.dtype, device=values.device
    )
    for k in range(4):
        others = [j for j in range(4) if j != k]
        weight = torch.ones_like(target)
        for j in others:
            weight = weight * (target - points[j]) / (points[k] - points[j])
        inner = start + k
        linear = (inner == index) * (1 - fraction) + (inner == index + 1) * fraction
        weight = torch.where(outside, linear, weight).to(values.dtype)
        total += weight * torch.gather(values, 2, inner.expand(values.shape[0], -1, -1))
    return total
