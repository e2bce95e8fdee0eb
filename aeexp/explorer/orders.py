"""Sums, shares and orders along an axis, in the words of the page."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx

from aeexp.explorer.graph import Graph, Symbol, Untranslatable
from aeexp.explorer.operations import name_of, positive, rule, shape_of


@rule("_softmax", "_log_softmax")
def softmax(graph: Graph, node: fx.Node, x: Symbol, axis: int, _: bool) -> Symbol:
    """Shares along an axis, or their logarithms."""
    name = "log_softmax" if "log" in name_of(node) else "softmax"
    return graph.emit(name, [x], x.shape, axis=positive(axis, len(x.shape)))


@rule("sum", "mean", "amax", "amin", "any")
def reduce(graph: Graph, node: fx.Node, x: Symbol, axes: Any = None, *_: Any, **__: Any) -> Symbol:
    """Over some axes, or all."""
    return reduce_as(graph, node, x, axes, name_of(node).replace("any", "amax"))


@rule("linalg_vector_norm")
def length(graph: Graph, node: fx.Node, x: Symbol, order: float = 2, axes: Any = None, *_: Any, **__: Any) -> Symbol:
    """Euclidean."""
    if order != 2:
        raise Untranslatable("aten.linalg_vector_norm of another order than 2 is no operation of the page")
    square = graph.emit("mul", [x, x], x.shape)
    return graph.emit("sqrt", [reduce_as(graph, node, square, axes, "sum")], shape_of(node))


def reduce_as(graph: Graph, node: fx.Node, x: Symbol, axes: Any, kind: str) -> Symbol:
    """To the shape of the node, over some axes, or all."""
    given = [axes] if isinstance(axes, int) else list(axes or range(len(x.shape)))
    return graph.emit("reduce", [x], shape_of(node), kind=kind, axes=sorted(positive(a, len(x.shape)) for a in given))


@rule("argmax", "argmin")
def find_place(graph: Graph, node: fx.Node, x: Symbol, axis: int | None = None, *_: Any) -> Symbol:
    """Where the largest or the smallest is, the first of several."""
    if axis is None:
        x, axis = graph.emit("reshape", [x], [x.numel()]), 0
    name = name_of(node)
    return graph.emit(name, [x], shape_of(node), axis=positive(axis, len(x.shape)))


@rule("max", "min")
def find_end(graph: Graph, node: fx.Node, x: Symbol, axis: int | None = None, *_: Any) -> Any:
    """The largest or the smallest, and where it is."""
    name = name_of(node)
    if axis is None:
        return graph.emit("reduce", [x], shape_of(node), kind=f"a{name}", axes=list(range(len(x.shape))))
    place = positive(axis, len(x.shape))
    value = graph.emit("reduce", [x], shape_of(node), kind=f"a{name}", axes=[place])
    return [value, graph.emit(f"arg{name}", [x], shape_of(node), axis=place)]


@rule("sort")
def sort(graph: Graph, node: fx.Node, x: Symbol, *given: Any, **named: Any) -> list[Symbol]:
    """In order along an axis, ties as they came, and where each was."""
    names = ("stable", "dim", "descending") if "stable" in str(node.target) else ("dim", "descending")
    options = {"dim": -1, "descending": False, **dict(zip(names, given, strict=False)), **named}
    axis, falling = options["dim"], options["descending"]
    options = {"axis": positive(axis, len(x.shape)), "falling": bool(falling)}
    return [graph.emit(name, [x], x.shape, **options) for name in ("sort", "argsort")]


@rule("topk")
def find_largest(graph: Graph, node: fx.Node, x: Symbol, k: int, axis: int = -1, largest: bool = True,
                 *_: Any) -> list[Symbol]:  # fmt: skip
    """The k largest along an axis, or the smallest, and where each was."""
    place, shape = positive(axis, len(x.shape)), shape_of(node)
    ordered = [graph.emit(name, [x], x.shape, axis=place, falling=largest) for name in ("sort", "argsort")]
    return [graph.emit("slice", [part], shape, axis=place, start=0, step=1) for part in ordered]


@rule("cumsum")
def add_up(graph: Graph, node: fx.Node, x: Symbol, axis: int, **_: Any) -> Symbol:
    """Sums up to each place of an axis."""
    return graph.emit("cumsum", [x], x.shape, axis=positive(axis, len(x.shape)))


@rule("searchsorted")
def search(graph: Graph, node: fx.Node, rising: Tensor, x: Symbol, **options: Any) -> Symbol:
    """How many of each rising row (..., L) lie below a number."""
    below = "le" if options.get("right") or options.get("side") == "right" else "lt"
    size = (*x.shape, rising.shape[-1])
    numbers = graph.emit("reshape", [x], (*x.shape, 1))
    smaller = graph.emit(below, [rising.unsqueeze(-2), numbers], size)
    return graph.emit("reduce", [smaller], x.shape, kind="sum", axes=[len(size) - 1])
