"""aeexp: compose, train, evaluate and look at autoencoders."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`aeexp.load` brings torch in only when it is used: help and completion stay fast."""
    if name == "load":
        from aeexp.runs.loading import load

        return load
    raise AttributeError(f"module 'aeexp' has no attribute {name!r}")
