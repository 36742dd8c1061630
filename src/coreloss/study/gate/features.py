"""Hand-made features of whole spectra: what a microscopist would look at to tell them apart.

No labels and no onsets go in, so measured and simulated spectra are treated alike. A feature that
a window is too short for is NaN. Levels are means over channels; where a power law or a logarithm
needs a positive level, less than `LEVEL_FLOOR` of the mean counts as `LEVEL_FLOOR`.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from coreloss.spectra.network_input import MIN_CHANNELS

FEATURES = {
    "slope": "exponent r of the power law through 12 levels, equal steps of ln E",
    "curvature": "dr / d ln E of the same levels",
    "exponent_start": "r of the first four levels",
    "exponent_end": "r of the last four levels",
    "lowest": "lowest of the 12 levels over the mean: 0 where a background was taken off",
    "noise": "log10 of the noise per channel over the mean, from third differences",
    "noise_law": "d ln noise / d ln level: 0.5 counting, 1 gain variation, 0 read-out",
    "noise_lag1": "correlation of neighbouring third differences: -0.75 for independent channels",
    "noise_lag2": "the same two channels apart: 0.30 for independent channels",
    "structure_4ev": "log10 of the typical bend over 3 x 4 eV, in units of the level",
    "structure_16ev": "log10 of the typical bend over 3 x 16 eV, in units of the level",
    "rise": "largest rise over the power law in front of it, within 6 eV, as ln(level ratio)",
    "rise_width_ev": "that rise over its steepest slope",
    "edges": "rises above 3 % and 6 sigma, per 100 eV",
    "peaks": "peaks of up to 8 eV above 2 % and 6 sigma, per 100 eV",
    "jump": "ln of the level 20..50 eV behind the largest rise over the power law before it",
    "contrast": "ln of the peak at the largest rise over the level behind, both over the power law",
    "maximum_at": "place of the highest 5 eV: 0 at the start of the window, 1 at its end",
    "negative": "share of channels below zero",
    "spike": "log10 of the largest single channel above two neighbours on either side, in sigma",
    "repeated": "share of channels that repeat the one before: saturation, padding, few counts",
}  # fmt: skip
LEVEL_FLOOR = 1e-3
N_LEVELS = 12
_BOX = 6  # eV: levels on both sides of a rise
_MEAN_ROOT = 0.8222  # mean square root of the magnitude of a standard normal deviate
_ROWS = 512  # spectra at a time: a few tens of MB


def spectrum_features(spectrum, mask) -> dict[str, np.ndarray]:
    """All `FEATURES` of spectra (B, 3072) with mean 1 inside their masks (B, 3072): (B,) each.

    Tensors or arrays; every mask is one unbroken window of at least 25 channels.

    >>> energy = np.arange(3072.0)
    >>> window = (energy >= 300) & (energy < 900)
    >>> power_law = window * np.maximum(energy, 1) ** -3
    >>> made = spectrum_features((power_law / power_law[window].mean())[None], window[None])
    >>> round(float(made["slope"][0]), 2), round(float(made["edges"][0]), 2)
    (3.0, 0.0)
    """
    spectrum, mask = np.asarray(spectrum), np.asarray(mask, dtype=bool)
    first, n = _windows(spectrum, mask)
    order = np.argsort(first + n, kind="stable")  # rows of similar windows share a crop
    found = {name: np.full(len(spectrum), np.nan) for name in FEATURES}
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        lo, hi = first[rows].min(), (first[rows] + n[rows]).max()
        part = _Windows(spectrum[rows, lo:hi], first[rows] - lo, n[rows], lo)
        for values in (_levels(part), _noise(part), _structure(part), _rises(part), _odd(part)):
            for name, value in values.items():
                found[name][rows] = value
    return found


def stack_features(features: dict[str, np.ndarray]) -> np.ndarray:
    """The features as columns, (B, k)."""
    return np.stack([features[name] for name in FEATURES], 1)


def _windows(spectrum, mask) -> tuple[np.ndarray, np.ndarray]:
    """First channel and number of channels of every mask, (B,) each."""
    if spectrum.ndim != 2 or spectrum.shape != mask.shape:
        raise ValueError(
            f"spectra {spectrum.shape} and masks {mask.shape}: give two arrays (batch, channels)"
        )
    first, n = mask.argmax(1), mask.sum(1)
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
    broken = (n < MIN_CHANNELS) | (last - first + 1 != n)
    if broken.any():
        raise ValueError(
            f"{int(broken.sum())} masks are no unbroken window of {MIN_CHANNELS} or more "
            "channels; crop the spectra first"
        )
    return first, n


class _Windows:
    """Spectra (B, m) float64 over a common crop, and where in it each was measured."""

    def __init__(self, spectrum, first, n, lo_ev) -> None:
        self.x = spectrum.astype(np.float64)
        self.first, self.n, self.end = first, n, first + n
        self.lo_ev = lo_ev
        self.sums = np.pad(self.x.cumsum(1), ((0, 0), (1, 0)))
        self.channel = np.arange(self.x.shape[1])
        difference = self.x[:, 3:] - 3 * self.x[:, 2:-1] + 3 * self.x[:, 1:-2] - self.x[:, :-3]
        self.third = difference / np.sqrt(20)
        level = np.maximum((self.x[:, 1:-2] + self.x[:, 2:-1]) / 2, LEVEL_FLOOR)
        self.third_level = level
        root = np.sqrt(np.abs(self.third) / np.sqrt(level))
        self.gain = (self.mean_inside(root, 4) / _MEAN_ROOT) ** 4  # variance per unit of level

    def inside(self, width: int, n_positions: int) -> np.ndarray:
        """Where `width` channels from a position on lie in the window, (B, n_positions) bool."""
        position = self.channel[:n_positions]
        return (position >= self.first[:, None]) & (position <= (self.end - width)[:, None])

    def mean_inside(self, values, width: int) -> np.ndarray:
        """Mean over the positions whose `width` channels lie in the window; NaN without any."""
        valid = self.inside(width, values.shape[1])
        n = valid.sum(1)
        total = np.where(valid, values, 0).sum(1)
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)

    def boxes(self, width: int) -> np.ndarray:
        """Means over `width` channels from each on, (B, m - width + 1)."""
        return (self.sums[:, width:] - self.sums[:, :-width]) / width

    def mean(self, start, end) -> np.ndarray:
        """Means over channels start..end - 1, arrays (B,) or (B, k), clipped to the window."""
        shape = (slice(None), *[None] * (np.ndim(start) - 1))
        first, last = self.first[shape], self.end[shape]
        start, end = np.clip(start, first, last), np.clip(end, first, last)
        flat = (len(self.x), -1)
        total = np.take_along_axis(self.sums, end.reshape(flat), 1)
        total = total - np.take_along_axis(self.sums, start.reshape(flat), 1)
        return (total.reshape(start.shape)) / np.maximum(end - start, 1)

    def ln_energy(self, channel) -> np.ndarray:
        """ln of the energy in eV of channels of the crop; the first is 1 eV, not 0."""
        return np.log(np.maximum(channel + self.lo_ev, 1.0))


def _ln(level) -> np.ndarray:
    return np.log(np.maximum(level, LEVEL_FLOOR))


def _levels(w: _Windows) -> dict[str, np.ndarray]:
    """Power laws through the levels of 12 equal steps of ln E."""
    low, high = w.ln_energy(w.first - 0.5), w.ln_energy(w.end - 0.5)
    step = np.linspace(0, 1, N_LEVELS + 1)
    borders = np.exp(low[:, None] + (high - low)[:, None] * step) - w.lo_ev + 0.5
    borders = borders.round().astype(int)
    borders = np.maximum(borders, w.first[:, None] + np.arange(N_LEVELS + 1))
    levels = w.mean(borders[:, :-1], borders[:, 1:])
    ln_e = w.ln_energy((borders[:, :-1] + borders[:, 1:] - 1) / 2)
    ln_e, ln_level = ln_e - ln_e.mean(1, keepdims=True), _ln(levels)
    return {
        "slope": -_slope(ln_e, ln_level),
        "curvature": -_bend(ln_e, ln_level),
        "exponent_start": -_slope(ln_e[:, :4], ln_level[:, :4]),
        "exponent_end": -_slope(ln_e[:, -4:], ln_level[:, -4:]),
        "lowest": levels.min(1),
    }


def _slope(x, y) -> np.ndarray:
    x = x - x.mean(1, keepdims=True)
    return (x * y).sum(1) / (x * x).sum(1)


def _bend(x, y) -> np.ndarray:
    """Second derivative of the parabola through rows of x, y (B, k)."""
    square = x * x - (x * x).mean(1, keepdims=True)
    square = square - ((x * square).sum(1) / (x * x).sum(1))[:, None] * x
    return 2 * (square * y).sum(1) / (square * square).sum(1)


def _noise(w: _Windows) -> dict[str, np.ndarray]:
    sigma = np.sqrt(w.gain)[:, None]
    valid = w.inside(4, w.third.shape[1])
    scaled = np.clip(w.third / np.maximum(sigma * np.sqrt(w.third_level), 1e-12), -4, 4) * valid
    power = np.maximum((scaled**2).mean(1), 1e-12)
    width = scaled.shape[1]
    lags = {
        f"noise_lag{k}": (scaled[:, k:] * scaled[:, : width - k]).sum(1) / width / power
        for k in (1, 2)
    }
    return {"noise": np.log10(np.maximum(sigma[:, 0], 1e-9)), "noise_law": _law(w, valid), **lags}


def _law(w: _Windows, valid) -> np.ndarray:
    """Slope of ln |third difference| over ln level; NaN where the level hardly changes."""
    smallest = 0.1 * np.sqrt(w.gain)[:, None] * np.sqrt(w.third_level)
    ln_noise = np.log(np.maximum(np.abs(w.third), np.maximum(smallest, 1e-12)))
    ln_level = np.log(w.third_level)
    used = valid & (w.third_level > 2 * LEVEL_FLOOR)
    n = np.maximum(used.sum(1), 1)[:, None]
    x = (ln_level - np.where(used, ln_level, 0).sum(1, keepdims=True) / n) * used
    spread = (x * x).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        law = (x * ln_noise).sum(1) / spread
    return np.where(spread / n[:, 0] > 0.15**2, law, np.nan)


def _structure(w: _Windows) -> dict[str, np.ndarray]:
    found = {}
    for width in (4, 16):
        value = np.full(len(w.x), np.nan)
        if w.x.shape[1] > 3 * width:
            box = w.boxes(width)
            centre = box[:, width:-width]
            bend = box[:, : -2 * width] - 2 * centre + box[:, 2 * width :]
            root = np.sqrt(np.abs(bend) / np.maximum(centre, 5 * LEVEL_FLOOR))
            value = 2 * np.log10(np.maximum(w.mean_inside(root, 3 * width), 1e-6))
        found[f"structure_{width}ev"] = value
    return found


def _rises(w: _Windows) -> dict[str, np.ndarray]:
    """The largest rise, what surrounds it, and the number of significant rises and peaks."""
    rise, significant = _all_rises(w)
    at = rise.argmax(1)  # first channel of the far level in front of the rise
    place = at + 2 * _BOX + 1  # the channel in which the rise is
    window = np.clip(place[:, None] + np.arange(-6, 11), w.first[:, None] + 1, w.end[:, None] - 3)
    smooth = w.mean(window - 1, window + 2)
    steepest = np.diff(smooth, axis=1).max(1)
    span = smooth.max(1) - smooth.min(1)
    local = rise == maximum_filter1d(rise, 17, axis=1, mode="nearest")
    per_100_ev = 100 / w.n
    return {
        "rise": np.take_along_axis(rise, at[:, None], 1)[:, 0],
        "rise_width_ev": np.minimum(span / np.maximum(steepest, 1e-9), 17.0),
        "edges": (local & significant).sum(1) * per_100_ev,
        "peaks": _n_peaks(w) * per_100_ev,
        **_behind(w, place),
    }


def _all_rises(w: _Windows) -> tuple[np.ndarray, np.ndarray]:
    """ln of the level behind each channel over the power law in front, and which are significant.

    Three levels of 6 eV: far and near in front of the channel, and behind it, with one channel
    between the last two pairs.
    """
    width = 3 * _BOX + 1
    box = w.boxes(_BOX)
    far, near, behind = box[:, : -2 * _BOX - 1], box[:, _BOX : -_BOX - 1], box[:, 2 * _BOX + 1 :]
    ln_e = w.ln_energy(w.channel[: box.shape[1]] + (_BOX - 1) / 2)
    ratio = (ln_e[2 * _BOX + 1 :] - ln_e[_BOX : -_BOX - 1]) / (
        ln_e[_BOX : -_BOX - 1] - ln_e[: -2 * _BOX - 1]
    )
    rise = _ln(behind) - _ln(near) - ratio * (_ln(near) - _ln(far))
    variance = w.gain[:, None] / _BOX / np.maximum(near, LEVEL_FLOOR) * (1 + 4 + 1)
    rise = np.where(w.inside(width, rise.shape[1]), rise, -np.inf)
    return rise, (rise > 0.03) & (rise > 6 * np.sqrt(variance))


def _n_peaks(w: _Windows) -> np.ndarray:
    box = w.boxes(3)
    centre = box[:, 5:-5]
    peak = centre - (box[:, :-10] + box[:, 10:]) / 2
    level = np.maximum(centre, LEVEL_FLOOR)
    high = (peak > 0.02 * level) & (peak > 6 * np.sqrt(w.gain[:, None] * level / 2))
    local = peak == maximum_filter1d(peak, 9, axis=1, mode="nearest")
    return (high & local & w.inside(13, peak.shape[1])).sum(1)


def _behind(w: _Windows, place) -> dict[str, np.ndarray]:
    """Jump and contrast of the rise in channel ``place``, (B,); NaN where the window is short."""
    before = np.minimum(40, place - 2 - w.first)
    start, middle, end = place - 2 - before, place - 2 - before // 2, place - 2
    far, near = _ln(w.mean(start, middle)), _ln(w.mean(middle, end))
    ln_far, ln_near = w.ln_energy((start + middle - 1) / 2), w.ln_energy((middle + end - 1) / 2)
    exponent = (near - far) / np.where(ln_near > ln_far, ln_near - ln_far, 1)
    last = np.minimum(place + 50, w.end)
    jump = _ln(w.mean(place + 20, last)) - near
    jump -= exponent * (w.ln_energy((place + 20 + last) / 2) - ln_near)
    near_edge = np.minimum(place[:, None] + np.arange(-4, 16), w.end[:, None] - 2)
    top = _ln(w.mean(near_edge - 1, near_edge + 2).max(1)) - near
    top -= exponent * (w.ln_energy(place + 5) - ln_near)
    defined = (before >= 16) & (last - place >= 28)
    limits = {"jump": jump, "contrast": top - jump}
    return {name: np.where(defined, value, np.nan) for name, value in limits.items()}


def _odd(w: _Windows) -> dict[str, np.ndarray]:
    """What no ideal detector does, and the place of the maximum."""
    inside = w.inside(1, w.x.shape[1])
    box = np.where(w.inside(5, w.x.shape[1] - 4), w.boxes(5), -np.inf)
    x = w.x
    left = x[:, 2:-2] - np.maximum(x[:, :-4], x[:, 1:-3])
    right = x[:, 2:-2] - np.maximum(x[:, 4:], x[:, 3:-1])
    sigma = np.sqrt(w.gain[:, None] * np.maximum((x[:, :-4] + x[:, 4:]) / 2, LEVEL_FLOOR))
    spike = np.minimum(left, right) / np.maximum(sigma, 1e-9)
    spike = np.where(w.inside(5, spike.shape[1]), spike, 0).max(1)
    same = np.abs(np.diff(x, axis=1)) <= 1e-6 * np.abs(x[:, 1:])
    return {
        "maximum_at": (box.argmax(1) - w.first) / np.maximum(w.n - 5, 1),
        "negative": ((x < 0) & inside).sum(1) / w.n,
        "spike": np.log10(np.maximum(spike, 0.1)),
        "repeated": (same & w.inside(2, same.shape[1])).sum(1) / (w.n - 1),
    }
