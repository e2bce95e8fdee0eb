"""What torch's core operations are in the words of the page (`html/evaluator.js`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from aeexp.explorer.graph import Graph, Symbol, Untranslatable, Value

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
UNARY = (
    "relu sigmoid tanh neg exp log log1p expm1 sqrt rsqrt reciprocal abs sin cos erf floor ceil round trunc sign square"
).split()
BINARY = "mul maximum minimum eq ne lt le gt ge atan2".split()
SAME = "view reshape _unsafe_view alias clone squeeze unsqueeze detach lift_fresh_copy contiguous".split()
# Each number of the output is one of the input's, or one that is given: which, torch says itself.
MOVES = (
    "index index_select gather constant_pad_nd replication_pad1d replication_pad2d reflection_pad1d reflection_pad2d "
    "flip roll pixel_shuffle pixel_unshuffle upsample_nearest1d upsample_nearest2d repeat unfold diagonal as_strided"
).split()


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Marks what translates operations of these names: (graph, node, *args, **kwargs) to a symbol, or several."""

    def mark(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return mark


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Of a node's value, or of the first of several."""
    value = node.meta["val"]
    return tuple(int(side) for side in (value[0] if isinstance(value, tuple | list) else value).shape)


def name_of(node: fx.Node | object) -> str:
    """`gelu` of `aten.gelu.default`, of a node or of what it calls."""
    parts = str(node.target if isinstance(node, fx.Node) else node).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def as_value(value: Value | float | bool) -> Value:
    """A number as an array of it."""
    return value if isinstance(value, Symbol | Tensor) else torch.tensor(float(value))


def positive(axis: int, dims: int) -> int:
    """An axis counted from the front."""
    return axis + dims if axis < 0 else axis


@rule(*UNARY)
def unary(graph: Graph, node: fx.Node, x: Symbol, *_: Any) -> Symbol:
    """Number by number."""
    return graph.emit(name_of(node), [x], x.shape)


@rule("logical_not", "bitwise_not")
def negate(graph: Graph, node: fx.Node, x: Symbol) -> Symbol:
    """1 where 0 was, else 0."""
    return graph.emit("eq", [x, torch.tensor(0.0)], x.shape)


@rule(*BINARY)
def binary(graph: Graph, node: fx.Node, a: Value, b: Value | float) -> Symbol:
    """Two arrays, each repeated along sides of 1."""
    return graph.emit(name_of(node), [as_value(a), as_value(b)], shape_of(node))


@rule("add", "sub")
def add(graph: Graph, node: fx.Node, a: Value | float, b: Value | float, alpha: float = 1) -> Symbol:
    """a + alpha b, or a - alpha b."""
    other = as_value(b)
    if alpha != 1:
        shape = other.shape
        other = graph.emit("mul", [other, torch.tensor(float(alpha))], shape)
    return graph.emit(name_of(node), [as_value(a), other], shape_of(node))


@rule("div")
def divide(graph: Graph, node: fx.Node, a: Value, b: Value | float, rounding_mode: str | None = None) -> Symbol:
    """a / b, rounded where that is asked for."""
    found = graph.emit("div", [as_value(a), as_value(b)], shape_of(node))
    return found if rounding_mode is None else graph.emit(rounding_mode, [found], found.shape)


@rule("logical_and", "bitwise_and")
def both(graph: Graph, node: fx.Node, a: Value, b: Value) -> Symbol:
    """Of 0 and 1."""
    return graph.emit("minimum", [as_value(a), as_value(b)], shape_of(node))


@rule("logical_or", "bitwise_or")
def either(graph: Graph, node: fx.Node, a: Value, b: Value) -> Symbol:
    """Of 0 and 1."""
    return graph.emit("maximum", [as_value(a), as_value(b)], shape_of(node))


@rule("pow")
def power(graph: Graph, node: fx.Node, a: Value | float, b: Value | float) -> Symbol:
    """a to the b; a square is a product, whose digits do not hang on a logarithm."""
    if b == 2 and isinstance(a, Symbol):
        return graph.emit("mul", [a, a], a.shape)
    return graph.emit("pow", [as_value(a), as_value(b)], shape_of(node))


@rule("gelu")
def gelu(graph: Graph, node: fx.Node, x: Symbol, approximate: str = "none") -> Symbol:
    """By the error function, or by tanh."""
    return graph.emit("gelu" if approximate == "none" else "gelu_tanh", [x], x.shape)


@rule("elu")
def elu(graph: Graph, node: fx.Node, x: Symbol, alpha: float = 1, scale: float = 1, slope: float = 1) -> Symbol:
    """scale x above 0, scale alpha (exp(slope x) - 1) below."""
    return graph.emit("elu", [x], x.shape, alpha=float(alpha), scale=float(scale), slope=float(slope))


@rule("leaky_relu")
def leaky_relu(graph: Graph, node: fx.Node, x: Symbol, slope: float = 0.01) -> Symbol:
    """slope x below 0."""
    return graph.emit("leaky_relu", [x], x.shape, slope=float(slope))


@rule("clamp", "hardtanh")
def clamp(graph: Graph, node: fx.Node, x: Symbol, low: Any = None, high: Any = None, **given: Any) -> Symbol:
    """Not below `low`, not above `high`."""
    low, high = given.get("min", low), given.get("max", high)
    for operation, end in (("maximum", low), ("minimum", high)):
        if end is not None:
            x = graph.emit(operation, [x, as_value(end)], shape_of(node))
    return x


@rule("where")
def where(graph: Graph, node: fx.Node, condition: Value, a: Value | float, b: Value | float) -> Symbol:
    """a where the condition is not 0, else b."""
    return graph.emit("where", [condition, as_value(a), as_value(b)], shape_of(node))


@rule("full_like", "zeros_like", "ones_like")
def fill(graph: Graph, node: fx.Node, x: Symbol, value: float | None = None, **_: Any) -> Tensor:
    """Of an array the shape alone counts."""
    return torch.full(x.shape, float(value) if value is not None else float("ones" in name_of(node)))


@rule("_to_copy")
def convert(graph: Graph, node: fx.Node, x: Symbol, dtype: torch.dtype | None = None, **_: Any) -> Symbol:
    """Numbers stay what they are, but for whole ones and yes and no."""
    if dtype == torch.bool:
        return graph.emit("ne", [x, torch.tensor(0.0)], x.shape)
    whole = dtype is not None and not dtype.is_floating_point
    return graph.emit("trunc" if whole else "reshape", [x], x.shape)


@rule(*SAME)
def same(graph: Graph, node: fx.Node, x: Symbol, *_: Any, **__: Any) -> Symbol:
    """The same numbers in another shape."""
    return graph.emit("reshape", [x], shape_of(node))


@rule("permute", "transpose", "t")
def permute(graph: Graph, node: fx.Node, x: Symbol, *dims: Any) -> Symbol:
    """Axes in another order."""
    order = torch.arange(len(x.shape))
    if len(dims) == 1:
        axes = [positive(axis, len(order)) for axis in dims[0]]
    else:
        first, second = dims or (0, 1)
        axes = order.tolist()
        axes[first], axes[second] = axes[second], axes[first]
    return graph.emit("permute", [x], shape_of(node), axes=axes)


@rule("expand")
def expand(graph: Graph, node: fx.Node, x: Symbol, *_: Any, **__: Any) -> Symbol:
    """Repeated along sides of 1."""
    return graph.emit("expand", [x], shape_of(node))


@rule("slice")
def cut(graph: Graph, node: fx.Node, x: Symbol, axis: int = 0, start: int | None = None, end: int | None = None,
        step: int = 1) -> Symbol:  # fmt: skip
    """Every step-th from `start` on."""
    axis = positive(axis, len(x.shape))
    begin = range(x.shape[axis])[slice(start, end, step)].start
    return graph.emit("slice", [x], shape_of(node), axis=axis, start=begin, step=step)


@rule("select")
def select(graph: Graph, node: fx.Node, x: Symbol, axis: int, index: int) -> Symbol:
    """One along an axis, which is gone."""
    axis = positive(axis, len(x.shape))
    shape = [*x.shape[:axis], 1, *x.shape[axis + 1 :]]
    one = graph.emit("slice", [x], shape, axis=axis, start=positive(index, x.shape[axis]), step=1)
    return graph.emit("reshape", [one], shape_of(node))


@rule("split_with_sizes", "split", "unbind")
def split(graph: Graph, node: fx.Node, x: Symbol, *given: Any) -> list[Symbol]:
    """Parts along an axis."""
    if name_of(node) == "unbind":
        axis = positive(given[0] if given else 0, len(x.shape))
        return [select(graph, node, x, axis, i) for i in range(x.shape[axis])]
    axis, start, parts = positive(given[1] if len(given) > 1 else 0, len(x.shape)), 0, []
    for part in node.meta["val"]:
        parts.append(graph.emit("slice", [x], part.shape, axis=axis, start=start, step=1))
        start += part.shape[axis]
    return parts


@rule("cat")
def join(graph: Graph, node: fx.Node, parts: Sequence[Value], axis: int = 0) -> Symbol:
    """Side by side along an axis."""
    kept = [part for part in parts if math.prod(part.shape) > 0]
    return graph.emit("cat", kept, shape_of(node), axis=positive(axis, len(shape_of(node))))


@rule(*MOVES)
def move(graph: Graph, node: fx.Node, x: Value, *args: Any, **kwargs: Any) -> Symbol:
    """The place of each number in the input, which the operation itself says of an array of places."""
    found = [each for arg in args for each in (arg if isinstance(arg, list | tuple) else [arg])]
    if any(isinstance(each, Symbol) for each in found):
        return pick(graph, node, x, args)
    assert isinstance(x, Symbol) and isinstance(node.target, Callable)
    fill = 0.0
    if name_of(node) == "constant_pad_nd":
        fill, args = float(args[1]) if len(args) > 1 else 0.0, args[:1]
    places = torch.arange(1, x.numel() + 1, dtype=torch.float64).view(x.shape)
    moved = node.target(places, *args, **kwargs).round().long() - 1
    blob = graph.blobs.add(moved.numpy(), "i4")
    return graph.emit("take", [x], moved.shape, places=blob, fill=fill)


def pick(graph: Graph, node: fx.Node, x: Value, args: Sequence[Any]) -> Symbol:
    """Of numbers whose places are computed: rows of a table, or along an axis as many as there are places."""
    name = name_of(node)
    if name == "gather":
        return gather(graph, node, x, *args)
    indices = args[0] if name == "index" else [args[1]]
    if name not in ("index", "index_select") or len(indices) != 1 or (name == "index_select" and args[0] != 0):
        raise Untranslatable(f"aten.{name} with places that are computed is none of the operations of the page")
    return graph.emit("rows", [x, indices[0]], shape_of(node))


def gather(graph: Graph, node: fx.Node, x: Value, axis: int, index: Value, **_: Any) -> Symbol:
    """Along an axis the numbers at computed places."""
    return graph.emit("gather", [x, index], shape_of(node), axis=positive(axis, len(x.shape)))


@rule("embedding")
def embed(graph: Graph, node: fx.Node, weight: Value, index: Symbol, *_: Any) -> Symbol:
    """Rows of a table."""
    return graph.emit("rows", [weight, index], shape_of(node))
