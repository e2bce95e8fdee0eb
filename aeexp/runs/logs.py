"""train.log of a run that Python started: what the command's own logging writes, with nobody else's logging changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

TIMED = "[%(asctime)s][%(levelname)s] %(message)s"  # as conf/hydra/job_logging has it
OURS = "aeexp"


@final
class _Fork(logging.Handler):
    """Stands before the handlers that a caller has for our messages: they get what they would have got, and the file
    gets all of this thread from INFO on. What loggers named in `unsaid` say goes into the file alone."""

    def __init__(self, path: Path, logger: logging.Logger, unsaid: Collection[str]):
        super().__init__()
        self.file = logging.FileHandler(path, encoding="utf-8", delay=True)
        self.file.setFormatter(logging.Formatter(TIMED))
        self.file.handleError = lambda record: None  # a full disk is told by who needs the room
        self.thread = threading.get_ident()
        self.unsaid = frozenset(unsaid)
        self.level_before = logger.getEffectiveLevel()
        self.before = logger.handlers[:]
        self.parent = logger.parent if logger.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        """To the file, and on."""
        if record.thread == self.thread and record.levelno >= logging.INFO:
            self.file.handle(record)
        if record.levelno < self.level_before or record.name in self.unsaid:
            return
        for handler in self.before:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self.parent is not None:
            self.parent.callHandlers(record)


@contextmanager
def write_log(path: Path, unsaid: Collection[str] = ()) -> Iterator[None]:
    """What aeexp says in this thread meanwhile stands in this file; an error from inside as well, with its traceback.

    For one run at a time. What loggers named in `unsaid` say nobody else hears. Who called has its levels, handlers and
    propagation as before, during it and afterwards.
    """
    logger = logging.getLogger(OURS)
    fork = _Fork(path, logger, unsaid)
    level, propagate = logger.level, logger.propagate
    logger.handlers, logger.propagate = [fork], False
    logger.setLevel(min(fork.level_before, logging.INFO))
    try:
        yield
    except BaseException as error:
        arguments = (logger.name, logging.ERROR, __file__, 0, "%s: %s", (type(error).__name__, error))
        fork.file.handle(logger.makeRecord(*arguments, (type(error), error, error.__traceback__)))
        raise
    finally:
        logger.handlers, logger.propagate = fork.before, propagate
        logger.setLevel(level)
        fork.file.close()
