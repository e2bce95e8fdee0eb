"""From a module to the operations of a page: torch.export says which they are, and what does not hang on an input is
computed here."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from aeexp.explorer import layers, moves, orders
from aeexp.explorer.blobs import Blobs
from aeexp.explorer.graph import Graph, Symbol, Untranslatable
from aeexp.explorer.operations import RULES, name_of

BESIDE = (layers, moves, orders)  # which have put their rules into RULES
KEPT = ("gru",)  # one operation of the page, where torch would write out every step


@torch.no_grad()
def build_graph(module: nn.Module, inputs: Mapping[str, Tensor], blobs: Blobs) -> dict[str, Any]:
    """What the module computes of inputs of these shapes, for one row. Raises Untranslatable."""
    program = trace(module, inputs)
    graph, env = Graph(blobs), {}
    results = find_results(program)
    needed = find_needed(results)
    _enter(program, graph, env, inputs)
    for node in program.graph.nodes:
        if node.op == "call_function" and node in needed:
            env[node] = compute(graph, node, env)
    graph.outputs = [graph.hold(env[result]).number for result in results]
    return graph.to_dict()


def trace(module: nn.Module, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    """torch's own account of the module, in its core operations. Raises Untranslatable with the reason in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nn.GRU keeps a list of its own weights, and renews it at every call
        try:
            program = torch.export.export(module, (), dict(inputs))
            table = torch.export.default_decompositions()
            for name in [name for name in table if name_of(name) in KEPT]:
                table.pop(name)
            return program.run_decompositions(table)
        except Exception as error:  # whatever a module's own Python does under torch.export
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise Untranslatable(f"torch.export cannot trace it: {reason[:200]}") from error


def find_results(program: ExportedProgram) -> list[fx.Node]:
    """The nodes that are what the module returns; checks at run time return tokens beside it."""
    (given,) = (node.args[0] for node in program.graph.nodes if node.op == "output")
    kinds = [spec.kind for spec in program.graph_signature.output_specs]
    return [node for node, kind in zip(given, kinds, strict=True) if kind == OutputKind.USER_OUTPUT]


def find_needed(results: list[fx.Node]) -> set[fx.Node]:
    """The nodes that these hang on: what is drawn for a loss is none of them."""
    needed: set[fx.Node] = set()
    pending = list(results)
    while pending:
        node = pending.pop()
        if node not in needed:
            needed.add(node)
            pending += node.all_input_nodes
    return needed


def _enter(program: ExportedProgram, graph: Graph, env: dict[fx.Node, Any], inputs: Mapping[str, Tensor]) -> None:
    """Inputs become symbols, parameters and buffers tensors."""
    stored = {**program.state_dict, **program.constants}
    names = iter(inputs)
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            name = next(names)
            env[node] = graph.add_input(name, inputs[name].shape)
        elif spec.target is not None:
            env[node] = stored[spec.target]


def compute(graph: Graph, node: fx.Node, env: Mapping[fx.Node, Any]) -> Any:
    """The value of a node, or its values: now where that can be, else an operation of the page."""
    args: Any = fx.map_arg(node.args, lambda each: env[each])
    kwargs: Any = fx.map_arg(node.kwargs, lambda each: env[each])
    if node.target is operator.getitem:
        return args[0][args[1]]
    name, known = name_of(node.target), not any(isinstance(env[each], Symbol) for each in node.all_input_nodes)
    if known and isinstance(node.target, Callable):
        if "rand" in name or name in ("bernoulli", "multinomial", "dropout"):
            raise Untranslatable(f"{name} draws, and the page computes what is the same at every call")
        return node.target(*args, **kwargs)
    if name not in RULES:
        raise Untranslatable(f"aten.{name} is none of the operations that the page computes")
    return RULES[name](graph, node, *args, **kwargs)
