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
        getattr(torch, device.type).manual_seed(seed)


def permutation(rows: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """(rows,) the order of this epoch, drawn on the CPU: the same on every device."""
    generator = torch.Generator().manual_seed(mix(seed, epoch) ^ 0x5EED)
    return torch.randperm(rows, generator=generator).to(device)
