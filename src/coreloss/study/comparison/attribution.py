"""Where in a spectrum the evidence of a network for one element lies: integrated gradients.

The attribution of channel i is ``x_i - b_i`` times the mean of df/dx_i on the straight way from a
baseline b to the spectrum x, with f the logit of the element (Sundararajan, Taly and Yan, Proc.
34th Int. Conf. Mach. Learn. (2017) 3319, eq. 1). It adds up to ``f(x) - f(b)`` (completeness).

A network that takes differences between channels gives them large parts of opposite sign wherever
spectrum and baseline differ; sums over some channels say more than each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from coreloss.axis import N_CHANNELS
from coreloss.edges import ELEMENT_INDEX, MARGIN_BEFORE_EV, identifying_sets, inside_window

STEPS = 32
NEAR_EV = (-10.0, 50.0)
_ENDS = int(MARGIN_BEFORE_EV) - 2  # channels: edges keep this far from the start of a window
_CROWDING = 3  # steps lie at u^3: logits rise where an edge begins to leave the noise
_MEDIAN_OF_NORMAL = 0.6745  # of its magnitude, in standard deviations


class Completeness(NamedTuple):
    """Sum of an attribution, and the difference of logits that it has to add up to."""

    total: float
    logit_difference: float

    @property
    def error(self) -> float:
        """Their difference relative to the difference of logits."""
        return abs(self.total - self.logit_difference) / max(abs(self.logit_difference), 1e-12)


class NearOnset(NamedTuple):
    """Shares near onsets: of the absolute attribution, of the channels, and of its sum.

    Gradients of neighbouring channels differ in sign where a network takes differences; ``share``
    counts each of them, in ``net`` they cancel. ``net`` may lie outside 0..1.
    """

    share: float
    uniform: float
    net: float


def attribution(
    network: torch.nn.Module, spectrum, mask, element: str, *, steps: int = STEPS
) -> np.ndarray:
    """Integrated gradients of the logit of ``element`` over energy, (3072,); 0 outside the mask.

    The baseline is `edgeless`, the spectrum without any edge.

    Parameters
    ----------
    network
        Logits (batch, 80) from spectra (batch, 3072) and masks.
    spectrum, mask
        (3072,) each, as in `network_input.NetworkInput`.
    steps
        Gradients on the way from the baseline, denser there.
    """
    x, mask = _one_spectrum(spectrum, mask)
    label = _label(element)
    if steps < 1:
        raise ValueError(f"steps is {steps}; give at least 1")
    start = edgeless(x, mask)
    along, weights = _nodes(steps)
    path = start + along.to(x)[:, None] * (x - start)
    path.requires_grad_(True)
    with torch.enable_grad():
        logits = network(path, mask.expand(steps, -1))
        (gradient,) = torch.autograd.grad(logits[:, label].sum(), path)
    # Networks may divide by zero outside the window, which says nothing; `completeness` would tell.
    gradient = torch.where(gradient.isfinite() & mask, gradient.double(), 0.0)
    return ((x - start) * (weights.to(gradient)[:, None] * gradient).sum(0)).cpu().numpy()


def completeness(
    network: torch.nn.Module, spectrum, mask, element: str, attribution
) -> Completeness:
    """Whether an attribution accounts for the logit; the other arguments are those that made it."""
    x, mask = _one_spectrum(spectrum, mask)
    start = edgeless(x, mask)
    with torch.inference_mode():
        before, after = network(torch.stack([start, x]), mask.expand(2, -1))[:, _label(element)]
    return Completeness(float(np.sum(attribution)), float(after.double() - before.double()))


def edgeless(spectrum, mask, *, seed: int = 0) -> torch.Tensor:
    """The spectrum (3072,) without its edges: the power law through both ends, as noisy as it is.

    A straight line in log-log coordinates has no edge at any energy; through both ends, it changes
    nothing there. Networks read the noise level too, so that on the way from a noiseless spectrum
    it would be the noise that changes their answer: Gaussian noise of the size in the spectrum is
    added (from the median second difference of neighbours, with variance proportional to the
    signal as in counting). Where an end is not positive the line is straight in linear coordinates.
    """
    x, mask = _one_spectrum(spectrum, mask)
    channels = mask.nonzero().squeeze(1).cpu().numpy()
    values = x.double().cpu().numpy()[channels]
    line = _line_through_ends(np.maximum(channels, 1).astype(float), values)
    level = np.maximum(line, 1e-3 * np.abs(values).mean())
    second = np.diff(values, 2) / np.sqrt(6 * np.maximum(level[1:-1], 1e-30))
    sigma = np.median(np.abs(second)) / _MEDIAN_OF_NORMAL
    noise = sigma * np.sqrt(level) * np.random.default_rng(seed).standard_normal(len(line))
    result = torch.zeros(N_CHANNELS, dtype=torch.float64)
    result[torch.from_numpy(channels)] = torch.from_numpy(line + noise)
    return result.to(x)


def share_near_onset(attribution, mask, *, onset_ev) -> NearOnset:
    """Share of the absolute attribution from 10 eV below to 50 eV above onsets.

    ``onset_ev`` is one energy or several, see `onsets_inside`; ``uniform`` is what an attribution
    of equal size in all measured channels would have there.
    """
    signed, mask = np.asarray(attribution, float), np.asarray(mask, bool)
    if signed.shape != (N_CHANNELS,) or mask.shape != signed.shape:
        raise ValueError(
            f"attribution has shape {signed.shape} and mask {mask.shape}; "
            f"needed ({N_CHANNELS},) each"
        )
    energy = np.arange(N_CHANNELS)[:, None]
    onset = np.atleast_1d(np.asarray(onset_ev, float))
    near = ((energy >= onset + NEAR_EV[0]) & (energy <= onset + NEAR_EV[1])).any(1) & mask
    share, net = (
        float(part[near].sum() / total) if (total := part[mask].sum()) else 0.0
        for part in (np.abs(signed), signed)
    )
    return NearOnset(share, float(near.sum() / max(mask.sum(), 1)), net)


def onsets_inside(element: str, mask) -> tuple[float, ...]:
    """Onsets of the identifying edges of an element that count in the window of a mask (3072,).

    >>> onsets_inside("O", np.arange(N_CHANNELS) >= 400)
    (532.0,)
    """
    label, channels = _label(element), np.flatnonzero(np.asarray(mask, bool))
    onset = torch.tensor([edge.onset_ev for edge in identifying_sets() if edge.label == label])
    inside = inside_window(onset, float(channels[0]), float(channels[-1]))
    return tuple(round(value, 3) for value in onset[inside].tolist())


def _line_through_ends(energy_ev: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Power law through the means of the first and the last channels, a straight line if <= 0."""
    n = min(_ENDS, len(values) // 2)
    first, last = values[:n].mean(), values[-n:].mean()
    if min(first, last) > 0:
        x = np.log(energy_ev)
        low, high = x[:n].mean(), x[-n:].mean()
        slope = np.log(last / first) / (high - low)
        return first * np.exp(slope * (x - low))
    low, high = energy_ev[:n].mean(), energy_ev[-n:].mean()
    return first + (last - first) / (high - low) * (energy_ev - low)


def _nodes(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places s in 0..1 and weights that add up to 1, midpoints in u = s^(1/3): ds = 3 u^2 du."""
    u = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    weight = u ** (_CROWDING - 1)
    return u**_CROWDING, weight / weight.sum()


def _one_spectrum(spectrum, mask) -> tuple[torch.Tensor, torch.Tensor]:
    x, mask = torch.as_tensor(spectrum).detach(), torch.as_tensor(mask).bool()
    if x.shape != (N_CHANNELS,) or mask.shape != x.shape:
        raise ValueError(
            f"spectrum has shape {tuple(x.shape)} and mask {tuple(mask.shape)}; needed "
            f"({N_CHANNELS},) each: give one spectrum, inputs.spectrum[i] and inputs.mask[i]"
        )
    if mask.sum() < 2 * _ENDS:
        raise ValueError(f"mask has {int(mask.sum())} channels; needed {2 * _ENDS} or more")
    return x, mask


def _label(element: str) -> int:
    if element not in ELEMENT_INDEX:
        raise ValueError(f"element is {element!r}; allowed: symbols from Be to Bi")
    return ELEMENT_INDEX[element]
