"""Models with known values as runs."""

from __future__ import annotations

from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct


def as_run(model, data) -> Run:
    return Run(Learner(Reconstruct(), model, Additive(Chain({}), {})), data)
