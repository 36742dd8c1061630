"""Network architectures, one per file. Each maps a normalised spectrum and its mask to logits.

All are called alike, ``network(spectrum, mask, axis_error_ev)`` with the stated standard deviation
of the energies, (B,). Those of the paper do not look at it; to an EdgeNet, None is the typical one.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from coreloss.runtime.provenance import digest_of

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES: dict[str, tuple[str, str, str]] = {
    "mlp": ("coreloss.networks.mlp", "MLP", "MLPConfig"),
    "cnn": ("coreloss.networks.cnn", "CNN", "CNNConfig"),
    "unet": ("coreloss.networks.unet", "UNet", "UNetConfig"),
    "resnet": ("coreloss.networks.resnet", "ResNet", "ResNetConfig"),
    "vit": ("coreloss.networks.vit", "ViT", "ViTConfig"),
    "cct": ("coreloss.networks.cct", "CCT", "CCTConfig"),
    "cnn_bilstm": ("coreloss.networks.cnn_bilstm", "CNNBiLSTM", "CNNBiLSTMConfig"),
    "edgenet": ("coreloss.networks.edgenet", "EdgeNet", "EdgeNetConfig"),
    "edgenet_medium": ("coreloss.networks.edgenet", "EdgeNet", "EdgeNetMediumConfig"),
}
"""Name -> module, network class, configuration class. Imported when asked for."""
CARD_VERSION = 1
"""Of the card of a trained network: what is needed to build it and to use its answers."""


def config_of(architecture: str, **sizes: Any) -> Any:
    """Configuration of an architecture; sizes that are not given keep their defaults.

    >>> config_of("unet", width=0.25)
    UNetConfig(width=0.25, head='conv', dropout=0.3, front='maximum')
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r} must be one of {', '.join(ARCHITECTURES)}")
    module, _, config_name = ARCHITECTURES[architecture]
    config_class = getattr(import_module(module), config_name)
    known = [field.name for field in fields(config_class)]
    if unknown := sorted(set(sizes) - set(known)):
        raise ValueError(f"{architecture} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return config_class(**sizes)


def architecture_of(config: Any) -> str:
    """Name of the architecture that a configuration belongs to.

    >>> architecture_of(config_of("vit"))
    'vit'
    """
    own = (type(config).__module__, type(config).__name__)
    for name, (module, _, config_name) in ARCHITECTURES.items():
        if own == (module, config_name):
            return name
    known = ", ".join(config_name for _, _, config_name in ARCHITECTURES.values())
    raise ValueError(f"configuration is a {own[1]}; it must be one of {known}")


def weights_fingerprint(network: nn.Module, *more: str) -> str:
    """Sixteen letters for all weights and statistics of a network, and what belongs to them."""
    weights = (
        part
        for name, value in sorted(network.state_dict().items())
        for part in (name, value.detach().cpu().contiguous().numpy().tobytes())
    )
    return digest_of(*weights, *more)


def build(config: Any) -> nn.Module:
    """Untrained network of the architecture that `config` belongs to."""
    module, network_name, _ = ARCHITECTURES[architecture_of(config)]
    return getattr(import_module(module), network_name)(config)
