"""All exercises, by name."""

from __future__ import annotations

from aeexp.errors import UsageError
from aeexp.exercises import kl, linear, masking, sampler, sparsity
from aeexp.exercises.records import Exercise

EXERCISES = {part.EXERCISE.name: part.EXERCISE for part in (kl, sparsity, masking, sampler, linear)}


def find_exercise(name: str) -> Exercise:
    """Raises UsageError on a name that is none."""
    if name not in EXERCISES:
        raise UsageError(f"{name} is no exercise: take one of {', '.join(EXERCISES)}")
    return EXERCISES[name]
