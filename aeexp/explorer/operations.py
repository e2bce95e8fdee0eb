"""What torch's core operations are in the words of the page (`html/evaluator.js`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from aeexp.explorer.graph import Graph, Symbol, Value

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}
UNARY = (
    "relu sigmoid tanh neg exp log log1p expm1 sqrt rsqrt reciprocal abs sin cos erf floor ceil round trunc sign square"
).split()
BINARY = "mul maximum minimum eq ne lt le gt ge atan2".split()


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
