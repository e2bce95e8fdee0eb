"""torch without its compiler: torch._dynamo takes seconds to load, and torch loads it where nothing is compiled."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

import torch

NAME = "torch._dynamo"
Function = Callable[..., Any]


@contextmanager
def postpone_dynamo() -> Iterator[None]:
    """Inside, torch._dynamo is loaded by what compiles alone. Afterwards torch is as it was.

    torch's optimizers, and gradients within torch.func, load it at their first step to tell a compiler, should one be
    at work, to stay away (torch 2.13: `graph_break`, `disable`, `compiled_autograd._disable`). While it is not loaded
    none is at work, and a module in its place may answer these by doing nothing. Whatever else is asked of that module
    loads the true one, which takes the place: `torch.compile` works inside as outside, and where another version of
    torch asks for other things, these take the time that they take without it.
    """
    if NAME in sys.modules:
        yield
        return
    place = ModuleType(NAME)
    excused: list[Function] = []  # functions that torch was told to call as they are

    def give_way() -> None:
        if sys.modules.get(NAME) is place:
            del sys.modules[NAME], torch._dynamo
        for function in excused:  # torch keeps the answer there, and is to ask the true module again
            vars(function).pop("__dynamo_disable", None)
        excused.clear()

    def find(name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who walks through all modules asks for such; none is here
            raise AttributeError(name)
        give_way()
        return getattr(importlib.import_module(NAME), name)

    def disable(*given: Any, **options: Any) -> Any:
        if len(given) != 2 or options != {"wrapping": False}:  # not by torch's own methods, but by a user's decorator
            return find("disable")(*given, **options)
        excused.append(given[0])
        return given[0]

    autograd = ModuleType(f"{NAME}.compiled_autograd")
    vars(autograd).update(_disable=nullcontext, __getattr__=lambda name: getattr(find("compiled_autograd"), name))
    vars(place).update(
        __getattr__=find, disable=disable, graph_break=lambda *given, **options: None, compiled_autograd=autograd
    )
    sys.modules[NAME] = torch._dynamo = place
    try:
        yield
    finally:
        give_way()
