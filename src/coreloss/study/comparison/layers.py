"""Layers of a network, seen while a spectrum passes it: what each is, and which it reads from.

Neither the list of modules nor hooks on them would do: poolings, upsampling and attention are
functions in some networks, EdgeNet applies weights of modules that it never calls, and skips are
sums and concatenations in between. So the calls of torch are followed themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from coreloss.networks.edgenet import EdgeNet
from coreloss.networks.front_end import FrontEnd
from coreloss.networks.heads import Head, Output
from coreloss.networks.unet import Contrast

HEADS = {
    "conv": "1 × 1 conv",
    "flatten": "flatten",
    "average": "mean",
    "token": "class token",
    "sequence": "sequence\npooling",
}
WHOLE = (FrontEnd, Contrast, Head, Output, nn.LSTM)
"""Modules that are one layer, whatever they call."""
CHANNELS_LAST = ("dense", "lstm", "attention", "edges", "front")
"""Kinds whose outputs have places first, or none."""


@dataclass(frozen=True)
class NetworkLayer:
    """Output of a layer: `channels` at each of `length` places; 1 place for a single vector.

    kind : 'input', 'conv', 'pool', 'up', 'dense', 'attention' (with the dense layers before and
        after it), 'lstm', 'head', 'front', 'edges' (EdgeNet's ways to and from edges), 'join'
        (concatenation) or 'add' (sum) where a skip ends inside a block
    text : what it is: with the kernel of a convolution, the units of a dense layer
    block : name of the block that it belongs to, empty outside blocks
    sources : the layers, by number, whose outputs it reads
    """

    kind: str
    text: str
    channels: int
    length: int
    stride: int = 1
    block: str = ""
    sources: tuple[int, ...] = ()


def layers_of(
    network: nn.Module, spectrum: torch.Tensor, mask: torch.Tensor
) -> tuple[NetworkLayer, ...]:
    """The input and all layers in the order in which the first spectrum of (B, 3072) passes them.

    Norms, activations and dropout are left out. An EdgeNet is as long as the window of the
    spectrum, and has as many tokens as there are edges in it.
    """
    spectrum, mask = spectrum[:1], mask[:1]
    following = _Following(network.eval(), spectrum)
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(following.entering(name)))
        handles.append(module.register_forward_hook(following.leaving))
    try:
        with torch.inference_mode(), following:
            network(spectrum, mask)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(following.layers)


class _Following(TorchFunctionMode):
    """Every tensor knows the layers that it comes from; calls that are layers make new ones."""

    def __init__(self, network: nn.Module, spectrum: torch.Tensor) -> None:
        super().__init__()
        self.blocks = _names_of_blocks(network)
        # Known by where their weights lie in memory, which a part of a weight does not change.
        self.named = {
            module.weight.untyped_storage().data_ptr(): name.replace("_", " ")
            for name, module in network.named_children()
            if isinstance(module, (nn.Conv1d, nn.Linear))
        }
        self.functions: dict[str, Callable[..., bool]] = {
            "conv1d": self._conv,
            "conv2d": self._conv,
            "max_pool1d": self._pool,
            "interpolate": self._up,
            "linear": self._dense,
            "scaled_dot_product_attention": self._attention,
            "add": self._join,
            "cat": self._join,
        }
        if isinstance(network, EdgeNet):
            self.n_offsets = len(network.config.offsets_ev)
            self.functions |= {
                "index_select": self._look,
                "sum": self._evidence,
                "index_add": self._vote,
            }
        self.layers = [NetworkLayer("input", "spectrum", 1, spectrum.shape[-1])]
        # Tensors are kept, since the identity of one that is gone could be that of a later one.
        self.origins: dict[int, tuple[torch.Tensor, frozenset[int]]] = {}
        self.inside: list[str] = []
        self.whole: tuple[nn.Module, frozenset[int]] | None = None
        self._come_from(spectrum, frozenset([0]))

    def entering(self, name: str):
        def enter(module: nn.Module, inputs) -> None:
            self.inside.append(name)
            if self.whole is None and isinstance(module, WHOLE):
                self.whole = module, self._origin(inputs)

        return enter

    def leaving(self, module: nn.Module, _inputs, output) -> None:
        self.inside.pop()
        if self.whole is not None and self.whole[0] is module:
            sources, self.whole = self.whole[1], None
            kind, text = _whole(module)
            self._note(kind, text, next(_tensors(output)), sources)
            self._come_from(output, frozenset([len(self.layers) - 1]))

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        sources = self._origin((args, kwargs))
        if self.whole is None and sources:
            layer = self.functions.get(getattr(func, "__name__", ""))
            if layer is not None and layer(args, kwargs, result, sources):
                sources = frozenset([len(self.layers) - 1])
            self._come_from(result, sources)
        return result

    def _conv(self, args, kwargs, result, sources) -> bool:
        stride = kwargs.get("stride", args[3] if len(args) > 3 else 1)
        stride = stride[-1] if isinstance(stride, tuple) else stride
        text = self._with_name(args[1], f"conv {args[1].shape[-1]}")
        return self._note("conv", text, result, sources, stride=stride)

    def _pool(self, args, _kwargs, result, sources) -> bool:
        return self._note("pool", f"pool {args[0].shape[-1] // result.shape[-1]}", result, sources)

    def _up(self, args, _kwargs, result, sources) -> bool:
        return self._note("up", f"up {result.shape[-1] // args[0].shape[-1]}", result, sources)

    def _dense(self, args, _kwargs, result, sources) -> bool:
        last = self.layers[-1]
        if last.kind == "attention" and sources == {len(self.layers) - 1}:  # its heads together
            self.layers[-1] = replace(last, channels=result.shape[-1])
            return True
        text = self._with_name(args[1], f"dense {result.shape[-1]}")
        return self._note("dense", text, result, sources)

    def _attention(self, args, _kwargs, result, sources) -> bool:
        if self.layers[-1].kind == "dense" and sources == {len(self.layers) - 1}:
            sources = self.layers.pop().sources  # queries, keys and values
        heads = args[0].shape[1]
        text = f"attention\n{heads} head{'s' if heads > 1 else ''}"
        return self._note("attention", text, result.transpose(1, 2).flatten(2), sources)

    def _join(self, args, _kwargs, result, sources) -> bool:
        """Where a skip ends in a block. Outside blocks, the next layer has several sources."""
        concatenated = not isinstance(args[0], torch.Tensor)
        parts = {self._origin(part) for part in (args[0] if concatenated else args)}
        if not self._block() or len(parts - {frozenset()}) < 2:
            return False
        if concatenated:
            return self._note("join", "join", result, sources)
        last, sources = self.layers[-1], tuple(sorted(sources))
        self.layers.append(replace(last, kind="add", text="sum", stride=1, sources=sources))
        return True

    def _look(self, _args, _kwargs, result, sources) -> bool:
        tokens = result.view(len(result) // self.n_offsets, -1)
        text = f"{self.n_offsets} places\nat each edge"
        return self._note("edges", text, tokens, sources)

    def _evidence(self, _args, _kwargs, result, sources) -> bool:
        return self._note("edges", "evidence\nby edge", result[:, None], sources)

    def _vote(self, _args, _kwargs, result, sources) -> bool:
        return self._note("edges", "sum over\nedges", result, sources)

    def _note(self, kind: str, text: str, output: torch.Tensor, sources, *, stride=1) -> bool:
        channels_last = kind in CHANNELS_LAST or output.ndim < 3
        channels = output.shape[-1 if channels_last else 1]
        length = output.numel() // channels
        layer = NetworkLayer(
            kind, text, channels, length, stride, self._block(), tuple(sorted(sources))
        )
        self.layers.append(layer)
        return True

    def _with_name(self, weight: torch.Tensor, text: str) -> str:
        """Layers that the network itself holds have names that say what they are for."""
        name = self.named.get(weight.untyped_storage().data_ptr())
        return f"{name}\n{text}" if name else text

    def _block(self) -> str:
        return next((name for name in reversed(self.inside) if name in self.blocks), "")

    def _origin(self, value: Any) -> frozenset[int]:
        known = (self.origins.get(id(tensor)) for tensor in _tensors(value))
        return frozenset().union(*(entry[1] for entry in known if entry))

    def _come_from(self, value: Any, layers: frozenset[int]) -> None:
        for tensor in _tensors(value):
            self.origins[id(tensor)] = tensor, layers


def _names_of_blocks(network: nn.Module) -> set[str]:
    """Modules with parts of their own that are one of several in a row."""
    row = (nn.Sequential, nn.ModuleList)
    return {
        name
        for name, module in network.named_modules()
        if any(True for _ in module.children())
        and not isinstance(module, row)
        and isinstance(network.get_submodule(name.rpartition(".")[0]), row)
    }


def _whole(module: nn.Module) -> tuple[str, str]:
    """Kind and text of a module that is one layer."""
    if isinstance(module, Head):
        return "head", HEADS[module.kind]
    if isinstance(module, Output):
        return "dense", f"dense {module.out_features}"
    if isinstance(module, nn.LSTM):
        name = "BiLSTM" if module.bidirectional else "LSTM"
        return "lstm", f"{name} {module.hidden_size}"
    return "front", "front end"


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
