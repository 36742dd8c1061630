"""Near-edge structure, and where edges begin, from the data themselves.

The structure is fitted channel by channel beside background and cross-sections, in spectra that
are rich in an element: in the sum of an image, elements whose edges follow each other closely
could stand for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from coreloss.physics.bank import BANK_CHANNELS
from coreloss.physics.white_lines import final_shell
from coreloss.quantification.linear_model import EdgeModel, main_edges
from coreloss.quantification.low_loss import LowLoss

FINE_STRUCTURE = ("free", "equalised", "none")
REACH_EV = 40.0
"""How far behind an onset the near-edge structure is taken from the data."""
BEFORE_EV = 4.0
"""How far in front of it: onsets are known to a few eV."""
MODEL_ERROR = 0.01
"""What cross-sections and backgrounds are trusted to, relative to the counts."""
USUAL_STRUCTURE = 0.5
"""Standard deviation of near-edge structure, relative to the counts."""
SEARCH_EV = 12.0
"""Edges are looked for so far on either side of their tabulated onsets."""
FOOT_EV = 1.0
"""So far in front of an onset, a blurred edge reaches a tenth of its height."""
RICH = 10
"""The structure of an element comes from one in so many spectra."""


@dataclass(frozen=True, eq=False)
class Structure:
    """What one element has on top of its cross-section, both before scattering.

    values (BANK_CHANNELS,) : may be negative; region (BANK_CHANNELS,) bool : where it is known
    """

    values: torch.Tensor
    region: torch.Tensor


def structures(model: EdgeModel, counts: np.ndarray, low_loss: LowLoss) -> dict[str, Structure]:
    """Near-edge structure of every element of ``model`` in one spectrum, per unit of its amount.

    ``counts`` (n,) on the channels of the model, which has no structure yet. Hats of 2 eV take it
    up, from a little before each onset to `REACH_EV` behind it, so that the continuum behind that
    sets the amounts. Elements without any amount are left out.
    """
    hats, owner = _hats(model, BEFORE_EV)
    coefficients, _ = _fit_hats(model, hats, counts, low_loss)
    fixed = model.n_background + len(model.elements)
    own, heights = coefficients[model.n_background : fixed], coefficients[fixed:]
    found = {}
    for k, element in enumerate(model.elements):
        values = torch.from_numpy(heights[owner == k] @ hats[owner == k].numpy())
        if own[k] > 0 and values.any():
            found[element] = Structure(values / float(own[k]), hats[owner == k].sum(0) > 0)
    return found


def structures_of_rich(
    model: EdgeModel,
    counts: np.ndarray,
    low_loss: LowLoss,
    amounts: np.ndarray,
    *,
    present_share: float,
) -> dict[str, Structure]:
    """The structure of every element from the spectra that are richest in it.

    ``counts`` (m, n) and ``amounts`` (m, k) of single spectra. An element is fitted beside those
    of which its richest tenth of the spectra has more than ``present_share`` of what their own
    richest have.
    """
    total = amounts.sum(1, keepdims=True)
    share = np.divide(amounts, total, out=np.zeros_like(amounts), where=total > 0)
    n_rich = max(len(counts) // RICH, 1)
    richest = np.argsort(-share, axis=0)[:n_rich]
    level = np.array([share[rows, k].mean() for k, rows in enumerate(richest.T)])
    found: dict[str, Structure] = {}
    for k, element in enumerate(model.elements):
        rows = np.sort(richest[:, k])
        there = share[rows].mean(0) > present_share * level
        there[k] = True
        part = model.only(tuple(e for e, yes in zip(model.elements, there, strict=True) if yes))
        few = structures(part, counts[rows].sum(0), low_loss[rows])
        found |= {element: few[element]} if element in few else {}
    return found


def with_structures(
    model: EdgeModel, found: Mapping[str, Structure], mode: str = "free"
) -> EdgeModel:
    """The model with near-edge structure.

    ``mode`` : ``free`` gives every element a second column with its structure, of an amplitude of
    its own; ``equalised`` changes the first one instead, such that its oscillator strength, the
    integral of ``E dsigma/dE``, is kept, as the Bethe sum rule asks (J. Verbeeck, S. Van Aert and
    G. Bertoni, Ultramicroscopy 106 (2006) 976; D. Jannis et al., arXiv:2408.11870); edges with
    white lines, whose strength no tabulated continuum has, stay free.
    """
    energy = torch.arange(BANK_CHANNELS, dtype=torch.float64)
    columns, owners, counted = [], [], []
    for k, element in enumerate(model.elements):
        continuum, structure = model.sharp[k], found.get(element)
        if mode == "equalised" and structure is not None and not _has_white_line(element, model):
            shape = (continuum + structure.values).clamp(min=0) * structure.region
            strength, own = (continuum * structure.region) @ energy, shape @ energy
            if own > 0:
                continuum = continuum * ~structure.region + shape * strength / own
            structure = None
        columns.append(continuum)
        owners.append(k)
        counted.append(True)
        if structure is not None:
            columns.append(structure.values)
            owners.append(k)
            counted.append(False)
    return replace(
        model,
        sharp=torch.stack(columns),
        owner=torch.tensor(owners),
        counted=torch.tensor(counted),
    )


def found_shifts(model: EdgeModel, counts: np.ndarray, low_loss: LowLoss) -> dict[str, float]:
    """Where the first edge of each element begins, relative to its tabulated onset.

    It begins where what its near-edge region adds to background and other elements rises above the
    noise and a tenth of its largest value; of several such places, at a steep one that lies where
    the others lie. Elements too weak to tell are left out. ``counts`` (n,) and the model as for
    `structures`.
    """
    hats, owner = _hats(model, SEARCH_EV)
    coefficients, columns = _fit_hats(model, hats, counts, low_loss)
    parts = coefficients[:, None] * columns
    fixed = model.n_background + len(model.elements)
    noise = np.sqrt(np.maximum(counts, 1.0)) + MODEL_ERROR * np.abs(counts)
    candidates = {}
    for k, element in enumerate(model.elements):
        own = parts[model.n_background + k] + parts[fixed:][owner == k].sum(0)
        onset = min(edge.onset_ev for edge in main_edges(element, model))
        first = max(int(onset - SEARCH_EV) - model.first, 0)
        near = slice(first, first + int(2 * SEARCH_EV))
        rises = _rises(own[near], 3 * float(np.median(noise[near])))
        zero = first + model.first + FOOT_EV - onset
        candidates[element] = [(at + zero, height) for at, height in rises]
    seen = [c for c in candidates.values() if c]
    usual = float(np.median([_likeliest(c, 0.0) for c in seen])) if seen else 0.0
    return {e: round(_likeliest(c, usual), 1) for e, c in candidates.items() if c}


def _rises(values: np.ndarray, limit: float) -> list[tuple[float, float]]:
    """Channels where ``values`` (n,) rise above ``limit`` and a tenth of their maximum, and by what
    share of it within 4 channels."""
    top = values.max(initial=0.0)
    level = max(top / 10, limit)
    if top < 2 * limit:
        return []
    above = values > level
    begin = 1 + np.flatnonzero(~above[:-2] & above[1:-1] & above[2:])
    at = begin - (values[begin] - level) / (values[begin] - values[begin - 1])
    ahead = [values[i : i + 4].max() / top for i in begin]
    return list(zip(at.tolist(), ahead, strict=True))


def _likeliest(rises: list[tuple[float, float]], usual_ev: float) -> float:
    """The shift of a steep rise near ``usual_ev``."""
    return max(rises, key=lambda r: min(r[1], 0.3) / 0.3 - ((r[0] - usual_ev) / 10) ** 2)[0]


def _has_white_line(element: str, model: EdgeModel) -> bool:
    edges = main_edges(element, model)
    return any(edge.shell != "K" and final_shell(edge) is not None for edge in edges)


def _hats(model: EdgeModel, before_ev: float) -> tuple[torch.Tensor, np.ndarray]:
    """Triangles 2 eV apart around the onsets, (hats, BANK_CHANNELS), and whose they are, (hats,).

    A channel that two elements claim belongs to the one whose onset is nearer below it.
    """
    channel = np.arange(BANK_CHANNELS)
    rows, owner = [], []
    nearest = np.full(BANK_CHANNELS, -1)
    distance = np.full(BANK_CHANNELS, np.inf)
    for k, element in enumerate(model.elements):
        for edge in main_edges(element, model):
            behind = channel - (edge.onset_ev + model.shifts_ev[element]) + before_ev
            reach = before_ev + REACH_EV + max(edge.offsets_ev)
            closer = (behind >= 0) & (behind <= reach) & (behind < distance)
            nearest[closer], distance[closer] = k, behind[closer]
    nearest[: model.first] = nearest[model.last :] = -1
    for k in range(len(model.elements)):
        for centre in channel[(nearest == k) & (channel % 2 == 0)]:
            rows.append(np.maximum(1 - np.abs(channel - centre) / 2, 0))
            owner.append(k)
    hats = torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, BANK_CHANNELS).double()
    return hats, np.array(owner, int)


def _fit_hats(
    model: EdgeModel, hats: torch.Tensor, counts: np.ndarray, low_loss: LowLoss
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of background, cross-sections (all non-negative) and hats (of any sign).

    Also the columns, (columns, n). Where hats and the cross-sections of two elements could stand
    for each other, small hats are preferred.
    """
    whole = replace(model, sharp=torch.cat([model.sharp, hats]))
    columns = whole.columns(low_loss.mean())[0].numpy()
    fixed = model.n_background + len(model.elements)
    counts = np.maximum(np.asarray(counts, float), 1e-3 * np.abs(counts).max())
    weight = 1 / np.sqrt(counts + (MODEL_ERROR * counts) ** 2)
    weighted = columns.T * weight[:, None]
    norm = np.linalg.norm(weighted, axis=0)
    norm[norm == 0] = 1.0
    centre = hats.numpy().argmax(1) - model.first
    usual = USUAL_STRUCTURE * counts[np.clip(centre, 0, len(counts) - 1)]
    penalty = np.zeros((len(hats), len(norm)))
    penalty[:, fixed:] = np.diag(1 / (usual * norm[fixed:]))
    matrix = np.concatenate([weighted / norm, penalty])
    data = np.concatenate([counts * weight, np.zeros(len(hats))])
    bound, free = matrix[:, :fixed], matrix[:, fixed:]
    basis, triangle = np.linalg.qr(free)
    amounts, _ = nnls(bound - basis @ (basis.T @ bound), data - basis @ (basis.T @ data))
    heights = solve_triangular(triangle, basis.T @ (data - bound @ amounts))
    return np.concatenate([amounts, heights]) / norm, columns
