"""The comparison of networks: which are trained, at what size, how, and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from coreloss.networks.architectures import config_of
from coreloss.networks.heads import CONVOLUTIONAL_HEADS, TRANSFORMER_HEADS
from coreloss.training.loop import TrainConfig

PUBLISHED = ("unet", "vit", "cct", "cnn", "resnet", "mlp", "cnn_bilstm")
"""Networks of others, most important first."""
FURTHER = (("unet", 1), ("vit", 1), ("unet", 2), ("edgenet", 1), ("edgenet_medium", 0))
"""Architectures and seeds that are trained when every network has been, with both recipes."""
HEADS = {"unet": CONVOLUTIONAL_HEADS, "vit": TRANSFORMER_HEADS}
"""What the paper compares between features and dense layers."""
RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates of the grid search."""
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
REDUCED_SUFFIX = ", reduced"
"""Of the names of such networks."""
SIZES = ("width", "layers", "heads")
"""What `REDUCED` may reduce; other parts of a configuration are choices."""
LEARNING_RATE = {"edgenet": 3e-3, "edgenet_medium": 2e-3}
"""Where it is not the 1e-3 of the paper."""
ENSEMBLES = {
    "paper's ensemble (3 U-Net, 2 ViT)": ("unet 0", "unet 1", "unet 2", "vit 0", "vit 1"),
    "one U-Net and one ViT": ("unet 0", "vit 0"),
    "all six of the paper": ("unet 0", "vit 0", "mlp 0", "cnn 0", "resnet 0", "cct 0"),
    "all six of the paper, reduced": tuple(
        f"{name} 0{REDUCED_SUFFIX}" for name in ("unet", "vit", "mlp", "cnn", "resnet", "cct")
    ),
    "EdgeNet, small and medium": ("edgenet 0", "edgenet_medium 0"),
    "EdgeNet, two seeds": ("edgenet 0", "edgenet 1"),
}
"""Members by the names of their rows; scored as soon as all of them are there."""


@dataclass(frozen=True)
class Run:
    """One training of the comparison, by name."""

    name: str
    config: TrainConfig


def runs(*, full: bool, cpu_minutes: float, materials: str, device: str = "cpu") -> tuple[Run, ...]:
    """The trainings of the comparison, most important first.

    All networks see our recipe with the learning rate of `LEARNING_RATE` first, and those of others
    then the "paper recipe": Adam, BCE and macro soft F1, halving on plateaus, in shorter epochs
    where sizes are reduced. EdgeNet computes in bfloat16 where the hardware can. "contrast" is the
    U-Net with the front end of EdgeNet. The `full` networks have the sizes and the number of
    spectra of the paper, for a GPU. The others are reduced until a processor core trains on tens of
    spectra per second, and stop after `cpu_minutes` each.
    """
    common: dict[str, Any] = {"materials": materials, "device": device}
    common |= {"report_every": 8192, "validation_spectra": 512}
    if full:
        common |= {"spectra": 35 * 32_000, "batch_size": 512, "report_every": 32_768}
        common |= {"block_size": 8192}
    else:
        common |= {"cpu_minutes": cpu_minutes, "batch_size": 64, "warmup": 100}
        common |= {"spectra": 10**9}  # time ends the training, however fast it is
    sizes = {} if full else REDUCED
    paper = {k: v for k, v in common.items() if k not in ("batch_size", "warmup")}

    def ours(name: str, seed: int, label: str | None = None, **choices: Any) -> Run:
        rate = LEARNING_RATE.get(name, 1e-3)
        model = config_of(name, **sizes.get(name, {}), **choices)
        config = TrainConfig(model=model, learning_rate=rate, seed=seed, **common)
        return Run(f"{label or name} {seed}", config)

    def theirs(name: str) -> Run:
        model = config_of(name, **sizes.get(name, {}))
        return Run(f"{name}, paper recipe 0", TrainConfig.paper(model=model, **paper))

    return (
        *(ours(name, 0) for name in (*PUBLISHED, "edgenet")),
        *(theirs(name) for name in PUBLISHED),
        ours("unet", 0, "unet, contrast", front="contrast"),
        *(ours(name, seed) for name, seed in FURTHER),
    )


def names() -> tuple[str, ...]:
    """Of all runs, most important first."""
    return tuple(run.name for run in runs(full=True, cpu_minutes=1, materials="embedded"))


def is_full_size(architecture: str, config: Mapping[str, Any]) -> bool:
    """Whether width, layers and heads are those of the publication.

    >>> is_full_size("vit", {"width": 1.0, "head": "token"}), is_full_size("vit", {"layers": 3})
    (True, False)
    """
    published = asdict(config_of(architecture))
    return all(config.get(k, published[k]) == published[k] for k in SIZES if k in published)
