"""What a process does to the world while it is watched: commands, files written, moved or removed, connections."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EFFECTS = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.Popen",
    "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.putenv", "os.unsetenv", "os.kill", "shutil.", "tempfile.", "socket.", "urllib.Request", "ftplib.",
    "webbrowser.open", "sqlite3.connect", "pickle.find_class", "builtins.input",
)  # fmt: skip
CACHE = "torchinductor"  # the folder that torch's compiler makes for itself where it is first imported
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_seen: list[str] | None = None
_hooked = False


def _watch(event: str, arguments: tuple) -> None:
    if _seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITING and "__pycache__" not in str(path):
            _seen.append(f"open for writing: {path}")
    elif event.startswith(EFFECTS) and CACHE not in str(arguments).lower():
        _seen.append(f"{event}: {str(arguments)[:200]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """The effects of what is inside, as they happen. An audit hook, which Python never takes away, stays behind."""
    global _seen, _hooked
    if not _hooked:
        sys.addaudithook(_watch)
        _hooked = True
    _seen = effects = []
    try:
        yield effects
    finally:
        _seen = None
