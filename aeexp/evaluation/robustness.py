"""What a trained model makes of corrupted rows: errors and probe accuracy over levels of noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from aeexp.contracts import Noise
from aeexp.errors import UsageError
from aeexp.evaluation.classifiers import fit_probe
from aeexp.evaluation.probes import find_labelled, hide, hold_out, select_labelled_codes
from aeexp.evaluation.run import Run
from aeexp.evaluation.uncertainty import measure_mean, measure_share
from aeexp.models.learner import choose_batch_size
from aeexp.randomness import mix


def pick_noise(noise: Mapping[str, Noise], levels: Sequence[float]) -> tuple[str, Noise]:
    """Name and part of the one noise of a configuration. Raises UsageError on none or several, and on other levels."""
    if len(noise) != 1:
        raise UsageError(f"noise={list(noise)}: one noise is varied: take one, as gaussian or masking")
    name, part = next(iter(noise.items()))
    if len(levels) == 0:
        raise UsageError("levels=[]: name one, as in [0,0.1,0.2]")
    if not part.level:
        raise UsageError(f"noise={name} has no level that could be varied")
    if not all(0 <= level <= part.highest for level in levels):
        bounds = "must not be negative" if part.highest == math.inf else f"must lie from 0 to {part.highest:g}"
        raise UsageError(f"levels={list(levels)} of noise={name} {bounds}")
    return name, part


def level_in_training(run: Run, noise: Noise) -> float | None:
    """Of the same kind of noise; None where there was none."""
    parts = [part for part in run.learner.objective.noise.modules() if isinstance(part, type(noise))]
    return float(parts[0].get_buffer(noise.level)) if parts else None


def curve(
    run: Run, split: str, name: str, noise: Noise, levels: Sequence[float], rows: int, seed: int
) -> dict[str, list[float]]:
    """`mse` and, where rows are labelled, `linear`, a value a level of the noise, which is called `name`.

    `mse` is the squared error against the clean target, summed over features. `linear` is the accuracy of a linear
    probe fitted on the clean codes of at most `rows` training rows, the ones of metric=probe. All levels, and all
    models of the same data, see the same draws.
    """
    probe = run.compute_once(("clean probe", rows, seed), lambda: fit_clean_probe(run, rows, seed))
    values: dict[str, list[float]] = {"mse": [], **({"linear": []} if probe is not None else {})}
    for level in levels:
        key = ("corrupted", split, name, float(level), seed)
        errors, codes = run.compute_once(
            key, lambda level=level: corrupt(run, split, set_level(run, noise, level), seed)
        )
        values["mse"].append(measure_mean(errors))
        if probe is not None:
            known, labels = find_labelled(run, split)
            values["linear"].append(measure_share(probe.predict(hide(run, codes[known])) == labels))
    return values


def set_level(run: Run, noise: Noise, level: float) -> Noise:
    """The noise at a level, for the range of the run's data."""
    return noise.on_range(*run.data.limits).at(level).to(run.device)


@torch.no_grad()
def corrupt(run: Run, split: str, noise: Noise, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) squared errors against the clean targets and (N, D) mean codes of corrupted rows.

    The generators of the caller are left as they were.
    """
    errors, codes = [], []
    with torch.random.fork_rng():
        for i, batch in enumerate(run.rows(split).batches(choose_batch_size(run.data.shape))):
            torch.manual_seed(mix(seed, i))  # anew: a latent that draws moves the generator
            out = run.forward(batch, noise)
            errors.append(run.measure_error(out))
            codes.append(out.code.mean.cpu().numpy())
    return np.concatenate(errors), np.concatenate(codes)


def fit_clean_probe(run: Run, rows: int, seed: int) -> Any | None:
    """A linear probe of at most `rows` clean training codes; None where there are no labels, or one class alone."""
    if not run.data.is_labelled:
        return None
    codes, labels = select_labelled_codes(run, "train")
    chosen = np.random.default_rng(seed).permutation(len(codes))[:rows]
    if len(np.unique(labels[chosen])) < 2:
        return None
    return fit_probe("linear", codes[chosen], labels[chosen], held=hold_out(run, len(chosen), seed))
