"""What TensorBoard calls a run: its variant, and what was typed for it alone; and the run's row in its table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aeexp.runs.folder import RunFolder

LONGEST = 80  # characters: a path on Windows has 260 in all
BACKSLASH = "\\"
# Columns of the HParams table: not where a run computes, what it measures and draws.
HYPERPARAMETERS = ("variant", "experiment", "dataset", "task", "noise", "condition", "model", "latent", "likelihood",
                   "regularizer", "objective", "optimizer", "scheduler", "trainer", "seed")  # fmt: skip
ELSEWHERE = ("hydra.", "hydra/", "resume", "device", "threads", "dataset.root")  # say where a run computes and lies


def title_run(folder: RunFolder, choices: Mapping[str, Any]) -> str:
    """`vae latent.dim=5 seed=1`: of a job of a sweep what differs between jobs, of a run by itself what was typed.

    The name of a folder on every system: what a system refuses is `_`, paths are their last part.
    """
    try:
        typed = folder.read_overrides()
    except (OSError, ValueError):  # hydra.output_subdir=null
        typed = []
    sweep = folder.read_sweep()
    if sweep is not None:
        typed = [override for override in typed if override not in sweep[1]]
    words = [str(choices.get("variant", "run"))]
    for override in typed:
        key, _, value = override.lstrip("+~").partition("=")
        if key != "variant" and not key.startswith(ELSEWHERE):
            words.append(f"{key}={value.replace(BACKSLASH, '/').rpartition('/')[2]}" if value else key)
    return join_words([clean(word) for word in words])


def clean(word: str) -> str:
    """Only what every file system and every locale takes; lists without their brackets, texts without quotes."""
    return re.sub(r"[^A-Za-z0-9 ._,=+()@-]", "_", re.sub(r"[\[\]{}'\"]", "", word)).strip(" .") or "_"


def join_words(words: list[str]) -> str:
    """As many as there is room for, and how many more there are."""
    for count in range(len(words), 0, -1):
        more = len(words) - count
        name = " ".join(words[:count]) + (f" and {more} more" if more else "")
        if len(name) <= LONGEST or count == 1:
            return name[:LONGEST].strip(" .")
    return "run"


def hyperparameters(config: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Chosen options and every value below them, flat, for one row of the HParams table."""
    flat: dict[str, Any] = {group: choices[group] for group in HYPERPARAMETERS if group in choices}
    for group in ("noise", "regularizer"):  # of several options, which Hydra's choices do not name
        flat[group] = ", ".join(config.get(group, {})) or "none"

    def walk(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            elif not key.startswith("_"):
                flat[prefix + key] = value

    walk({key: value for key, value in config.items() if key in HYPERPARAMETERS}, "")
    return flat


def write_plain(value: Any) -> int | float | str:
    """As the HParams table reads best: a flag would be 1.0000 there."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
