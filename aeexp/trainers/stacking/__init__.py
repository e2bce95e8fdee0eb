"""Runs that are alike, trained as one: `fitting` is the loop, `stack` their learners, `blocks` their optimizers."""

from aeexp.trainers.stacking.members import Outcome
from aeexp.trainers.stacking.together import Tell, fit_together

__all__ = ["Outcome", "Tell", "fit_together"]
