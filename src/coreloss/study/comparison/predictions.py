"""What a network answered, in a file so small that it can be kept where weights cannot."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from coreloss.datasets.evaluation import inputs_of
from coreloss.identification.trained_model import load_model
from coreloss.runtime.files import replacing
from coreloss.spectra.network_input import NetworkInput
from coreloss.study.comparison.scores import Sets

PREDICTIONS = "predictions.safetensors"
BATCH = 256


def write_predictions(folder: Path, sets: Sets, *, device: str = "cpu") -> Path:
    """Logits of the network in ``folder`` for all sets, (n, 80) float16 each, beside its weights.

    Sets are named as the rows of the comparison name them; the ids of measured files and the
    fingerprint of the network are in the metadata.
    """
    model = load_model(str(folder))
    known = {"validation": inputs_of(sets.validation), "test": inputs_of(sets.test)}
    known |= {f"measured_{quality}": m.inputs for quality, m in sets.measured.items()}
    ids = {name: [record.id for record in m.records] for name, m in sets.measured.items()}
    network = model.network.to(device)
    logits = {name: _logits(network, inputs, device).half() for name, inputs in known.items()}
    network.to("cpu")
    about = {"network": model.fingerprint, "records": json.dumps(ids)}
    with replacing(folder / PREDICTIONS) as temporary:
        temporary.write_bytes(save(logits, metadata=about))
    return folder / PREDICTIONS


def read_predictions(folder: Path) -> dict[str, torch.Tensor]:
    """Logits by the name of the set, (n, 80) float32 each."""
    with safe_open(folder / PREDICTIONS, "pt") as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118


def _logits(network: torch.nn.Module, inputs: NetworkInput, device: str) -> torch.Tensor:
    parts = []
    with torch.inference_mode():
        for rows in torch.arange(len(inputs)).split(BATCH):
            some = inputs[rows]
            given = (some.spectrum, some.mask, some.axis_error_ev)
            moved = (None if part is None else part.to(device) for part in given)
            parts.append(network(*moved).float().cpu())
    return torch.cat(parts)
