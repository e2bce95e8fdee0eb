"""Errors that need no traceback: what a user can mend, with its way out, and what the machine refuses. Imports nothing
heavy, so that the command line answers fast."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What stands behind the system's own words, by error number; what has no entry is told as it comes.
WAYS = {
    errno.ENOSPC: "make room, and the same command goes on",
    errno.EDQUOT: "make room, and the same command goes on",
    errno.EFBIG: "a file may not grow so large here (ulimit -f)",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs, and the same command goes on",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be read and written",
    errno.EPERM: "choose a folder that can be read and written",
    errno.EIO: "the disk has failed",
    errno.ENOMEM: "give it more memory",
}
# Texts that Hydra would read as something else: null, true, numbers.
OTHERS = re.compile(r"(?i:null|true|false|[+-]?(nan|inf)|[+-]?[\d_.]+(e[+-]?\d+)?)")
MEMORY = re.compile(  # a library that finds no room is an ImportError
    "not enough memory|can't allocate memory|cannot allocate memory|bad_alloc|out of memory|failed to map segment", re.I
)


FAILED, MISTAKE, INTERRUPTED = 1, 2, 130  # exit codes, as status.json has them too


class UsageError(ValueError):
    """A value that a user gave and can change: says key, value and way out in one or two lines.

    Constructors begin the message with ``name=value``; the command puts the config path in front.
    """


def quote_words(*words: object) -> str:
    """A command line, or a part of one, that a shell reads as these words: each one that is suggested is made here."""
    return " ".join(map(_quote_word, map(str, words)))


def _quote_word(word: str) -> str:
    return f'"{word}"' if "'" in word and not set('"$`\\!') & set(word) else shlex.quote(word)


def quote_value(value: object) -> str:
    """A text as a value of an override: in Hydra's quotes where it would be read as something else."""
    text = str(value)
    plain = re.fullmatch(r"[\w/.+-]+", text, re.ASCII) is not None
    if plain and (isinstance(value, int | float) or not OTHERS.fullmatch(text)):
        return text
    escaped = re.sub(r"(\\*)('|$|\$\{)", lambda found: found[1] * 2 + ("\\" + found[2] if found[2] else ""), text)
    return f"'{escaped}'"


def quote_override(key: str, value: object) -> str:
    """`key=value` for a shell, whatever the text: quoted for Hydra and for the shell, where that is needed."""
    return quote_words(f"{key}={quote_value(value)}")


def explain_machine(error: BaseException) -> str | None:
    """What the machine could not give, in one line with the way out: room on a disk, memory, threads, a file.

    Looked for in the errors that led to this one as well; None where it is none of these.
    """
    for each in _list_causes(error):
        text = next(iter(str(each).splitlines()), "")
        if isinstance(each, OSError) and each.errno in WAYS:
            place = f": {each.filename}" if each.filename else ""
            return f"{each.strerror or type(each).__name__}{place}: {WAYS[each.errno]}"
        if isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError" or _is_memory(each):
            wanted = re.search(r"allocate (\d+) bytes", text)
            size = f" (for {int(wanted[1]) / 1e9:,.3g} GB at once)" if wanted else ""
            return f"not enough memory{size}: a smaller model, code or batch, or fewer rows, need less"
        if isinstance(each, RuntimeError) and "can't start new thread" in text:
            return "no further thread can be started here: threads=1, or a higher limit (ulimit -u)"
    return None


def describe_error(error: BaseException, *plain: type[Exception]) -> str:
    """With the name of its class, unless the message is meant for the user: UsageError, and those that are `plain`; in
    plain words where the machine has no room, memory or rights."""
    if isinstance(error, (UsageError, *plain)):
        return str(error)
    return explain_machine(error) or f"{type(error).__name__}: {error}"


def is_explained(error: BaseException, *plain: type[Exception]) -> bool:
    """Whether the message says it all, and a traceback would tell nothing more."""
    return isinstance(error, (UsageError, OSError, *plain)) or explain_machine(error) is not None


def exit_code(error: BaseException) -> int:
    """2 for a mistake of the user, else 1."""
    return MISTAKE if isinstance(error, UsageError) else FAILED


def tell(error: BaseException) -> str:
    """One line: what the machine could not give, or the error's class and its words."""
    return explain_machine(error) or f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_memory(error: BaseException) -> bool:
    """torch raises a plain RuntimeError on the CPU."""
    return isinstance(error, RuntimeError | ImportError) and bool(MEMORY.search(str(error)))


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling; a circle ends."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        each = pending.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [other for other in (each.__cause__, each.__context__) if other is not None]


def full_error() -> bool:
    """Whether the user asked for tracebacks by HYDRA_FULL_ERROR=1, as the command keeps it."""
    return os.environ.get("AEEXP_FULL_ERROR") == "1"
