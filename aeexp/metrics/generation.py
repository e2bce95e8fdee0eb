"""How well the model explains new rows: an estimate of -log p(x)."""

from __future__ import annotations

import math

import numpy as np
import torch

from aeexp.bounds import bound, log_weights
from aeexp.evaluate import Run, Values


class Generation:
    """-log p(x) in nats per example by importance sampling with the encoder as proposal (Burda et al. 2016).

    `samples` codes a row (K), the first `rows` rows of the split; an upper bound that falls with K. The name says how
    the data was binarised: `nll` of a density, `nll_fixed`, `nll_per_epoch`; Bernoulli on grey values is no likelihood
    and is called `cross_entropy_bound`. `_se` is the standard error over rows, `_k` is K. Left out where the latent
    has no prior.
    """

    def __init__(self, samples: int = 100, rows: int = 1000, chunk: int = 20_000):
        self.samples = samples
        self.rows = rows
        self.chunk = chunk  # codes decoded at a time

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        if not hasattr(run.model.latent, "prior"):
            return {}
        name = self.name(run)
        values = np.concatenate([part.cpu().double().numpy() for part in self.estimates(run, split)])
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        made = {name: values.mean(), f"{name}_se": error, f"{name}_k": self.samples}
        if run.data.step is not None and name.startswith("nll"):
            features = math.prod(run.data.shape)
            grid = -math.log2(run.data.step) if run.model.likelihood.density else 0.0
            made[f"{name}_bits_per_dim"] = values.mean() / (features * math.log(2)) + grid
        return {f"generation/{key}": float(value) for key, value in made.items()}

    def name(self, run: Run) -> str:
        binarise = run.data["train"].preprocessing.binarise
        if run.model.likelihood.density:
            return "nll"
        grey = binarise == "none" and run.data.step != 1
        return "cross_entropy_bound" if grey else "nll" if binarise == "none" else f"nll_{binarise}"

    def estimates(self, run: Run, split: str):
        """(B,) nats, batch by batch; the same draws at every call."""
        rows = run.rows(split)
        count, size = min(self.rows, len(rows)), max(1, self.chunk // self.samples)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for start in range(0, count, size):
                batch = run.learner.task(rows.batch(slice(start, min(start + size, count))))
                weights, _, _ = log_weights(run.model, batch, batch.x, self.samples)
                features = batch.target[0].numel() if batch.mask is None else batch.mask.sum(1) * batch.target.shape[2]
                yield -bound(weights) + run.model.likelihood.constant(features)
