"""What all networks of the comparison are asked, and what each of them answered.

Answers are logits, so small that they are kept where weights cannot be: a network that was trained
elsewhere is scored from them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from coreloss.datasets.evaluation import inputs_of
from coreloss.datasets.measured import (
    MEASURED_SETS,
    ExperimentalSet,
    experimental_set,
    measured_set,
)
from coreloss.runtime.files import replacing
from coreloss.runtime.provenance import digest_of
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.simulation.batch import Batch
from coreloss.simulation.simulator import Simulator
from coreloss.simulation.stream import simulator_fingerprint
from coreloss.spectra.network_input import NetworkInput, observable
from coreloss.study.comparison.confusion import single_element_batch
from coreloss.training.export import decisions

ANSWERS = "answers.safetensors"
VERSION = 1
BATCH = 256


@dataclass(frozen=True, eq=False)
class Sets:
    """What all networks are scored on, and the measured files that a threshold may be chosen on."""

    validation: Batch
    test: Batch
    single: Batch
    measured: Mapping[str, ExperimentalSet]
    choosing: ExperimentalSet | None = None

    @property
    def inputs(self) -> dict[str, NetworkInput]:
        """All of them by name, "measured_A test" and so on for measured ones."""
        simulated = {name: getattr(self, name) for name in ("validation", "test", "single")}
        found = {name: inputs_of(batch) for name, batch in simulated.items()}
        found |= {f"measured_{quality}": part.inputs for quality, part in self.measured.items()}
        return found | ({"choosing": self.choosing.inputs} if self.choosing else {})

    @property
    def fingerprint(self) -> str:
        """Sixteen letters for windows and labels of all spectra."""
        windows = (part for x in self.inputs.values() for part in (x.mask, observable(x)))
        labels = [part.present for part in (self.validation, self.test, self.single)]
        labels += [part.present for part in self.measured.values()]
        bits = (np.packbits(np.asarray(part)).tobytes() for part in (*windows, *labels))
        return digest_of(*bits)


def load_sets(
    *, n_test: int, n_validation: int, n_single: int, directory: str | Path | None, seed: int = 0
) -> Sets:
    """Simulated validation, test and single-element spectra, and the measured ones, if any.

    No compound of the test is among those of training or validation. ``n_single`` is per element;
    the measured spectra are those of `directory`.
    """
    validation, test = (
        Simulator.of_split(part, seed=seed).batch(0, n)
        for part, n in (("validation", n_validation), ("test", n_test))
    )
    sets = Sets(validation, test, single_element_batch(n_single, seed=seed), {})
    if directory is None:
        return sets
    measured = {name: measured_set(directory, name) for name in MEASURED_SETS}
    choosing = experimental_set(directory, quality="A", split="validation")
    return replace(sets, measured=measured, choosing=choosing)


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits of one network, (n, 80) by the name of the set, and what is decided from them.

    Thresholds and temperature are fixed on the simulated validation spectra, see `decided`.
    """

    name: str
    logits: Mapping[str, torch.Tensor]
    present_threshold: float = 0.5
    absent_threshold: float = 0.1
    temperature: float = 1.0

    def probability(self, part: str, inputs: NetworkInput) -> np.ndarray:
        """sigmoid(logits / temperature), (n, 80), 0 where no edge lies in the window."""
        chance = torch.sigmoid(self.logits[part].double() / self.temperature).numpy()
        return np.where(observable(inputs), chance, 0.0)


def answers_of(name: str, network: nn.Module, sets: Sets, *, device: str = "cpu") -> Answers:
    """Ask a network about all spectra, in evaluation mode."""
    network = network.eval().to(device)
    logits = {part: _logits(network, inputs, device) for part, inputs in sets.inputs.items()}
    network.to("cpu")
    return decided(Answers(name, logits), sets)


def together(name: str, members: Sequence[Answers], sets: Sets) -> Answers:
    """Answers of an ensemble: mean of the members' probabilities, as `ensemble.Ensemble`."""
    found = {}
    for part in members[0].logits:
        logits = torch.stack([member.logits[part].double() for member in members])
        found[part] = F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
    return decided(Answers(name, found), sets)


def decided(answers: Answers, sets: Sets) -> Answers:
    """The same with thresholds and temperature from the simulated validation spectra."""
    fixed = decisions(answers.logits["validation"], sets.validation)
    single = ("present_threshold", "absent_threshold", "temperature")
    return replace(answers, **{key: fixed[key] for key in single})


def write_answers(answers: Answers, folder: Path, sets: Sets) -> Path:
    """Logits in half precision, whole or not at all, with what says which spectra were asked."""
    about = _asked(sets) | {FORMAT_VERSION: str(VERSION)}
    half = {part: logits.half().contiguous() for part, logits in answers.logits.items()}
    with replacing(folder / ANSWERS) as temporary:
        temporary.write_bytes(save(half, metadata=about))
    return folder / ANSWERS


def read_answers(name: str, folder: Path, sets: Sets) -> Answers:
    """What `write_answers` has written; ValueError when it was about other spectra."""
    path = folder / ANSWERS
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            logits = {part: file.get_tensor(part).float() for part in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: no answers of a network ({error}); ask it again") from None
    check_version(about.get(FORMAT_VERSION), VERSION, what=str(path))
    for what, here in _asked(sets).items():
        if about.get(what) != here:
            raise ValueError(
                f"{path}: answers about other spectra ({what} {about.get(what)}, here {here});"
                " ask with the same --test and --single and the same simulator"
            )
    return decided(Answers(name, logits), sets)


def _asked(sets: Sets) -> dict[str, str]:
    """Windows and labels of the spectra, and the simulator that made them."""
    return {"sets": sets.fingerprint, "simulator": simulator_fingerprint()}


def _logits(network: nn.Module, inputs: NetworkInput, device: str) -> torch.Tensor:
    parts = []
    with torch.inference_mode():
        for rows in torch.arange(len(inputs)).split(BATCH):
            some = inputs[rows]
            given = (some.spectrum, some.mask, some.axis_error_ev)
            moved = (None if part is None else part.to(device) for part in given)
            parts.append(network(*moved).float().cpu())
    return torch.cat(parts)
