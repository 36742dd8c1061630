"""Energy-differential ionisation cross-sections of one shell.

:func:`dsigma_de` and :func:`integrated_cross_section` evaluate the Bethe formula of
:mod:`coreloss.physics.bethe_integral`; :mod:`coreloss.physics.bank` has all shells in a fast form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from coreloss.beam import Beam
from coreloss.physics.bethe_integral import (
    TableStack,
    cross_section_at_nodes,
    interpolate_over_energy,
    stack_tables,
)
from coreloss.physics.gos_table import GosTable


def table_of_variant(table: GosTable, variant: str) -> GosTable:
    """The calculated table (``default``) or the one with a measured q -> 0 shape (``measured``)."""
    if variant not in ("default", "measured"):
        raise ValueError(f"GOS variant is {variant!r}; choose 'default' or 'measured'")
    if variant == "default":
        return table
    if table.measured is None:
        raise ValueError(
            f"{table.element} {table.shell} has no measured variant; take variant='default'"
        )
    return table.measured


def subshell_stack(
    table: GosTable, offsets_ev: Sequence[float], ratios: Sequence[float]
) -> TableStack:
    """Stack with one copy of the table per j-subshell, each at its own onset."""
    if len(offsets_ev) != len(ratios):
        raise ValueError(f"{len(offsets_ev)} offsets but {len(ratios)} ratios; give one for each")
    return stack_tables([table]).at_onsets([table.onset_ev + offset for offset in offsets_ev])


def dsigma_de(
    table: GosTable,
    energy_loss_ev,
    *,
    beam: Beam,
    variant: str = "default",
    offsets_ev: Sequence[float] = (0.0,),
    ratios: Sequence[float] = (1.0,),
    n_nodes: int = 32,
) -> torch.Tensor:
    """Energy-differential cross-section of one nl shell in barn/eV/atom, zero below the onset.

    ``energy_loss_ev`` (n,). A single beam gives (n,), one per spectrum gives (batch, n). A shell
    split by spin-orbit coupling is the sum over its j-subshells: the table shifted by
    ``offsets_ev`` and weighted by ``ratios`` (L3 and L2: 2/3 and 1/3); take both from
    :class:`coreloss.edges.EdgeShell`. ``variant="measured"`` has its q -> 0 shape from measured
    photoabsorption, with the splitting and sometimes an earlier onset in it: no offsets there.
    """
    table = table_of_variant(table, variant)
    if variant == "measured" and len(offsets_ev) > 1:
        raise ValueError("offsets_ev has several values; the measured variant takes none")
    energy = torch.as_tensor(energy_loss_ev, dtype=torch.float64)
    if energy.ndim != 1 or not bool(torch.isfinite(energy).all()):
        raise ValueError("energy loss must be a one-dimensional axis of finite numbers in eV")
    stack = subshell_stack(table, offsets_ev, ratios).to(energy.device)
    values = cross_section_at_nodes(stack, beam=beam, n_nodes=n_nodes)
    free = energy[None, :] - stack.onset_ev[:, None]
    ln_values = interpolate_over_energy(torch.log(values), stack.free_energy_ev, free)
    shares = torch.tensor(ratios, dtype=torch.float64, device=energy.device)[:, None]
    result = (torch.exp(ln_values) * shares * (free >= 0)).sum(1)
    return result[0] if beam.single else result


def integrated_cross_section(
    table: GosTable,
    *,
    beam: Beam,
    window_ev: float,
    variant: str = "default",
    offsets_ev: Sequence[float] = (0.0,),
    ratios: Sequence[float] = (1.0,),
) -> torch.Tensor:
    """Partial cross-section in barn/atom between the onset and onset + ``window_ev``.

    Gauss-Legendre integration of :func:`dsigma_de` over ln(1 + E - onset), each j-subshell from its
    own onset to the common end. A single beam gives a scalar, one per spectrum gives (batch,).
    """
    if not window_ev > 0:
        raise ValueError(f"integration window {window_ev} eV must be above 0; 50 or 100 is usual")
    table = table_of_variant(table, variant)
    node, weight = np.polynomial.legendre.leggauss(96)
    total = torch.zeros(())
    for offset, ratio in zip(offsets_ev, ratios, strict=True):
        if offset >= window_ev:
            continue
        half = math.log1p(window_ev - offset) / 2
        free = np.expm1(half * (1 + node))
        values = dsigma_de(
            table,
            table.onset_ev + offset + free,
            beam=beam,
            offsets_ev=(offset,),
        )
        total = total + ratio * (values * torch.from_numpy(half * weight * (1 + free))).sum(-1)
    return total
