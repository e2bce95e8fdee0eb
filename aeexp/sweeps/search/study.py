"""A study in its store, known by what was asked of it."""

from __future__ import annotations

import json
import re
from typing import Any

import optuna
from optuna import Study
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from aeexp.errors import UsageError
from aeexp.sweeps.search.space import format_value


def open_study(
    store: BaseStorage, name: str, directions: list[str], pruner: BasePruner, asked: dict[str, Any]
) -> Study:
    """The study of that name in `store`, made where there is none. Raises UsageError where another search has it."""
    if name not in optuna.get_all_study_names(store):
        enumerated = [StudyDirection[direction.upper()] for direction in directions]
        optuna.create_study(storage=store, study_name=name, directions=enumerated, pruner=pruner)
    study = optuna.load_study(study_name=name, storage=store, pruner=pruner)
    if not study.get_trials(deepcopy=False):  # new, or cut off while it was made
        for key, value in asked.items():
            if key not in study.user_attrs:
                study.set_user_attr(key, value)
    other = [key for key, value in asked.items() if study.user_attrs.get(key) != value]
    if other:
        raise UsageError(
            f"hydra.sweeper.study_name={name}: that study is there already, with another {' and '.join(other)}\n"
            f"({describe_change(study.user_attrs, asked, other[0])}): choose another hydra.sweep.dir or study_name"
        )
    return study


def describe_change(known: dict, asked: dict, key: str) -> str:
    """The first difference, in a few words."""
    was, now = known.get(key), asked[key]
    if isinstance(now, dict) and isinstance(was, dict):
        name = next(name for name in {**was, **now} if was.get(name) != now.get(name))
        return f"{name}: {shorten(was.get(name))} then, {shorten(now.get(name))} now"
    return f"{format_value(was)} then, {format_value(now)} now"


def shorten(text: str | None) -> str:
    """`low: 2, high: 64` of a distribution's JSON; `absent` where there is none."""
    if text is None:
        return "absent"
    attributes = json.loads(text)["attributes"]
    return re.sub(r"[{}\"]", "", json.dumps({k: v for k, v in attributes.items() if v not in (False, None)}))
