"""EdgeNet: every tabulated ionisation edge asks the spectrum whether it is there.

A front end turns the spectrum into channels in which an edge stands out from a power law, a short
convolution reads shapes, and one token per edge inside the window looks at the features around its
own onset. Tokens talk to each other (overlapping edges), then vote for their element. How far the
energies may be off is told to all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import AXIS_ERROR_LIMITS_EV, TYPICAL_AXIS_ERROR_EV
from coreloss.edges import ELEMENTS, edge_shells, inside_window
from coreloss.networks.front_end import MARGIN, FrontEnd, Windows


@dataclass(frozen=True)
class EdgeNetConfig:
    """Sizes of an EdgeNet, by default of the small one.

    width : multiplies `channels` and `dim`
    channels : of the convolutional stem; blocks : residual blocks in it
    dim : of an edge token; heads, layers : of the attention between tokens
    offsets_ev : where a token looks, relative to the onset
    """

    width: float = 1.0
    channels: int = 32
    blocks: int = 2
    kernel: int = 5
    dim: int = 48
    heads: int = 2
    layers: int = 2
    offsets_ev: tuple[int, ...] = (
        *(-96, -64, -44, -30, -22, -16, -12, -8, -5, -2),
        *(0, 2, 4, 6, 9, 12, 16, 21, 28, 36, 48, 64, 88, 120, 160),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets_ev", tuple(self.offsets_ev))
        if not 0 < self.width <= 16:
            raise ValueError(f"width = {self.width} must be above 0 and at most 16")
        reach = 3 + EdgeNet.stride * 2 * self.blocks * (self.kernel // 2)
        if reach > MARGIN:
            raise ValueError(
                f"blocks = {self.blocks} of kernel = {self.kernel} see {reach} channels far;"
                f" allowed: {MARGIN}, the distance of two windows"
            )
        if self.dim % self.heads:
            raise ValueError(f"dim = {self.dim} must be a multiple of heads = {self.heads}")

    @property
    def scaled(self) -> tuple[int, int]:
        """Channels and dim after `width`; dim a multiple of heads."""
        return (
            max(round(self.width * self.channels), 1),
            max(round(self.width * self.dim / self.heads), 1) * self.heads,
        )


@dataclass(frozen=True)
class EdgeNetMediumConfig(EdgeNetConfig):
    """Ten times the parameters of the small one."""

    channels: int = 96
    blocks: int = 3
    dim: int = 160
    heads: int = 4
    layers: int = 4


def over_rows(x: torch.Tensor, convolution: nn.Conv1d, norm: nn.BatchNorm1d) -> torch.Tensor:
    """A convolution along the rows of (n, c) and its batch norm, as fast as the processor lets it.

    Outside training, the norm is a factor and an offset of the convolution, which is one of an
    image whose channels lie side by side in memory. In training on a CPU it is not: the backward
    pass of that one is prepared for each length anew, which takes longer than the pass.
    """
    if norm.training and x.device.type == "cpu":
        return norm(convolution(x.T[None]))[0].T
    weight, offset = convolution.weight, None
    if not norm.training:
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None  # a norm that keeps track of both
        assert variance is not None
        factor = norm.weight / (variance + norm.eps).sqrt()
        weight, offset = weight * factor[:, None, None], norm.bias - mean * factor
    image = x[None, None].permute(0, 3, 1, 2)  # (1, c, 1, n), channels last in memory
    result = F.conv2d(
        image,
        weight[:, :, None],
        offset,
        stride=(1, *convolution.stride),
        padding=(0, *convolution.padding),
    )
    rows = result.permute(0, 2, 3, 1)[0, 0]
    return norm(rows) if norm.training else rows


class Residual(nn.Module):
    """Two convolutions with batch norm around a skip, over rows: (n, c) -> (n, c)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(channels)
        self.conv2 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu_(over_rows(x, self.conv1, self.norm1))
        return F.relu_(x + over_rows(y, self.conv2, self.norm2))


class EdgeAttention(nn.Module):
    """Pre-norm transformer layer over the edge tokens of a spectrum: (B, t, dim) -> (B, t, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
        b, t, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, t, dim / heads) each
        seen = None if allowed is None else allowed[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, dim))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def group_size(device: torch.device) -> int:
    """Spectra whose tokens go through the attention together.

    Few fit into the caches of a processor; a GPU, which waits for each group, is better off with
    the padding of many.
    """
    return 24 if device.type == "cpu" else 256


class EdgeNet(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels."""

    stride = 2
    onset_ev: torch.Tensor
    element: torch.Tensor
    place: torch.Tensor

    def __init__(self, config: EdgeNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EdgeNetConfig()
        shells = edge_shells()
        onset = torch.tensor([shell.onset_ev for shell in shells])
        element = torch.tensor([ELEMENTS.index(shell.element) for shell in shells])
        position = onset[:, None] + torch.tensor(config.offsets_ev)
        place = (position / self.stride).round().long()  # among the features of a whole axis
        # Index tables follow from the edge table; they are rebuilt, never loaded.
        self.register_buffer("onset_ev", onset, persistent=False)
        self.register_buffer("element", element, persistent=False)
        self.register_buffer("place", place, persistent=False)

        self.front = FrontEnd()
        c, d = config.scaled
        self.stem = nn.Sequential(
            nn.Conv1d(self.front.n_channels, c, 7, stride=self.stride, padding=3, bias=False),
            nn.BatchNorm1d(c),
            nn.ReLU(),
            *(Residual(c, config.kernel) for _ in range(config.blocks)),
        )
        self.look = nn.Linear(c * len(config.offsets_ev) + 1, d)
        self.gain = nn.Parameter(torch.ones(len(shells), d))
        self.embedding = nn.Parameter(0.02 * torch.randn(len(shells), d))
        self.mix = nn.Linear(d, d)
        self.context = nn.Linear(5, d)
        self.layers = nn.ModuleList(EdgeAttention(d, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)
        self.evidence = nn.Parameter(0.02 * torch.randn(len(shells), d))
        self.shared_evidence = nn.Linear(d, 1)
        self.bias = nn.Parameter(torch.full((len(ELEMENTS),), -3.0))

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, axis_error_ev: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool.

        ``axis_error_ev`` (B,) is the standard deviation of the energies, typical if None.
        """
        windows = Windows.of(mask)
        with torch.autocast(spectrum.device.type, enabled=False):
            channels, gain = self.front(spectrum.float(), windows)
        features = self._features(F.pad(channels, (0, 0, MARGIN, MARGIN)))  # (n / stride, c)
        inside = inside_window(self.onset_ev, windows.lo_ev, windows.hi_ev)
        row, edge = inside.nonzero(as_tuple=True)  # m tokens, ordered by spectrum
        doubt = _doubt(axis_error_ev, windows.lo_ev)
        around = self._around(features, windows, row, edge)  # (m, offsets * c)
        token = self._look(around, edge, doubt[row])  # (m, d)
        context = self.context(_window_features(gain, windows, doubt)).to(token.dtype)
        token = self._exchange(token, context, row)
        vote = (token * self.evidence[edge]).sum(1) + self.shared_evidence(token).squeeze(1).float()
        logits = self.bias.float().repeat(len(inside), 1).view(-1)
        logits = logits.index_add(0, row * len(ELEMENTS) + self.element[edge], vote)
        return logits.view(len(inside), len(ELEMENTS))

    def _features(self, channels: torch.Tensor) -> torch.Tensor:
        """The stem over all packed windows: (n, n_channels) -> (n / stride, c)."""
        convolution, norm, activation, *blocks = self.stem
        assert isinstance(convolution, nn.Conv1d)
        assert isinstance(norm, nn.BatchNorm1d)
        features = activation(over_rows(channels, convolution, norm))
        for block in blocks:
            features = block(features)
        return features.contiguous()

    def _exchange(self, token, context, row):
        """Attention among the tokens of each spectrum and its context token: (m, d) -> (m, d).

        Spectra with similar numbers of tokens go together, so that little padding is computed.
        """
        n_tokens = torch.bincount(row, minlength=len(context))
        together = group_size(token.device)
        if n_tokens.min() == n_tokens.max():  # one window for all, as in a map
            every = torch.cat([context[:, None], token.view(len(context), -1, token.shape[1])], 1)
            return torch.cat([self._attended(x) for x in every.split(together)])
        slot = 1 + torch.arange(len(row), device=row.device)
        slot = slot - (n_tokens.cumsum(0) - n_tokens)[row]
        result = torch.empty(token.shape, device=token.device)
        for group in n_tokens.argsort().split(together):
            place = torch.full_like(n_tokens, -1)
            place[group] = torch.arange(len(group), device=row.device)
            member = (place[row] >= 0).nonzero().squeeze(1)
            at = (place[row[member]], slot[member])
            padded = token.new_zeros(len(group), int(n_tokens[group].max()) + 1, token.shape[1])
            padded[:, 0] = context[group]
            padded[at] = token[member]
            taken = torch.arange(padded.shape[1], device=row.device) <= n_tokens[group, None]
            allowed = None if taken.all() else taken  # twice as fast in a map
            for layer in self.layers:
                padded = layer(padded, allowed)
            result[member] = self.norm(padded[at]).float()
        return result

    def _attended(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, 1 + t, dim) after all layers, without the context token: (B t, dim)."""
        for layer in self.layers:
            tokens = layer(tokens, None)
        return self.norm(tokens[:, 1:]).flatten(0, 1).float()

    def _around(self, features, windows, row, edge):
        """Features at the offsets from the onset of each token's edge, (m, offsets * c).

        A look beyond the window ends in the middle of the empty channels around it.
        """
        begin, length = (x // self.stride for x in (windows.begin, windows.length))
        first = windows.first // self.stride
        index = (self.place[edge] - first[row, None]).clamp(min=0)
        index = torch.minimum(index, length[row, None] - 1)
        index = index + begin[row, None] + MARGIN // self.stride
        cut = features.index_select(0, index.flatten())  # (m * offsets, c)
        return cut.view(len(row), self.look.in_features - 1)

    def _look(self, around, edge, doubt):
        """Tokens (m, dim) from what lies around their edges and ``doubt`` about the energies (m,).

        The last column by itself: the many features need not be copied to stand beside one.
        """
        weight, last = self.look.weight.split([around.shape[1], 1], 1)
        seen = F.linear(around, weight, self.look.bias)
        token = F.gelu(seen + (doubt[:, None] * last.T).to(seen.dtype))
        return token + self.mix(token * self.gain[edge] + self.embedding[edge])


def _doubt(axis_error_ev: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """Logarithm of the stated error of the energies in typical ones, (B,) as ``like``."""
    if axis_error_ev is None:
        return torch.zeros_like(like)
    return (axis_error_ev.to(like).clamp(*AXIS_ERROR_LIMITS_EV) / TYPICAL_AXIS_ERROR_EV).log()


def _window_features(gain: torch.Tensor, windows: Windows, doubt: torch.Tensor) -> torch.Tensor:
    """Window limits, noise and doubt about the energies for the context token, (B, 5)."""
    lo, hi = windows.lo_ev, windows.hi_ev
    limits = [lo / 1000, hi / 1000, (hi - lo + 1).log() - 6]
    return torch.stack([*limits, 0.2 * gain.log(), doubt], 1)
