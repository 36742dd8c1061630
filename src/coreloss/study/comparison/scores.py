"""The comparison of networks: which are trained, how, and how all of them are scored.

Every network is scored by the same code on the same spectra. Threshold and temperature of each are
fixed on simulated validation spectra; simulated test spectra, measured spectra and spectra of
single elements follow without another choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from coreloss.datasets.evaluation import SNR_EDGES, inputs_of, observed_probability
from coreloss.datasets.measured import (
    MEASURED_SETS,
    ExperimentalSet,
    experimental_set,
    measured_set,
)
from coreloss.identification.trained_model import Model
from coreloss.networks.architectures import config_of
from coreloss.networks.ensemble import Ensemble
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
from coreloss.simulation.simulator import BLOCK, Simulator
from coreloss.training.export import decisions
from coreloss.training.loop import TrainConfig

PUBLISHED = ("unet", "vit", "cct", "cnn", "resnet", "mlp", "cnn_bilstm")
"""Networks of others, most important first."""
FURTHER = (("unet", 1), ("vit", 1), ("unet", 2), ("edgenet", 1), ("edgenet_medium", 0))
"""Architectures and seeds that are trained when every network has been, with both recipes."""
REDUCED: dict[str, dict[str, Any]] = {
    "edgenet": {},
    "edgenet_medium": {},
    "unet": {"width": 0.125},
    "vit": {"width": 0.5, "heads": 2, "layers": 3},
    "mlp": {"width": 0.25},
    "cnn": {"width": 0.0625},
    "resnet": {"width": 0.0625},
    "cct": {"width": 0.25, "heads": 2, "layers": 3},
    "cnn_bilstm": {"width": 0.5},
}
"""Sizes for a processor: tens of training spectra per second and core."""
SIZES = ("width", "layers", "heads")
"""What `REDUCED` may reduce; other parts of a configuration are choices."""
LEARNING_RATE = {"edgenet": 3e-3, "edgenet_medium": 2e-3}
"""Where it is not the 1e-3 of the paper."""
ENSEMBLES = {
    "paper's ensemble (3 U-Net, 2 ViT)": ("unet 0", "unet 1", "unet 2", "vit 0", "vit 1"),
    "all six of the paper": ("unet 0", "vit 0", "mlp 0", "cnn 0", "resnet 0", "cct 0"),
    "EdgeNet, two seeds": ("edgenet 0", "edgenet 1"),
}
SNAPSHOTS = tuple(BLOCK * 2**k for k in range(1, 12))
"""Spectra at which the averaged weights of every run are kept: equal numbers of spectra."""
SCORED = SNAPSHOTS[3::2]  # from 8192 on
PAPER_THRESHOLDS = (0.5, 0.6, 0.7)
"""Of the paper's networks, for measured spectra."""


@dataclass(frozen=True)
class Run:
    """One training of the comparison, by name."""

    name: str
    config: TrainConfig


@dataclass(frozen=True, eq=False)
class Sets:
    """What all networks are scored on, and the measured files that a threshold may be chosen on."""

    validation: Batch
    test: Batch
    measured: Mapping[str, ExperimentalSet]
    choosing: ExperimentalSet | None = None


def runs(*, full: bool, cpu_minutes: float, materials: str, device: str = "cpu") -> tuple[Run, ...]:
    """The trainings of the comparison, most important first.

    All networks see our recipe with the learning rate of `LEARNING_RATE` first, and those of others
    then the "paper recipe": Adam, BCE and macro soft F1, halving on plateaus, in shorter epochs
    where sizes are reduced. EdgeNet computes in bfloat16 where the hardware can. "contrast" is the
    U-Net with the front end of EdgeNet. The `full` networks have the sizes and the number of
    spectra of the paper, for a GPU. The others are reduced until a processor core trains on tens of
    spectra per second, and stop after `cpu_minutes` each.
    """
    common: dict[str, Any] = {"materials": materials, "device": device, "snapshots": SNAPSHOTS}
    common |= {"report_every": 8192, "validation_spectra": 512}
    if full:
        common |= {"spectra": 35 * 32_000, "batch_size": 512, "report_every": 32_768}
        common |= {"block_size": 8192}
    else:
        common |= {"cpu_minutes": cpu_minutes, "batch_size": 64, "warmup": 100}
    sizes = {} if full else REDUCED
    paper = {k: v for k, v in common.items() if k not in ("batch_size", "warmup")}

    def ours(name: str, seed: int, model: Any = None, label: str | None = None) -> Run:
        rate = LEARNING_RATE.get(name, 1e-3)
        model = model or config_of(name, **sizes.get(name, {}))
        config = TrainConfig(model=model, learning_rate=rate, seed=seed, **common)
        return Run(f"{label or name} {seed}", config)

    def theirs(name: str) -> Run:
        model = config_of(name, **sizes.get(name, {}))
        return Run(f"{name}, paper recipe 0", TrainConfig.paper(model=model, **paper))

    first = [ours(name, 0) for name in (*PUBLISHED, "edgenet")]
    contrast = replace(first[0].config.model, front="contrast")
    return (
        *first,
        *(theirs(name) for name in PUBLISHED),
        ours("unet", 0, contrast, "unet, contrast"),
        *(ours(name, seed) for name, seed in FURTHER),
    )


def names() -> tuple[str, ...]:
    """Of all runs, most important first."""
    return tuple(run.name for run in runs(full=True, cpu_minutes=1, materials="embedded"))


def load_sets(*, n_test: int, n_validation: int, directory: str | Path | None, seed: int = 0):
    """Simulated validation and test spectra, and the measured ones of `directory`, if there is one.

    No compound of the test is among those of training or validation.
    """
    validation, test = (
        Simulator.of_split(part, seed=seed).batch(0, n)
        for part, n in (("validation", n_validation), ("test", n_test))
    )
    if directory is None:
        return Sets(validation, test, {})
    measured = {name: measured_set(directory, name) for name in MEASURED_SETS}
    choosing = experimental_set(directory, quality="A", split="validation")
    return Sets(validation, test, measured, choosing)


def decided(model: Model, validation: Batch) -> Model:
    """The model with thresholds and temperature from these validation spectra."""
    fixed: dict[str, Any] = decisions(model.network, validation)
    single = ("present_threshold", "absent_threshold", "temperature")
    return replace(model, **{name: fixed[name] for name in single})


def ensemble(name: str, members: Sequence[Model], validation: Batch) -> Model:
    """Mean of the members' probabilities, with thresholds and a temperature of its own."""
    network = Ensemble([member.network for member in members]).eval()
    card = {
        "architecture": "ensemble",
        "members": [member.name for member in members],
        "parameters": sum(member.card["parameters"] for member in members),
    }
    return decided(Model(name, network, card, 0.5, 0.1, 1.0), validation)


def score(model: Model, sets: Sets, *, seed: int = 0) -> dict[str, Any]:
    """All scores of one network, as plain numbers and lists.

    Keys ``simulated``, ``simulated_visible`` (elements below the SNR limit neutral) and
    ``measured_A test``, ``measured_A``, ``measured_AB`` hold `Scores` at the threshold where
    precision equals recall on validation data under the same convention, with intervals and
    calibration error. Beside those of measured spectra stand `_other_thresholds`. ``decisions``
    says how often the three-way decisions of the model are right.
    """
    chance = observed_probability(model, inputs_of(sets.validation))
    present, observable = (_numpy(sets.validation, n) for n in ("present", "observable"))
    visible = sets.validation.counted.cpu().numpy()
    at_all = threshold_precision_equals_recall(present, chance, counted=observable)
    at_visible = threshold_precision_equals_recall(present, chance, counted=visible)

    chance = observed_probability(model, inputs_of(sets.test))
    present, observable = (_numpy(sets.test, n) for n in ("present", "observable"))
    visible = sets.test.counted.cpu().numpy()
    labels = present, chance
    bins = scores_by_snr(
        *labels, _numpy(sets.test, "snr"), snr_edges=SNR_EDGES, threshold=at_visible,
        counted=observable,
    )  # fmt: skip
    elements = per_element(*labels, threshold=at_visible, counted=visible)
    found = {
        "model": model.name,
        "parameters": model.card["parameters"],
        "temperature": model.temperature,
        "simulated": _part(labels, observable, at_all, seed),
        "simulated_visible": _part(labels, visible, at_visible, seed),
        "by_snr": [part.to_dict() for part in bins],
        "f1_by_element": elements.f1.round(4).tolist(),
        "support_by_element": elements.support.tolist(),
        "decisions": {"simulated_visible": decision_rates(model, *labels, counted=visible)},
    }
    chosen = _measured_threshold(model, sets.choosing)
    for quality, measured in sets.measured.items():
        labels = measured.present.numpy(), observed_probability(model, measured.inputs)
        counted = measured.counted.numpy()
        part = _part(labels, counted, at_visible, seed)
        part |= _domain_temperature(labels, counted, [r.id for r in measured.records])
        part["temperature"] *= model.temperature
        part["other_thresholds"] = _other_thresholds(labels, counted, chosen)
        found[f"measured_{quality}"] = part
        found["decisions"][f"measured_{quality}"] = decision_rates(model, *labels, counted=counted)
    return found


def decision_rates(model: Model, present, probability, *, counted) -> dict[str, float]:
    """How the decisions present, undetermined and absent turn out, as shares.

    ``wrong_of_present`` : false among the elements called present; ``missed`` : called absent among
    those that are there; ``undetermined`` : among those that are there; ``open`` : undetermined
    elements per spectrum that are not there; F1 and exact match ratio of what is called present.
    """
    named = (probability >= model.present_threshold) & counted
    absent = (probability < model.absent_threshold) & counted
    there = present & counted
    between = counted & ~named & ~absent
    at = {"threshold": model.present_threshold, "subset": "", "counted": counted}
    found = scores(present, probability, **at)
    return {
        "wrong_of_present": float((named & ~present).sum() / max(named.sum(), 1)),
        "missed": float((absent & there).sum() / max(there.sum(), 1)),
        "undetermined": float((between & there).sum() / max(there.sum(), 1)),
        "open": float((between & ~present).sum() / len(present)),
        "f1": found.f1,
        "exact_match_ratio": found.exact_match_ratio,
    }


def is_full_size(architecture: str, config: Mapping[str, Any]) -> bool:
    """Whether width, layers and heads are those of the publication.

    >>> is_full_size("vit", {"width": 1.0, "head": "token"}), is_full_size("vit", {"layers": 3})
    (True, False)
    """
    published = asdict(config_of(architecture))
    return all(config.get(k, published[k]) == published[k] for k in SIZES if k in published)


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


def _measured_threshold(model: Model, choosing: ExperimentalSet | None) -> float | None:
    """Where precision equals recall on measured files, as the paper chooses; None without files."""
    if choosing is None:
        return None
    labels = choosing.present.numpy(), observed_probability(model, choosing.inputs)
    return threshold_precision_equals_recall(*labels, counted=choosing.counted.numpy())


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
