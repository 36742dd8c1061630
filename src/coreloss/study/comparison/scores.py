"""How all networks of the comparison are scored: by the same code on the same spectra.

Threshold and temperature of each are fixed on simulated validation spectra; simulated test spectra,
measured spectra and spectra of single elements follow without another choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from coreloss.datasets.evaluation import SNR_EDGES
from coreloss.edges import ELEMENTS
from coreloss.scoring.calibration import (
    Reliability,
    fit_temperature,
    reliability,
    threshold_precision_equals_recall,
)
from coreloss.scoring.metrics import (
    average_precision,
    bootstrap_intervals,
    per_element,
    scores,
    scores_by_snr,
)
from coreloss.simulation.batch import Batch
from coreloss.study.comparison.answers import Answers, Sets
from coreloss.study.comparison.confusion import confused_pairs, confusion

CONFUSED_PAIRS = 12
PAPER_THRESHOLDS = (0.5, 0.6, 0.7)
"""Of the paper's networks, for measured spectra."""


def score(answers: Answers, sets: Sets, *, seed: int = 0) -> dict[str, Any]:
    """All scores of one network, as plain numbers and lists.

    Keys ``simulated``, ``simulated_visible`` (elements below the SNR limit neutral) and
    ``measured_A test``, ``measured_A``, ``measured_AB`` hold `Scores` at the threshold where
    precision equals recall on validation data under the same convention, with intervals and
    calibration error. Beside those of measured spectra stand `_other_thresholds`. ``decisions``
    says how often the three-way decisions of the network are right, ``named`` the elements of each
    measured file that it calls present at the threshold of visible elements.
    """
    inputs = sets.inputs
    chance = answers.probability("validation", inputs["validation"])
    present, observable = (_numpy(sets.validation, n) for n in ("present", "observable"))
    visible = sets.validation.counted.cpu().numpy()
    at_all = threshold_precision_equals_recall(present, chance, counted=observable)
    at_visible = threshold_precision_equals_recall(present, chance, counted=visible)

    chance = answers.probability("test", inputs["test"])
    present, observable = (_numpy(sets.test, n) for n in ("present", "observable"))
    visible = sets.test.counted.cpu().numpy()
    labels = present, chance
    bins = scores_by_snr(
        *labels, _numpy(sets.test, "snr"), snr_edges=SNR_EDGES, threshold=at_visible,
        counted=observable,
    )  # fmt: skip
    elements = per_element(*labels, threshold=at_visible, counted=visible)
    found = {
        "model": answers.name,
        "temperature": answers.temperature,
        "simulated": _part(labels, observable, at_all, seed),
        "simulated_visible": _part(labels, visible, at_visible, seed),
        "by_snr": [part.to_dict() for part in bins],
        "f1_by_element": elements.f1.round(4).tolist(),
        "support_by_element": elements.support.tolist(),
        "decisions": {"simulated_visible": decision_rates(answers, *labels, counted=visible)},
        "named": {},
    }
    chosen = None
    if sets.choosing is not None:  # as the paper chooses
        chance = answers.probability("choosing", inputs["choosing"])
        chosen = threshold_precision_equals_recall(
            sets.choosing.present, chance, counted=sets.choosing.counted
        )
    for quality, measured in sets.measured.items():
        part = f"measured_{quality}"
        labels = measured.present.numpy(), answers.probability(part, inputs[part])
        counted = measured.counted.numpy()
        names = [record.id for record in measured.records]
        found[part] = _part(labels, counted, at_visible, seed)
        found[part] |= _domain_temperature(labels, counted, names)
        found[part]["temperature"] *= answers.temperature
        found[part]["other_thresholds"] = _other_thresholds(labels, counted, chosen)
        found["decisions"][part] = decision_rates(answers, *labels, counted=counted)
        called = (labels[1] >= at_visible) & counted
        found["named"] |= {
            name: [ELEMENTS[k] for k in np.flatnonzero(row)]
            for name, row in zip(names, called, strict=True)
        }
    return found


def confused(answers: Answers, sets: Sets) -> dict[str, Any]:
    """Confusion of spectra of one element each, for a row of the results."""
    chance = answers.probability("single", sets.inputs["single"])
    found = confusion(chance, sets.single, threshold=answers.present_threshold)
    pairs = confused_pairs(found.rates, CONFUSED_PAIRS, nuisance=True)
    return {
        "confused_pairs": [vars(pair) for pair in pairs],
        "confusion": np.round(found.rates, 3).tolist(),
        "confusion_shares": np.round(found.shares, 3).tolist(),
    }


def decision_rates(answers: Answers, present, probability, *, counted) -> dict[str, float]:
    """How the decisions present, undetermined and absent turn out, as shares.

    ``wrong_of_present`` : false among the elements called present; ``missed`` : called absent among
    those that are there; ``undetermined`` : among those that are there; ``open`` : undetermined
    elements per spectrum that are not there; F1 and exact match ratio of what is called present.
    """
    named = (probability >= answers.present_threshold) & counted
    absent = (probability < answers.absent_threshold) & counted
    there = present & counted
    between = counted & ~named & ~absent
    at = {"threshold": answers.present_threshold, "subset": "", "counted": counted}
    found = scores(present, probability, **at)
    return {
        "wrong_of_present": float((named & ~present).sum() / max(named.sum(), 1)),
        "missed": float((absent & there).sum() / max(there.sum(), 1)),
        "undetermined": float((between & there).sum() / max(there.sum(), 1)),
        "open": float((between & ~present).sum() / len(present)),
        "f1": found.f1,
        "exact_match_ratio": found.exact_match_ratio,
    }


def is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a stored row is of an EdgeNet, several of them, or a network that reads like it."""
    if "members" in row:
        return all(member.startswith("edgenet") for member in row["members"])
    contrast = row["config"].get("front") == "contrast"
    return contrast or row["architecture"].startswith("edgenet")


def reliability_of(part: Mapping[str, Any]) -> Reliability:
    """Reliability diagram of one part of a stored row."""
    stored = part["reliability"]
    mean, share = (np.array(stored[k], float) for k in ("mean_probability", "observed_share"))
    return Reliability(mean, share, np.array(stored["count"]), part["ece"])


def _part(labels, counted, threshold: float, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    found = scores(*labels, threshold=threshold, subset="", counted=counted).to_dict()
    del found["subset"]
    limits = bootstrap_intervals(*labels, threshold=threshold, generator=generator, counted=counted)
    diagram = reliability(*labels, counted=counted)
    found["average_precision_micro"] = average_precision(*labels, counted=counted, average="micro")
    found["intervals"] = {name: list(pair) for name, pair in limits.items()}
    found["ece"] = diagram.ece
    found["reliability"] = {
        "mean_probability": _or_none(diagram.mean_probability),
        "observed_share": _or_none(diagram.observed_share),
        "count": diagram.count.tolist(),
    }
    return found


def _other_thresholds(labels, counted, chosen: float | None) -> list[dict[str, Any]]:
    """F1 and exact match ratio at thresholds of the paper's kind, in the order of ``origin``.

    "measured validation half" is chosen on the files of quality A that are not in the test half, so
    that only "A test" is scored without having had a say; "fixed" are `PAPER_THRESHOLDS`.
    """
    named = [("measured validation half", chosen)] if chosen is not None else []
    named += [("fixed", threshold) for threshold in PAPER_THRESHOLDS]
    found = []
    for origin, threshold in named:
        scored = scores(*labels, threshold=threshold, subset="", counted=counted)
        kept = {name: getattr(scored, name) for name in ("f1", "exact_match_ratio")}
        found.append({"origin": origin, "threshold": threshold} | kept)
    return found


def _domain_temperature(labels, counted, names: Sequence[str]) -> dict[str, float]:
    """Temperature of measured spectra, and the calibration error with it, both cross-validated.

    Two halves by source (the first part of a file's name), each calibrated with the temperature of
    the other. Elements that the network says nothing about (probability 0) have no logit and do not
    take part in the fit.
    """
    present, probability = labels
    everything, counted = counted, counted & (probability > 0)
    logits = logit(probability.clip(1e-9, 1 - 1e-9))
    source = np.array([name.split("_")[0] for name in names])
    half = np.isin(source, sorted(set(source))[::2])
    cooled = probability.copy()
    for own, other in ((half, ~half), (~half, half)):
        if counted[own].any() and counted[other].any():
            t = fit_temperature(logits[other], present[other], counted=counted[other])
            cooled[own] = np.where(probability[own] > 0, expit(logits[own] / t), 0.0)
    return {
        "temperature": fit_temperature(logits, present, counted=counted),
        "ece_cross_validated": reliability(present, cooled, counted=everything).ece,
    }


def _numpy(batch: Batch, name: str) -> np.ndarray:
    return getattr(batch, name).cpu().numpy()


def _or_none(values: np.ndarray) -> list:
    return [None if np.isnan(value) else float(value) for value in values]
