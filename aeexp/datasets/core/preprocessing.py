"""What becomes of stored values before a model sees them: declared, fitted on the training split, the same for all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from aeexp.errors import UsageError
from aeexp.randomness import uniform

Binarise = Literal["none", "fixed", "per_epoch"]


@final
class Preprocessing:
    """value = stored * scale + shift, then perhaps binarised; `scale` and `shift` are numbers or one per feature.

    `clip` keeps values in [0, 1]: rows beyond the range of the training split, and rounding at its ends.
    """

    def __init__(
        self,
        scale: float | Tensor = 1.0,
        shift: float | Tensor = 0.0,
        binarise: Binarise = "none",
        clip: bool = False,
    ):
        self.scale = scale
        self.shift = shift
        self.binarise: Binarise = binarise
        self.clip = clip

    def to(self, device: torch.device) -> Preprocessing:
        """The same with its tensors on `device`."""
        scale, shift = (part.to(device) if isinstance(part, Tensor) else part for part in (self.scale, self.shift))
        return Preprocessing(scale, shift, self.binarise, self.clip)

    def __call__(self, x: Tensor, ids: Tensor, epoch: int = 0, mask: Tensor | None = None) -> Tensor:
        """Stored rows (B, *shape) with row numbers (B,) as float32; steps beyond the mask stay 0.

        `epoch` matters to binarise=per_epoch alone.
        """
        own = x.dtype != torch.float32  # then this is a copy, and changed where it lies: a third of the time
        x = x.to(torch.float32)
        if isinstance(self.scale, Tensor) or self.scale != 1:
            x = x.mul_(self.scale) if own else x * self.scale
        if isinstance(self.shift, Tensor) or self.shift != 0:
            x = x.add_(self.shift) if own else x + self.shift
        if self.clip:
            x = x.clamp_(0, 1) if own else x.clamp(0, 1)
        if self.binarise != "none":
            draw = uniform(ids, math.prod(x.shape[1:]), epoch if self.binarise == "per_epoch" else 0)
            x = (draw.view_as(x) < x).to(torch.float32)
        return x if mask is None else x * mask.unsqueeze(-1)

    def restore(self, x: Tensor) -> Tensor:
        """Values (B, *shape) in the units in which they were stored; what was clipped or binarised stays so."""
        return (x - self.shift) / self.scale

    @property
    def step(self) -> float | None:
        """Distance of neighbouring values of data stored as integers; None where features differ in it."""
        if self.binarise != "none":
            return 1.0
        return None if isinstance(self.scale, Tensor) else abs(self.scale)

    def to_dict(self) -> dict[str, float | Tensor | bool | str]:
        """What the constructor takes, tensors on the CPU."""
        parts = {"scale": self.scale, "shift": self.shift}
        plain = {name: part.cpu() if isinstance(part, Tensor) else float(part) for name, part in parts.items()}
        return {**plain, "binarise": self.binarise, "clip": self.clip}

    def to_bytes(self) -> bytes:
        """All of it, for a fingerprint."""
        parts = (part.tolist() if isinstance(part, Tensor) else part for part in (self.scale, self.shift))
        return repr((*parts, self.binarise, self.clip)).encode()


def fit(
    batches: Iterable[tuple[Tensor, Tensor | None]],
    scale: float | Literal["unit"],
    standardise: bool,
    continuous: np.ndarray | None = None,
) -> tuple[float | Tensor, float | Tensor]:
    """Scale and shift from stored training rows and their masks, batch by batch.

    A feature is one of (D,), a channel of (C, H, W), or one of F over the steps (T, F). Constant features are
    only centred, as scikit-learn does.
    """
    if scale != "unit" and not standardise:
        return scale, 0.0
    factor = 1.0 if scale == "unit" else scale
    moments, dims = _Moments(), 0
    for x, mask in batches:
        moments.add(_by_feature(x, mask).double() * factor)
        dims = x.dim()
    varies = moments.high > moments.low
    if scale == "unit":
        width = torch.where(varies, moments.high - moments.low, 1.0)
        factor, shift = 1 / width, -moments.low / width
    else:
        spread = torch.where(varies, moments.deviation, 1.0)
        factor, shift = factor / spread, -moments.mean / spread
        if continuous is not None:
            chosen = torch.from_numpy(continuous)
            factor, shift = torch.where(chosen, factor, scale), torch.where(chosen, shift, 0.0)
    kind = (-1, 1, 1) if dims == 4 else (-1,)
    return factor.float().view(kind), shift.float().view(kind)


@final
class _Moments:
    """Range, mean and deviation (F,) of each feature in float64, of rows that come batch by batch."""

    def __init__(self) -> None:
        self.low = torch.tensor(math.inf, dtype=torch.float64)
        self.high = -self.low
        self.origin = self.total = self.squares = torch.zeros((), dtype=torch.float64)
        self.count = 0

    def add(self, rows: Tensor) -> None:
        """More rows (M, F)."""
        if len(rows) == 0:
            return
        if self.count == 0:
            self.origin = rows.mean(0)  # squares about a near point lose no digits
        self.low, self.high = rows.amin(0).minimum(self.low), rows.amax(0).maximum(self.high)
        self.count += len(rows)
        self.total = self.total + (rows - self.origin).sum(0)
        self.squares = self.squares + (rows - self.origin).square().sum(0)

    @property
    def mean(self) -> Tensor:
        """(F,)"""
        return self.origin + self.total / self.count

    @property
    def deviation(self) -> Tensor:
        """(F,) of all rows, not the unbiased one."""
        return (self.squares / self.count - (self.total / self.count).square()).clamp(min=0).sqrt()


def _by_feature(x: Tensor, mask: Tensor | None) -> Tensor:
    """(M, F): every value of a feature in its column."""
    if x.dim() == 4:
        return x.movedim(1, -1).flatten(0, 2)
    return x[mask] if mask is not None else x


def check(scale: float | Literal["unit"] | None, standardise: bool, binarise: Binarise) -> None:
    """Raises UsageError on a scale that is none, and on keys that exclude each other."""
    if isinstance(scale, int | float) and not 0 < scale < math.inf:
        raise UsageError(f"scale={scale} must be a number above 0, or unit")
    if scale == "unit" and standardise:
        raise UsageError(
            "scale=unit: a range of [0, 1] and a deviation of 1 exclude each other: dataset.standardise=false"
        )
    if binarise != "none" and standardise:
        raise UsageError(f"binarise={binarise} takes values as probabilities: set dataset.standardise=false")
