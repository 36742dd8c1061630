"""The low loss of every pixel: what scatters core losses, and how many electrons there were.

A core-loss spectrum is the single-scattering one convolved with the low loss (R. F. Egerton, *EELS
in the Electron Microscope*, 3rd ed. (2011), section 4.3). The low loss is measured together with
it, or put together from a thickness and a plasmon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from coreloss.physics.scattering import low_loss_spectrum, low_loss_transfer
from coreloss.spectra.network_input import resample
from coreloss.spectra.spectrum import Spectrum
from coreloss.spectra.window import ZERO_LOSS_EV

FIRST_EV, LAST_EV = -20, 180
"""Energies of a low loss that are used: from the left wing of the zero-loss peak to where almost
nothing is left."""
USUAL_PLASMON_EV, USUAL_WIDTH_EV = 22.0, 14.0
"""Mean plasmon of solids and its width; oxides have broad ones."""


@dataclass(frozen=True, eq=False)
class LowLoss:
    """Low losses of one pixel for all, or of each of m pixels.

    probability (m, 201) : per eV from -20 to 180 eV, each row adds up to 1
    electrons (m,) : counts in the whole low loss times the ratio of exposures; None if estimated
    thickness_mfp (m,) : thickness over inelastic mean free path
    """

    probability: torch.Tensor
    electrons: torch.Tensor | None
    thickness_mfp: torch.Tensor

    def __len__(self) -> int:
        return len(self.probability)

    def __getitem__(self, rows) -> LowLoss:
        """Low losses of some pixels; the one for all stays it."""
        if len(self) == 1:
            return self
        electrons = None if self.electrons is None else self.electrons[rows]
        return LowLoss(self.probability[rows], electrons, self.thickness_mfp[rows])

    def mean(self) -> LowLoss:
        """The mean low loss of all pixels."""
        weight = torch.ones(len(self)) if self.electrons is None else self.electrons
        share = (weight / weight.sum()).to(self.probability.dtype)
        electrons = None if self.electrons is None else self.electrons.mean()[None]
        thickness = (share @ self.thickness_mfp.to(share.dtype))[None]
        return LowLoss((share @ self.probability)[None], electrons, thickness)

    def transfer(self, n_fft: int) -> torch.Tensor:
        """Transfer functions (m, n_fft // 2 + 1) for a convolution, 0 eV at channel 0."""
        padded = torch.nn.functional.pad(self.probability, (0, n_fft - self.probability.shape[1]))
        return torch.fft.rfft(padded.roll(FIRST_EV, 1))


def measured_low_loss(spectrum: Spectrum, *, exposure_ratio: float = 1.0) -> LowLoss:
    """Low losses of a measured spectrum or image that holds the zero-loss peak.

    Every zero-loss peak is moved to 0 eV. ``exposure_ratio`` is the exposure of the core loss over
    that of the low loss. ``thickness_mfp`` is ``ln(I_total / I_0)``, I_0 up to the minimum behind
    the peak (Egerton 2011, Eq. 5.1).

    Raises
    ------
    ValueError
        When there is no zero-loss peak, or the spectrum ends below 40 eV.
    """
    if not exposure_ratio > 0:
        raise ValueError(
            f"exposure ratio is {exposure_ratio}; allowed: above 0, exposure of the core loss over"
            " that of the low loss"
        )
    energy, counts = spectrum.energy_ev, np.maximum(spectrum.counts, 0.0)
    total = counts.sum(0)
    peak_ev = energy[total.argmax()]
    if abs(peak_ev) > ZERO_LOSS_EV or energy[0] > -3 or energy[-1] < 40:
        raise ValueError(
            f"the low loss covers {energy[0]:g}..{energy[-1]:g} eV with its maximum at {peak_ev:g}"
            f" eV; needed: the zero-loss peak within {ZERO_LOSS_EV:g} eV of 0 and data up to 40 eV;"
            " give another file or correct its axis"
        )
    probability = _centred(energy, counts, peak_ev)
    electrons = probability.sum(1)
    if (electrons <= 0).any():
        raise ValueError(
            f"{int((electrons <= 0).sum())} spectra of the low loss are empty; crop them away"
        )
    probability = probability / electrons[:, None]
    return LowLoss(
        torch.from_numpy(probability),
        torch.from_numpy(electrons * exposure_ratio),
        torch.from_numpy(_thickness(probability)),
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


def _centred(energy: np.ndarray, counts: np.ndarray, near_ev: float) -> np.ndarray:
    """Counts per eV from -20 to 180 eV, every zero-loss peak within 0.05 eV of 0, (m, 201)."""
    near = np.abs(energy - near_ev) <= 4.0
    top = np.flatnonzero(near)[counts[:, near].argmax(1)]
    peak = np.abs(energy[None] - energy[top, None]) <= max(1.0, energy[1] - energy[0])
    weight = np.where(peak, counts, 0.0)
    total = weight.sum(1)
    centre = np.where(total > 0, weight @ energy / np.where(total > 0, total, 1), near_ev)
    centre = np.round(centre, 1)
    result = np.zeros((len(counts), LAST_EV - FIRST_EV + 1))
    for each in np.unique(centre):
        rows = centre == each
        result[rows] = resample(counts[rows], energy - each - FIRST_EV)[0][:, : result.shape[1]]
    return np.maximum(result, 0.0)


def _thickness(probability: np.ndarray) -> np.ndarray:
    """``ln(I_total / I_0)`` with I_0 up to the lowest channel between 2 and 8 eV."""
    lowest = -FIRST_EV + 2 + probability[:, -FIRST_EV + 2 : -FIRST_EV + 9].sum(0).argmin()
    zero_loss = probability[:, : lowest + 1].sum(1)
    return np.log(1.0 / np.clip(zero_loss, 1e-6, 1.0))
