"""What is random in a run, as a function of its seed and of where it stands: no generator is kept."""

from __future__ import annotations

import torch
from torch import Tensor


def mix(seed: int, counter: int) -> int:
    """A seed for the generator at this place of the run; neighbours in either argument share no stream."""
    return (seed * 1_000_003 + counter * 7_919 + 1) % 2**63


def reseed(seed: int, device: torch.device) -> None:
    """`torch.manual_seed` for the two generators in use: at 170 us a call the whole of it costs a tenth of a step."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def permutation(rows: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """(rows,) the order of this epoch, drawn on the CPU: the same on every device."""
    generator = torch.Generator().manual_seed(mix(seed, epoch) ^ 0x5EED)
    return torch.randperm(rows, generator=generator).to(device)


def uniform(ids: Tensor, features: int, key: int) -> Tensor:
    """(B, features) numbers in [0, 1) that depend on row number, feature and key alone.

    A counter-based generator (the finaliser of MurmurHash3, twice): a row has the same draws in every batch, on
    every device, wherever it is stored. 24 bits, as many as float32 holds.
    """
    counter = ids[:, None] * features + torch.arange(features, device=ids.device)
    mixed = _scramble(_scramble(counter) + key * 0x9E3779B97F4A7C15 % 2**63)
    return (mixed >> 40 & 0xFFFFFF).to(torch.float32) / 2**24


def _scramble(h: Tensor) -> Tensor:
    """Every bit of (N,) int64 turns on every other; products wrap around."""
    for factor in (-0xAE502812AA7333, -0x3B314601E57A13AD):
        h = (h ^ (h >> 33 & 0x7FFFFFFF)) * factor
    return h ^ (h >> 33 & 0x7FFFFFFF)
