"""Python's collector of cycles, beside libraries that bring a third of a million objects which are never garbage.

With its own thresholds it looks through all of them some six times in a run, a tenth of the seconds of a small one.
"""

from __future__ import annotations

import gc

OFTEN = (10_000, 10, 10)  # new objects after which it looks at the youngest; Python's own 700 is one figure's in a row
_kept: set[str] = set()


def collect_seldom() -> None:
    """In a process that is a command's alone: at its start."""
    gc.set_threshold(*OFTEN)


def keep(what: str) -> None:
    """All that is there now is never looked at again: libraries, once they are loaded; once for each `what`.

    Does nothing where the process is a user's own.
    """
    if gc.get_threshold() == OFTEN and what not in _kept:
        _kept.add(what)
        gc.freeze()
