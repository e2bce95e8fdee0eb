"""A study as conf/reproduce/NAME.yaml records it: what was published, by which protocol, and what counts as the same.

conf/reproduce/README.md says what each key means. An unknown key, a missing one and a value of another kind are errors
in words: a record is read as strictly as a configuration.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, final

from annotated_types import Interval
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aeexp import files
from aeexp.errors import UsageError
from aeexp.ranges import NonNegative, Seed
from aeexp.reference.folders import list_conf_dirs

FOLDER = "reproduce"  # of conf/
FORMS = ("full", "short")
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Year = Annotated[int, Interval(ge=1900, le=2100)]


@final
@dataclass(frozen=True, config=STRICT)
class Source:
    """Where the number comes from, and who read it there."""

    authors: Text
    title: Text
    year: Year
    place: Text  # the table or section
    read: Literal["primary", "second_hand", "computed"]  # the number was read there; quoted by others; made here
    note: Text  # what was read, who quotes it, or how it was computed


@final
@dataclass(frozen=True, config=STRICT)
class Protocol:
    """What else a number depends on."""

    split: Text
    binarisation: Text
    samples: Text  # codes a row, in training and for -log p(x); rows behind a distance
    epochs: Text
    differs: Text  # what of the source's protocol is otherwise here


@final
@dataclass(frozen=True, config=STRICT)
class Choice:
    """Rows that a study may be run on: the first of its choices whose files are there is taken."""

    name: Text
    words: str
    needs: tuple[Text, ...] = ()  # paths below the folder of data (AEEXP_DATA, or dataset.root=...)
    number: str | None = None  # where these rows give the number another name


@final
@dataclass(frozen=True, config=STRICT)
class Reading:
    """Another number of an arm's runs: of a row of `baseline`, or of another key."""

    of: Text  # the arm whose runs are read
    place: Text = "test"  # a split, or a row of `baseline`
    number: str | None = None  # null: the study's


@final
@dataclass(frozen=True, config=STRICT)
class Published:
    """A published number that the mean over seeds must meet."""

    arm: Text
    value: float
    spread: float | None  # as it was published; null: the source gives none
    tolerance: NonNegative
    derived: Text  # how the tolerance was found
    side: Literal["both", "at_most", "at_least"] = "both"


@final
@dataclass(frozen=True, config=STRICT)
class Order:
    """Arms from the best to the worst, by the mean of differences seed by seed."""

    arms: tuple[Text, ...]
    derived: Text
    margin: NonNegative = 0.0  # that each must be better by than the next one


@final
@dataclass(frozen=True, config=STRICT)
class Bound:
    """A number of our own that the mean over seeds must not pass."""

    arm: Text
    value: float
    side: Literal["at_most", "at_least"]
    derived: Text


@final
@dataclass(frozen=True, config=STRICT)
class Budget:
    """Hours that all runs of a form take together; null: nobody has measured or estimated it."""

    two_cores: NonNegative
    gpu: NonNegative | None
    measured: Text  # by whom and how


@final
@dataclass(frozen=True, config=STRICT)
class Form:
    """One way to run a study."""

    seeds: tuple[Seed, ...]
    budget: Budget
    words: str = ""
    first: tuple[str, ...] = ()  # command lines before all others; {output} is a folder of theirs
    arms: tuple[str, ...] | None = None  # null: all
    published: tuple[Published, ...] = ()
    orders: tuple[Order, ...] = ()
    bounds: tuple[Bound, ...] = ()


@final
@dataclass(frozen=True, config=STRICT)
class Study:
    """One record."""

    title: Text
    sources: tuple[Source, ...]
    unit: Text
    better: Literal["lower", "higher"]
    number: Text  # key of metrics.json under `test`; may hold a *
    convert: Literal["none", "percent_wrong"]
    protocol: Protocol
    command: Text
    arms: dict[Text, str]  # name -> words
    full: Form
    short: Form
    choices: tuple[Choice, ...] = ()
    readings: dict[Text, Reading] = field(default_factory=dict)  # what else is compared, as if it were an arm
    notes: str = ""  # of a FAIL: what was tried, and what it would take
    name: str = ""  # the file's

    def form(self, name: str) -> Form:
        """`full` or `short`."""
        return self.full if name == "full" else self.short

    def trained(self, form: Form) -> dict[str, str]:
        """The arms of a form that are runs of their own, with their words."""
        return {arm: words for arm, words in self.arms.items() if form.arms is None or arm in form.arms}

    def measured(self, form: Form) -> list[str]:
        """All that a form has a number of: its arms, and what is read of them."""
        trained = self.trained(form)
        return [*trained, *(name for name, reading in self.readings.items() if reading.of in trained)]


_ADAPTER = TypeAdapter(Study)


def list_studies() -> list[str]:
    """Names of all records, by name."""
    return sorted({path.stem for folder in list_conf_dirs() for path in Path(folder, FOLDER).glob("*.yaml")})


def read_study(name: str) -> Study:
    """Raises UsageError for a name that there is none of, and for a record that is not as it should be."""
    places = [Path(folder, FOLDER, f"{name}.yaml") for folder in list_conf_dirs()]
    path = next((place for place in places if place.is_file()), None)
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
    return f"{place}: {error['msg'][0].lower()}{error['msg'][1:]}, not {error['input']!r:.40}"


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
