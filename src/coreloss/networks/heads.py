"""What the networks of Annys et al. (2023) share: input, convolution, heads, output.

J. Annys, D. Jannis, J. Verbeeck, Sci. Rep. 13, 13724 (2023), doi:10.1038/s41598-023-40943-7,
compare six architectures, and for most of them several heads: ways from features along the energy
axis to one vector.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.edges import ELEMENTS

KERNEL = 32
CONVOLUTIONAL_HEADS = ("conv", "flatten", "average")
TRANSFORMER_HEADS = (*CONVOLUTIONAL_HEADS, "token", "sequence")
RARE = -3.0
"""First bias of the output: most elements are absent from most samples (as in EdgeNet)."""


def paper_input(spectrum: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Spectra (B, 3072) of largest size 1 inside their windows, zero outside: (B, 1, 3072) float32.

    Published: x_i = c_i / max(c), zero outside the window (Annys et al. 2023), which has no bound
    where the highest channel is small beside negative ones, as in a processed spectrum. Here
    x_i = c_i / max(|c|), the same wherever no channel lies farther below zero than the highest lies
    above: few spectra with larger inputs hold most of the squares of all, and with them the
    statistics of batch norm. An empty spectrum stays zero.

    >>> spectrum, mask = torch.tensor([[9.0, 2.0, 4.0]]), torch.tensor([[False, True, True]])
    >>> paper_input(spectrum, mask).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    inside = spectrum.float().masked_fill(~mask, 0.0)
    largest = inside.abs().amax(1, keepdim=True)
    empty = largest < torch.finfo(largest.dtype).tiny  # where division is no longer exact
    return (inside / torch.where(empty, 1.0, largest)).unsqueeze(1)


def scaled(size: int, width: float, multiple: int = 4) -> int:
    """`size` times `width` as a positive multiple of `multiple`.

    >>> [scaled(128, width) for width in (1.0, 0.3, 0.001)]
    [128, 40, 4]
    """
    return max(1, round(size * width / multiple)) * multiple


def check_sizes(config, *, heads: tuple[str, ...] | None = None) -> None:
    """Refuse sizes of a configuration that no network can have."""
    if not 0 < config.width <= 4:
        raise ValueError(f"width = {config.width} must lie in (0, 4]; 1 is the published size")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout = {config.dropout} must lie in [0, 1)")
    if heads is not None and config.head not in heads:
        raise ValueError(f"head = {config.head!r} must be one of {', '.join(heads)}")
    for name in ("layers", "heads"):
        number = getattr(config, name, 1)
        if not (isinstance(number, int) and 1 <= number <= 64):
            raise ValueError(f"{name} = {number} must be a whole number from 1 to 64")


class SameConv(nn.Conv1d):
    """Convolution of kernel 32 that keeps the length: (B, c_in, n) -> (B, c_out, n / stride)."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, bias: bool = False) -> None:
        super().__init__(c_in, c_out, KERNEL, stride=stride, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        missing = KERNEL - self.stride[0]  # odd where the stride is 1: one more on the right
        return super().forward(F.pad(x, (missing // 2, missing - missing // 2)))


class Head(nn.Module):
    """Features (B, c, n) to one vector (B, n_features).

    kind : 'conv', 1 x 1 convolution over the channels, n features; 'flatten', c * n;
        'average', global average pooling, c; 'token', the first place, c, where the network has
        put a class token; 'sequence', weighted mean with learned weights softmax(w . x), c
        (sequence pooling: Hassani et al. 2021, arXiv:2104.05704, eq. 2-4)

    The 1 x 1 convolution is linear: with one output channel a rectifier could silence the network.

    >>> Head("conv", 8, 100)(torch.rand(2, 8, 100)).shape
    torch.Size([2, 100])
    """

    def __init__(self, kind: str, channels: int, length: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_features = {"conv": length, "flatten": channels * length}.get(kind, channels)
        if kind in ("conv", "sequence"):
            # No bias: a softmax, or the batch norm after the next layer, would cancel it.
            self.score = nn.Conv1d(channels, 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "conv":
            return self.score(x).flatten(1)  # (B, n)
        if self.kind == "flatten":
            return x.flatten(1)  # (B, c * n)
        if self.kind == "average":
            return x.mean(2)  # (B, c)
        if self.kind == "token":
            return x[:, :, 0]  # (B, c)
        weight = self.score(x).softmax(2)  # (B, 1, n)
        return (x * weight).sum(2)  # (B, c)


class Output(nn.Linear):
    """Last layer: (B, n_features) to the logits of the 80 elements, (B, 80), always in float32."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, len(ELEMENTS))
        nn.init.constant_(self.bias, RARE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def he_normal(module: nn.Module) -> None:
    """Start convolutions and dense layers in front of a rectifier as the paper does."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
