"""Numbers that are moved, in the words of the page: other shapes, orders and places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from aeexp.explorer.graph import Graph, Symbol, Untranslatable, Value
from aeexp.explorer.operations import name_of, positive, rule, shape_of

SAME = "view reshape _unsafe_view alias clone squeeze unsqueeze detach lift_fresh_copy contiguous".split()
# Each number of the output is one of the input's, or one that is given: which, torch says itself.
MOVES = (
    "index index_select gather constant_pad_nd replication_pad1d replication_pad2d reflection_pad1d reflection_pad2d "
    "flip roll pixel_shuffle pixel_unshuffle upsample_nearest1d upsample_nearest2d repeat unfold diagonal as_strided"
).split()


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
        if not math.isfinite(fill):  # which JSON has no word for
            raise Untranslatable("aten.constant_pad_nd with a value that is no number is no operation of the page")
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


@rule("diagonal_scatter", "slice_scatter", "select_scatter")
def put(graph: Graph, node: fx.Node, x: Value, part: Value, *args: Any, **kwargs: Any) -> Symbol:
    """Some numbers in the place of others: of both side by side each place takes one."""
    assert isinstance(node.target, Callable)
    count, more = math.prod(x.shape), math.prod(part.shape)
    first = torch.arange(count, dtype=torch.float64).view(x.shape)
    second = torch.arange(count, count + more, dtype=torch.float64).view(part.shape)
    moved = node.target(first, second, *args, **kwargs).long()
    sides = [graph.emit("reshape", [each], (size,)) for each, size in ((x, count), (part, more))]
    both = graph.emit("cat", sides, (count + more,), axis=0)
    return graph.emit("take", [both], moved.shape, places=graph.blobs.add(moved.numpy(), "i4"), fill=0.0)


@rule("embedding")
def embed(graph: Graph, node: fx.Node, weight: Value, index: Symbol, *_: Any) -> Symbol:
    """Rows of a table."""
    return graph.emit("rows", [weight, index], shape_of(node))
