"""How far drawn rows are from real ones: a distance between two sets of features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from aeexp.datasets.core.split import Split
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.feature_net import feature_net
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.samplers import QUICK, SAMPLERS, Sampler
from aeexp.ranges import Seed, Several
from aeexp.types import Batch

CHUNK = 2**25  # numbers that the decoder gives at a time

BIASED = "it falls with the number of different rows, which are fewer where rows are drawn twice"


@final
class Frechet(Metric):
    """Frechet distance (Dowson and Landau 1982) of n rows of the split to as many rows that the model made.

    Squared, as in Heusel et al. 2017, but the features are those of a small network trained on this data set
    (`evaluation.feature_net`): 32, of unit variance on training rows. Made rows are decoded codes from each of
    `samplers`, under the contexts and with the lengths of training rows, and `reconstruction`, of the very
    rows, 0 for the identity. `floor` is what as many training rows get: the bias of n. Where the data is binarised,
    made rows are bits drawn from the decoded means, as the real ones are drawn from grey pixels. n is `rows`, or as
    many as the splits have. A key holds n and the network's id, as in `frechet_prior_n1000_v1-3fa2c1b0`: others do not
    compare with it.

    Formula: |m - m'|² + tr(C + C' - 2 (C C')^½), m and C mean and covariance of the features

    Look at: plot=samples: a number says nothing of what is wrong; the floor, below which it means nothing.
    """

    of_pictures: ClassVar = True
    figures = ("samples",)
    in_keys: ClassVar = ("samplers",)
    numbers: ClassVar = (
        Number(
            "generation/frechet_floor_.*", None, "squared distance of features", no_interval=BIASED
        ),  # of the data against itself
        Number("generation/frechet_.*", "lower", "squared distance of features", no_interval=BIASED),
    )

    def __init__(self, rows: Several = 1000, seed: Seed = 0, samplers: Sequence[Sampler] = QUICK):
        self.rows = rows
        self.seed = seed
        self.samplers = tuple(samplers)

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        n = min(self.rows, len(run.rows(split)), len(run.rows("train")))
        if n < 2:
            return {}
        with torch.random.fork_rng():  # encoding draws codes: others' draws stay as they were
            return self._measure(run, split, n)

    def _measure(self, run: Run, split: str, n: int) -> Values:
        net, name = run.compute_once("feature_net", lambda: feature_net(run.data))

        def features(rows: Tensor) -> np.ndarray:
            return net(rows.cpu()).double().numpy()

        real, train = (_whole(run.rows(part).sample(n, self.seed)) for part in (split, "train"))
        target = features(real.x)
        others = {"reconstruction": features(self._reconstruct(run, real)), "floor": features(train.x)}
        others |= run.compute_once(
            ("frechet", n, self.seed, self.samplers), lambda: self._samples(run, train, features)
        )
        return {f"generation/frechet_{who}_n{n}_{name}": distance(rows, target) for who, rows in others.items()}

    def _samples(self, run: Run, train: Batch, features: Callable[[Tensor], np.ndarray]) -> dict[str, np.ndarray]:
        """Features of decoded codes by each sampler that there is."""
        n, context, samples = len(train.x), run.model.condition(train), {}
        for name in self.samplers:
            codes = SAMPLERS[name](run, n, self.seed)
            if codes is not None:
                z = torch.from_numpy(codes).to(run.device)
                parts = [run.model.decode(z[at], None if context is None else context[at]) for at in _chunks(run, n)]
                samples[name] = features(self._as_data(run, torch.cat(parts), train.mask))
        return samples

    def _reconstruct(self, run: Run, real: Batch) -> Tensor:
        outs = (run.forward(_part(real, at)) for at in _chunks(run, len(real.x)))
        return self._as_data(run, torch.cat([run.model.likelihood.mean(out.output) for out in outs]), real.mask)

    def _as_data(self, run: Run, means: Tensor, mask: Tensor | None) -> Tensor:
        """Decoded means as rows of the data: drawn where it is binarised, 0 where a sequence has ended."""
        if run.data["train"].preprocessing.binarise != "none":
            with torch.random.fork_rng():
                torch.manual_seed(self.seed)
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
