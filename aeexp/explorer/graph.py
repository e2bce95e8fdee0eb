"""A network as a list of plain operations on arrays, as a page computes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from aeexp.explorer.blobs import Blobs

MOST_NODES = 20_000


class Untranslatable(ValueError):
    """The page cannot compute this network; the message says which operation is the first that it does not know."""


@final
@dataclass(frozen=True)  # no tuple, which torch.fx would take apart
class Symbol:
    """A value that is known when the page computes."""

    number: int
    shape: tuple[int, ...]

    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


Value = Symbol | Tensor  # a tensor is known now


@final
class Graph:
    """Operations in the order in which they are computed, as plain lists."""

    def __init__(self, blobs: Blobs):
        self.blobs = blobs
        self.inputs: dict[str, tuple[int, tuple[int, ...]]] = {}  # by name: value, shape
        self.constants: list[tuple[int, int, list[int]]] = []  # value, number of its blob, shape
        self.nodes: list[tuple[str, int, list[int], list[int], dict[str, Any]]] = []
        self.outputs: list[int] = []
        self._count = 0
        self._known: dict[tuple[int, tuple[int, ...]], Symbol] = {}

    def add_input(self, name: str, shape: Sequence[int]) -> Symbol:
        """A named array that the page is given."""
        symbol = self._make(shape)
        self.inputs[name] = symbol.number, symbol.shape
        return symbol

    def emit(self, operation: str, inputs: Sequence[Value], shape: Sequence[int], **options: Any) -> Symbol:
        """One operation; what is known of its inputs becomes a constant."""
        numbers = [self.hold(value).number for value in inputs]
        symbol = self._make(shape)
        self.nodes.append((operation, symbol.number, numbers, list(symbol.shape), options))
        if len(self.nodes) > MOST_NODES:
            raise Untranslatable(f"more than {MOST_NODES} operations")
        return symbol

    def hold(self, value: Value) -> Symbol:
        """A value as one that the page has."""
        if isinstance(value, Symbol):
            return value
        array = value.detach().to(torch.float32).cpu().numpy()
        # whole numbers are places and counts, and a single one is a bound as 1e-12: float16 would make others of them
        weighs = value.is_floating_point() and value.numel() > 1 and bool((value != value.round()).any())
        blob = self.blobs.add_weight(array) if weighs else self.blobs.add(array)
        key = (blob, tuple(value.shape))
        if key not in self._known:
            self._known[key] = symbol = self._make(value.shape)
            self.constants.append((symbol.number, blob, list(symbol.shape)))
        return self._known[key]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "values": self._count, "inputs": self.inputs, "constants": self.constants, "nodes": self.nodes,
            "outputs": self.outputs,
        }  # fmt: skip

    def _make(self, shape: Sequence[int]) -> Symbol:
        self._count += 1
        return Symbol(self._count - 1, tuple(int(side) for side in shape))
