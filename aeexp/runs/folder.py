"""The files of a run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run_id(config: Mapping[str, Any]) -> str:
    """A hash of the whole configuration but for where it goes on from."""
    named = {key: value for key, value in config.items() if key != "resume"}
    return hashlib.blake2b(json.dumps(named, sort_keys=True).encode(), digest_size=8).hexdigest()


def jobs(root: Path) -> list[Path]:
    """Run folders below `root`, in the order of the jobs."""
    folders = (path.parent for path in root.rglob("status.json"))
    return sorted(folders, key=lambda folder: (int(folder.name) if folder.name.isdigit() else 0, str(folder)))
