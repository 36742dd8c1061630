"""Trained networks with their cards: the shipped ones, and those of anybody's training runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreloss import shipped
from coreloss.identification.evidence import Combination
from coreloss.networks.architectures import CARD_VERSION, build, config_of, weights_fingerprint
from coreloss.runtime.versions import FORMAT_VERSION, check_version
from coreloss.spectra.network_input import NetworkInput

DEFAULT_MODEL = "edgenet-small"
BATCH = 96  # more does not fit into the caches of a processor


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with the decisions that were fixed on its validation data.

    An element is present at a probability of ``present_threshold`` or more, absent below
    ``absent_threshold`` and undetermined between them; logits are divided by ``temperature``.
    ``combination`` joins the answer of the network and that of a fit. One of several neighbours
    is certain to be there when they reach ``group_threshold`` together, see
    `scoring.groups.group_certainty`; never without it.
    """

    name: str
    network: torch.nn.Module
    card: Mapping[str, Any]
    present_threshold: float
    absent_threshold: float
    temperature: float
    combination: Combination = field(default_factory=Combination)
    group_threshold: float | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen letters for weights and decisions: equal ones answer alike."""
        groups = () if self.group_threshold is None else (self.group_threshold,)
        fixed = (self.present_threshold, self.absent_threshold, self.temperature, *groups)
        return weights_fingerprint(self.network, repr((fixed, asdict(self.combination))))

    def probability(self, inputs: NetworkInput) -> np.ndarray:
        """sigmoid(logits / temperature) of the 80 elements, (batch, 80) float64."""
        parts = []
        with torch.inference_mode():
            for rows in torch.arange(len(inputs)).split(BATCH):
                some = inputs[rows]
                logits = self.network(some.spectrum, some.mask, some.axis_error_ev)
                parts.append(torch.sigmoid(logits.double() / self.temperature))
        return torch.cat(parts).numpy()


@cache
def load_model(name_or_path: str = DEFAULT_MODEL) -> Model:
    """Read weights and their card.

    A shipped name, a ``.safetensors`` file with its ``.json`` beside it, or the folder of a
    training run (``weights.safetensors`` and ``card.json``).

    The card's ``config`` builds the network; ``present_threshold``, ``absent_threshold`` and
    ``temperature`` are the decisions, ``group_threshold`` is one that may be missing. ValueError
    when a file is missing, damaged, of a later version of the package, or does not fit.
    """
    import safetensors.torch

    weights, card_path = _model_files(name_or_path)
    try:
        card = json.loads(shipped.verified(card_path).read_text())
        if not isinstance(card, dict):
            raise TypeError("the card is not a JSON object")
        check_version(card.get(FORMAT_VERSION), CARD_VERSION, what=str(card_path))
        network = build(config_of(card["architecture"], **card["config"]))
        network.load_state_dict(safetensors.torch.load_file(shipped.verified(weights)))
        present, absent, temperature = (
            float(card[key]) for key in ("present_threshold", "absent_threshold", "temperature")
        )
        combination = Combination(**card.get("combination", {}))
        groups = card.get("group_threshold")
    except OSError as error:
        raise ValueError(f"model {name_or_path}: cannot read {error.filename}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"model {name_or_path}: the card is not JSON ({error})") from None
    except KeyError as error:
        raise ValueError(f"model {name_or_path}: the card lacks or does not know {error}") from None
    except (TypeError, RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"model {name_or_path}: weights and card do not fit: {reason}") from None
    stored = card.get("certificate", {}).get("weights")
    if stored not in (None, weights_fingerprint(network)):
        raise ValueError(
            f"model {name_or_path}: {weights.name} are not the weights of {card_path.name}, or are"
            " damaged; copy both files anew, or train again"
        )
    name = weights.parent.name if weights.name == "weights.safetensors" else weights.stem
    return Model(name, network.eval(), card, present, absent, temperature, combination, groups)


def model_of(model: str | Path | Model) -> Model:
    """A model as it is, or the one of that name or path."""
    return model if isinstance(model, Model) else load_model(str(model))


def shipped_models() -> tuple[str, ...]:
    """Names of the networks inside the package."""
    folder = Path(str(resources.files("coreloss") / "weights"))
    return tuple(sorted(path.stem for path in folder.glob("*.safetensors")))


def _model_files(name_or_path: str) -> tuple[Path, Path]:
    """Weights and card: of a shipped network, a pair of files, or the output of a training run."""
    path = Path(name_or_path)
    if name_or_path in shipped_models():
        path = Path(str(resources.files("coreloss") / "weights" / f"{name_or_path}.safetensors"))
    if path.is_dir() and (path / "weights.safetensors").is_file():
        return path / "weights.safetensors", path / "card.json"
    if path.suffix == ".safetensors" and path.is_file():
        return path, path.with_suffix(".json")
    known = ", ".join(shipped_models()) or "none"
    raise ValueError(
        f"model {name_or_path!r} is unknown; shipped: {known}; or give a .safetensors file with"
        " its .json card beside it, or the folder of a training run"
    )
