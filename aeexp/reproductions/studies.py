"""A study as conf/reproduce/NAME.yaml records it: what was published, by which protocol, and what counts as the same.

docs/how-to/reproduce.md says what each key means; `records.py` reads them.
"""

from __future__ import annotations

import shlex
from dataclasses import field
from typing import Annotated, Literal, final

from annotated_types import Interval
from pydantic import AfterValidator, ConfigDict, StringConstraints
from pydantic.dataclasses import dataclass

from aeexp.ranges import NonNegative, Seed

FORMS = ("full", "short")
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PROGRAMS = {"aeexp": "aeexp", "aeexp-encode": "aeexp.cli.encode"}  # that a line may begin with; their modules


def _check_words(text: str) -> str:
    shlex.split(text)  # a ValueError where a quote stays open
    return text


def _check_line(text: str) -> str:
    words = shlex.split(text)
    if not words or words[0] not in PROGRAMS:
        raise ValueError(f"a line begins with {' or '.join(PROGRAMS)}")
    return text


Words = Annotated[str, AfterValidator(_check_words)]
Line = Annotated[str, AfterValidator(_check_line)]
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
    words: Words
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
    words: Words = ""
    first: tuple[Line, ...] = ()  # command lines before all others; {output} is a folder of theirs
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
    command: Annotated[Text, AfterValidator(_check_words)]
    arms: dict[Text, Words]  # name -> words
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
