"""What a topic's folder was made of: where that is unchanged, the page is written again without a process for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aeexp import files
from aeexp.reference.folders import find_conf_dir
from aeexp.runs.folder import find_runs

NAME = "made.json"


def is_made(folder: Path, words: Sequence[str]) -> bool:
    """Whether these words trained what lies there, all of which is finished and still there."""
    try:
        return files.read_json(folder / NAME) == describe(folder, words)
    except (OSError, ValueError):
        return False


def remember(folder: Path, words: Sequence[str]) -> None:
    """Write what the folder was made of."""
    files.write_json(folder / NAME, describe(folder, words))


def describe(folder: Path, words: Sequence[str]) -> dict[str, Any]:
    """Words, options and runs; a run that is not finished is none."""
    runs = [run.path.relative_to(folder).as_posix() for run in find_runs(folder) if run.is_finished()]
    experiments = tuple(word.partition("=")[2] for word in words if word.startswith("experiment="))
    return {"words": list(words), "options": digest_options(experiments), "runs": runs}


@cache
def digest_options(experiments: tuple[str, ...]) -> str:
    """Of these experiments and all other groups of conf/, but for lines of comment: a text may be written anew."""
    root, digest = Path(find_conf_dir()), hashlib.sha256()
    for path in sorted(root.rglob("*.yaml")):
        place = path.relative_to(root)
        if place.parts[0] != "experiment" or path.stem in experiments:
            lines = path.read_text(encoding="utf-8").splitlines()
            digest.update(place.as_posix().encode())
            digest.update("\n".join(line for line in lines if not line.startswith("#")).encode())
    return digest.hexdigest()
