"""What Hydra says of how a run was started: the `runtime` of hydra.yaml, without the rest of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aeexp import files

# As Hydra writes the file, to where that part ends: a line that is two letters in is a key there.
RUNTIME = re.compile(rb"hydra:\n(?:(?:  .*)?\n)*?  runtime:\n((?:(?:    .*)?\n)*)")


def read_runtime(hydra: Path) -> dict[str, Any]:
    """What stands in hydra.yaml in that folder; {} where there is none. Raises OSError, and ValueError."""
    content = files.read_bytes(hydra / "hydra.yaml", files.MOST_YAML)
    own = RUNTIME.match(content)
    node: Any = files.parse_yaml(own[1] if own else content, "hydra.yaml")
    for name in () if own else ("hydra", "runtime"):
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def read_choices(hydra: Path) -> dict[str, str]:
    """The option of each group, but for Hydra's own."""
    node = read_runtime(hydra).get("choices")
    choices = node.items() if isinstance(node, dict) else ()
    return {str(group): str(option) for group, option in choices if not str(group).startswith("hydra/")}
