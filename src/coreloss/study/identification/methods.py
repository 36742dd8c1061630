"""All ways to identify elements side by side: methods without a network, networks, and both.

Every method is a function from a `network_input.NetworkInput` to scores (n, 80) in 0..1. Its
threshold is the one where precision equals recall on simulated validation spectra; simulated test
spectra and measured ones follow without another choice. Curves tell what errors of the energy axis,
a low dose and a narrow window cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.datasets.measured import ExperimentalSet, load_record, measured_set
from coreloss.edges import MARGIN_AFTER_EV, MARGIN_BEFORE_EV, identifying_sets
from coreloss.identification.edge_fit import element_z
from coreloss.identification.evidence import KNOWN_FROM, Combination, fit_combination
from coreloss.identification.trained_model import Model
from coreloss.scoring.calibration import reliability, threshold_precision_equals_recall
from coreloss.scoring.metrics import bootstrap_intervals, scores
from coreloss.simulation.settings import SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.spectra.network_input import NetworkInput, normalise, observable, preprocess, resample
from coreloss.study.identification.baselines import edge_finder, edge_fit

Method = Callable[[NetworkInput], np.ndarray]

WITHOUT_NETWORK: dict[str, Method] = {"edge finder": edge_finder, "fit alone": edge_fit}
TRUE_AXIS = replace(SimulationSettings().without("axis errors"), axis_error_ev=(1e-3, 1e-3))
"""Simulated spectra whose energies are right, to be made wrong by a known amount."""
STRETCHED_ABOUT = {"dispersion about centre": 0.5, "dispersion about start": 0.0}
GRIDS: dict[str, tuple[float, ...]] = {
    "offset": tuple(range(-10, 11, 2)),
    **dict.fromkeys(STRETCHED_ABOUT, (0.0, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01)),
    "dose": tuple(10.0**k for k in range(1, 9)),
    "window": (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3000.0),
}
"""What is varied: eV that all energies are too high, relative error of the dispersion, counts per
channel, and width of the window in eV."""
KEPT = (
    *("n", "n_positive", "threshold", "f1", "precision", "recall", "macro_f1"),
    *("micro_f1", "micro_precision", "micro_recall", "exact_match_ratio", "average_precision"),
)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Spectra and their labels: ``present`` and ``counted`` (n, 80) bool as in `metrics.scores`."""

    name: str
    inputs: NetworkInput
    present: np.ndarray
    counted: np.ndarray

    def __len__(self) -> int:
        return len(self.present)

    def head(self, n: int) -> Labelled:
        """The first ``n`` spectra."""
        return Labelled(self.name, self.inputs[:n], self.present[:n], self.counted[:n])


@dataclass(frozen=True)
class Decision:
    """What validation spectra fix for a method: its threshold, and scores as probabilities."""

    threshold: float
    calibration: Combination


# -- methods ---------------------------------------------------------------------------------------


def network_alone(model: Model) -> Method:
    """Probabilities of a network, 0 where an element is not observable."""
    return lambda inputs: observed_probability(model, inputs)


def network_and_fit(model: Model) -> Method:
    """Those of the network joined with the significance of the fit, as `identify` does."""

    def combined(inputs: NetworkInput) -> np.ndarray:
        p = observed_probability(model, inputs)
        tested = p >= model.absent_threshold
        z = element_z(inputs, tested, known=p >= KNOWN_FROM)
        return np.where(tested, model.combination.probability(p, z), p)

    return combined


# -- spectra ---------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def simulated(
    split: str,
    *,
    n: int,
    seed: int = 0,
    settings: SimulationSettings | None = None,
    below_visibility: bool = False,
) -> Labelled:
    """Spectra of no training run; elements below `VISIBLE_SNR` are neutral or, if asked, count."""
    batch = Simulator.of_split(split, seed=seed, settings=settings).batch(0, n)
    counted = batch.observable if below_visibility else batch.counted
    return Labelled("simulated", inputs_of(batch), batch.present.numpy(), counted.numpy())


def measured(directory: str | Path, name: str = "A") -> Labelled:
    """One of the `measured.MEASURED_SETS`."""
    return _labelled(measured_set(directory, name), name)


def simulated_at(kind: str, x: float, *, n: int, seed: int = 0) -> Labelled:
    """Test spectra with one thing set to ``x``, see `GRIDS`; otherwise the same for all ``x``.

    At a fixed dose, everything that is present counts, however weak: the dose decides what is
    visible. The energies are right but for the error that is asked for; networks are told of a
    typical one, as with measured spectra.
    """
    _check_kind(kind)
    changes: dict[str, Any] = {}
    if kind == "dose":
        changes = {"mean_counts": (x, x)}
    elif kind == "window":
        changes = {"wide_window_probability": 0.0, "free_window_probability": 0.0}
        changes |= {"window_width_ev": (x, x)}
    found = simulated(
        "test",
        n=n,
        seed=seed,
        settings=replace(TRUE_AXIS, **changes),
        below_visibility=kind == "dose",
    )
    found = replace(found, inputs=replace(found.inputs, axis_error_ev=None))
    return found if changes else _wrong_axis(found, kind, x)


def measured_at(kind: str, x: float, *, directory: str | Path, seed: int = 0) -> Labelled:
    """Measured spectra of quality A with one thing set to ``x``, if they reach; perhaps none.

    At a dose, files of whole counts are thinned to a median of at most ``x`` counts per channel;
    files of other values are left out, and so are spectra narrower than a window of width ``x``.
    """
    _check_kind(kind)
    plain = measured_set(directory, "A")
    generator = np.random.default_rng(seed)
    if kind == "dose":
        return _thinned(plain, x, directory=directory, generator=generator)
    if kind == "window":
        return cropped(_labelled(plain, "A"), x, generator=generator)
    return _wrong_axis(_labelled(plain, "A"), kind, x)


def moved(inputs: NetworkInput, shift_ev: int) -> NetworkInput:
    """The same spectra with ``shift_ev`` added to their energies; what leaves the axis is lost."""
    if not shift_ev:
        return inputs
    spectrum, mask = (torch.roll(x, shift_ev, 1) for x in (inputs.spectrum, inputs.mask))
    lost = slice(0, shift_ev) if shift_ev > 0 else slice(shift_ev, None)
    spectrum[:, lost], mask[:, lost] = 0, False
    return replace(inputs, spectrum=spectrum, mask=mask)


def stretched(inputs: NetworkInput, error: float, *, about: float) -> NetworkInput:
    """Spectra whose dispersion is too large by a relative ``error``.

    The energy that stays right lies at the share ``about`` of the window, 0 its start and 1 its
    end.
    """
    rows, masks = [], []
    for spectrum, mask in zip(inputs.spectrum, inputs.mask, strict=True):
        channels = np.flatnonzero(mask.numpy())
        energy = np.arange(channels[0], channels[-1] + 1.0)
        fixed = energy[0] + about * (energy[-1] - energy[0])
        counts = spectrum.numpy()[channels[0] : channels[-1] + 1].astype(float)
        values, covered = resample(counts[None], fixed + (energy - fixed) * (1 + error))
        rows.append(values[0])
        masks.append(covered)
    mask = torch.from_numpy(np.stack(masks))
    return replace(inputs, spectrum=normalise(torch.from_numpy(np.stack(rows)), mask), mask=mask)


def cropped(labelled: Labelled, width_ev: float, *, generator: np.random.Generator) -> Labelled:
    """Windows of one width around an edge of each spectrum; those that are narrower are left out.

    An element without an edge in the new window no longer counts.
    """
    mask = torch.zeros_like(labelled.inputs.mask)
    rows = []
    for row, measured_channels in enumerate(labelled.inputs.mask):
        first, last = np.flatnonzero(measured_channels.numpy())[[0, -1]]
        there = labelled.present[row] & labelled.counted[row]
        onsets = [
            edge.onset_ev
            for edge in identifying_sets()
            if there[edge.label]
            and first + MARGIN_BEFORE_EV <= edge.onset_ev <= last - MARGIN_AFTER_EV
        ]
        if last - first < width_ev or not onsets:
            continue
        onset = generator.choice(onsets)
        highest = min(onset - MARGIN_BEFORE_EV, last - width_ev)
        lowest = max(onset + MARGIN_AFTER_EV - width_ev, first)
        start = int(np.floor(generator.uniform(min(lowest, highest), highest)))
        end = max(start + int(width_ev), int(np.ceil(onset + MARGIN_AFTER_EV)))
        mask[row, start : end + 1] = measured_channels[start : end + 1]
        rows.append(row)
    mask = mask[rows]
    inputs = NetworkInput(normalise(labelled.inputs.spectrum[rows], mask), mask)
    seen = observable(inputs) if rows else np.zeros((0, labelled.present.shape[1]), bool)
    return Labelled(labelled.name, inputs, labelled.present[rows], labelled.counted[rows] & seen)


# -- scores ----------------------------------------------------------------------------------------


def decide(score: np.ndarray, validation: Labelled) -> Decision:
    """Threshold and calibration of a method from its scores (n, 80) of validation spectra.

    Precision and recall are those of all elements together: of few spectra, with one or two of an
    element, the averages over elements are equal where nearly nothing is found.
    """
    labels = validation.present, score
    present, counted = validation.present, validation.counted
    threshold = threshold_precision_equals_recall(*labels, counted=counted, average="micro")
    p = score[counted]
    return Decision(threshold, fit_combination(p, np.zeros_like(p), present[counted]))


def measures(
    labelled: Labelled, score: np.ndarray, decision: Decision, *, seed: int = 0
) -> dict[str, Any]:
    """F1, exact match ratio and their relatives with intervals, as plain numbers.

    ``ece`` is the calibration error of the scores as they are, ``ece_calibrated`` that of the
    probabilities that the calibration on validation spectra makes of them.
    """
    labels: dict[str, Any] = {"counted": labelled.counted}
    at = labels | {"threshold": decision.threshold}
    found = scores(labelled.present, score, subset=labelled.name, **at).to_dict()
    limits = bootstrap_intervals(
        labelled.present, score, generator=np.random.default_rng(seed), **at
    )
    probability = decision.calibration.probability(score, np.zeros_like(score))
    return {name: found[name] for name in KEPT} | {
        "intervals": {name: list(pair) for name, pair in limits.items()},
        "ece": reliability(labelled.present, score, **labels).ece,
        "ece_calibrated": reliability(labelled.present, probability, **labels).ece,
    }


def compare(
    method: Method,
    validation: Labelled,
    sets: Mapping[str, Labelled],
    *,
    own_threshold: float | None = None,
) -> dict[str, Any]:
    """One row of the table: the decision of a method, and its `measures` on every set.

    With ``own_threshold``, that of a model, also those at that threshold.
    """
    decision = decide(method(validation.inputs), validation)
    row: dict[str, Any] = {"decision": asdict(decision), "n_validation": len(validation)}
    found = {name: method(labelled.inputs) for name, labelled in sets.items()}
    row["sets"] = {name: measures(sets[name], score, decision) for name, score in found.items()}
    if own_threshold is not None:
        own = replace(decision, threshold=own_threshold)
        row["own_threshold"] = {n: measures(sets[n], score, own) for n, score in found.items()}
    return row


def curve_point(
    method: Method, labelled: Labelled, decision: Decision, *, kind: str, x: float
) -> dict[str, Any]:
    """`measures` of a method at one point of a curve."""
    return {"kind": kind, "x": x} | measures(labelled, method(labelled.inputs), decision)


def decision_of(row: Mapping[str, Any]) -> Decision:
    """The decision in a stored row."""
    stored = row["decision"]
    return Decision(stored["threshold"], Combination(**stored["calibration"]))


@lru_cache(maxsize=2)
def _check_kind(kind: str) -> None:
    if kind not in GRIDS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(GRIDS)}")


def _labelled(found: ExperimentalSet, name: str) -> Labelled:
    return Labelled(f"measured {name}", found.inputs, found.present.numpy(), found.counted.numpy())


def _wrong_axis(labelled: Labelled, kind: str, x: float) -> Labelled:
    if kind == "offset":
        return replace(labelled, inputs=moved(labelled.inputs, round(x)))
    if x == 0:
        return labelled
    return replace(labelled, inputs=stretched(labelled.inputs, x, about=STRETCHED_ABOUT[kind]))


def _thinned(found: ExperimentalSet, dose: float, *, directory, generator) -> Labelled:
    """Binomial thinning, what a shorter exposure of a counting detector would have recorded.

    None where the dose is ten times that of every file, or more: nothing would change.
    """
    whole = np.isfinite(found.dose)
    changes = dose < 10 * np.max(found.dose, where=whole, initial=0.0)
    rows = np.flatnonzero(whole & changes)
    parts = []
    for row in rows:
        spectrum = load_record(found.records[row], directory).sum()
        share = min(dose / found.dose[row], 1.0)
        counts = generator.binomial(np.rint(spectrum.counts).astype(np.int64), share)
        parts.append(preprocess(counts, spectrum.energy_ev))
    every, inputs = _labelled(found, "A"), found.inputs
    inputs = NetworkInput(
        torch.cat([inputs.spectrum[:0], *(part.spectrum for part in parts)]),
        torch.cat([inputs.mask[:0], *(part.mask for part in parts)]),
    )
    return Labelled(every.name, inputs, every.present[rows], every.counted[rows])
