"""What a metric or a figure reads, held against what there is: codes of any origin have no model."""

from __future__ import annotations

from collections.abc import Iterable

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Reads
from aeexp.evaluation.run import Run

WORDS = {
    "model": "it needs the model, and these are codes alone: a run folder has one",
    "classes": "it holds what the model says of classes against them, and those of these rows are others",
    "inputs": "it holds codes against what they are codes of: add the rows as inputs_train, inputs_test (or inputs)",
    "labels": "it needs labels: add them as y_train, y_test (or y), in every split",
    "response": "it holds the numbers that the model predicts against these, which have another name than in training",
    "truth": "it needs labels (y_train, y_test, or y) or numbers to predict (target_train, target_test) in every split",
    "factors": "it needs factors: add them as s_train, s_test (or s)",
}


class Unread(UsageError):
    """What a metric or a figure reads is not there."""


def require_readable(name: str, reads: Iterable[Reads], run: Run) -> None:
    """Raises `Unread` with what is lacking, and the way out."""
    for need in reads:
        lacking = need in run.lacks
        if need == "labels" and "model" in run.lacks:  # of a run's own data it is no mistake to have none
            lacking = not run.data.is_labelled
        if need == "truth" and "model" in run.lacks:
            lacking = not (run.data.is_labelled or run.data.has_response)
        if need == "factors" and "model" in run.lacks:
            lacking = run.rows("test").s is None
        if lacking:
            raise Unread(f"{name}: {WORDS[need]}")
