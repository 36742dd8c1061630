"""What a sum of spectra tells about all of them, before any is quantified.

Elements, positions of their edges, near-edge structure, noise, thickness: a plan is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from coreloss.beam import Beam
from coreloss.edges import MARGIN_AFTER_EV, MARGIN_BEFORE_EV
from coreloss.identification.identify import beam_of
from coreloss.quantification.fit import SMOOTH, counts_of, fit, normal_equations, slices
from coreloss.quantification.linear_model import (
    BACKGROUND_EXPONENTS,
    EdgeModel,
    edge_model,
    quantifiable,
)
from coreloss.quantification.low_loss import LowLoss, estimated_low_loss
from coreloss.quantification.near_edge import (
    FINE_STRUCTURE,
    found_shifts,
    structures,
    structures_of_rich,
    with_structures,
)
from coreloss.quantification.nnls import nonnegative
from coreloss.runtime.threads import at_once
from coreloss.spectra.network_input import resample
from coreloss.spectra.reading import INSTRUMENT
from coreloss.spectra.spectrum import Spectrum

THICKNESSES_MFP = tuple(np.round(np.arange(0.0, 1.61, 0.2), 1))
"""Thicknesses that are tried where no low loss was measured."""
SAMPLE = 1024
FEWEST = 40
"""Spectra of a sample from which on those rich in an element are looked for."""
PRESENT_SHARES = (0.5, 0.1)
"""What counts as present beside an element that is rich: amounts from the structure of the sum are
only good enough to tell what there is much of."""
USUAL_THICKNESS_MFP = 0.3
ESTIMATE_ERROR_MFP = 0.3
"""What an estimated thickness is off by, in measured spectra that have a low loss beside them."""


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is common to the pixels of an image.

    noise : variance of the counts of a channel of 1 eV, constant part and part per count
    spread (k,) : relative standard deviation of the amounts, signed, as the thickness varies by
        what it is uncertain by; 0 where the low loss was measured
    """

    model: EdgeModel
    low_loss: LowLoss
    noise: tuple[float, float]
    beam: Beam
    fine_structure: str
    spread: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def window_ev(self) -> tuple[float, float]:
        """First and last channel of 1 eV."""
        return float(self.model.first), float(self.model.last)

    @property
    def elements(self) -> tuple[str, ...]:
        return self.model.elements


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
    beam: Beam | None = None,
    fine_structure: str = "free",
    exponents: Sequence[float] = BACKGROUND_EXPONENTS,
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
        Instead of the file's; a single one.
    fine_structure
        ``free``, ``equalised`` or ``none``, see `near_edge.with_structures`.
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
    beam, notes = _beam(total) if beam is None else (beam, [])
    used = total.without_missing_ends() if window_ev is None else total.crop(*window_ev)
    notes = [*notes, *used.warnings[len(total.warnings) :]]
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
    spread = np.zeros(len(bare.elements))
    if low_loss is None:
        low_loss, spread = _estimated(bare, counts, fine_structure)
        notes.append(
            f"no low loss: a thickness of {float(low_loss.thickness_mfp):.1f} mean free paths fits"
            f" best; amounts are relative, and their errors hold for {ESTIMATE_ERROR_MFP:g} more"
            " or less"
        )
    single = counts_inside(window, sample)
    plan = Plan(
        model=bare,
        low_loss=low_loss.mean(),
        noise=channel_noise(single),
        beam=beam,
        fine_structure=fine_structure,
        spread=spread,
        warnings=tuple(notes),
    )
    return plan if fine_structure == "none" else _with_structure(plan, counts, single, low_loss)


def counts_inside(window_ev: tuple[float, float], data: Spectrum) -> np.ndarray:
    """Counts per eV on the channels of 1 eV of a window, (m, n)."""
    step = data.dispersion_ev
    # what covers the first and last channel in full and no more: beyond, values may be missing
    more = max(0.5 + 0.5 * step, step) - 0.01 * step
    used = data.crop(window_ev[0] - more, window_ev[1] + more).mended()
    values, _ = resample(used.counts, used.energy_ev)
    return np.ascontiguousarray(values[:, int(window_ev[0]) : int(window_ev[1]) + 1])


def channel_noise(counts: np.ndarray) -> tuple[float, float]:
    """Constant part and part per count of the variance in one channel, from neighbours.

    Second differences of counting noise of gain g have variance 6 g x, those of read-out noise
    6 r^2. Their medians over channels of similar counts are used, which edges do not disturb.
    """
    smooth = uniform_filter1d(counts, SMOOTH, axis=1)[:, 1:-1].ravel()
    bend = counts[:, 1:-1] - (counts[:, 2:] + counts[:, :-2]) / 2
    order = np.argsort(smooth)
    mean, spread = [], []
    for part in np.array_split(order, 12):
        mean.append(max(smooth[part].mean(), 0.0))
        spread.append(np.median(bend.ravel()[part] ** 2) / (0.455 * 1.5))
    levels, variances = np.array(mean), np.array(spread)
    floor = 1e-6 * max(levels.max(), 1e-300)
    weight = 1 / (variances + floor)
    matrix = np.stack([np.ones_like(levels), levels], 1)
    (constant, per_count), _ = nnls(matrix * weight[:, None], variances * weight)
    if per_count == 0 and constant == 0:
        per_count = 1.0
    return float(constant), float(per_count)


def _beam(total: Spectrum) -> tuple[Beam, list[str]]:
    """The beam of the file, and a note on what it does not say."""
    missing = [name for name in INSTRUMENT if getattr(total, name) is None]
    beam = beam_of(total)
    note = (
        f"the file does not say {', '.join(missing)}: {beam.energy_kev:g} keV,"
        f" {beam.convergence_mrad:g} and {beam.collection_mrad:g} mrad are assumed, and amounts"
        " depend on them"
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
    moved = {e: found.get(e, usual) for e in model.elements}
    window = model.first, model.last
    moved = {e: shift if quantifiable(e, window, shift) else 0.0 for e, shift in moved.items()}
    return build(shifts_ev=moved | dict(given))


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
    def part(rows: slice) -> np.ndarray:
        columns = plan.model.columns(low_loss[rows])
        return fit(plan.model, plan.noise, torch.from_numpy(counts[rows]), columns)[0].numpy()

    return np.concatenate(at_once(part, slices(len(counts))))


def _estimated(
    model: EdgeModel, counts: np.ndarray, fine_structure: str
) -> tuple[LowLoss, np.ndarray]:
    """The low loss whose thickness fits best, and `Plan.spread`."""
    y = torch.from_numpy(counts)[None]
    weight = 1 / y.clamp(min=1e-3 * float(y.abs().max()))
    misfits, shares = [], []
    for thickness in THICKNESSES_MFP:
        low_loss = estimated_low_loss(float(thickness))
        whole = model
        if fine_structure != "none":
            whole = with_structures(model, structures(model, counts, low_loss), fine_structure)
        columns = whole.columns(low_loss)
        x = nonnegative(*normal_equations(columns, weight, y))
        misfits.append(float((weight * (y - counts_of(columns, x)) ** 2).sum()))
        amounts = (whole.amounts() @ x[0]).numpy()
        shares.append(amounts / max(amounts.sum(), 1e-300))
    best = THICKNESSES_MFP[int(np.argmin(misfits))]
    low, high = np.clip(
        (best - ESTIMATE_ERROR_MFP, best + ESTIMATE_ERROR_MFP), 0, max(THICKNESSES_MFP)
    )
    at = np.stack([np.interp((low, best, high), THICKNESSES_MFP, s) for s in np.transpose(shares)])
    slope = (at[:, 2] - at[:, 0]) / (high - low)
    spread = ESTIMATE_ERROR_MFP * np.divide(slope, at[:, 1], out=0 * slope, where=at[:, 1] > 0)
    return estimated_low_loss(float(best)), spread


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
