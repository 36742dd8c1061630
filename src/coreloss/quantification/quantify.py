"""How much of each element? Model-based amounts with error bars, of one spectrum or a whole image.

A plan is made once, from the sum of all spectra. Then all pixels are fitted at once. Nothing in
between needs a hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from coreloss.quantification.fit import fit, slices
from coreloss.quantification.low_loss import LowLoss, measured_low_loss
from coreloss.quantification.plan import Plan, counts_inside, make_plan, sample_rows
from coreloss.runtime.threads import at_once
from coreloss.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class Quantification:
    """Amounts of k elements in m spectra.

    amount (m, k) : atoms/nm^2 in the beam where the low loss was measured in the same counts;
        relative numbers otherwise, see `absolute`
    covariance (m, k, k) : of the amounts, by Cramer-Rao from the noise of the counts, times the
        goodness where that exceeds 1, and from an estimated thickness, if it is; errors of the
        cross-sections (5 to 20 %) are not in it
    goodness (m,) : chi^2 per degree of freedom, 1 if the model holds
    coefficients (m, columns) : of all columns of the model
    """

    elements: tuple[str, ...]
    amount: np.ndarray
    covariance: np.ndarray
    goodness: np.ndarray
    coefficients: np.ndarray
    plan: Plan
    map_shape: tuple[int, ...] = ()
    title: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.amount)

    @property
    def absolute(self) -> bool:
        """Whether the amounts are areal densities in atoms/nm^2."""
        return self.plan.low_loss.electrons is not None

    @property
    def error(self) -> np.ndarray:
        """Standard deviations of the amounts, (m, k)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    @cached_property
    def fraction(self) -> np.ndarray:
        """Atomic fractions among the elements of the fit, (m, k); NaN where nothing was found."""
        total = self.amount.sum(1, keepdims=True)
        return np.divide(self.amount, total, out=np.full_like(self.amount, np.nan), where=total > 0)

    @cached_property
    def fraction_error(self) -> np.ndarray:
        """Standard deviations of the fractions, (m, k), correlations included."""
        total = self.amount.sum(1)[:, None, None]
        total = np.where(total > 0, total, np.nan)
        slope = (np.eye(len(self.elements))[None] - self.fraction[:, :, None]) / total
        return np.sqrt(np.einsum("mij,mjk,mik->mi", slope, self.covariance, slope).clip(min=0))

    def ratio(self, element: str, other: str) -> tuple[np.ndarray, np.ndarray]:
        """Ratio of two amounts and its standard deviation, (m,) each."""
        i, j = self.elements.index(element), self.elements.index(other)
        a, b = self.amount[:, i], self.amount[:, j]
        value = np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)
        slope = np.zeros_like(self.amount)
        slope[:, i], slope[:, j] = 1 / np.where(b > 0, b, np.nan), -value / np.where(b > 0, b, 1)
        return value, np.sqrt(np.einsum("mi,mij,mj->m", slope, self.covariance, slope))


def quantify(
    data: Spectrum,
    *,
    elements: Sequence[str],
    low_loss: Spectrum | LowLoss | None = None,
    exposure_ratio: float = 1.0,
    **options,
) -> Quantification:
    """Amounts of ``elements`` in every spectrum of ``data``.

    ``low_loss`` is one for all or one for each spectrum; ``exposure_ratio`` the exposure of the
    core loss over that of the low loss. The other options and the errors are those of
    `plan.make_plan`.
    """
    if isinstance(low_loss, Spectrum):
        low_loss = measured_low_loss(low_loss, exposure_ratio=exposure_ratio)
    rows = sample_rows(len(data))
    sample = replace(data, counts=data.counts[rows], map_shape=())
    scattering = None if low_loss is None else low_loss[rows]
    plan = make_plan(data.sum(), sample, elements=elements, low_loss=scattering, **options)
    return apply_plan(plan, data, low_loss=low_loss)


def apply_plan(plan: Plan, data: Spectrum, *, low_loss: LowLoss | None = None) -> Quantification:
    """Amounts in every spectrum of ``data``, whose low losses are those of the plan by default."""
    scattering = plan.low_loss if low_loss is None else low_loss
    if len(scattering) not in (1, len(data)):
        raise ValueError(
            f"{len(scattering)} low losses for {len(data)} spectra; allowed: one for all or one for"
            " each"
        )
    common = plan.model.columns(scattering) if len(scattering) == 1 else None

    def part(rows: slice) -> tuple[torch.Tensor, ...]:
        counts = counts_inside(
            plan.window_ev, replace(data, counts=data.counts[rows], map_shape=())
        )
        columns = plan.model.columns(scattering[rows]) if common is None else common
        electrons = None if scattering.electrons is None else scattering[rows].electrons
        return fit(plan.model, plan.noise, torch.from_numpy(counts), columns, electrons)

    parts = at_once(part, slices(len(data)))
    amount, covariance, goodness, coefficients = (
        torch.cat(x).numpy() for x in zip(*parts, strict=True)
    )
    varied = amount * plan.spread
    return Quantification(
        elements=plan.elements,
        amount=amount,
        covariance=covariance + varied[:, :, None] * varied[:, None, :],
        goodness=goodness,
        coefficients=coefficients,
        plan=plan,
        map_shape=data.map_shape,
        title=data.title,
        warnings=(*data.warnings, *plan.low_loss.warnings, *plan.warnings),
    )
