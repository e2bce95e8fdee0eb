"""Files that others may have written, read within bounds; and atomic writes: a file is whole or it is not there."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import yaml

YAML_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # libyaml's is ten times as fast
TABLES = (".csv", ".tsv", ".txt", ".data", ".parquet", ".pq")  # how files of tables end
# Of a file that is read whole. Parsed, a table takes some twenty times its bytes.
MOST_JSON, MOST_YAML, MOST_TABLE = 16 << 20, 1 << 20, 64 << 20
DEEPEST = 64  # brackets within brackets: what walks through a table calls itself as often
LONGEST = 64  # bits of a whole number: a larger one is no double
TOO_DEEP = f"more than {DEEPEST} levels of brackets"
SHARED = 1024  # tables that are kept once for all who have the same
INDENT = re.compile(rb"^[ \t?:-]*", re.MULTILINE)  # what stands before the first word of a line of YAML
# A key at the margin with all that is below it, and an entry of a list there; lines of no other kind are between them.
BLOCK = re.compile(rb"[A-Za-z_].*\n(?:(?:(?: |- ).*)?\n)*|- .*\n(?:(?: .*)?\n)*")
BLOCKS, MOST_BLOCK = 1024, 1 << 12  # of blocks that were parsed: how many are kept, and of how many bytes
FORMULA = re.compile(r"[=@\t\r]|[+-](?=.)", re.DOTALL)  # what a spreadsheet takes for the beginning of one


def expand_home(path: str) -> str:
    """`~/` at its beginning is the home folder, as for a shell; where there is none it stays."""
    head, tilde, rest = path.partition("~")
    return head + os.path.expanduser(tilde + rest) if head in ("", "sqlite:///") and rest[:1] == "/" else path


def read_bytes(path: Path, most: int) -> bytes:
    """An ordinary file of at most so many bytes: a pipe would be waited for, a device read without end.

    Raises OSError, and ValueError, which begins with the file's name, for what is no such file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is no file")
    with open(path, "rb") as file:
        size = min(os.fstat(file.fileno()).st_size, most)
        content = file.read(size + 1)  # room for `most` would be asked of the machine, and given back
        content += file.read(most + 1 - len(content)) if len(content) > size else b""  # of one that grows
    if len(content) > most:
        raise ValueError(f"{path.name} is larger than {most >> 20} MB")
    return content


def read_text(path: Path, most: int) -> str:
    """As `read_bytes`, in UTF-8."""
    try:
        return read_bytes(path, most).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no text in UTF-8 ({error.reason} at byte {error.start})") from error


def read_end(path: Path, most: int) -> str:
    """The last `most` bytes of an ordinary file, whatever is no UTF-8 replaced. Raises as `read_bytes`."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is no file")
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most).decode("utf-8", "replace")


def read_json(path: Path) -> Any:
    """Of at most MOST_JSON bytes and DEEPEST levels, of finite numbers and texts that can be written again.

    Raises OSError, and ValueError, which begins with the file's name.
    """
    text = read_text(path, MOST_JSON)
    try:
        node = json.loads(text)
        _require_plain(node, finite=True)
    except RecursionError as error:
        raise ValueError(f"{path.name}: {TOO_DEEP}") from error
    except ValueError as error:  # cut off, or no JSON at all
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from error
    return node


def share(node: Any) -> Any:
    """The same plain table, which is one object for all that are alike, and is changed by nobody."""
    return _parse_shared(json.dumps(node))


@lru_cache(SHARED)
def _parse_shared(text: str) -> Any:
    return json.loads(text)


def read_yaml(path: Path) -> Any:
    """As `read_json`, of at most MOST_YAML bytes. Anchors are refused: a few lines of them expand without end."""
    return parse_yaml(read_bytes(path, MOST_YAML), path.name)


def parse_yaml(content: bytes, name: str) -> Any:
    """What `read_yaml` gives of a file of that name with this content."""
    try:
        if not _is_surely_shallow(content):
            _require_shallow_yaml(content)
        elif (node := _join_blocks(content)) is not None:
            return node
        node = yaml.load(content, YAML_LOADER)
        _require_plain(node, finite=False)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:  # of a tag on another value
        raise ValueError(f"{name}: {str(error).splitlines()[0]}") from error
    return node


def _is_surely_shallow(content: bytes) -> bool:
    """Whether no more than DEEPEST levels can be in it, and no anchor, without parsing it: a level of a block takes a
    letter of its own before the first word of a line, one within a line a bracket."""
    if not content.isascii() or b"*" in content or b"\r" in content:  # other letters may end a line, too
        return False
    brackets = content.count(b"[") + content.count(b"{")
    return brackets + max(map(len, INDENT.findall(content)), default=0) < DEEPEST


def _join_blocks(content: bytes) -> dict[Any, Any] | list[Any] | None:
    """The same table or list, from its blocks: the runs of a sweep share most of theirs. None: parse it as a whole.

    A block that ends within quotes or brackets, which alone go on at the margin, cannot be parsed.
    """
    blocks = BLOCK.findall(content)
    if not blocks or sum(map(len, blocks)) != len(content) or max(map(len, blocks)) > MOST_BLOCK:
        return None
    nodes = [_parse_block(block) for block in blocks]
    if all(type(node) is dict for node in nodes):
        return {key: _copy(value) for node in nodes for key, value in node.items()}
    return [_copy(value) for node in nodes for value in node] if all(type(node) is list for node in nodes) else None


@lru_cache(BLOCKS)
def _parse_block(block: bytes) -> Any:
    """None of what is refused: parsed as a whole, the file says why, and in which line."""
    try:
        node = yaml.load(block, YAML_LOADER)
        _require_plain(node, finite=False)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return node


def _copy(node: Any) -> Any:
    if type(node) is dict:
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if type(node) is list else node


def _require_shallow_yaml(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, YAML_LOADER):  # does not call itself, as building the table does
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"*{event.anchor} repeats another part: this is not read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        _require_shallow(depth)


def _require_shallow(depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(TOO_DEEP)


def _require_plain(node: Any, finite: bool) -> None:
    """Refuse what is parsed but cannot be written or counted with, or walked through: level by level."""
    level, depth = [node], 0
    while level:
        below: list[Any] = []
        depth += 1
        for value in level:
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    _require_whole_letters(value)
            elif kind is float:
                if finite and not math.isfinite(value):
                    raise ValueError(f"{value} is no finite number")
            elif kind is dict or kind is list:
                _require_shallow(depth)
                below += [*value, *value.values()] if kind is dict else value
            elif kind is int:
                if value.bit_length() > LONGEST:
                    raise ValueError(f"a whole number of {value.bit_length()} bits is too long")
            elif value is not None and kind is not bool:
                raise ValueError(f"{value!r:.40} is neither text nor number")
        level = below


def _require_whole_letters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[:40]!a} holds half a character") from error


def write(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Let `fill` write to a temporary name beside `path`, flush it to disk, then rename it. No step is taken that is
    not needed: on a network file system each is a question to its server."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _open_new(temporary) as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open_new(path: Path) -> IO[bytes]:
    """With the folder, where that is not there yet."""
    try:
        return open(path, "wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb")


def write_text(path: Path, text: str) -> None:
    """As `write`, in UTF-8; the name of a folder may hold bytes that are none, which are written as \\udc80."""
    write(path, lambda file: file.write(text.encode(errors="backslashreplace")))


def write_json(path: Path, value: Any) -> None:
    """Numbers that are not finite are refused: a reader in another language could not parse them."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """As `write_json` writes it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The content of a CSV file; None is an empty cell, and no text is a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(defuse, header))
    writer.writerows(map(defuse, row) for row in rows)
    return text.getvalue()


def defuse(cell: object) -> object:
    """A text that a spreadsheet would run gets an apostrophe in front; numbers, and texts that are some, stay."""
    if not isinstance(cell, str) or not FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
