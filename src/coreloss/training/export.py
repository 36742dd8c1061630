"""What leaves a training run: scores, thresholds, weights and the card that describes them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from coreloss.axis import window_of
from coreloss.edges import rivals
from coreloss.networks.architectures import CARD_VERSION, architecture_of, weights_fingerprint
from coreloss.runtime.files import replacing
from coreloss.runtime.versions import FORMAT_VERSION
from coreloss.scoring.calibration import (
    fit_temperature,
    threshold_for_miss_rate,
    threshold_for_precision,
    threshold_precision_equals_recall,
)
from coreloss.scoring.groups import groups_of
from coreloss.scoring.metrics import average_precision, scores
from coreloss.simulation.batch import Batch
from coreloss.simulation.stream import simulator_fingerprint
from coreloss.spectra.network_input import normalise

MAX_BYTES = 16_000_000
RIGHT_NAMES, LOST_ELEMENTS = 0.975, 0.02
"""Share of the names above the threshold that are right on simulated spectra (of five levels from
95 to 98 %, the one with the best F1 on the validation half of the measured files), and of the
visible elements that are called absent. A false name costs its reader more than an "undetermined",
so that the first lies above the level at which precision equals recall."""


def predict(model: torch.nn.Module, batch: Batch, *, batch_size: int = 64) -> torch.Tensor:
    """Logits of simulated spectra, (n, 80) on the CPU; the model is put in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    inputs = normalise(batch.counts, batch.mask), batch.mask, batch.axis_error_ev
    with torch.inference_mode():
        parts = [
            model(*(part.to(device) for part in some)).float().cpu()
            for some in zip(*(x.split(batch_size) for x in inputs), strict=True)
        ]
    return torch.cat(parts)


def validate(model: torch.nn.Module, batch: Batch) -> dict[str, float]:
    """Scores on a simulated batch, visible elements only and in the paper's convention (all)."""
    logits = predict(model, batch)
    probability = logits.double().sigmoid().numpy()
    present = batch.present.cpu().numpy()
    result: dict[str, float] = {}
    for name, labels in (("visible", batch.counted), ("all", batch.observable)):
        counted = labels.cpu().numpy()
        threshold = threshold_precision_equals_recall(present, probability, counted=counted)
        score = scores(present, probability, threshold=threshold, subset=name, counted=counted)
        result |= {
            f"f1_{name}": score.f1,
            f"exact_match_{name}": score.exact_match_ratio,
            f"threshold_{name}": threshold,
        }
    result["average_precision"] = average_precision(
        present, probability, counted=batch.counted.cpu().numpy()
    )
    return result


def decisions(logits: torch.Tensor, batch: Batch) -> dict[str, Any]:
    """Temperature, thresholds and `group_decisions` from logits (n, 80) of validation spectra.

    Present from where `RIGHT_NAMES` of the names are right, absent below the probability that loses
    `LOST_ELEMENTS` of the visible ones; undetermined between the two.
    """
    counted = batch.counted.cpu().numpy()
    present = batch.present.cpu().numpy()
    logits = logits.double()
    temperature = fit_temperature(logits.numpy(), present, counted=counted)
    probability = (logits / temperature).sigmoid().numpy()
    threshold = threshold_for_precision(
        present, probability, precision=RIGHT_NAMES, counted=counted
    )
    absent = threshold_for_miss_rate(present, probability, miss_rate=LOST_ELEMENTS, counted=counted)
    fixed = {"present": round(threshold, 3), "absent": round(min(absent, threshold), 3)}
    seen = np.where(batch.observable.cpu().numpy(), probability, 0.0)
    return {
        **{f"{name}_threshold": value for name, value in fixed.items()},
        "temperature": temperature,
        **group_decisions(seen, batch, **fixed),
    }


def group_decisions(
    probability: np.ndarray, batch: Batch, *, present: float, absent: float
) -> dict[str, Any]:
    """Threshold of groups of neighbours from validation spectra, and what their names are worth.

    ``group_threshold`` is the lowest from which on a member is there in `RIGHT_NAMES` of the
    groups, None where that is never so; so many ``groups`` are named then, a member is there in
    ``groups_right`` of them, and ``first_right`` is the share in which it is the first one. Groups
    without a true member but with one that is too weak to be seen are neutral.

    ``probability`` (n, 80), 0 where not observable; ``present`` and ``absent`` the thresholds.
    """
    there, counted = (labels.cpu().numpy() for labels in (batch.present, batch.counted))
    seen = there & counted
    windows = torch.stack(window_of(batch.mask.cpu()), 1).tolist()
    rows = []
    for p, window, visible, hidden in zip(probability, windows, seen, there & ~seen, strict=True):
        for certain, names in groups_of(p, rivals(*window), present=present, absent=absent):
            if visible[names].any() or not hidden[names].any():
                rows.append((certain, visible[names].any(), visible[names[0]]))
    certainty, right, first = np.array(rows or [(0, False, False)]).T
    threshold = round(
        threshold_for_precision(right[:, None], certainty[:, None], precision=RIGHT_NAMES), 3
    )
    named = certainty >= threshold
    if not named.any() or right[named].mean() < RIGHT_NAMES:
        return {"group_threshold": None, "groups": 0, "groups_right": 0, "first_right": None}
    return {
        "group_threshold": threshold,
        "groups": int(named.sum()),
        "groups_right": int(right[named].sum()),
        "first_right": round(float(first[named].mean()), 3),
    }


def write_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights, in half precision where single precision would need more than 16 MB.

    A tensor with a value beyond half precision (a variance above 65,504) stays as it is.
    """
    size = sum(value.numel() * value.element_size() for value in weights.values())
    half = size > MAX_BYTES
    tensors = {
        name: (_halved(value) if half and value.is_floating_point() else value).contiguous().cpu()
        for name, value in weights.items()
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors))


def _halved(value: torch.Tensor) -> torch.Tensor:
    half = value.half()
    return half if half.isfinite().all() else value


def write_card(
    model: torch.nn.Module,
    *,
    training: dict,
    row: dict,
    validation: Batch,
    origin: dict,
    path: Path,
) -> None:
    """Write what `trained_model.load_model` reads beside the weights of `model`."""
    config: Any = model.config
    card = {
        FORMAT_VERSION: CARD_VERSION,
        "architecture": architecture_of(config),
        "config": asdict(config),
        "parameters": sum(value.numel() for value in model.parameters()),
        **decisions(predict(model, validation), validation),
        "decisions": f"{len(validation)} validation spectra",
        "right_names": RIGHT_NAMES,
        "lost_elements": LOST_ELEMENTS,
        "validation": {k: v for k, v in row.items() if v == v},  # a run of 0 steps has no loss
        "training": training,
        "provenance": origin,
        "certificate": {
            "simulator": simulator_fingerprint(training["settings"]),
            "weights": weights_fingerprint(model),
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")
