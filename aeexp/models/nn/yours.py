"""Any two modules as encoder and decoder: asked for what they take, wrapped, and tried on a few rows."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from aeexp import contracts
from aeexp.errors import UsageError
from aeexp.ranges import Count
from aeexp.tensors import describe_shape

ROWS = 3  # of the batch that is tried


@final
class LinearEncoder(nn.Module):
    """One linear layer: what stands where nothing is said, and what a class of your own may look like."""

    def __init__(self, shape: Sequence[Count], params: Count):
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), params)

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) to (B, params)."""
        return self.layer(x.flatten(1))


@final
class LinearDecoder(nn.Module):
    """One linear layer back."""

    def __init__(self, dim: Count, output: Sequence[Count]):
        super().__init__()
        self.layer = nn.Linear(dim, math.prod(output))
        self.output = tuple(output)

    def forward(self, z: Tensor) -> Tensor:
        """(B, dim) to (B, *output)."""
        return self.layer(z).unflatten(1, self.output)


@final
class YourEncoder(contracts.Encoder):
    """A module of rows (B, *shape), which is given context and mask where its `forward` has parameters of that name."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.takes = _list_names(module.forward)

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """(B, params), as the module gives it."""
        return self.module(x, **_choose(self.takes, context=context, mask=mask))


@final
class YourDecoder(contracts.Decoder):
    """A module of codes (B, D), which is given context where its `forward` has a parameter of that name."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.takes = _list_names(module.forward)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, *output), as the module gives it."""
        return self.module(z, **_choose(self.takes, context=context, skips=skips or None))

    def reading_weight(self) -> Tensor:
        """Of its first linear layer."""
        weights = (layer.weight for layer in self.modules() if isinstance(layer, nn.Linear))
        if (weight := next(weights, None)) is None:
            raise UsageError("decoder: it has no torch.nn.Linear whose weights could be told to read the code")
        return weight


def yours(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    encoder: Callable[..., nn.Module],
    decoder: Callable[..., nn.Module],
) -> tuple[contracts.Encoder, contracts.Decoder]:
    """Your own encoder from rows (B, *shape) to (B, params) numbers, and decoder from codes (B, dim) to (B, *output).

    Any torch modules. A constructor that has parameters of these names is given the sizes: `shape` (of a row),
    `params` (what the latent takes), `dim` (of the code), `output` (what the decoder gives for a row), `context` (width
    of the side information; the encoder's own). `forward` takes x or z, and where they are named so `context` (B, C)
    and `mask` (B, T). Both are tried on a few rows before anything is trained. Raises UsageError where they give
    other shapes.
    """
    output = tuple(shape if output is None else output)
    told = context if told is None else told
    sizes: dict[str, Any] = {"shape": tuple(shape), "params": params, "dim": dim, "output": output}
    one = _build("encoder", encoder, {**sizes, "context": told})
    other = _build("decoder", decoder, {**sizes, "context": context})
    first = one if isinstance(one, contracts.Encoder) else YourEncoder(one)
    second = other if isinstance(other, contracts.Decoder) else YourDecoder(other)
    for name, wrapped, size in (("encoder", first, told), ("decoder", second, context)):
        if size and isinstance(wrapped, YourEncoder | YourDecoder) and "context" not in wrapped.takes:
            raise UsageError(
                f"{name}: its forward takes no side information, of which there are {size} numbers a row: give it a "
                "parameter context, or take condition=none"
            )
    with torch.random.fork_rng():
        _try_out(first, second, sizes, told, context)
    return first, second


def _build(name: str, make: Callable[..., nn.Module] | nn.Module, sizes: dict[str, Any]) -> nn.Module:
    if isinstance(make, nn.Module):  # a node without _partial_: it was told its sizes itself
        return make
    given = make.keywords if isinstance(make, functools.partial) else {}
    sizes = {key: size for key, size in sizes.items() if key in _list_names(make) and key not in given}
    needed = [each.name for each in inspect.signature(make).parameters.values() if each.default is each.empty
              and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]  # fmt: skip
    if missing := [key for key in needed if key not in sizes]:
        raise UsageError(f"{name}.{missing[0]}=...: {', '.join(missing)} must be given")
    module = make(**sizes)
    if not isinstance(module, nn.Module):
        raise UsageError(f"{name}: it is no torch.nn.Module but {type(module).__name__}")
    return module


def _try_out(
    encoder: contracts.Encoder, decoder: contracts.Decoder, sizes: dict[str, Any], told: int, context: int
) -> None:
    """A few rows through both; running averages, modes and generators are left as they were."""
    modes = [(module, module.training) for half in (encoder, decoder) for module in half.modules()]
    x, z = torch.rand(ROWS, *sizes["shape"]), torch.rand(ROWS, sizes["dim"])
    try:
        with torch.no_grad():
            h = encoder.eval()(x, torch.zeros(ROWS, told) if told else None)
            h, skips = h if isinstance(h, tuple) else (h, ())
            check_given("encoder", h, (ROWS, sizes["params"]))
            output = decoder.eval()(z, torch.zeros(ROWS, context) if context else None, skips)
            check_given("decoder", output, (ROWS, *sizes["output"]))
    except UsageError:
        raise
    except Exception:
        if x.device.type != "meta":  # a sketch without memory, of which not every module makes something
            raise
    for module, mode in modes:
        module.training = mode


def check_given(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raises UsageError unless it is a tensor of this shape of finite numbers; its first size is the number of rows."""
    if not isinstance(value, Tensor):
        raise UsageError(
            f"{name} gives no tensor but {type(value).__name__}, expected {describe_shape(shape, shape[0])}"
        )
    if value.shape != shape:
        have, want = (describe_shape(each, shape[0]) for each in (value.shape, shape))
        raise UsageError(f"{name} gives {have}, expected {want}")
    if value.device.type != "meta" and not bool(value.isfinite().all()):
        raise UsageError(f"{name} gives numbers that are not finite, before anything is trained")


def _list_names(function: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [each.name for each in inspect.signature(function).parameters.values() if each.kind in kinds]


def _choose(names: Sequence[str], **values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names and value is not None}
