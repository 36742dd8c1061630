"""A batch of simulated spectra with its labels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from coreloss.simulation.sampling import rows_of
from coreloss.simulation.settings import VISIBLE_SNR


@dataclass(frozen=True)
class Batch:
    """Spectra and labels; B spectra, 80 elements in the order of `edges.ELEMENTS`.

    counts : (B, 3072) float32, electrons per 1 eV channel, 0 outside the window; below 0 where
        read-out noise exceeds the signal, and in processed spectra
    mask : (B, 3072) bool, channels inside the window
    present : (B, 80) bool, in the specimen with an edge set inside the window
    observable : (B, 80) bool, an edge set lies inside the window
    snr : (B, 80) float32, signal-to-noise ratio of the element's best edge set, 0 if absent
    amount : (B, 80) float32, shares of the specimen's atoms, of all its labelled elements, whether
        an edge of theirs is in the window or not; rows add up to 1
    processed : (B,) bool, the background was taken off, perhaps the plural scattering too
    axis_error_ev : (B,) float32, stated standard deviation of the energies
    """

    counts: torch.Tensor
    mask: torch.Tensor
    present: torch.Tensor
    observable: torch.Tensor
    snr: torch.Tensor
    amount: torch.Tensor
    processed: torch.Tensor
    axis_error_ev: torch.Tensor

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows) -> Batch:
        return rows_of(self, rows)

    @property
    def counted(self) -> torch.Tensor:
        """Entries of which an answer is expected, (B, 80) bool: observable, and not present below
        visibility (`settings.VISIBLE_SNR`), where neither answer would be right."""
        return self.observable & ~(self.present & (self.snr < VISIBLE_SNR))

    def to(self, device: str) -> Batch:
        """Copy on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def concatenate(batches) -> Batch:
    """One batch of several."""
    batches = list(batches)
    if len(batches) == 1:
        return batches[0]
    return Batch(*(torch.cat([getattr(b, f.name) for b in batches]) for f in fields(Batch)))
