"""One process or many: the ranks that `torchrun` starts, their devices and their agreement."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; a single one is rank 0 of 1."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over all processes.

        On GPUs batch norm uses the statistics of all processes; on the CPU, where torch has no
        such layer, each process uses those of its own spectra.
        """
        if self.world == 1:
            return model
        if self.device.startswith("cuda"):
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model)

    def agree(self, *values: float) -> tuple[float, ...]:
        """The values of rank 0, on every rank: clocks differ, decisions must not."""
        if self.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return tuple(shared.tolist())


@contextmanager
def ranks(device: str) -> Iterator[Ranks]:
    """Join the processes of `torchrun`, or train alone without it.

    With ``device="cuda"`` each process takes the GPU of its local rank (NCCL); on the CPU they talk
    through gloo. Inside another `ranks`, the processes stay joined: leaving and joining again
    through one port lets a fast process meet the group that a slow one is still leaving.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=device)
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if dist.is_initialized():
        yield Ranks(dist.get_rank(), world, device)
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()
