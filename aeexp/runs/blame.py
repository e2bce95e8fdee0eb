"""An error that arose in a part of another package: whose, where, and the lines of that code alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from aeexp.errors import UsageError, describe_error, exit_code, explain_machine, is_explained
from aeexp.runs.foreign import list_foreign, read_name


class Blame(NamedTuple):
    """What to say of it."""

    message: str  # regularizer.hoyer: mypkg.Hoyer raised ValueError: ...: file, line 12, in forward
    lines: str  # the traceback through that code


class Failure(NamedTuple):
    """How a job ended."""

    message: str
    code: int
    lines: list[str]  # the traceback through a user's own code
    unexplained: bool  # whether ours is of use


class Frame(NamedTuple):
    """A call on the way to an error."""

    frame: FrameType
    line: int


def describe_failure(error: Exception, config: Any, plain: tuple[type[Exception], ...]) -> Failure:
    """What the log says, the exit code, and of a part of the user's own the lines of that code; a traceback is due
    where there are none and nothing explains the error."""
    message, code = describe_error(error, *plain), exit_code(error)
    blame = find_blame(error, config)
    if blame is not None:
        message = message if isinstance(error, UsageError) else blame.message
        return Failure(message, code, [blame.lines], False)
    return Failure(message, code, [], not is_explained(error, *plain))


def find_blame(error: BaseException, config: Any) -> Blame | None:
    """Of the first error among those that led to this one which came from a part that the configuration names.

    None where it is explained already: a UsageError that the part raised itself, or what the machine refused.
    """
    parts = dict(list_foreign(config))
    packages = {target.partition(".")[0] for target in parts.values()}
    if not packages or explain_machine(error) is not None:
        return None
    for each in _list_causes(error):
        frames = [frame for frame in _walk(each.__traceback__) if _read_package(frame.frame) in packages]
        if frames:
            return None if isinstance(each, UsageError) else _describe(each, frames, parts)
        if isinstance(each, SyntaxError) and not isinstance(error, SyntaxError):
            return Blame(_shorten(error), "".join(traceback.format_exception_only(each)).rstrip())
    return None


def blame_part(error: BaseException, path: str, part: object) -> Blame | None:
    """`find_blame` where the part is known whose call failed."""
    return find_blame(error, {path: {"_target_": ".".join(read_name(type(part)))}})


def _describe(error: BaseException, frames: list[Frame], parts: Mapping[str, str]) -> Blame:
    last = frames[-1]
    code = last.frame.f_code
    place = f"{code.co_filename}, line {last.line}, in {code.co_name}"
    who = _name_part(frames, parts)
    stack = [traceback.FrameSummary(each.frame.f_code.co_filename, each.line, each.frame.f_code.co_name)
             for each in frames]  # fmt: skip
    lines = ["Traceback of that code:\n", *traceback.format_list(stack), *traceback.format_exception_only(error)]
    return Blame(f"{who} raised {_shorten(error)}\n{place}", "".join(lines).rstrip())


def _name_part(frames: list[Frame], parts: Mapping[str, str]) -> str:
    """`regularizer.hoyer: mypkg.Hoyer`: the part whose method was called last, else the code's own module."""
    for frame, _ in reversed(frames):
        kind = type(frame.f_locals.get("self"))
        names = {f"{kind.__module__}.{kind.__qualname__}", f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"}
        for path, target in parts.items():
            module, _, name = target.rpartition(".")
            if any(each.startswith(f"{module}.") and each.endswith(f".{name}") for each in names):
                return f"{path}: {target}"
    return str(frames[-1].frame.f_globals.get("__name__"))


def _shorten(error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "")
    return text if isinstance(error, UsageError) else f"{type(error).__name__}: {text}"


def _read_package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _walk(trace: TracebackType | None) -> Iterator[Frame]:
    while trace is not None:
        yield Frame(trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
