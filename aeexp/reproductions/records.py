"""Records read and held against what a study must say: an unknown key, a missing one and a value of another kind are
errors in words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aeexp import files
from aeexp.errors import UsageError
from aeexp.reference.folders import list_conf_dirs
from aeexp.reproductions.studies import FORMS, Study

FOLDER = "reproduce"  # of conf/
_ADAPTER = TypeAdapter(Study)


def list_studies() -> list[str]:
    """Names of all records, by name."""
    return sorted({path.stem for folder in list_conf_dirs() for path in Path(folder, FOLDER).glob("*.yaml")})


def find_record(name: str) -> Path | None:
    """The file of a study; where several folders of options have one of that name, the first."""
    places = [Path(folder, FOLDER, f"{name}.yaml") for folder in list_conf_dirs()]
    return next((place for place in places if place.is_file()), None)


def read_study(name: str) -> Study:
    """Raises UsageError for a name that there is none of, and for a record that is not as it should be."""
    path = find_record(name)
    if path is None:
        near = difflib.get_close_matches(name, list_studies(), n=1)
        way = f"did you mean {near[0]}?" if near else "aeexp-reproduce --list has all"
        raise UsageError(f"{name}: there is no such study: {way}")
    try:
        return check_study(name, files.read_yaml(path))
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def check_study(name: str, node: Any) -> Study:
    """The record of a parsed file. Raises ValueError, in words, for one that is not as it should be."""
    if not isinstance(node, dict):
        raise ValueError("a study is a table of keys")
    if "name" in node:
        raise ValueError("name: a study is called as its file is")
    try:  # as JSON: a list fits a tuple, a whole number a float, and a text no number
        study = _ADAPTER.validate_json(files.json_text({**node, "name": name}))
    except ValidationError as error:
        raise ValueError("; ".join(_describe(each) for each in error.errors())) from error
    problems = [*_find_strangers(study), *_find_empty(study)]
    if problems:
        raise ValueError("; ".join(problems))
    return study


def _describe(error: Any) -> str:
    """One problem in words, behind its place: `full.budget.gpu: missing`."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{place}: missing"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{place}: there is no such key"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}, not {error['input']!r:.40}"


def _find_strangers(study: Study) -> Iterator[str]:
    """Arms that are named and not there."""
    for name, reading in study.readings.items():
        if reading.of not in study.arms:
            yield f"readings.{name}.of: there is no arm {reading.of!r}; there are {', '.join(study.arms)}"
    for word in FORMS:
        form = study.form(word)
        for arm in form.arms or ():
            if arm not in study.arms:
                yield f"{word}.arms: there is no arm {arm!r}; there are {', '.join(study.arms)}"
        there = study.measured(form)
        named = [each.arm for each in (*form.published, *form.bounds)]
        for arm in [*named, *(arm for order in form.orders for arm in order.arms)]:
            if arm not in there:
                yield f"{word}: nothing measures the arm {arm!r}; there are {', '.join(there)}"


def _find_empty(study: Study) -> Iterator[str]:
    """What says nothing, or cannot fail."""
    if not study.sources:
        yield "sources: name at least one"
    if both := set(study.arms) & set(study.readings):
        yield f"readings: {', '.join(sorted(both))}: an arm is called so"
    for word in FORMS:
        form = study.form(word)
        if not (form.published or form.orders or form.bounds):
            yield f"{word}: say what must come out: published, orders or bounds"
        if any(len(order.arms) < 2 or len(set(order.arms)) < len(order.arms) for order in form.orders):
            yield f"{word}.orders: an order is of two different arms at least"
        if not form.seeds or len(set(form.seeds)) < len(form.seeds):
            yield f"{word}.seeds: at least one, and none twice"
        if not study.trained(form):
            yield f"{word}.arms: at least one that is trained"
        if math.isclose(form.budget.two_cores, 0):
            yield f"{word}.budget.two_cores: nothing takes no time"
