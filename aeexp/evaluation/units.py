"""What a likelihood is called, and what a value on a grid costs beside its density."""

from __future__ import annotations

import math

from aeexp.evaluation.run import Run


def likelihood_name(run: Run, name: str, otherwise: str) -> str:
    """`name` with a suffix for binarised data: nats, nats_fixed, nats_per_epoch; a density of bits, which is no
    probability of them, has nats_density_fixed. Of counts whose sum is given nats_given_size.

    `otherwise` where the model gives probabilities to values that the data does not have: a cross-entropy, no
    likelihood (Bernoulli on grey pixels).
    """
    if run.model.likelihood.counts:
        return f"{name}_given_size" if run.model.likelihood.sized else name
    likelihood, step, binarise = run.model.likelihood, run.data.step, run.data["train"].preprocessing.binarise
    levels = bool(step and math.isclose(step * (likelihood.levels - 1), 1, rel_tol=1e-6))
    if not likelihood.density and not levels and not (likelihood.levels == 2 and run.data.is_binary):
        return otherwise
    if binarise == "none":
        return name
    return f"{name}_density_{binarise}" if likelihood.density else f"{name}_{binarise}"


def grid_bits(run: Run) -> float | None:
    """What a value of data stored as integers costs beside its -log2 p: a density times a step is a probability.

    None for other data, for a density of bits, whose step is too wide, and for one that ends where the data does
    (continuous Bernoulli): half of the last step lies beyond, and a steep density times a step is above 1.
    """
    likelihood, step = run.model.likelihood, run.data.step
    binarised = run.data["train"].preprocessing.binarise != "none"
    if step is None or (likelihood.density and (binarised or not likelihood.identity_link)):
        return None
    return -math.log2(step) if likelihood.density else 0.0
