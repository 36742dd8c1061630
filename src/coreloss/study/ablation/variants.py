"""What each ingredient of the simulator buys: short trainings with one of them left out.

Every network sees the same number of spectra of the same stream; the simulator differs in one
ingredient. All are scored on measured spectra and on spectra of the complete simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss.datasets.evaluation import inputs_of, observed_probability
from coreloss.datasets.measured import experimental_set
from coreloss.identification.trained_model import load_model
from coreloss.networks.edgenet import EdgeNetConfig
from coreloss.scoring.calibration import threshold_precision_equals_recall
from coreloss.scoring.metrics import average_precision, scores
from coreloss.simulation.batch import Batch
from coreloss.simulation.settings import INGREDIENTS, SimulationSettings
from coreloss.simulation.simulator import Simulator
from coreloss.training.loop import TrainConfig, train

MEASURED_QUALITY = "AB"
SMALL_NETWORK = EdgeNetConfig(channels=16, blocks=1, dim=32, layers=1)
"""A small network that learns fast: the comparison is of simulators, not of networks."""


def variants() -> dict[str, SimulationSettings]:
    """The simulators to compare: all ingredients, none of them, and all but each."""
    everything = SimulationSettings()
    without = {f"without {name}": everything.without(name) for name in INGREDIENTS}
    return {"default": everything, "paper": SimulationSettings.paper(), **without}


def reference_batch(n: int, *, seed: int = 0) -> Batch:
    """Spectra of the complete simulator from the test split, the same for all networks."""
    return Simulator.of_split("test", seed=seed).batch(0, n)


def run(
    settings: SimulationSettings,
    *,
    seed: int,
    spectra: int,
    directory: str | Path | None,
    reference: Batch,
    out_dir: str | Path,
    **changes: Any,
) -> dict[str, float]:
    """Train one network and score it.

    Scores on measured spectra (quality A and B of ``directory``) end in ``_measured``: F1, exact
    match ratio at the threshold where precision equals recall on simulated validation spectra,
    average precision and mean cross-entropy, which need no threshold. Those on ``reference`` end
    in ``_simulated``. ``changes`` are of the `TrainConfig`.
    """
    config = TrainConfig(
        spectra=spectra, seed=seed, settings=settings, model=SMALL_NETWORK, **changes
    )
    model = load_model(str(train(config, out_dir=out_dir)))
    labels = reference.present.numpy(), observed_probability(model, inputs_of(reference))
    counted = reference.counted.numpy()
    threshold = threshold_precision_equals_recall(*labels, counted=counted)
    found = _scores(labels, counted, threshold, "simulated")
    if directory is not None:
        measured = experimental_set(directory, quality=MEASURED_QUALITY)
        labels = measured.present.numpy(), observed_probability(model, measured.inputs)
        found |= _scores(labels, measured.counted.numpy(), threshold, "measured")
    return found


def _scores(labels, counted, threshold: float, subset: str) -> dict[str, float]:
    present, probability = labels
    result = scores(present, probability, threshold=threshold, subset=subset, counted=counted)
    chance = torch.from_numpy(probability).clamp(1e-4, 1 - 1e-4)
    entropy = torch.nn.functional.binary_cross_entropy(
        chance, torch.from_numpy(present).double(), reduction="none"
    )
    per_spectrum = (entropy.numpy() * counted).sum(1)
    return {
        f"f1_{subset}": result.f1,
        f"exact_match_{subset}": result.exact_match_ratio,
        f"average_precision_{subset}": average_precision(present, probability, counted=counted),
        f"cross_entropy_{subset}": float(per_spectrum.mean()),
    }


def runs_of(stored: Mapping[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Scores of each seed by name of the variant, from what `study.ablation` has stored."""
    runs: dict[str, list[dict[str, float]]] = {}
    for entry in stored["runs"].values():
        scored = {k: v for k, v in entry.items() if k.endswith(("_measured", "_simulated"))}
        runs.setdefault(entry["variant"], []).append(scored)
    return {name: runs[name] for name in variants() if name in runs}


def differences(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[dict]:
    """Rows of the ablation table: mean over the seeds, and what leaving the ingredient out costs.

    ``runs`` has the scores of each seed by name of the variant; ``cost`` is default minus variant
    with the standard error of the difference of the two means in ``cost_error`` (NaN for one seed).
    """
    rows = []
    for name, scored in runs.items():
        row: dict = {"variant": name, "seeds": len(scored)}
        for key in scored[0]:
            own, base = (np.array([one[key] for one in runs[k]]) for k in (name, "default"))
            error = np.sqrt(
                sum(x.var(ddof=1) / len(x) if len(x) > 1 else np.nan for x in (own, base))
            )
            row |= {key: float(own.mean()), f"{key}_cost": float(base.mean() - own.mean())}
            row[f"{key}_cost_error"] = float(error)
        rows.append(row)
    return rows
