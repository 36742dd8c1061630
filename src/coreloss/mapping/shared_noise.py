"""Is the noise of an image its own in every pixel? Denoised images share it.

Principal components, filters over neighbours and smoothing take noise from every pixel and leave
what many of them have in common. Calls by chance then hang together in space, and no estimate of
chance that takes the pixels for independent holds.
"""

from __future__ import annotations

import numpy as np

from coreloss.spectra.counts import are_whole

SHARED = 0.3
"""Median size of the correlation between neighbouring spectra above which their noise is shared."""
FEWEST = 16
"""Pairs of neighbours that tell it."""
CLIPPED = 3.0
"""Standard deviations at which single channels, such as sharp edges, are cut off."""


def noise_is_shared(counts: np.ndarray) -> bool:
    """Whether neighbours in a run of spectra (m, n) have noise in common.

    Never of whole numbers: those are counts of each pixel. Looked at are second differences along
    the energy, which edges and backgrounds hardly have, less their mean over the run.

    >>> rng = np.random.default_rng(0)
    >>> noise = rng.standard_normal((40, 300))
    >>> noise_is_shared(100 + noise), noise_is_shared(100 + noise + np.roll(noise, 1, axis=0))
    (False, True)
    """
    finite = counts[np.isfinite(counts).all(1)]
    if len(finite) <= FEWEST or are_whole(finite).all():
        return False
    bends = np.diff(finite / np.maximum(np.abs(finite).mean(1, keepdims=True), 1e-12), 2, axis=1)
    own = bends - bends.mean(0)
    size = np.median(np.abs(own), axis=0) / 0.6745
    own = (own / np.maximum(size, 1e-12)).clip(-CLIPPED, CLIPPED)
    one, next_one = own[:-1], own[1:]
    norm = np.sqrt((one**2).sum(1) * (next_one**2).sum(1))
    correlation = (one * next_one).sum(1) / np.maximum(norm, 1e-12)
    return bool(np.median(np.abs(correlation)) > SHARED)
