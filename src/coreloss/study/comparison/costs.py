"""What a network costs: parameters, operations, time, and the shape of what flows through it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

LAYERS = {nn.Conv1d: "conv", nn.Linear: "dense", nn.LSTM: "lstm"}


@dataclass(frozen=True)
class Cost:
    """Parameters, 10^9 operations (two per multiplication) and CPU seconds, per spectrum."""

    parameters: int
    gflop: float
    cpu_s: float


@dataclass(frozen=True)
class NetworkLayer:
    """Output of a layer: `channels` at each of `length` places; 1 place for a dense layer."""

    kind: str
    channels: int
    length: int


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


def layers_of(
    network: nn.Module, spectrum: torch.Tensor, mask: torch.Tensor
) -> tuple[NetworkLayer, ...]:
    """Convolutions, dense and recurrent layers in the order in which a spectrum passes them.

    Dense layers on many tokens have the number of tokens as length.
    """
    found: list[NetworkLayer] = []

    def note(module, _inputs, output) -> None:
        value = output[0] if isinstance(output, tuple) else output
        kind = next(name for base, name in LAYERS.items() if isinstance(module, base))
        if kind == "conv":
            channels, length = value.shape[-2:]
        else:
            channels, length = value.shape[-1], value.numel() // value.shape[-1] // len(spectrum)
        found.append(NetworkLayer(kind, channels, length))

    watched = [m for m in network.modules() if isinstance(m, tuple(LAYERS))]
    handles = [module.register_forward_hook(note) for module in watched]
    try:
        with torch.inference_mode():
            network.eval()(spectrum, mask)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)
