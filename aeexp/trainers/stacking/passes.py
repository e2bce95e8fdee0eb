"""Records that hold tensors somewhere, taken apart and put together: what `torch.vmap` returns is tensors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from aeexp.types import Batch

Rebuild = Callable[[Sequence[Tensor]], Any]


def take_apart(value: Any) -> tuple[list[Tensor], Rebuild]:
    """The tensors of a value, through tuples, records, lists and dicts, and what puts others in their places."""
    tensors: list[Tensor] = []
    build = _walk(value, tensors)
    return tensors, build


def _walk(value: Any, tensors: list[Tensor]) -> Rebuild:
    if isinstance(value, Tensor):
        place = len(tensors)
        tensors.append(value)
        return lambda given: given[place]
    if isinstance(value, dict):
        parts = {key: _walk(each, tensors) for key, each in value.items()}
        return lambda given: {key: part(given) for key, part in parts.items()}
    if isinstance(value, tuple | list):
        several = [_walk(each, tensors) for each in value]
        if isinstance(value, tuple) and type(value) is not tuple:  # a NamedTuple takes its fields one by one
            kind = type(value)
            return lambda given: kind(*(part(given) for part in several))
        make = type(value)
        return lambda given: make(part(given) for part in several)
    return lambda given: value


def join(several: Sequence[Batch]) -> Batch:
    """The same fields of several batches, with these in front."""
    rest = (
        None if fields[0] is None else torch.stack(fields)
        for fields in zip(*(each[1:-1] for each in several), strict=True)
    )
    return Batch(torch.stack([each.x for each in several]), *rest, whole=None)
