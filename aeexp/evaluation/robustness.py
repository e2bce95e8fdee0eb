"""What a trained model makes of corrupted rows: errors and probe accuracy over levels of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from aeexp import noises
from aeexp.contracts import Noise
from aeexp.errors import UsageError
from aeexp.evaluation.probes import fitted, labelled
from aeexp.evaluation.run import Run
from aeexp.models.learner import at_once
from aeexp.randomness import mix

Kind = Literal["gaussian", "masking", "salt_pepper", "block"]
PARTS: dict[str, tuple[type[nn.Module], str]] = {  # class, and the buffer that is its level
    "gaussian": (noises.Gaussian, "std"),
    "masking": (noises.Masking, "p"),
    "salt_pepper": (noises.SaltPepper, "p"),
    "block": (noises.Block, "size"),
}


def check(noise: Kind, levels: Sequence[float]) -> None:
    """Raise UsageError where these levels are none of that noise."""
    if noise not in get_args(Kind):
        raise UsageError(f"noise={noise} should be one of {', '.join(get_args(Kind))}")
    if len(levels) <= 0:
        raise UsageError("levels=[]: name one, as in [0,0.1,0.2]")
    most = math.inf if noise == "gaussian" else 1.0
    words = "must not be negative" if noise == "gaussian" else "must lie from 0 to 1"
    if not all(0 <= level <= most for level in levels):
        raise UsageError(f"levels={list(levels)} of noise={noise} {words}")


def trained(run: Run, noise: Kind) -> float | None:
    """The level of that noise in training; None where there was none."""
    part, level = PARTS[noise]
    found = next((each for each in run.learner.objective.modules() if isinstance(each, part)), None)
    return None if found is None else float(getattr(found, level))


def curve(run: Run, split: str, noise: Kind, levels: Sequence[float], rows: int, seed: int) -> dict[str, list[float]]:
    """`mse` and, where rows are labelled, `linear`, a value a level.

    `mse` is the squared error against the clean target, summed over features. `linear` is the accuracy of a linear
    probe fitted on the clean codes of at most `rows` training rows, the ones of metric=probe. All levels, and all
    models of the same data, see the same draws.
    """
    probe = run.once(("clean probe", rows, seed), lambda: _probe(run, rows, seed))
    found: dict[str, list[float]] = {"mse": [], **({"linear": []} if probe is not None else {})}
    labels = run.labels(split)
    for level in levels:
        key = ("corrupted", split, noise, float(level), seed)
        errors, codes = run.once(key, lambda level=level: corrupted(run, split, made(run, noise, level), seed))
        found["mse"].append(float(errors.mean(dtype=np.float64)))
        if probe is not None:
            known = labels >= 0 if run.data.normal is None else np.isin(labels, run.data.normal)
            found["linear"].append(float(probe.score(codes[known], labels[known])))
    return found


def made(run: Run, noise: Kind, level: float) -> Noise:
    """The noise at a level; salt and pepper are the ends of the data's range."""
    part, name = PARTS[noise]
    low, high = run.data.limits
    ends = {"low": low, "high": high} if noise == "salt_pepper" and low < high else {}
    return part(**{name: float(level)}, **ends).to(run.device)


@torch.no_grad()
def corrupted(run: Run, split: str, noise: Noise, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) squared errors against the clean targets and (N, D) mean codes of corrupted rows.

    The generators of the caller are left as they were.
    """
    errors, codes = [], []
    with torch.random.fork_rng():
        for i, batch in enumerate(run.rows(split).batches(at_once(run.data.shape))):
            torch.manual_seed(mix(seed, i))  # anew: a latent that draws moves the generator
            out = run.forward(batch, noise)
            errors.append(run.squared(out))
            codes.append(out.code.mean.cpu().numpy())
    return np.concatenate(errors), np.concatenate(codes)


def _probe(run: Run, rows: int, seed: int):
    """None where there are no labels, or one class alone."""
    if not run.data.is_labelled:
        return None
    codes, labels = labelled(run, "train")
    chosen = np.random.default_rng(seed).permutation(len(codes))[:rows]
    return fitted("linear", codes[chosen], labels[chosen]) if len(np.unique(labels[chosen])) > 1 else None
