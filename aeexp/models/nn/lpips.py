"""LPIPS (Zhang et al. 2018): how far two pictures are for a network of photographs, by weights that a user brings."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.errors import UsageError

Net = Literal["vgg", "alex"]
LEAST = 1e-10  # of the length of a place's channels
LARGEST = 1 << 30  # bytes of a file
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of red, green and blue from -1 to 1


@final
class Conv(NamedTuple):
    """A convolution and its number among the layers of torchvision's `features`, which files name it by."""

    place: int
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


# Slices of the networks: what is seen stands at the end of each, behind its ReLU. Pooling stands before a slice.
SLICES: dict[Net, tuple[tuple[Conv, ...], ...]] = {
    "vgg": (
        (Conv(0, 3, 64), Conv(2, 64, 64)),
        (Conv(5, 64, 128), Conv(7, 128, 128)),
        (Conv(10, 128, 256), Conv(12, 256, 256), Conv(14, 256, 256)),
        (Conv(17, 256, 512), Conv(19, 512, 512), Conv(21, 512, 512)),
        (Conv(24, 512, 512), Conv(26, 512, 512), Conv(28, 512, 512)),
    ),
    "alex": (
        (Conv(0, 3, 64, 11, 4, 2),),
        (Conv(3, 64, 192, 5, 1, 2),),
        (Conv(6, 192, 384),),
        (Conv(8, 384, 256),),
        (Conv(10, 256, 256),),
    ),
}
POOLED: dict[Net, tuple[int, tuple[int, ...]]] = {"vgg": (2, (1, 2, 3, 4)), "alex": (3, (1, 2))}  # size, before which
SMALLEST: dict[Net, int] = {"vgg": 16, "alex": 31}  # pixels of a side, of which the last slice has one left


@final
class Lpips(nn.Module):
    """(B, C, H, W) and (B, C, H, W) from 0 to 1 to (B,): squared differences of unit channels, weighed by channel and
    averaged over places, summed over the five slices of VGG-16 or AlexNet. Grey pictures are taken three times."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net):
        super().__init__()
        self.net: Net = net
        self.slices = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(*each[1:]) for each in convolutions) for convolutions in SLICES[net]
        )
        self.weights = nn.ParameterList(torch.zeros(convolutions[-1].outputs) for convolutions in SLICES[net])
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1))

    def look(self, x: Tensor) -> list[Tensor]:
        """The maps (B, M, h, w) at the end of each slice."""
        h, seen = (2 * x - 1 - self.shift) / self.scale, []  # one channel becomes three here
        size, before = POOLED[self.net]
        for number, convolutions in enumerate(self.slices):
            h = F.max_pool2d(h, size, 2) if number in before else h
            for convolution in convolutions.children():
                h = F.relu(convolution(h))
            seen.append(h)
        return seen

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B,) how far apart they are."""
        parts = []
        for one, other, weight in zip(self.look(a), self.look(b), self.weights, strict=True):
            apart = (_unit(one) - _unit(other)).square()
            parts.append((weight.view(-1, 1, 1) * apart).sum(1).mean((1, 2)))
        return torch.stack(parts).sum(0)

    @torch.no_grad()
    def load(self, path: str) -> None:
        """Take the weights of a file as `torch.save(lpips.LPIPS(net=...).state_dict(), path)` writes it. Raises
        UsageError where it is another one."""
        saved = read_weights(path)
        names = [
            (f"net.slice{number}.{each.place}", layer)
            for number, (convolutions, slices) in enumerate(zip(SLICES[self.net], self.slices, strict=True), 1)
            for each, layer in zip(convolutions, slices.children(), strict=True)
        ]
        wanted = {f"{name}.{kind}": getattr(layer, kind) for name, layer in names for kind in ("weight", "bias")}
        wanted |= {f"lin{number}.model.1.weight": each for number, each in enumerate(self.weights)}
        for name, own in wanted.items():
            given = saved.get(name)
            if not isinstance(given, Tensor) or given.numel() != own.numel() or not given.isfinite().all():
                found = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else "nothing"
                raise UsageError(
                    f"weights={path}: {found} under {name}, where net={self.net} has {tuple(own.shape)}: save "
                    f'lpips.LPIPS(net="{self.net}").state_dict()'
                )
            own.copy_(given.reshape(own.shape))


def read_weights(path: str) -> Mapping[str, Any]:
    """The table of a file that torch wrote; nothing in it is unpickled but tensors. Raises UsageError for any other."""
    place = Path(path).expanduser()
    if not place.is_file():
        raise UsageError(f"weights={path}: no such file (looked for {place.resolve()})")
    if place.stat().st_size > LARGEST:
        raise UsageError(f"weights={path} has more than 1 GB, and no file of LPIPS weights has")
    try:
        saved = torch.load(place, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise UsageError(f"weights={path} holds no weights alone: {str(error).splitlines()[0]}") from error
    if not isinstance(saved, Mapping):
        raise UsageError(f"weights={path} holds no table of weights: save a state_dict()")
    return saved


def _unit(maps: Tensor) -> Tensor:
    """(B, M, h, w) with the channels of each place scaled to length 1."""
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + LEAST)
