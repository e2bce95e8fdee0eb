"""Networks in shorter numbers than what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def run_in(dtype: torch.dtype | None, network: Callable[..., Any], x: Tensor, *inputs: Any) -> Any:
    """What the network makes of (B, ...) and further inputs, with products of matrices in `dtype`; None: as they are.

    Numbers come out as float32: codes, losses and likelihoods are computed in it. Whole ones stay so: they are places.
    """
    if dtype is None:
        return network(x, *inputs)
    with torch.autocast(x.device.type, dtype):
        return _lengthen(network(x, *inputs))


def _lengthen(output: Any) -> Any:
    if isinstance(output, tuple):
        return tuple(map(_lengthen, output))
    return output.float() if output.is_floating_point() else output
