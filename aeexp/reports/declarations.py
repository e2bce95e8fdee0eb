"""What runs declare of their numbers in metrics.json: which is better, in what unit, which of them compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, final

from aeexp.reports.records import Record

Better = Literal["lower", "higher"]

LABEL_GIVEN = "condition=label tells the encoder the label, and others not"
SIZES = ("latent.dim",)  # a loss of other width is the same loss


@final
class Declarations:
    """The declarations of all records by key; of two versions of one the later record's counts.

    A key with an evaluation's options, `probe/linear_n10 [draws=9]`, is declared by the key before them. Of a key that
    nobody declares nothing is better, and it is no headline.
    """

    def __init__(self, records: Iterable[Record]):
        self._numbers: dict[str, Mapping[str, Any]] = {}
        for record in records:
            self._numbers |= record.metrics.get("numbers") or {}

    def better(self, key: str) -> Better | None:
        """None: more is neither better nor worse, or nobody says which."""
        way = self._of(key).get("better")
        return way if way in ("lower", "higher") else None

    def unit(self, key: str) -> str:
        """As an axis is named, "" of a pure number."""
        return str(self._of(key).get("unit") or "")

    def is_headline(self, key: str) -> bool:
        """Whether the number is a column where nobody chose any; never one of an evaluation with other options."""
        return key == without_options(key) and bool(self._of(key).get("headline"))

    def is_count(self, key: str) -> bool:
        """Whether it says how many samples the numbers beside it are of, which must agree between runs."""
        return key == without_options(key) and bool(self._of(key).get("counts"))

    def is_of_labels(self, key: str) -> bool:
        """Whether a code scores in it that was given the label."""
        return bool(self._of(key).get("of_labels"))

    def incomparable(self, key: str, records: Sequence[Record]) -> str | None:
        """Why a key's numbers are not of one thing in these runs, as text; None where they are."""
        parts = list(map(str, self._of(key).get("alike") or ()))
        if key == "loss" and any(has_penalties(record) for record in records):
            parts.append("latent.")  # the code has a term of its own
        unlike = [part.split(".")[0] for part in parts if len({_settings(record, part) for record in records}) > 1]
        if unlike:
            names = list(dict.fromkeys(unlike))
            return f"{', '.join(names)} differ{'s' if len(names) == 1 else ''} between runs"
        if self.is_of_labels(key) and len({is_given_label(record) for record in records}) > 1:
            return LABEL_GIVEN
        return None

    def _of(self, key: str) -> Mapping[str, Any]:
        return self._numbers.get(without_options(key), {})


def without_options(key: str) -> str:
    """`probe/linear_n10` of the key `probe/linear_n10 [draws=9]` that aeexp-evaluate names."""
    return key.partition(" [")[0]


def has_penalties(record: Record) -> bool:
    """Whether the loss has terms beside the reconstruction, which PCA's has not."""
    return any(key.startswith("loss/") and key != "loss/reconstruction" for key in record.metrics["test"])


def is_given_label(record: Record) -> bool:
    """Whether the encoder was given the label, and did not have to infer it."""
    condition, objective = (str(record.config.get(f"{part}._target_")) for part in ("condition", "objective"))
    told = record.config.get("condition.encoder", True)
    return condition.endswith(".Label") and bool(told) and not objective.endswith(".SemiSupervised")


def _settings(record: Record, part: str) -> tuple:
    return tuple((key, repr(value)) for key, value in record.config.items()
                 if key.startswith(part) and key not in SIZES)  # fmt: skip


def describe_undeclared(records: Sequence[Record]) -> list[str]:
    """A sentence on runs whose metrics.json declares nothing, as older versions wrote it; none where there are none."""
    older = sum("numbers" not in record.metrics for record in records)
    if not older:
        return []
    return [f"{older} of {len(records)} runs were measured by an older version and do not say which numbers are "
            "better: run aeexp-evaluate, or train anew."]  # fmt: skip
