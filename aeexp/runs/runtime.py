"""What Hydra says of how a run was started: the `runtime` of hydra.yaml, without the rest of the file; overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aeexp import files

INDENT = re.compile(rb"^    ", re.MULTILINE)  # of what stands in that part
# As Hydra writes the file, to where that part ends: a line that is two letters in is a key there.
RUNTIME = re.compile(rb"hydra:\n(?:(?:  .*)?\n)*?  runtime:\n((?:(?:    .*)?\n)*)")


def read_runtime(hydra: Path) -> dict[str, Any]:
    """What stands in hydra.yaml in that folder; {} where there is none. Raises OSError, and ValueError."""
    return parse_runtime(files.read_bytes(hydra / "hydra.yaml", files.MOST_YAML))


def parse_runtime(content: bytes) -> dict[str, Any]:
    """As `read_runtime`, of the content of hydra.yaml."""
    own = RUNTIME.match(content)
    node: Any = files.parse_yaml(INDENT.sub(b"", own[1]) if own else content, "hydra.yaml")
    for name in () if own else ("hydra", "runtime"):
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def list_choices(runtime: Mapping[str, Any]) -> dict[str, str]:
    """The option of each group, but for Hydra's own, of what `read_runtime` gives."""
    node = runtime.get("choices")
    choices = node.items() if isinstance(node, dict) else ()
    return {str(group): str(option) for group, option in choices if not str(group).startswith("hydra/")}


def list_overrides(node: Any) -> list[str]:
    """What overrides.yaml holds, as words. Raises ValueError where it is no list."""
    if not isinstance(node or [], list):
        raise ValueError("overrides.yaml holds no list")
    return [str(override) for override in node or []]
