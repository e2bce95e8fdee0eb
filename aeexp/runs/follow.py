"""One command that ends with the process that began it: `python -m aeexp.runs.follow PARENT MODULE WORDS...`.

What is killed cannot tell its child; a child that went on alone would hold the run folder against the next try.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def follow_me(module: str, words: Iterable[str]) -> list[str]:
    """The command line of a module that ends with this process."""
    return [sys.executable, "-m", "aeexp.runs.follow", str(os.getpid()), module, *words]


def follow(parent: int) -> None:
    """Ask for SIGTERM at the parent's death, where the system can; on others the child goes on."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died meanwhile
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
