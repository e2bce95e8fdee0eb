"""What all commands share: errors become words and exit codes."""

from __future__ import annotations

import atexit
import codecs
import errno
import gc
import io
import os
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable
from typing import Any

from aeexp.errors import INTERRUPTED, describe_error, exit_code, explain_machine, is_explained
from aeexp.runs.garbage import collect_seldom
from aeexp.signals import interrupt_when_told

# What tables and formulas are written with, for a terminal whose encoding lacks it.
PLAIN = str.maketrans({
    **dict.fromkeys("─━═╌╍┄┅┈┉−–—‐", "-"), **dict.fromkeys("│┃║╎╏┆┇┊┋", "|"), "≈": "~", "±": "+-", "×": "x", "·": "*",
    "≤": "<=", "≥": ">=", "→": "->", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "▁": "_", "∞": "inf",
})  # fmt: skip
FETCH = "let the run's data set download its files or ask its database, as the folder says: for folders that you trust"


LEAST = 5 << 28  # bytes of address space: what torch, scipy and a run of nearly nothing take


def run_command(function: Callable[..., int | None], *arguments: Any) -> None:
    """Call a command's function, which returns an exit code or None; exit where that is not 0.

    0 done, 1 failed, 2 a mistake of the user, 130 interrupted. Who stops reading the output, as `head` does, makes no
    failure of a command.
    """
    settle_environment()
    collect_seldom()
    atexit.register(gc.freeze)  # the last to be called: to take a million objects apart at the end is seconds' work
    try:
        with interrupt_when_told():
            code = function(*arguments) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        message, code = report_error(error)
        print(message, file=sys.stderr)
    if code:
        sys.exit(code)


def require_memory() -> None:
    """Raises OSError under a limit (`ulimit -v`) below which the libraries abort while they are loaded, or OpenBLAS
    asks again for ever for its buffers; above it these are taken now, before data can leave no room for them."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    if limit < LEAST:
        words = f"{limit / 1e9:.2g} GB are allowed (ulimit -v), the libraries alone take {LEAST / 1e9:.2g}"
        raise OSError(errno.ENOMEM, f"not enough memory: {words}")
    import numpy as np
    from scipy import linalg  # has an OpenBLAS of its own

    np.matmul(np.eye(256), np.eye(256))
    linalg.eigh(np.eye(256))


def settle_environment() -> None:
    """Make the process independent of where it was started: what a terminal cannot show is written in other letters,
    figures are drawn without a window, whatever a notebook has left in MPLBACKEND, and what the machine refuses to
    another thread is not told twice: who waits for that thread is told too."""
    os.environ["MPLBACKEND"] = "agg"
    threading.excepthook = report_in_thread
    codecs.register_error("aeexp", replace_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="aeexp")


def report_in_thread(arguments: threading.ExceptHookArgs) -> None:
    """Python's traceback, unless it is the machine that refused something."""
    if arguments.exc_value is None or explain_machine(arguments.exc_value) is None:
        threading.__excepthook__(arguments)


def replace_letters(error: UnicodeError) -> tuple[str, int]:
    """A handler of encoding errors: a plain letter where there is one, else \\u escapes. Borders of tables become +."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = []
    for letter in error.object[error.start : error.end]:
        plain = letter.translate(PLAIN)
        plain = "+" if "\u2500" <= plain <= "\u257f" else unicodedata.normalize("NFKD", plain)
        plain = "".join(each for each in plain if not unicodedata.combining(each))
        letters.append(plain if plain.isascii() and plain else letter.encode("ascii", "backslashreplace").decode())
    return "".join(letters), error.end


def report_error(error: Exception) -> tuple[str, int]:
    """Message and exit code; of an error that neither the user nor the machine explains the traceback is printed."""
    if not is_explained(error):
        traceback.print_exc()
    return describe_error(error), exit_code(error)
