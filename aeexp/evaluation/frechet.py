"""The Frechet distance of drawn rows from real ones, in the features of a small network of the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from aeexp.datasets.core.split import Split
from aeexp.evaluation.feature_net import feature_net
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.samplers import SAMPLERS
from aeexp.types import Batch

CHUNK = 2**25  # numbers that the decoder gives at a time


def count_rows(run: Run, split: str, rows: int) -> int:
    """How many real rows, and as many drawn ones, are compared where at most `rows` are wanted."""
    return min(rows, len(run.rows(split)), len(run.rows("train")))


@torch.no_grad()
def measure(run: Run, split: str, n: int, seed: int, samplers: Sequence[str]) -> tuple[Values, str]:
    """Distances of n rows of the split from decoded codes by each sampler that there is, from their own
    `reconstruction`, and from as many training rows (`floor`); and the network's id."""
    with torch.random.fork_rng():  # encoding draws codes: others' draws stay as they were
        net, name = run.compute_once("feature_net", lambda: feature_net(run.data))

        def features(rows: Tensor) -> np.ndarray:
            return net(rows.cpu()).double().numpy()

        real, train = (_whole(run.rows(part).sample(n, seed)) for part in (split, "train"))
        target = features(real.x)
        others = {"reconstruction": features(_reconstruct(run, real, seed)), "floor": features(train.x)}
        for who in samplers:
            made = run.compute_once(("frechet", who, n, seed), lambda who=who: _draw(run, who, train, seed, features))
            if made is not None:
                others[who] = made
    return {who: distance(rows, target) for who, rows in others.items()}, name


def _draw(run: Run, who: str, train: Batch, seed: int, features: Callable[[Tensor], np.ndarray]) -> np.ndarray | None:
    """Features of decoded codes by a sampler, under the contexts and with the lengths of training rows."""
    n, context = len(train.x), run.model.condition(train)
    codes = SAMPLERS[who](run, n, seed)
    if codes is None:
        return None
    z = torch.from_numpy(codes).to(run.device)
    parts = [run.model.decode(z[at], None if context is None else context[at]) for at in _chunks(run, n)]
    return features(_as_data(run, torch.cat(parts), train.mask, seed))


def _reconstruct(run: Run, real: Batch, seed: int) -> Tensor:
    outs = (run.forward(_part(real, at)) for at in _chunks(run, len(real.x)))
    means = torch.cat([run.model.likelihood.mean(out.output) for out in outs])
    return _as_data(run, means, real.mask, seed)


def _as_data(run: Run, means: Tensor, mask: Tensor | None, seed: int) -> Tensor:
    """Decoded means as rows of the data: drawn where it is binarised, 0 where a sequence has ended."""
    if run.data["train"].preprocessing.binarise != "none":
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            means = (torch.rand(means.shape) < means.cpu()).to(means)
    return means if mask is None else means * mask.unsqueeze(-1)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians with mean and covariance of features (N, F) and (M, F), float64.

    The trace of the root of C_a C_b is the sum of the singular values of their roots' product.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    (mean_a, root_a), (mean_b, root_b) = _moments(a), _moments(b)
    covariances = (root_a**2).sum() + (root_b**2).sum()  # the trace of a symmetric root's square
    common = np.linalg.svd(root_a @ root_b, compute_uv=False).sum()
    return float(max(((mean_a - mean_b) ** 2).sum() + covariances - 2 * common, 0.0))


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and symmetric root of the covariance."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(features.T)))
    return features.mean(0), (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def _whole(split: Split) -> Batch:
    return split.batch(slice(0, len(split)))


def _part(batch: Batch, at: slice) -> Batch:
    """Some rows of a batch."""
    fields = {name: field[at] for name, field in batch._asdict().items() if field is not None}
    return Batch(**fields)


def _chunks(run: Run, n: int) -> list[slice]:
    """Rows that are decoded at a time: a decoder may give many numbers a value."""
    size = max(1, CHUNK // math.prod(run.model.likelihood.output(tuple(run.data.shape))))
    return [slice(at, at + size) for at in range(0, n, size)]
