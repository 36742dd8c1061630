"""What a network costs: parameters, operations, time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Parameters, 10^9 operations (two per multiplication) and CPU seconds, per spectrum."""

    parameters: int
    gflop: float
    cpu_s: float


def cost_of(network: nn.Module, spectrum: torch.Tensor, mask: torch.Tensor) -> Cost:
    """Cost of the forward pass for these spectra (B, 3072) with their masks (B, 3072).

    Recurrent layers are not among the operations that torch counts.
    """
    network.eval()
    counter = FlopCounterMode(display=False)
    with torch.inference_mode():
        with counter, sdpa_kernel(SDPBackend.MATH):  # others are not counted on a processor
            network(spectrum, mask)
        start = time.process_time()
        network(spectrum, mask)
        cpu_s = time.process_time() - start
    n = len(spectrum)
    parameters = sum(value.numel() for value in network.parameters())
    return Cost(parameters, counter.get_total_flops() / n / 1e9, cpu_s / n)
