"""Layers and norms in the words of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from aeexp.explorer.graph import Graph, Symbol, Untranslatable, Value
from aeexp.explorer.operations import name_of, rule, shape_of


@rule("addmm")
def affine(graph: Graph, node: fx.Node, bias: Value, x: Value, weight: Value, **scales: float) -> Symbol:
    """x W + b."""
    if any(scale != 1 for scale in scales.values()):
        raise Untranslatable("aten.addmm with factors is none of the operations that the page computes")
    product = multiply(graph, node, x, weight)
    return graph.emit("add", [product, bias], product.shape)


@rule("mm")
def multiply(graph: Graph, node: fx.Node, x: Value, weight: Value) -> Symbol:
    """(M, K) times (K, N). A weight is stored as it lies in memory, and once: `rows` are those of nn.Linear."""
    if isinstance(weight, Tensor):
        turned = weight.t()
        if turned.is_contiguous():
            return graph.emit("linear", [x, turned], shape_of(node), rows=True)
        return graph.emit("linear", [x, weight.contiguous()], shape_of(node), rows=False)
    return graph.emit("linear", [x, weight], shape_of(node), rows=False)


@rule("bmm")
def multiply_each(graph: Graph, node: fx.Node, a: Value, b: Value) -> Symbol:
    """(B, M, K) times (B, K, N)."""
    if len(a.shape) == 3 and a.shape[0] == 1:
        one = graph.emit("reshape", [a], a.shape[1:])
        other = b[0] if isinstance(b, Tensor) else graph.emit("reshape", [b], b.shape[1:])
        shape = (a.shape[1], b.shape[2])
        turned = isinstance(other, Tensor) and other.t().is_contiguous()
        second = other.t() if isinstance(other, Tensor) and turned else other
        product = graph.emit("linear", [one, second], shape, rows=turned)
        return graph.emit("reshape", [product], shape_of(node))
    return graph.emit("bmm", [a, b], shape_of(node))


@rule("convolution")
def convolve(
    graph: Graph, node: fx.Node, x: Symbol, weight: Value, bias: Value | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Symbol:  # fmt: skip
    """Over sides of pictures, or along one of sequences, which is a picture of height 1."""
    shape, sides = shape_of(node), len(x.shape) - 2
    if sides > 2:
        raise Untranslatable("a convolution over three sides is none of the operations that the page computes")
    options: dict[str, Any] = {"transposed": transposed, "groups": groups}
    for name, values, neutral in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        options[name] = [neutral] * (2 - sides) + list(values) * (1 if len(values) == sides else sides)
    wide = [shape[0], shape[1], *[1] * (2 - sides), *shape[2:]]
    x = graph.emit("reshape", [x], [x.shape[0], x.shape[1], *[1] * (2 - sides), *x.shape[2:]])
    if isinstance(weight, Tensor):
        weight = weight.reshape(*weight.shape[:2], *[1] * (2 - sides), *weight.shape[2:])
    else:
        raise Untranslatable("a convolution whose weights are computed is none of the operations of the page")
    y = graph.emit("conv", [x, weight], wide, **options)
    if bias is not None:
        each = bias.reshape(1, -1, 1, 1) if isinstance(bias, Tensor) else bias
        y = graph.emit("add", [y, each], wide)
    return graph.emit("reshape", [y], shape)


@rule("native_group_norm")
def norm_groups(
    graph: Graph, node: fx.Node, x: Symbol, weight: Tensor | None, bias: Tensor | None, rows: int, channels: int,
    places: int, groups: int, eps: float,
) -> list[Symbol]:  # fmt: skip
    """Groups of channels at mean 0 and variance 1."""
    normed = graph.emit("norm", [x], x.shape, size=channels // groups * places, eps=eps)
    return [_scale(graph, normed, weight, bias, (1, channels, *[1] * (len(x.shape) - 2)))]


@rule("native_layer_norm")
def norm_rows(
    graph: Graph, node: fx.Node, x: Symbol, sides: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> list[Symbol]:  # fmt: skip
    """The last sides at mean 0 and variance 1."""
    size = int(torch.Size(sides).numel())
    normed = graph.emit("norm", [x], x.shape, size=size, eps=eps)
    return [_scale(graph, normed, weight, bias, tuple(sides))]


@rule("_native_batch_norm_legit_no_training")
def norm_batch(
    graph: Graph, node: fx.Node, x: Symbol, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor,
    momentum: float, eps: float,
) -> list[Symbol]:  # fmt: skip
    """By the averages of training: a factor and a shift for each channel."""
    factor = (var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * factor
    return [_scale(graph, x, factor, shift, (1, len(mean), *[1] * (len(x.shape) - 2)))]


def _scale(graph: Graph, x: Symbol, weight: Tensor | None, bias: Tensor | None, shape: Sequence[int]) -> Symbol:
    for name, part in (("mul", weight), ("add", bias)):
        if part is not None:
            x = graph.emit(name, [x, part.reshape(shape)], x.shape)
    return x


@rule("max_pool2d_with_indices", "avg_pool2d")
def pool(graph: Graph, node: fx.Node, x: Symbol, kernel: Sequence[int], stride: Sequence[int] = (),
         padding: Sequence[int] = (0, 0), *rest: Any) -> Any:  # fmt: skip
    """The largest or the mean of each window."""
    largest = "max" in name_of(node)
    odd = rest not in ((), ([1, 1],), ([1, 1], False)) if largest else any(rest) or any(padding)
    odd = odd or (largest and any(user.args[1] == 1 and user.users for user in node.users))  # its places are read
    if odd:
        raise Untranslatable(f"{node.target} with such options is none of the operations that the page computes")
    pair = {name: list(each) * (2 // len(each)) for name, each in (("kernel", kernel), ("padding", padding))}
    steps = list(stride or kernel)
    found = graph.emit("pool", [x], shape_of(node), largest=largest, stride=steps * (2 // len(steps)), **pair)
    return [found] if largest else found


@rule("_adaptive_avg_pool2d")
def pool_to(graph: Graph, node: fx.Node, x: Symbol, size: Sequence[int]) -> Symbol:
    """Means of as many windows as are wanted, where these are of one size."""
    if any(have % want for have, want in zip(x.shape[-2:], size, strict=True)):
        raise Untranslatable("aten._adaptive_avg_pool2d with windows of several sizes is no operation of the page")
    kernel = [have // want for have, want in zip(x.shape[-2:], size, strict=True)]
    return graph.emit("pool", [x], shape_of(node), largest=False, kernel=kernel, stride=kernel, padding=[0, 0])


@rule("upsample_bilinear2d")
def resize(graph: Graph, node: fx.Node, x: Symbol, *args: Any, **kwargs: Any) -> Symbol:
    """A product with one matrix for each side, which torch itself says of single pixels."""
    rows, channels, height, width = x.shape
    tall, wide = shape_of(node)[2:]
    across = torch.nn.functional.interpolate(torch.eye(width)[:, None, None], (1, wide), mode="bilinear",
                                             align_corners=bool(args[1]))[:, 0, 0].T  # fmt: skip
    down = torch.nn.functional.interpolate(torch.eye(height)[:, None, :, None], (tall, 1), mode="bilinear",
                                           align_corners=bool(args[1]))[:, 0, :, 0].T  # fmt: skip
    lines = graph.emit("reshape", [x], (rows * channels * height, width))
    lines = graph.emit("linear", [lines, across.contiguous()], (rows * channels * height, wide), rows=True)
    lines = graph.emit("reshape", [lines], (rows * channels, height, wide))
    lines = graph.emit("permute", [lines], (rows * channels, wide, height), axes=[0, 2, 1])
    lines = graph.emit("reshape", [lines], (rows * channels * wide, height))
    lines = graph.emit("linear", [lines, down.contiguous()], (rows * channels * wide, tall), rows=True)
    lines = graph.emit("reshape", [lines], (rows * channels, wide, tall))
    lines = graph.emit("permute", [lines], (rows * channels, tall, wide), axes=[0, 2, 1])
    return graph.emit("reshape", [lines], shape_of(node))


@rule("_linalg_solve_ex")
def solve(graph: Graph, node: fx.Node, matrix: Value, right: Value, *_: Any, **__: Any) -> list[Symbol]:
    """x of A x = b, of square matrices (B, D, D) and columns (B, D, K)."""
    if len(matrix.shape) != 3 or len(right.shape) != 3:
        raise Untranslatable(
            "aten.linalg_solve of other shapes than (B, D, D) and (B, D, K) is no operation of the page"
        )
    return [graph.emit("solve", [matrix, right], shape_of(node))]


@rule("gru")
def recur(
    graph: Graph, node: fx.Node, x: Value, state: Value, weights: Sequence[Value], biases: bool, layers: int,
    dropout: float, training: bool, bidirectional: bool, batch_first: bool,
) -> list[Symbol]:  # fmt: skip
    """All states (1, T, H) of the last layer, and the last of each layer (L, 1, H)."""
    if bidirectional or not batch_first or not biases or any(isinstance(weight, Symbol) for weight in weights):
        raise Untranslatable("aten.gru is computed with batch_first, biases and one direction only")
    states, lasts = graph.hold(x), []
    hidden, steps = shape_of(node)[-1], x.shape[1]
    for layer in range(layers):
        first = graph.emit("slice", [state], (1, *state.shape[1:]), axis=0, start=layer, step=1)
        states = graph.emit("gru", [states, first, *weights[4 * layer : 4 * layer + 4]], (1, steps, hidden))
        lasts.append(graph.emit("slice", [states], (1, 1, hidden), axis=1, start=steps - 1, step=1))
    return [states, graph.emit("cat", lasts, (layers, 1, hidden), axis=0)]
