"""Vision transformer of Annys et al. (2023): overlapping pieces of the spectrum as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import N_CHANNELS
from coreloss.networks.heads import (
    TRANSFORMER_HEADS,
    Head,
    Output,
    check_sizes,
    paper_input,
    scaled,
)

DIM = 128
PATCH = 16
STRIDE = 8
KEY = 2
"""Length of all keys together in units of the token width: 16 heads of 16 for tokens of 128."""
DENSE = (512, 256, 128)


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of a ViT.

    width : of tokens and dense layers, 1 is the published size; tokens get a multiple of `heads`
    head : 'conv', 'flatten', 'average', 'token' or 'sequence' (see `heads.Head`)
    dropout : in the dense parts, not in the attention (1 / 6 of the speed on a CPU)
    layers, heads : of the attention
    """

    width: float = 1.0
    head: str = "conv"
    dropout: float = 0.1
    layers: int = 8
    heads: int = 16

    def __post_init__(self) -> None:
        check_sizes(self, heads=TRANSFORMER_HEADS)


class TransformerLayer(nn.Module):
    """Pre-norm attention and dense part around skips: (B, t, dim) -> (B, t, dim).

    Both dense layers end in a GELU, as published. No bias before the attention: that of the keys
    has no effect.

    key : length of all keys together in units of `dim`
    """

    def __init__(self, dim: int, heads: int, key: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * key * dim, bias=False)
        self.out = nn.Linear(key * dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dense = nn.Sequential(
            nn.Linear(dim, 2 * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * dim, dim),
            nn.GELU(),
            nn.Dropout(dropout),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, t, key * dim / heads) each
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).flatten(2))  # (B, t, dim)
        return x + self.dense(self.norm2(x))


class Encoder(nn.Module):
    """Position, transformer layers and head: tokens (B, t, dim) -> (B, n_features)."""

    def __init__(self, config, *, n_tokens: int, dim: int, key: int) -> None:
        super().__init__()
        is_token = config.head == "token"
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, dim)) if is_token else None
        n_tokens += is_token
        self.position = nn.Parameter(0.02 * torch.randn(n_tokens, dim))
        sizes = (dim, config.heads, key, config.dropout)
        self.layers = nn.Sequential(*(TransformerLayer(*sizes) for _ in range(config.layers)))
        self.norm = nn.LayerNorm(dim)
        self.head = Head(config.head, dim, n_tokens)
        self.n_features = self.head.n_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1).to(x.dtype), x], 1)  # (B, 1 + t, dim)
        x = self.norm(self.layers(x + self.position))
        return self.head(x.transpose(1, 2))


class ViT(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels.

    Pieces of 16 channels every 8 channels, 8 layers of 16 heads on tokens of 128, a head, dense
    layers 512-256-128.
    """

    def __init__(self, config: ViTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ViTConfig()
        dim = scaled(DIM, config.width, config.heads)
        self.patches = nn.Conv1d(1, dim, PATCH, stride=STRIDE)
        n_tokens = (N_CHANNELS - PATCH) // STRIDE + 1
        self.encoder = Encoder(config, n_tokens=n_tokens, dim=dim, key=KEY)
        sizes = [self.encoder.n_features, *(scaled(n, config.width) for n in DENSE)]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Dropout(config.dropout), nn.Linear(n_in, n_out), nn.GELU()]
        self.dense = nn.Sequential(*layers)
        self.output = Output(sizes[-1])

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        x = self.patches(paper_input(spectrum, mask)).transpose(1, 2)  # (B, 383, 128)
        return self.output(self.dense(self.encoder(x)))
