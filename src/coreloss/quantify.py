"""How much of each element? Model-based amounts with error bars, of one spectrum or a whole image.

A plan is made once, from the sum of all spectra: elements, positions of their edges, near-edge
structure, noise. Then all pixels are fitted at once. Nothing in between needs a hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from coreloss.edges import MARGIN_AFTER_EV, MARGIN_BEFORE_EV
from coreloss.identify import beam_of
from coreloss.quantify_low_loss import LowLoss, estimated_low_loss, measured_low_loss
from coreloss.quantify_model import EXPONENTS, EdgeModel, edge_model
from coreloss.quantify_near_edge import (
    FINE_STRUCTURE,
    found_shifts,
    structures,
    structures_of_rich,
    with_structures,
)
from coreloss.quantify_nnls import nonnegative, restricted
from coreloss.spectra import resample
from coreloss.spectra_data import Spectrum

BARN_PER_NM2 = 1e10
THICKNESSES_MFP = tuple(np.round(np.arange(0.0, 1.61, 0.2), 1))
"""Thicknesses that are tried where no low loss was measured."""
CHUNK = 512
"""Pixels that are fitted together: enough to be fast, few enough for the cache."""
SAMPLE = 1024
FEWEST = 40
"""Spectra of a sample from which on those rich in an element are looked for."""
PRESENT_SHARES = (0.5, 0.1)
"""What counts as present beside an element that is rich: amounts from the structure of the sum are
only good enough to tell what there is much of."""
USUAL_THICKNESS_MFP = 0.3
_SMOOTH = 9


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is common to the pixels of an image.

    ``noise`` : variance of the counts of a channel of 1 eV, constant part and part per count.
    """

    model: EdgeModel
    low_loss: LowLoss
    noise: tuple[float, float]
    window_ev: tuple[float, float]
    beam: tuple[float, float, float]
    fine_structure: str
    warnings: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[str, ...]:
        return self.model.elements


@dataclass(frozen=True, eq=False)
class Quantification:
    """Amounts of k elements in m spectra.

    amount (m, k) : atoms/nm^2 in the beam where the low loss was measured in the same counts;
        relative numbers otherwise, see `absolute`
    covariance (m, k, k) : of the amounts, by Cramer-Rao from the noise of the counts, times the
        goodness where that exceeds 1; errors of the cross-sections (5 to 20 %) are not in it
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
    warnings: tuple[str, ...] = field(default=())

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
    core loss over that of the low loss. The other options and the errors are those of `make_plan`.
    """
    if isinstance(low_loss, Spectrum):
        low_loss = measured_low_loss(low_loss, exposure_ratio=exposure_ratio)
    rows = sample_rows(len(data))
    sample = replace(data, counts=data.counts[rows], map_shape=())
    scattering = None if low_loss is None else low_loss[rows]
    plan = make_plan(data.sum(), sample, elements=elements, low_loss=scattering, **options)
    return apply_plan(plan, data, low_loss=low_loss)


def sample_rows(n: int) -> np.ndarray:
    """At most 1024 of n spectra, evenly spread: enough to make a plan from."""
    return np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).round()).astype(int)


def make_plan(
    total: Spectrum,
    sample: Spectrum,
    *,
    elements: Sequence[str],
    low_loss: LowLoss | None = None,
    window_ev: tuple[float, float] | None = None,
    shifts_ev: Mapping[str, float] | None = None,
    beam: tuple[float, float, float] | None = None,
    fine_structure: str = "free",
    exponents: Sequence[float] = EXPONENTS,
    outer_elements: Sequence[str] | None = None,
) -> Plan:
    """What the sum of an image and some of its spectra tell about all its pixels.

    Parameters
    ----------
    total
        The sum of all spectra.
    sample
        Single spectra of the image: noise of a channel and near-edge structure come from them.
    elements
        Those to quantify, each with an edge in the window.
    low_loss
        That of the sample, one for all or one for each; a thickness is estimated from the edges
        without it, and the amounts are relative then.
    window_ev
        Energies to fit, all of them by default.
    shifts_ev
        Positions of the edges relative to their tabulated onsets; found in ``total`` by default.
    beam
        Beam energy in keV, convergence and collection semi-angle in mrad, instead of the file's.
    fine_structure
        ``free``, ``equalised`` or ``none``, see `quantify_near_edge.with_structures`.
    exponents
        Of the background.
    outer_elements
        Elements whose shells in front of the window have tails in the background, ``elements`` by
        default; name those as well that the specimen holds but the window does not show.

    Raises
    ------
    ValueError
        When the window, an element, a setting or the low loss does not fit.
    """
    if fine_structure not in FINE_STRUCTURE:
        raise ValueError(
            f"fine structure is {fine_structure!r}; allowed: {', '.join(FINE_STRUCTURE)}"
        )
    beam, notes = (beam, []) if beam is not None else _beam(total)
    used = total if window_ev is None else total.crop(*window_ev)
    (counts,), window = _on_channels(used.mended())
    build = partial(
        edge_model,
        tuple(dict.fromkeys(elements)),
        window,
        beam=beam,
        exponents=exponents,
        outer_elements=outer_elements,
    )
    bare = _at_its_place(build, shifts_ev or {}, counts, low_loss)
    if low_loss is None:
        low_loss = _estimated(bare, counts, fine_structure)
        notes.append(
            f"no low loss: a thickness of {float(low_loss.thickness_mfp):.1f} mean free paths fits"
            " best; amounts are relative"
        )
    plan = Plan(
        model=bare,
        low_loss=low_loss.mean(),
        noise=(0.0, 1.0),
        window_ev=window,
        beam=tuple(map(float, beam)),
        fine_structure=fine_structure,
        warnings=tuple(notes),
    )
    single = counts_inside(plan, sample)
    plan = replace(plan, noise=channel_noise(single))
    return plan if fine_structure == "none" else _with_structure(plan, counts, single, low_loss)


def apply_plan(plan: Plan, data: Spectrum, *, low_loss: LowLoss | None = None) -> Quantification:
    """Amounts in every spectrum of ``data``, whose low losses are those of the plan by default."""
    scattering = plan.low_loss if low_loss is None else low_loss
    if len(scattering) not in (1, len(data)):
        raise ValueError(
            f"{len(scattering)} low losses for {len(data)} spectra; allowed: one for all or one for"
            " each"
        )
    common = plan.model.columns(scattering) if len(scattering) == 1 else None
    parts = []
    for rows in _slices(len(data)):
        counts = counts_inside(plan, replace(data, counts=data.counts[rows], map_shape=()))
        columns = plan.model.columns(scattering[rows]) if common is None else common
        electrons = None if scattering.electrons is None else scattering[rows].electrons
        parts.append(_fit(plan, torch.from_numpy(counts), columns, electrons))
    amount, covariance, goodness, coefficients = (
        torch.cat(x).numpy() for x in zip(*parts, strict=True)
    )
    return Quantification(
        elements=plan.elements,
        amount=amount,
        covariance=covariance,
        goodness=goodness,
        coefficients=coefficients,
        plan=plan,
        map_shape=data.map_shape,
        title=data.title,
        warnings=(*data.warnings, *plan.warnings),
    )


def counts_inside(plan: Plan, data: Spectrum) -> np.ndarray:
    """Counts per eV on the channels of the plan, (m, n)."""
    return _inside(plan.window_ev, data.crop(*_around(plan.window_ev, data)).mended())


def fitted(plan: Plan, coefficients: np.ndarray, low_loss: LowLoss | None = None) -> np.ndarray:
    """Counts per eV of the model, (m, n) on the channels of the plan."""
    columns = plan.model.columns(plan.low_loss if low_loss is None else low_loss)
    return _counts_of(columns, torch.from_numpy(coefficients)).numpy()


# -- the fit --------------------------------------------------------------------------------------


def _fit(plan: Plan, counts: torch.Tensor, columns: torch.Tensor, electrons: torch.Tensor | None):
    """Amounts (m, k), covariance (m, k, k), goodness (m,), coefficients (m, columns).

    Weights come from the counts, smoothed so that their noise does not pull the fit.
    """
    constant, per_count = plan.noise
    expected = torch.from_numpy(uniform_filter1d(counts.numpy(), _SMOOTH, axis=1))
    floor = 1e-2 * expected.abs().mean(1, keepdim=True) + 1e-12
    weight = 1 / (constant + per_count * torch.maximum(expected, floor))
    gram, rhs = normal_equations(columns, weight, counts)
    x = nonnegative(gram, rhs)
    expected = _counts_of(columns, x)
    free = x > 0
    degrees = (counts.shape[1] - free.sum(1)).clamp(min=1)
    goodness = (weight * (counts - expected) ** 2).sum(1) / degrees
    summing = plan.model.amounts()
    amount = x @ summing.T
    free[:, plan.model.n_background :] = True  # an element at zero has an error too
    covariance = summing @ _inverse(gram, free) @ summing.T
    covariance = covariance * goodness.clamp(min=1)[:, None, None]
    if electrons is not None:
        scale = BARN_PER_NM2 / electrons.expand(len(counts))
        amount, covariance = amount * scale[:, None], covariance * (scale**2)[:, None, None]
    return amount, covariance, goodness, x


def normal_equations(columns: torch.Tensor, weight: torch.Tensor, counts: torch.Tensor):
    """``A' W A`` (m, c, c) and ``A' W y`` (m, c) for columns (m or 1, c, n), weights (m, n)."""
    if len(columns) == 1:
        a = columns[0]
        i, j = torch.triu_indices(len(a), len(a))
        upper = weight @ (a[i] * a[j]).T
        gram = upper.new_empty(len(weight), len(a), len(a))
        gram[:, i, j] = upper
        gram[:, j, i] = upper
        return gram, (weight * counts) @ a.T
    weighted = columns * weight[:, None]
    return weighted @ columns.transpose(1, 2), (weighted @ counts[:, :, None])[..., 0]


def _counts_of(columns: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return x @ columns[0] if len(columns) == 1 else (x[:, None] @ columns)[:, 0]


def _inverse(gram: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Inverse of the normal matrices of the free columns, 0 for the others."""
    norm = gram.diagonal(dim1=1, dim2=2).clamp(min=1e-300).sqrt()
    scaled = restricted(gram / norm[:, :, None] / norm[:, None], free)
    inverse = torch.linalg.inv(scaled) / norm[:, :, None] / norm[:, None]
    return inverse * (free[:, :, None] & free[:, None])


# -- what the sum tells ---------------------------------------------------------------------------


def channel_noise(counts: np.ndarray) -> tuple[float, float]:
    """Constant part and part per count of the variance in one channel, from neighbours.

    Second differences of counting noise of gain g have variance 6 g x, those of read-out noise
    6 r^2. Their medians over channels of similar counts are used, which edges do not disturb.
    """
    smooth = uniform_filter1d(counts, _SMOOTH, axis=1)[:, 1:-1].ravel()
    bend = counts[:, 1:-1] - (counts[:, 2:] + counts[:, :-2]) / 2
    order = np.argsort(smooth)
    levels, variances = [], []
    for part in np.array_split(order, 12):
        levels.append(max(smooth[part].mean(), 0.0))
        variances.append(np.median(bend.ravel()[part] ** 2) / (0.455 * 1.5))
    levels, variances = np.array(levels), np.array(variances)
    floor = 1e-6 * max(levels.max(), 1e-300)
    weight = 1 / (variances + floor)
    matrix = np.stack([np.ones_like(levels), levels], 1)
    (constant, per_count), _ = nnls(matrix * weight[:, None], variances * weight)
    if per_count == 0 and constant == 0:
        per_count = 1.0
    return float(constant), float(per_count)


def _beam(total: Spectrum) -> tuple[tuple[float, float, float], list[str]]:
    """The beam of the file, and a note on what it does not say."""
    names = ("beam_energy_kev", "convergence_mrad", "collection_mrad")
    missing = [name for name in names if getattr(total, name) is None]
    beam = beam_of(total)
    note = (
        f"the file does not say {', '.join(missing)}: {beam[0]:g} keV, {beam[1]:g} and"
        f" {beam[2]:g} mrad are assumed, and amounts depend on them"
    )
    return beam, [note] if missing else []


def _at_its_place(
    build, given: Mapping[str, float], counts: np.ndarray, low_loss: LowLoss | None
) -> EdgeModel:
    """The model with its edges where the sum has them; those of weak elements like the others."""
    model = build(shifts_ev=given)
    if set(given) >= set(model.elements):
        return model
    guess = estimated_low_loss(USUAL_THICKNESS_MFP) if low_loss is None else low_loss
    found = found_shifts(model, counts, guess)
    usual = float(np.median(list(found.values()))) if found else 0.0
    return build(shifts_ev={e: given.get(e, found.get(e, usual)) for e in model.elements})


def _with_structure(plan: Plan, counts: np.ndarray, single: np.ndarray, low_loss: LowLoss) -> Plan:
    """Near-edge structure from the sum, then from the spectra that are rich in an element."""
    bare, mode = plan.model, plan.fine_structure
    first = structures(bare, counts, low_loss)
    plan = replace(plan, model=with_structures(bare, first, mode))
    if len(single) < FEWEST or len(bare.elements) < 2:
        return plan
    for share in PRESENT_SHARES:
        amounts = _amounts(plan, single, low_loss)
        found = structures_of_rich(bare, single, low_loss, amounts, present_share=share)
        plan = replace(plan, model=with_structures(bare, first | found, mode))
    return plan


def _amounts(plan: Plan, counts: np.ndarray, low_loss: LowLoss) -> np.ndarray:
    return np.concatenate(
        [
            _fit(plan, torch.from_numpy(counts[rows]), plan.model.columns(low_loss[rows]), None)[0]
            for rows in _slices(len(counts))
        ]
    )


def _slices(n: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]


def _estimated(model: EdgeModel, counts: np.ndarray, fine_structure: str) -> LowLoss:
    """The low loss whose thickness fits best."""
    y = torch.from_numpy(counts)[None]
    best = (np.inf, None)
    for thickness in THICKNESSES_MFP:
        low_loss = estimated_low_loss(float(thickness))
        whole = model
        if fine_structure != "none":
            whole = with_structures(model, structures(model, counts, low_loss), fine_structure)
        columns = whole.columns(low_loss)
        weight = 1 / y.clamp(min=1e-3 * float(y.abs().max()))
        gram, rhs = normal_equations(columns, weight, y)
        rest = y - _counts_of(columns, nonnegative(gram, rhs))
        best = min(best, (float((weight * rest**2).sum()), low_loss), key=lambda pair: pair[0])
    return best[1]


def _on_channels(spectrum: Spectrum) -> tuple[np.ndarray, tuple[float, float]]:
    """Counts per eV on the covered channels of 1 eV, (m, n), and their first and last energy."""
    values, covered = resample(spectrum.counts, spectrum.energy_ev)
    channels = np.flatnonzero(covered)
    if len(channels) < MARGIN_BEFORE_EV + MARGIN_AFTER_EV:
        raise ValueError(
            f"the window has {len(channels)} channels of 1 eV; allowed: at least"
            f" {MARGIN_BEFORE_EV + MARGIN_AFTER_EV:g}; widen it"
        )
    return values[:, channels], (float(channels[0]), float(channels[-1]))


def _inside(window_ev: tuple[float, float], spectrum: Spectrum) -> np.ndarray:
    """Counts per eV on the channels of the window, (m, n)."""
    values, _ = resample(spectrum.counts, spectrum.energy_ev)
    return np.ascontiguousarray(values[:, int(window_ev[0]) : int(window_ev[1]) + 1])


def _around(window_ev: tuple[float, float], spectrum: Spectrum) -> tuple[float, float]:
    """A bit more than the window, in which its channels are covered in full."""
    more = 1.0 + spectrum.dispersion_ev * 3
    return window_ev[0] - more, window_ev[1] + more
