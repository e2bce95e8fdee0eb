"""Networks in shorter numbers than what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def run_in(dtype: torch.dtype | None, network: Callable[..., Any], x: Tensor, *inputs: Any) -> Any:
    """What the network makes of (B, ...) and further inputs, with products of matrices in `dtype`; None: as they are.

    Tensors come out as float32: codes, losses and likelihoods are computed in it.
    """
    if dtype is None:
        return network(x, *inputs)
    with torch.autocast(x.device.type, dtype):
        return _lengthen(network(x, *inputs))


def _lengthen(output: Any) -> Any:
    return tuple(map(_lengthen, output)) if isinstance(output, tuple) else output.float()
