"""Scores of a network on measured files and on a stored simulated benchmark set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss.axis import window_of
from coreloss.datasets.breakdown import GroupScores, breakdown
from coreloss.datasets.measured import experimental_set
from coreloss.datasets.simulated_set import read_set, write_set
from coreloss.edges import ELEMENTS, rivals
from coreloss.identification.trained_model import Model
from coreloss.runtime.progress import told
from coreloss.scoring.calibration import reliability
from coreloss.scoring.groups import groups_of
from coreloss.scoring.metrics import Scores, bootstrap_intervals, scores, scores_by_snr
from coreloss.simulation.settings import VISIBLE_SNR, SimulationSettings
from coreloss.spectra.network_input import NetworkInput, normalise, observable

SNR_EDGES = (0.0, 1.0, VISIBLE_SNR, 10.0, 30.0, 100.0, np.inf)
REPORT_EVERY = 4096  # spectra


@dataclass(frozen=True)
class Groups:
    """How many groups of neighbours, and in how many a member, or the first, is there."""

    named: int = 0
    right: int = 0
    first_right: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Scores of one network on one set of spectra.

    The likeliest of a group of neighbours counts as present; ``groups`` says how many groups there
    are, and in how many a member, and the first, is there.
    ``intervals`` are 95 % bootstrap intervals of the first entry of ``scores``; ``spectra`` has one
    row per measured file: id, source, material, present and predicted elements, missed and false
    ones; ``breakdown`` the scores of groups of the measured files, see `datasets.breakdown`.
    """

    model: str
    data: str
    scores: tuple[Scores, ...]
    intervals: dict[str, tuple[float, float]]
    ece: float
    spectra: tuple[dict[str, Any], ...] = ()
    breakdown: tuple[GroupScores, ...] = ()
    groups: Groups = Groups()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON files."""
        return {
            "model": self.model,
            "data": self.data,
            "scores": [part.to_dict() for part in self.scores],
            "intervals": {name: list(limits) for name, limits in self.intervals.items()},
            "ece": self.ece,
            "groups": asdict(self.groups),
            "spectra": list(self.spectra),
            "breakdown": [group.to_dict() for group in self.breakdown],
        }


def score_experimental(
    directory: str | Path,
    *,
    model: Model,
    quality: str = "A",
    split: str = "all",
    whole: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Scores on the measured files of a manifest, at the threshold of the model.

    Windows are those of the manifest or, with ``whole``, found in the files. ``split`` is
    "validation", "test" (see `split.split_by_source`) or "all".
    What counts is said by `records.scored_elements`; an element that counts there but that the
    network cannot observe is predicted absent.
    """
    measured = experimental_set(directory, quality=quality, split=split, whole=whole)
    probability = observed_probability(model, measured.inputs)
    present, counted = measured.present.numpy(), measured.counted.numpy()
    probability, groups = with_groups(model, measured.inputs.mask, probability, present)
    predicted = (probability >= model.present_threshold) & counted
    rows = [
        {
            "id": record.id,
            "source": measured.sources[i],
            "material": record.material,
            "present": _names(present[i]),
            "predicted": _names(predicted[i]),
            "missed": _names(present[i] & ~predicted[i]),
            "false": _names(predicted[i] & ~present[i]),
        }
        for i, record in enumerate(measured.records)
    ]
    return _evaluation(
        model,
        f"measured, quality {quality}"
        + (f", {split}" if split != "all" else "")
        + (", whole files" if whole else ""),
        (present, probability),
        groups=groups,
        counted=counted,
        seed=seed,
        spectra=tuple(rows),
        breakdown=breakdown(measured, probability, threshold=model.present_threshold, seed=seed),
    )


def score_benchmark(path: str | Path, *, model: Model, seed: int = 0) -> Evaluation:
    """Scores on a file of `simulated_set`: all that is present and observable counts, then by SNR.

    The second entry leaves out the elements whose edges have SNR below `VISIBLE_SNR` (neutral), the
    others are bins of the signal-to-noise ratio, see `metrics.scores_by_snr`.
    """
    simulated = read_set(path).batch
    probability = observed_probability(model, inputs_of(simulated))
    probability, groups = with_groups(model, simulated.mask, probability, simulated.present)
    present, snr = simulated.present.numpy(), simulated.snr.numpy()
    observable = simulated.observable.numpy()
    labels, threshold = (present & observable, probability), model.present_threshold
    visible = scores(
        *labels,
        threshold=threshold,
        subset=f"simulated, SNR >= {VISIBLE_SNR:g}",
        counted=simulated.counted.numpy(),
    )
    bins = scores_by_snr(*labels, snr, snr_edges=SNR_EDGES, threshold=threshold, counted=observable)
    return _evaluation(
        *(model, "simulated, all", labels),
        groups=groups, counted=observable, seed=seed, more=(visible, *bins),
    )  # fmt: skip


def make_benchmark(
    path: str | Path,
    *,
    n: int,
    seed: int,
    materials: str = "embedded",
    split: str = "test",
    settings: SimulationSettings | None = None,
) -> str:
    """Simulate ``n`` spectra of one split of the materials into HDF5; returns the SHA-256.

    Counts are whole electrons.
    """
    from coreloss.simulation.simulator import Simulator

    if n < 1:
        raise ValueError(f"n is {n} spectra; give at least 1")
    settings = settings or SimulationSettings()
    simulator = Simulator.of_split(split, seed=seed, materials=materials, settings=settings)
    blocks = told(simulator.batches(n), "spectra", REPORT_EVERY, n, size=len)
    whole = (replace(batch, counts=batch.counts.round()) for batch in blocks)
    config = {"settings": settings.as_dict(), "materials": materials, "split": split, "n": n}
    return write_set(path, whole, config=config, seed=seed)


def inputs_of(batch) -> NetworkInput:
    """What a network reads of a simulated batch or a stored set."""
    return NetworkInput(normalise(batch.counts, batch.mask), batch.mask, batch.axis_error_ev)


def observed_probability(model: Model, inputs: NetworkInput) -> np.ndarray:
    """Probabilities (n, 80), 0 where no identifying edge of the element lies in the window."""
    return np.where(observable(inputs), model.probability(inputs), 0.0)


def with_groups(model: Model, mask, probability, present) -> tuple[np.ndarray, Groups]:
    """Probabilities (n, 80) with the first of each group of neighbours at the threshold.

    ``mask`` (n, 3072); ``present`` (n, 80) tells how often the groups are right.
    """
    raised, named = probability.copy(), []
    if model.group_threshold is not None:
        limits = {"present": model.present_threshold, "absent": model.absent_threshold}
        limits["least"] = model.group_threshold
        for row, window in enumerate(torch.stack(window_of(mask), 1).tolist()):
            for _, names in groups_of(probability[row], rivals(*window), **limits):
                raised[row, names[0]] = model.present_threshold
                there = present[row][names]
                named.append((bool(there.any()), bool(there[0])))
    right, first = np.array(named, int).reshape(-1, 2).sum(0).tolist()
    return raised, Groups(len(named), right, first)


def _evaluation(
    model, subset, labels, *, groups, counted, seed, more=(), spectra=(), breakdown=()
) -> Evaluation:
    threshold = model.present_threshold
    return Evaluation(
        model=model.name,
        data=subset,
        scores=(scores(*labels, threshold=threshold, subset=subset, counted=counted), *more),
        intervals=bootstrap_intervals(
            *labels,
            threshold=threshold,
            generator=np.random.default_rng(seed),
            counted=counted,
        ),
        ece=reliability(*labels, counted=counted).ece,
        groups=groups,
        spectra=spectra,
        breakdown=breakdown,
    )


def _names(chosen: np.ndarray) -> list[str]:
    return [ELEMENTS[k] for k in np.flatnonzero(chosen)]
