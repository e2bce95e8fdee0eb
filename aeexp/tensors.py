"""Operations on tensors that several rooms share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def sum_features(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B,) sum over the features of each row; steps of a sequence (B, T, F) that `mask` (B, T) leaves out count 0."""
    return (values if mask is None else values * mask.unsqueeze(-1)).flatten(1).sum(1)


def clamp_through(values: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Clamped on the way forward, with a gradient of 1 everywhere: beyond the ends float32 holds no number."""
    return values + (values.clamp(low, high) - values).detach()


def describe_shape(shape: Sequence[int], rows: int, dim: int | None = None) -> str:
    """`(B, 1, 28, 28)`: sizes in letters where they are the number of rows, B, or the width of the code, D."""
    letters = {dim: "D", rows: "B"} if dim is not None else {rows: "B"}
    sizes = [letters.get(size, str(size)) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
