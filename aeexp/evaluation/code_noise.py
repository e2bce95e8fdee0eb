"""What is left of rows whose codes went through a noisy channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aeexp.datasets.core.split import Split
from aeexp.evaluation.encode import encode
from aeexp.evaluation.probes import find_labelled, hide
from aeexp.evaluation.robustness import fit_clean_probe
from aeexp.evaluation.run import Run
from aeexp.evaluation.uncertainty import measure_mean, measure_share
from aeexp.models.learner import choose_batch_size
from aeexp.randomness import mix
from aeexp.types import Pass


def find_deviation(bits: float) -> float:
    """The noise's standard deviation as a share of the signal's at which a Gaussian channel carries that many bits a
    use: log2(1 + signal / noise) / 2 of the variances (Shannon 1948)."""
    return float((4.0**bits - 1) ** -0.5)


def measure_channel(run: Run, split: str, bits: Sequence[float], rows: int, seed: int) -> dict[str, list[float]]:
    """`mse` and, where rows are labelled, `linear`, a value for each of `bits` a unit.

    `mse` is the squared error of what noisy mean codes decode to, summed over features; `linear` is the accuracy on
    noisy codes of a linear probe fitted on clean ones.
    """
    probe = run.compute_once(("clean probe", rows, seed), lambda: fit_clean_probe(run, rows, seed))
    values: dict[str, list[float]] = {"mse": [], **({"linear": []} if probe is not None else {})}
    for each in bits:
        key = ("channel", split, float(each), seed)
        errors, codes = run.compute_once(key, lambda each=each: send(run, run.rows(split), each, seed))
        values["mse"].append(measure_mean(errors))
        if probe is not None:
            known, labels = find_labelled(run, split)
            values["linear"].append(measure_share(probe.predict(hide(run, codes[known])) == labels))
    return values


def measure_training(run: Run, bits: Sequence[float], rows: int, seed: int) -> list[float]:
    """The squared error of at most `rows` training rows for each of `bits` a unit."""
    few = run.rows("train").sample(rows, seed)
    return [float(send(run, few, each, seed)[0].mean()) for each in bits]


@torch.no_grad()
def send(run: Run, rows: Split, bits: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) squared errors and (N, D) codes with Gaussian noise: of each unit's deviation over training rows a share.

    A latent whose codes are no vectors of any kind takes the nearest ones. Generators stay as they were.
    """
    spread = torch.from_numpy(run.codes("train").std(0)).to(run.device) * find_deviation(bits)
    errors, codes = [], []
    with torch.random.fork_rng():
        for i, batch in enumerate(rows.batches(choose_batch_size(run.data.shape))):
            torch.manual_seed(mix(seed, i))
            batch, x, context, code = encode(run.learner, batch)
            noisy = code.mean + spread * torch.randn(code.mean.shape).to(code.mean)
            noisy = run.model.latent.project(noisy)
            output = run.model.parameters_of(noisy, context, code.skips)
            errors.append(run.measure_error(Pass(batch, x, context, code._replace(z=noisy, mean=noisy), output)))
            codes.append(noisy.cpu().numpy())
    return np.concatenate(errors), np.concatenate(codes)
