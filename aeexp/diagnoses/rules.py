"""What a rule is, what it finds, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

from aeexp.diagnoses.facts import Facts


@final
class Finding(NamedTuple):
    """An illness of one run."""

    evidence: dict[str, float]  # numbers, each under its key of metrics.json; of a baseline "baseline/pca/..."
    sentence: str  # the number and what it is held against


@final
class Cure(NamedTuple):
    """One or several overrides that cure it, as words to paste, and why."""

    words: tuple[str, ...]
    why: str

    @property
    def text(self) -> str:
        """In one line."""
        return " ".join(self.words)


@final
class Rule(NamedTuple):
    """An illness: what it is told by. A rule that has not its numbers is silent."""

    name: str
    reads: tuple[str, ...]  # keys of metrics.json; a last `*` is any end
    threshold: str  # in words
    reason: str  # why there
    find: Callable[[Facts], Finding | None]
    cures: Callable[[Facts, Finding], list[Cure]]  # the surest first
    follows: tuple[str, ...] = ()  # illnesses that explain it: beside one of them it is not told


@final
class Diagnosis(NamedTuple):
    """An illness of a run with its evidence, and what cures it."""

    name: str
    sentence: str
    evidence: dict[str, float]
    threshold: str
    reason: str
    cures: tuple[Cure, ...]
    follows: str = ""  # the illness that explains it

    @property
    def cure(self) -> str:
        """The surest one, "" where none is known."""
        return self.cures[0].text if self.cures else ""

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}" + (f"; cure: {self.cure}" if self.cures else "")

    def as_table(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        return {"name": self.name, "text": self.sentence, "evidence": self.evidence, "cure": self.cure}


def require(evidence: Mapping[str, float | None]) -> dict[str, float] | None:
    """The numbers, where all of them are there."""
    known = {key: value for key, value in evidence.items() if value is not None}
    return known if len(known) == len(evidence) else None
