"""Operations on tensors that several rooms share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function


def sum_features(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B,) sum over the features of each row; steps of a sequence (B, T, F) that `mask` (B, T) leaves out count 0."""
    return (values if mask is None else values * mask.unsqueeze(-1)).flatten(1).sum(1)


def whole_mean(mean: Tensor) -> Tensor:
    """A mean over the rows of a batch, for a term that is a function of it, as `whole_mean(values.mean(0))`: itself,
    but where processes share the batch, by the mode that is on there. Then it is the mean over all their rows, with the
    gradient of this process's own."""
    if has_torch_function((mean,)):
        return handle_torch_function(whole_mean, (mean,), mean)
    return mean


def whole_rows(rows: Tensor) -> Tensor:
    """What a batch has for each of its rows (B, ...), for a term that holds rows against each other: itself, but where
    processes share the batch. Then it is that of all their rows, in order, with the gradient of this process's own."""
    if has_torch_function((rows,)):
        return handle_torch_function(whole_rows, (rows,), rows)
    return rows


def own_rows(values: Tensor) -> Tensor:
    """Of values (B,) or (B, ...) that were made of `whole_rows` those of this process's rows: all of them, but where
    processes share the batch. The gradient of their mean is then that of the mean over the batch."""
    if has_torch_function((values,)):
        return handle_torch_function(own_rows, (values,), values)
    return values


def randn_for_all(like: Tensor, *sizes: int) -> Tensor:
    """Of these sizes, with the type and device of `like`: not one for each row, whatever the sizes, so that processes
    which share a batch draw the same."""
    if has_torch_function((like,)):
        return handle_torch_function(randn_for_all, (like,), like, *sizes)
    return torch.randn(*sizes, dtype=like.dtype, device=like.device)


def read_count(k: Tensor) -> int | None:
    """The number that a buffer () holds; None where there is none to read: in a stack whose runs have numbers of their
    own, and where a network is traced."""
    if torch.compiler.is_compiling():
        return None
    try:
        return int(k)
    except RuntimeError:  # so vmap says that there are several
        return None


def keep_largest(h: Tensor, k: Tensor) -> Tensor:
    """h (..., D) with the k () largest of each row, and 0 elsewhere: exactly k of them, also under ties.

    Where k can be read they are selected: of 4,096 units in a thirtieth of the time that sorting takes (CPU).
    """
    if (count := read_count(k)) is not None:
        values, places = h.topk(min(count, h.shape[-1]), dim=-1, sorted=False)
        return torch.zeros_like(h).scatter(-1, places, values)
    order = h.argsort(dim=-1, descending=True, stable=True)  # by keyword: vmap takes no other way
    rank = order.argsort(dim=-1)
    return torch.where(rank < k, h, torch.zeros_like(h))


def clamp_through(values: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Clamped on the way forward, with a gradient of 1 everywhere: beyond the ends float32 holds no number."""
    return values + (values.clamp(low, high) - values).detach()


def describe_shape(shape: Sequence[int], rows: int, dim: int | None = None) -> str:
    """`(B, 1, 28, 28)`: B where the first size is the number of rows, D where one of a code's is its width."""
    names = ["D" if size == dim and len(shape) < 3 else str(size) for size in shape]
    names[:1] = ["B" if size == rows else name for size, name in zip(shape[:1], names[:1], strict=True)]
    return f"({', '.join(names)},)" if len(names) == 1 else f"({', '.join(names)})"


def log_gamma_ratio(a: Tensor, b: float | Tensor) -> Tensor:
    """log Gamma(a + b) - log Gamma(a). At a large a both are large: there by Stirling's series, whose parts are not."""
    top = a + b
    series = (a - 0.5) * torch.log1p(b / a) + b * top.log() - b + _stirling(top) - _stirling(a)
    return torch.where(a > 20, series, torch.lgamma(top) - torch.lgamma(a))


def digamma_gap(a: Tensor, b: float | Tensor) -> Tensor:
    """digamma(a + b) - digamma(a), likewise."""
    top = a + b
    series = torch.log1p(b / a) + 0.5 * b / (a * top) + _digamma_tail(a) - _digamma_tail(top)
    return torch.where(a > 20, series, torch.digamma(top) - torch.digamma(a))


def _stirling(x: Tensor) -> Tensor:
    return (1 - 1 / (30 * x.square())) / (12 * x)  # the next term is below 1e-9 for x > 20


def _digamma_tail(x: Tensor) -> Tensor:
    return (1 - 1 / (10 * x.square())) / (12 * x.square())  # the next term is below 1e-10 for x > 20


def count_share(share: float, number: int) -> int:
    """How many of so many a share is, in whole ones, 1 at least: what rounding takes from a product counts as there."""
    return max(1, math.floor(share * number + 1e-9))
