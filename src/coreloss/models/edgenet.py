"""EdgeNet: every tabulated ionisation edge asks the spectrum whether it is there.

A front end turns the spectrum into channels in which an edge stands out from a power law, a short
convolution reads shapes, and one token per edge inside the window looks at the features around its
own onset. Tokens talk to each other (overlapping edges), then vote for their element.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from coreloss.axis import N_CHANNELS, energy_ev, window_of
from coreloss.edges import ELEMENTS, edge_shells, inside_window

BOXES_EV = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class EdgeNetConfig:
    """Sizes of an EdgeNet.

    channels : width of the convolutional stem; blocks : residual blocks in it
    dim : width of an edge token; heads, layers : of the attention between tokens
    offsets_ev : where a token looks, relative to the onset
    """

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
        if self.dim % self.heads:
            raise ValueError(f"dim = {self.dim} must be a multiple of heads = {self.heads}")


def box_sums(x: torch.Tensor) -> list[torch.Tensor]:
    """Sums of `x` (B, n) over w channels from each channel on, for w in `BOXES_EV`; zeros beyond.

    Neighbouring sums are added pairwise: no cumulative sum, so no cancellation in float32.
    """
    sums = []
    for width in BOXES_EV:
        half = width // 2
        x = x + F.pad(x, (0, half))[:, half:]
        sums.append(x)
    return sums


def noise_gain(spectrum: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Variance per unit of signal, (B, 1), from second differences of neighbouring channels.

    For counting noise of gain g the second difference has variance 6 g x. The mean square root of
    its magnitude is used (0.822 for a standard normal deviate), which an edge or a spike does not
    disturb.
    """
    difference = spectrum[:, :-2] - 2 * spectrum[:, 1:-1] + spectrum[:, 2:]
    valid = mask[:, :-2] & mask[:, 2:]
    ratio = (difference.abs() / (6 * spectrum[:, 1:-1].clamp(min=1e-4)).sqrt()).sqrt()
    mean = (ratio * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)
    return (mean / 0.822).pow(4).clamp(1e-12, 10.0)


class FrontEnd(nn.Module):
    """Spectrum (B, 3072), mean 1 inside the mask, to channels (B, n_channels, 3072), in float32."""

    n_channels = 5 + 2 * len(BOXES_EV)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_energy", (energy_ev() + 20).log() - 6.0, persistent=False)

    def forward(
        self, spectrum: torch.Tensor, mask: torch.Tensor, gain: torch.Tensor | None = None
    ) -> torch.Tensor:
        m = mask.to(spectrum.dtype)
        n = m.sum(1, keepdim=True).clamp(min=1)
        gain = noise_gain(spectrum, mask) if gain is None else gain
        floor = 1e-5 + gain  # about one count: keeps logarithms of empty channels finite
        log_spectrum = spectrum.clamp(min=0).add(floor).log()
        mean = (log_spectrum * m).sum(1, keepdim=True) / n
        centred = (log_spectrum - mean) * m
        spread = (centred.square().sum(1, keepdim=True) / n + 1e-4).sqrt()
        noise = 0.5 * (gain.log() - log_spectrum)
        channels = [
            centred / spread,
            m,
            self.log_energy * m,
            0.3 * (noise + 4) * m,
            0.5 * torch.log(spread).expand_as(m) * m,
        ]
        for contrast, significance in self._edge_contrast(spectrum, m, gain, floor):
            channels += [contrast, significance]
        return torch.stack(channels, 1)

    @staticmethod
    def _edge_contrast(spectrum, m, gain, floor):
        """log R - 2 log L + log LL per box width: zero for a power law, positive at an edge.

        R is the mean right of the channel, L and LL the two boxes left of it; beside it the same
        divided by its counting error. Zero where a box leaves the window.
        """
        for width, total, covered in zip(
            BOXES_EV, box_sums(spectrum * m), box_sums(m), strict=True
        ):
            right = total / width
            left = F.pad(right, (width, 0))[:, : right.shape[1]]
            far_left = F.pad(right, (2 * width, 0))[:, : right.shape[1]]
            full = (covered >= width).to(m.dtype)
            valid = full * F.pad(full, (2 * width, 0))[:, : m.shape[1]]
            valid = valid * F.pad(full, (width, 0))[:, : m.shape[1]]
            parts = [part.clamp(min=0) + floor / width for part in (right, left, far_left)]
            contrast = (parts[0].log() - 2 * parts[1].log() + parts[2].log()) * valid
            error = (gain / width * (1 / parts[0] + 4 / parts[1] + 1 / parts[2])).sqrt()
            significance = torch.asinh(contrast / error) * valid
            yield torch.asinh(4 * contrast), 0.5 * significance


class Residual(nn.Module):
    """Two convolutions with batch norm around a skip: (B, c, n) -> (B, c, n)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(channels)
        self.conv2 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


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

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        b, t, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, t, dim / heads) each
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed[:, None, None, :])
        x = x + self.out(y.transpose(1, 2).reshape(b, t, dim))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class EdgeNet(nn.Module):
    """Logits of the 80 elements from a normalised spectrum and the mask of measured channels."""

    stride = 2
    groups = 6

    def __init__(self, config: EdgeNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EdgeNetConfig()
        shells = edge_shells()
        onset = torch.tensor([shell.onset_ev for shell in shells])
        element = torch.tensor([ELEMENTS.index(shell.element) for shell in shells])
        position = onset[:, None] + torch.tensor(config.offsets_ev)
        # Index tables follow from the edge table; they are rebuilt, never loaded.
        self.register_buffer("onset_ev", onset, persistent=False)
        self.register_buffer("element", element, persistent=False)
        self.register_buffer("position", self._feature_index(position), persistent=False)

        self.front = FrontEnd()
        c, d = config.channels, config.dim
        self.stem = nn.Sequential(
            nn.Conv1d(self.front.n_channels, c, 7, stride=self.stride, padding=3, bias=False),
            nn.BatchNorm1d(c),
            nn.ReLU(),
            *(Residual(c, config.kernel) for _ in range(config.blocks)),
        )
        self.look = nn.Linear(c * len(config.offsets_ev), d)
        self.gain = nn.Parameter(torch.ones(len(shells), d))
        self.embedding = nn.Parameter(0.02 * torch.randn(len(shells), d))
        self.mix = nn.Linear(d, d)
        self.context = nn.Linear(4, d)
        self.layers = nn.ModuleList(EdgeAttention(d, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)
        self.evidence = nn.Parameter(0.02 * torch.randn(len(shells), d))
        self.shared_evidence = nn.Linear(d, 1)
        self.bias = nn.Parameter(torch.full((len(ELEMENTS),), -3.0))

    def _feature_index(self, position_ev: torch.Tensor) -> torch.Tensor:
        last = (N_CHANNELS - 1) // self.stride
        return (position_ev / self.stride).round().long().clamp(0, last)

    def forward(self, spectrum: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, 80) for `spectrum` (B, 3072) float32 and `mask` (B, 3072) bool."""
        with torch.autocast(spectrum.device.type, enabled=False):
            gain = noise_gain(spectrum.float(), mask)
            channels = self.front(spectrum.float(), mask, gain)
        features = self.stem(channels).transpose(1, 2)  # (B, n, c)
        lo, hi = window_of(mask)
        inside = inside_window(self.onset_ev, lo, hi)
        row, edge = inside.nonzero(as_tuple=True)  # m tokens, ordered by spectrum
        token = self._look(features, row, edge)  # (m, d)
        context = self.context(_window_features(gain, lo, hi)).to(token.dtype)
        token = self._exchange(token, context, row)
        vote = (token * self.evidence[edge]).sum(1) + self.shared_evidence(token).squeeze(1).float()
        logits = self.bias.float().repeat(len(inside), 1).view(-1)
        logits = logits.index_add(0, row * len(ELEMENTS) + self.element[edge], vote)
        return logits.view(len(inside), len(ELEMENTS))

    def _exchange(self, token, context, row):
        """Attention among the tokens of each spectrum and its context token: (m, d) -> (m, d).

        Spectra with similar numbers of tokens go together, so that little padding is computed.
        """
        n_tokens = torch.bincount(row, minlength=len(context))
        slot = 1 + torch.arange(len(row), device=row.device)
        slot = slot - (n_tokens.cumsum(0) - n_tokens)[row]
        result = torch.empty(token.shape, device=token.device)
        for group in n_tokens.argsort().chunk(self.groups):
            place = torch.full_like(n_tokens, -1)
            place[group] = torch.arange(len(group), device=row.device)
            member = (place[row] >= 0).nonzero().squeeze(1)
            at = (place[row[member]], slot[member])
            padded = token.new_zeros(len(group), int(n_tokens[group].max()) + 1, token.shape[1])
            padded[:, 0] = context[group]
            padded[at] = token[member]
            allowed = torch.arange(padded.shape[1], device=row.device) <= n_tokens[group, None]
            for layer in self.layers:
                padded = layer(padded, allowed)
            result[member] = self.norm(padded[at]).float()
        return result

    def _look(self, features, row, edge):
        """Features around the onset of each token's edge, mapped to (m, dim)."""
        n = features.shape[1]
        index = row[:, None] * n + self.position[edge]
        cut = features.reshape(-1, features.shape[2])[index]  # (m, offsets, c)
        token = F.gelu(self.look(cut.flatten(1)))
        return token + self.mix(token * self.gain[edge] + self.embedding[edge])


def _window_features(gain, lo, hi) -> torch.Tensor:
    """Window limits and noise for the context token, (B, 4)."""
    noise = gain.log().squeeze(1)
    return torch.stack([lo / 1000, hi / 1000, (hi - lo + 1).log() - 6, 0.2 * noise], 1)
