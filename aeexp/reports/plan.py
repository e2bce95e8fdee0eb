"""What a sweep was begun to run: how many jobs, of which values; and whether a run is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from aeexp import files
from aeexp.runs.folder import RunFolder

MOST = 100_000  # values of a sweep that are counted
Swept = dict[str, frozenset[str]]  # overrides that a sweep has for each of its keys; of a search none


def read_plan(root: Path) -> tuple[int | None, Swept]:
    """How many jobs the sweep in `root` has, or those below it, and what differs in them; (None, {}) where one does not
    say."""
    own = root / "multirun.yaml"
    plans = [read_multirun(path) for path in ([own] if own.is_file() else sorted(root.glob("**/multirun.yaml")))]
    counts = [count for count, _ in plans if count is not None]
    swept: Swept = {}
    for _, each in plans:
        swept |= {key: swept.get(key, frozenset()) | words for key, words in each.items()}
    return (sum(counts), swept) if plans and len(counts) == len(plans) else (None, {})


def read_multirun(plan: Path) -> tuple[int | None, Swept]:
    """As `read_plan`, of one multirun.yaml."""
    try:
        node = files.read_yaml(plan)["hydra"]
        params = (node["sweeper"].get("params") or {}).items()  # of a recorded study
        typed = [*(f"{key}={value}" for key, value in params), *map(str, node["overrides"]["task"])]
        trials = node["sweeper"].get("n_trials")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, {}
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = {each.get_key_element(): each for each in OverridesParser.create().parse_overrides(typed)}
        swept = {key: override for key, override in parsed.items() if override.is_sweep_override()}
        if isinstance(trials, int):
            return trials, dict.fromkeys(swept, frozenset())
        words = {
            key: frozenset(f"{key}={value}" for value in islice(each.sweep_string_iterator(), MOST))
            for key, each in swept.items()
        }
    except HydraException:  # as of glob, whose options nobody names here
        return None, {}
    return math.prod(map(len, words.values())), words


def read_words(run: RunFolder) -> list[str]:
    """What was typed for a run; [] where that cannot be read, now or at all."""
    try:
        return run.read_overrides()
    except (OSError, ValueError):
        return []


def is_planned(overrides: Sequence[str], swept: Swept) -> bool:
    """Whether a run is one of those that are swept now: what it says of each key is one of its values, where they are
    known."""
    said = [(word.partition("=")[0], word) for word in overrides]
    return all(word in swept[key] for key, word in said if swept.get(key))


def describe(overrides: Sequence[str], swept: Swept) -> str:
    """What differs in a run: the overrides of the keys that were swept."""
    words = " ".join(word for word in overrides if not swept or word.partition("=")[0] in swept)
    return "".join(letter if letter.isprintable() else "?" for letter in words)  # no command to a terminal
