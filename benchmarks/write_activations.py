"""Activations of a network as rows: python -m benchmarks.write_activations RUN DATA OUT [ROWS]

RUN is a run of `aeexp variant=conv dataset=mnist`, DATA holds MNIST/raw. OUT gets activations.npy and
activations_test.npy: what the encoder's last convolution says at each place of the map, 64 numbers behind its relu, of
training digits (1,000,000 rows, or ROWS) and of test digits (a hundredth of that).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch

import aeexp
from aeexp.models.nn.conv import Encoder


def main(run: str, data: str, out: str, rows: int = 1_000_000) -> None:
    """Write both files below `out`."""
    encoder = aeexp.open(run).model.encoder
    assert isinstance(encoder, Encoder)
    Path(out).mkdir(parents=True, exist_ok=True)
    for prefix, name, count in (("train", "activations", rows), ("t10k", "activations_test", rows // 100)):
        path = Path(data) / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte"
        pictures = np.fromfile(path, np.uint8, offset=16).reshape(-1, 1, 28, 28)
        activations = read_places(encoder, pictures, count)
        np.save(Path(out) / f"{name}.npy", activations)
        print(f"{name}.npy: {activations.shape}, {100 * (activations == 0).mean():.0f} % zeros")


@torch.no_grad()
def read_places(encoder: Encoder, pictures: np.ndarray, count: int) -> np.ndarray:
    """(count, C) what the last convolution says at each place of the first pictures (N, 1, H, W) bytes."""
    found: list[np.ndarray] = []
    places = math.prod(encoder_map(encoder, pictures[:1]).shape[2:])
    for start in range(0, math.ceil(count / places), 256):
        maps = encoder_map(encoder, pictures[start : start + 256])
        found.append(maps.permute(0, 2, 3, 1).flatten(0, 2).numpy())
    return np.concatenate(found)[:count]


def encoder_map(encoder: Encoder, pictures: np.ndarray) -> torch.Tensor:
    """(B, C, h, w) behind the last convolution of bytes (B, 1, H, W)."""
    x = torch.from_numpy(pictures).float() / 255
    for convolution, stage in zip(encoder.convolutions, encoder.stages, strict=True):
        x = encoder.activation(stage(convolution(x)))
    return x


if __name__ == "__main__":
    run, data, out, *given = sys.argv[1:]
    main(run, data, out, *map(int, given))
