"""Which process somebody is, so that others can tell whether it still lives, on machines that share files."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

from aeexp import files


def describe_process() -> dict[str, Any]:
    """Who this is: machine, since when that runs, process, and since when that does."""
    pid = os.getpid()
    return {"machine": identify_machine(), "host": platform.node(), "pid": pid, "began": _read_begin(pid)}


def identify_machine() -> str:
    """Where a process number means the same process: one boot of one system, or one container of it."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(files.read_text(Path("/proc/sys/kernel/random/boot_id"), 64).strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def describe(owner: dict[str, Any]) -> str:
    """The process, for a message."""
    return f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"


def is_alive(pid: int, began: Any) -> bool:
    """Whether the process of this number on this machine is there, and began then."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and _read_begin(pid) == began
    except psutil.AccessDenied:
        return True  # it is there
    except (psutil.Error, ValueError, OverflowError):
        return False


def _read_begin(pid: int) -> float:
    """When a process began, by a clock that nobody sets: ticks since the machine's start, where the system tells."""
    try:
        text = files.read_text(Path(f"/proc/{pid}/stat"), 1 << 16)
        return float(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        import psutil

        return psutil.Process(pid).create_time()
