"""Draws from the distributions of the settings; every function takes its generator."""

from __future__ import annotations

import math
from dataclasses import fields

import torch


def generator_for(seed: int, block: int, *, device: str = "cpu") -> torch.Generator:
    """Generator of one block of spectra: a function of seed and block number only.

    The pair is hashed (SplitMix64 finaliser) so that neighbouring blocks are unrelated.
    """
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + block * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    generator = torch.Generator(device=device)
    generator.manual_seed((z ^ (z >> 31)) >> 1)
    return generator


def uniform(shape, limits, *, generator: torch.Generator) -> torch.Tensor:
    """Uniform between two limits (floats, or tensors that broadcast to `shape`)."""
    low, high = limits
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def log_uniform(shape, limits, *, generator: torch.Generator) -> torch.Tensor:
    """Log-uniform between two positive limits."""
    low, high = (math.log(limit) for limit in limits)
    return uniform(shape, (low, high), generator=generator).exp()


def normal(shape, sigma: float, *, generator: torch.Generator) -> torch.Tensor:
    """Normal deviates of mean 0, cut off at three standard deviations."""
    deviates = torch.randn(shape, generator=generator, device=generator.device)
    return sigma * deviates.clamp(-3, 3)


def chance(shape, probability: float, *, generator: torch.Generator) -> torch.Tensor:
    """True with the given probability."""
    return torch.rand(shape, generator=generator, device=generator.device) < probability


def pick(valid: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Index of one true entry in each row of `valid` (batch, n), all equally likely; 0 if none."""
    keys = torch.rand(valid.shape, generator=generator, device=generator.device)
    return (keys * valid).argmax(-1)


def weighted(n: int, weights, *, generator: torch.Generator) -> torch.Tensor:
    """Indices (n,) long, index i with a probability proportional to ``weights[i]``."""
    weight = torch.tensor(weights, device=generator.device)
    return torch.multinomial(weight, n, replacement=True, generator=generator)


def rows_of(record, rows):
    """The same frozen dataclass of tensors with some of their rows only."""
    return type(record)(*(getattr(record, field.name)[rows] for field in fields(record)))
