"""The page of the commands: what each says of itself by --help."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def read_scripts() -> dict[str, str]:
    """Command -> module:function, as pyproject.toml has them."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]


def find_main(place: str) -> Any:
    """The function of a command."""
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(module), function)


def build_page() -> str:
    """Markdown."""
    parts = ["# Commands", INTRODUCTION]
    for name, place in read_scripts().items():
        if name != "aeexp":
            parts += [f"## {name}", f"```text\n{read_help(place)}\n```"]
    return "\n\n".join(parts) + "\n"


def read_help(place: str) -> str:
    """What a command prints for --help, 100 letters wide. Raises ValueError where it prints nothing."""
    said, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            find_main(place)(["--help"])
    finally:
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).strip()
    if not text:
        raise ValueError(f"{place} says nothing for --help")
    return text


INTRODUCTION = (
    "`aeexp` trains: `aeexp --help` lists [groups, options and values](index.md), and [Compose a run]"
    "(../how-to/compose.md) has examples. Exit codes of all commands: 0 done, 1 failed, 2 bad configuration, 130 "
    "interrupted."
)
