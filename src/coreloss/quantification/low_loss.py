"""The low loss of every pixel: what scatters core losses, and how many electrons there were.

A core-loss spectrum is the single-scattering one convolved with the low loss (R. F. Egerton, *EELS
in the Electron Microscope*, 3rd ed. (2011), section 4.3). The low loss is measured together with
it, or put together from a thickness and a plasmon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from coreloss.physics.scattering import low_loss_spectrum, low_loss_transfer
from coreloss.spectra.dark_level import channels_before, without_dark_level
from coreloss.spectra.network_input import resample
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import FEW_COUNTS, PLATEAU_RUN, ZERO_LOSS_EV

FIRST_EV, LAST_EV = -20, 180
"""Energies of a low loss that are used: from the left wing of the zero-loss peak to where almost
nothing is left."""
USUAL_PLASMON_EV, USUAL_WIDTH_EV = 22.0, 14.0
"""Mean plasmon of solids and its width; oxides have broad ones."""
BEFORE_EV, BEHIND_EV = 3.0, 30.0
"""What a low loss shows at least in front of its zero-loss peak, and behind it: the first plasmon,
from which most of the rest follows."""
END_EV, FALL = 8, 3.0
"""The last electronvolts set the counts behind the end, which fall with this power of the energy,
as those of free electrons do; what scatters more than once makes up for the steeper plasmon."""
MOVED_EV = 2.0
"""A zero-loss peak so far from 0 is told: the core loss may be as far off."""
TOLD = 0.03
"""What is told of guessed or doubtful counts is this share of all of them, or more."""
PLASMONS_FROM_EV, STEADY = 5, 0.5
"""Counts that stay above this share of the plasmon to the end do not fall as scattering does."""
REACH_EV = 60.0
"""So far behind the zero-loss peak they should have fallen."""
EMPTY, MOST = 1e-3, 0.5
"""Spectra with so few of the usual counts are empty; so many of all may be."""


@dataclass(frozen=True, eq=False)
class LowLoss:
    """Low losses of one pixel for all, or of each of m pixels.

    probability (m, 201) : per eV from -20 to 180 eV, each row adds up to 1
    electrons (m,) : counts in the whole low loss times the ratio of exposures; None if estimated
    thickness_mfp (m,) : thickness over inelastic mean free path
    warnings : what had to be mended or assumed
    """

    probability: torch.Tensor
    electrons: torch.Tensor | None
    thickness_mfp: torch.Tensor
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.probability)

    def __getitem__(self, rows) -> LowLoss:
        """Low losses of some pixels; the one for all stays it."""
        if len(self) == 1:
            return self
        electrons = None if self.electrons is None else self.electrons[rows]
        return LowLoss(self.probability[rows], electrons, self.thickness_mfp[rows], self.warnings)

    def mean(self) -> LowLoss:
        """The mean low loss of all pixels."""
        weight = torch.ones(len(self)) if self.electrons is None else self.electrons
        share = (weight / weight.sum()).to(self.probability.dtype)
        electrons = None if self.electrons is None else self.electrons.mean()[None]
        thickness = (share @ self.thickness_mfp.to(share.dtype))[None]
        return LowLoss((share @ self.probability)[None], electrons, thickness, self.warnings)

    def transfer(self, n_fft: int) -> torch.Tensor:
        """Transfer functions (m, n_fft // 2 + 1) for a convolution, 0 eV at channel 0."""
        padded = torch.nn.functional.pad(self.probability, (0, n_fft - self.probability.shape[1]))
        return torch.fft.rfft(padded.roll(FIRST_EV, 1))


def measured_low_loss(
    spectrum: Spectrum, *, exposure_ratio: float = 1.0, usual: LowLoss | None = None
) -> LowLoss:
    """Low losses of a measured spectrum or image that holds the zero-loss peak.

    A dark level is taken off, every zero-loss peak is moved to 0 eV, counts behind the end of the
    data are continued. Empty spectra of an image get the ``usual`` low loss, the mean of the others
    by default. ``exposure_ratio`` is the exposure of the core loss over that of the low loss.
    ``thickness_mfp`` is ``ln(I_total / I_0)``, I_0 up to the minimum behind the peak (Egerton 2011,
    Eq. 5.1).

    Raises
    ------
    ValueError
        When there is no zero-loss peak, the spectrum ends less than 30 eV behind it, the counts do
        not fall behind it, most spectra are empty, or values are missing.
    """
    if not exposure_ratio > 0:
        raise ValueError(
            f"exposure ratio is {exposure_ratio}; allowed: above 0, exposure of the core loss over"
            " that of the low loss"
        )
    whole = spectrum.without_missing_ends().mended()
    notes = list(_oddities(whole)) if usual is None else []
    whole = without_dark_level(whole)
    known, last = _centred(whole.energy_ev, whole.counts)
    if usual is None:
        notes = [*whole.warnings, *notes, *_doubts(whole, known.mean(0), last)]
    counts, share = _continued(known, last)
    if share >= TOLD:
        notes.append(
            f"it ends at {last + FIRST_EV} eV: what follows, {share:.0%} of all counts, was guessed"
            f" to fall as E^-{FALL:g}"
        )
    probability, electrons, empty = _normalised(counts, exposure_ratio, usual)
    if empty:
        notes.append(f"{empty} of {len(counts)} spectra are empty: the mean of the others is used")
    return LowLoss(
        torch.from_numpy(probability),
        torch.from_numpy(electrons),
        torch.from_numpy(_thickness(probability)),
        tuple(f"low loss: {note}" for note in notes),
    )


def estimated_low_loss(
    thickness_mfp: float,
    *,
    plasmon_energy_ev: float = USUAL_PLASMON_EV,
    plasmon_width_ev: float = USUAL_WIDTH_EV,
    zero_loss_fwhm_ev: float = 1.2,
) -> LowLoss:
    """One low loss for all pixels from a thickness and one plasmon (`scattering`)."""
    one = torch.ones(1, dtype=torch.float64)
    transfer = low_loss_transfer(
        thickness_mfp=thickness_mfp * one,
        plasmon_energy_ev=plasmon_energy_ev * one[None],
        plasmon_width_ev=plasmon_width_ev * one[None],
        plasmon_share=one[None],
        zero_loss_fwhm_ev=zero_loss_fwhm_ev * one,
        zero_loss_shape="gaussian",
    )
    n = LAST_EV - FIRST_EV + 1
    probability = low_loss_spectrum(transfer, first_ev=FIRST_EV, n_channels=n)[1].clamp(min=0)
    return LowLoss(probability / probability.sum(), None, thickness_mfp * one)


def _oddities(spectrum: Spectrum) -> Iterator[str]:
    """What is odd about the zero-loss peak of a spectrum; ValueError when it cannot be used."""
    energy, counts, total = spectrum.energy_ev, spectrum.counts, spectrum.counts.sum(0)
    peak_ev = energy[total.argmax()]
    near = energy - peak_ev
    if abs(peak_ev) > ZERO_LOSS_EV or near[0] > -BEFORE_EV or near[-1] < BEHIND_EV:
        raise ValueError(
            f"the low loss covers {energy[0]:g}..{energy[-1]:g} eV with its maximum at {peak_ev:g}"
            f" eV; needed: the zero-loss peak within {ZERO_LOSS_EV:g} eV of 0, {BEFORE_EV:g} eV in"
            f" front of it and {BEHIND_EV:g} eV behind it; give another file or correct its axis"
        )
    lost = total[(near > 5) & (near < 20)].sum()
    gained = total[(near < -5) & (near > -20)].sum()
    if gained - lost > TOLD * total[np.abs(near) <= 5].sum():
        raise ValueError(
            f"the low loss has {gained / max(lost, 1e-300):.3g} times as many counts in front of"
            " its zero-loss peak as behind it; allowed: fewer; reverse its energy axis"
        )
    if abs(peak_ev) > MOVED_EV:
        yield (
            f"its zero-loss peak lies at {peak_ev:g} eV and was moved to 0; a core loss measured"
            " with it is as far off"
        )
    top = counts.max(1, keepdims=True)
    flat = ((counts == top) & (top > FEW_COUNTS)).sum(1) >= PLATEAU_RUN
    if flat.mean() > TOLD:
        yield (
            f"the zero-loss peak of {int(flat.sum())} of {len(counts)} spectra is flat: saturated;"
            " thicknesses and amounts are too high"
        )


def _doubts(spectrum: Spectrum, counts: np.ndarray, last: int) -> Iterator[str]:
    """What may still be a dark level in the mean of low losses (201,), known to channel ``last``.

    It is not above the counts at the end. ValueError when these do not fall, and nothing in front
    of the zero-loss peak says why.
    """
    before = channels_before(spectrum)
    end = counts[last + 1 - END_EV : last + 1].mean()
    end_share = end * len(counts) / counts.sum()
    highest = uniform_filter1d(counts[PLASMONS_FROM_EV - FIRST_EV : last + 1], END_EV).max()
    steady = last + FIRST_EV >= REACH_EV and end > STEADY * highest and end_share > TOLD
    at_end = f"its counts at {last + FIRST_EV} eV are {end / highest:.0%} of their maximum behind"
    if before.stop == 0:
        begins = f"it begins {-spectrum.energy_ev[0]:.3g} eV in front of 0"
        if steady:
            raise ValueError(
                f"low loss: {at_end} the zero-loss peak; allowed: {STEADY:.0%}; this is a dark"
                f" level, but {begins}, too late to tell it: subtract it"
            )
        if end_share > TOLD:
            yield f"{begins}: a dark level of up to {end_share:.0%} of all counts cannot be told"
        return
    far = spectrum.counts[:, : (before.stop + 1) // 2].mean() / spectrum.dispersion_ev
    share = min(far, end) * len(counts) / counts.sum()
    if share > TOLD:
        yield (
            f"{share:.0%} of its counts may be a dark level, which cannot be told from a tail of"
            " the zero-loss peak"
        )
    if steady:
        yield f"{at_end} the zero-loss peak: scattering falls faster, amounts are doubtful"


def _centred(energy: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Counts per eV from -20 to 180 eV, every zero-loss peak within 0.05 eV of 0, (m, 201).

    Second the last channel that all of them cover.
    """
    near = np.abs(energy) <= ZERO_LOSS_EV
    top = np.flatnonzero(near)[counts[:, near].argmax(1)]
    peak = np.abs(energy[None] - energy[top, None]) <= max(1.0, energy[1] - energy[0])
    weight = np.where(peak, np.maximum(counts, 0.0), 0.0)
    total = weight.sum(1)
    centre = np.where(total > 0, weight @ energy / np.where(total > 0, total, 1), 0.0)
    centre = np.round(centre, 1)
    result = np.zeros((len(counts), LAST_EV - FIRST_EV + 1))
    last = result.shape[1] - 1
    for each in np.unique(centre):
        rows = centre == each
        values, covered = resample(counts[rows], energy - each - FIRST_EV)
        result[rows] = values[:, : result.shape[1]]
        last = min(last, int(np.flatnonzero(covered)[-1]))
    return result, last


def _continued(counts: np.ndarray, last: int) -> tuple[np.ndarray, float]:
    """Counts (m, 201) with a power law behind channel ``last``, and the share of that in all."""
    fall = np.maximum(np.arange(counts.shape[1]) + FIRST_EV, 1.0) ** -FALL
    end, behind = slice(last + 1 - END_EV, last + 1), slice(last + 1, None)
    level = np.maximum(counts[:, end].sum(1, keepdims=True), 0.0) / fall[end].sum()
    counts = np.hstack([counts[:, : last + 1], level * fall[behind]])
    return counts, float(counts[:, last + 1 :].sum() / max(counts.sum(), 1e-300))


def _normalised(
    counts: np.ndarray, exposure_ratio: float, usual: LowLoss | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Probabilities (m, 201), electrons (m,), and how many spectra were empty."""
    electrons = counts.sum(1) * exposure_ratio
    known = None if usual is None else usual.electrons
    few = np.median(electrons) if known is None else float(known[0])
    empty = electrons <= EMPTY * max(few, 0.0)
    if usual is None and empty.mean() > MOST:
        raise ValueError(
            f"{int(empty.sum())} of {len(empty)} spectra of the low loss are empty; allowed: half"
            " of them; crop them away"
        )
    probability = counts / np.where(empty, 1.0, counts.sum(1))[:, None]
    if empty.any():
        mean = counts[~empty].sum(0)
        probability[empty] = mean / mean.sum() if usual is None else usual.probability[0]
        electrons[empty] = electrons[~empty].mean() if known is None else float(known[0])
    return probability, electrons, int(empty.sum())


def _thickness(probability: np.ndarray) -> np.ndarray:
    """``ln(I_total / I_0)`` with I_0 up to the lowest channel between 2 and 8 eV."""
    lowest = -FIRST_EV + 2 + probability[:, -FIRST_EV + 2 : -FIRST_EV + 9].sum(0).argmin()
    zero_loss = probability[:, : lowest + 1].sum(1)
    return np.log(1.0 / np.clip(zero_loss, 1e-6, 1.0))
