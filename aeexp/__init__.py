"""aeexp: compose, train, evaluate and look at autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aeexp.timing  # noqa: F401 -- its clock begins with the package

if TYPE_CHECKING:
    from aeexp.api.fitted import open_run as open
    from aeexp.api.fitting import fit
    from aeexp.api.reporting import report
    from aeexp.api.sweeping import sweep
    from aeexp.runs.loading import load

__version__ = "0.1.0"
__all__ = ["fit", "load", "open", "report", "sweep"]

_PLACES = {
    "fit": ("aeexp.api.fitting", "fit"),
    "load": ("aeexp.runs.loading", "load"),
    "open": ("aeexp.api.fitted", "open_run"),
    "report": ("aeexp.api.reporting", "report"),
    "sweep": ("aeexp.api.sweeping", "sweep"),
}


def __getattr__(name: str) -> Any:
    """What needs torch is brought in when it is used: help and completion stay fast."""
    if name not in _PLACES:
        raise AttributeError(f"module 'aeexp' has no attribute {name!r}")
    import importlib

    module, function = _PLACES[name]
    return vars(importlib.import_module(module))[function]


def __dir__() -> list[str]:
    return [*globals(), *__all__]
