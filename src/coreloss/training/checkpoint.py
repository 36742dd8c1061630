"""Checkpoints: everything that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes

from coreloss.runtime.files import replacing
from coreloss.runtime.versions import FORMAT_VERSION, check_version


@dataclass
class State:
    """A run between two blocks.

    seen : spectra so far, of all processes
    elapsed_s, cpu_s : wall time and CPU time of training, all visits together
    halvings, since_halving, since_best, best : of the plateau rule: halvings of the learning rate,
        validations without improvement since the last of them and since the best one, its score
    running : losses since the last report
    """

    model: torch.nn.Module
    average: dict[str, torch.Tensor]
    optimiser: torch.optim.Optimizer
    seen: int = 0
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    halvings: int = 0
    since_halving: int = 0
    since_best: int = 0
    best: float = float("-inf")
    running: list[float] = field(default_factory=list)


VERSION = 1
NUMBERS = ("seen", "elapsed_s", "cpu_s", "halvings", "since_halving", "since_best", "best")


def save(path: Path, fingerprint: str, state: State) -> None:
    """Write weights, averaged weights, optimiser and counters to one safetensors file."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    for number, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": value for key, value in moments.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    tensors["running"] = torch.tensor(state.running, dtype=torch.float64)
    numbers = {name: getattr(state, name) for name in NUMBERS}
    about = {"config": fingerprint, "state": json.dumps(numbers), FORMAT_VERSION: str(VERSION)}
    with replacing(path) as temporary:
        temporary.write_bytes(as_bytes(tensors, metadata=about))


def restore(path: Path, fingerprint: str, state: State) -> None:
    """Put a checkpoint into `state`.

    Raises
    ------
    ValueError
        When it belongs to another configuration or a later version of the package, or is damaged.
    """
    device = next(state.model.parameters()).device
    try:
        with safe_open(path, "pt") as file:  # the optimiser keeps its counters on the processor
            about = file.metadata() or {}
            check_version(about.get(FORMAT_VERSION), VERSION, what=str(path))
            if about.get("config") != fingerprint:
                raise ValueError(
                    f"{path} belongs to another configuration; choose another output directory"
                    " or start afresh without resuming"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({error}); delete it, or start afresh without"
            " resuming"
        ) from None
    state.model.load_state_dict(_under(tensors, "model."))
    state.average.update({k: v.to(device) for k, v in _under(tensors, "average.").items()})
    state.running = tensors["running"].tolist()
    moments: dict[int, dict] = {}
    for name, value in _under(tensors, "optimiser.").items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = value
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    for name, value in json.loads(about["state"]).items():
        setattr(state, name, value)


def fingerprint_of(config, architecture: str, *, ignored: tuple[str, ...]) -> str:
    """What must agree for a checkpoint to be continued, as text."""
    kept = {k: v for k, v in asdict(config).items() if k not in ignored}
    return json.dumps({"architecture": architecture} | kept)


def _under(tensors: dict, prefix: str) -> dict:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
