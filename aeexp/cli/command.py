"""What all commands share: errors become words and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from aeexp.errors import UsageError

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130
FETCH = "let the run's data set download its files or ask its database, as the folder says: for folders that you trust"


def run_command(function: Callable[..., int | None], *arguments: Any) -> None:
    """Call a command's function, which returns an exit code or None; exit where that is not 0.

    0 done, 1 failed, 2 a mistake of the user, 130 interrupted. Who stops reading the output, as `head` does, makes no
    failure of a command.
    """
    try:
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


def report_error(error: Exception) -> tuple[str, int]:
    """Message and exit code; of an error that neither the user nor the machine explains the traceback is printed."""
    if not isinstance(error, UsageError | OSError):  # a full disk and the like need none
        traceback.print_exc()
    return describe_error(error), exit_code(error)


def describe_error(error: Exception, *plain: type[Exception]) -> str:
    """With the name of its class, unless the message is meant for the user: UsageError, and those that are `plain`."""
    return str(error) if isinstance(error, (UsageError, *plain)) else f"{type(error).__name__}: {error}"


def exit_code(error: Exception) -> int:
    """2 for a mistake of the user, else 1."""
    return MISTAKE if isinstance(error, UsageError) else FAILED
