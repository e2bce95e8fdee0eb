"""What the tokens of a quantised code cost under a law that is learned of them, and so what the rows do."""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
import torch

from aeexp.errors import UsageError
from aeexp.evaluation.code_prior import Plan, fit_code_prior, fit_places
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.evaluation.units import grid_bits, likelihood_name
from aeexp.ranges import Count, Seed

NATS = ("likelihood._target_", "task.")
NAME = "code_prior/(bound|cross_entropy_bound)(_density)?(_fixed|_per_epoch)?"


@final
class CodePrior(Metric):
    """A causal transformer over the tokens of the code, learned after training on training rows (as the PixelCNN of van
    den Oord et al. 2017, section 3.3): what it says of the rows of the split.

    - `bits_per_row`: -log2 p of a row's tokens, beside `latent/bits`, which they take as they are.
    - `bits_independent`: the same by how often each place has each token in training rows, whatever the others have.
    - `bound`: an upper bound of -log p(x) in nats, -log p(x | z) - log p(tokens), for the encoder is sure of its
      tokens; it is called after the data as `generation/nll` is, and is one number for VAE and VQ-VAE.

    plot=samples and metric=frechet draw from the same law by `samplers=[autoregressive]`. Left out of codes without
    tokens: latent=vq, fsq and lfq have them.

    Formula: -log p(x | z) - Σ_i log p(t_i | t_1 ... t_{i-1})

    Look at: bits_per_row below bits_independent: what places say of each other; samples of the law.
    """

    of_pictures: ClassVar = True
    numbers: ClassVar = (
        Number("code_prior/nats", "lower", "nats per example", alike=("latent.",)),
        Number("code_prior/bits_(per_row|independent)", "lower", "bits per row", alike=("latent.",)),
        Number(NAME, "lower", "nats per example", headline=True, alike=NATS, label="bound of -log p: {name}, nats"),
        Number(f"{NAME}_bits_per_dim", "lower", "bits per dimension", alike=("task.",)),
    )

    def __init__(
        self,
        width: Count = 64,
        layers: Count = 2,
        heads: Count = 4,
        steps: Count = 600,
        batch_size: Count = 64,
        rows: Count = 1000,
        seed: Seed = 0,
    ):
        if width % heads:
            raise UsageError(f"heads={heads} must divide metric.code_prior.width={width}")
        self.plan = Plan(width, layers, heads, steps, batch_size, seed)
        self.rows = rows

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        network = fit_code_prior(run, self.plan)
        if network is None:
            return {}
        places, nats, alone, costs, features = fit_places(run), [], [], [], math.prod(run.data.shape)
        for batch in run.rows(split).sample(self.rows).batches(256):
            out = run.forward(batch)
            likelihood = run.model.likelihood
            entries = out.code.posterior.entries
            nats.append(network.nats(entries))
            alone.append(-places.T.gather(0, entries).sum(1))
            mask = out.batch.mask
            size = out.batch.targets[0].numel() if mask is None else mask.sum(1) * out.batch.targets.shape[2]
            costs.append(likelihood.distortion(out.output, out.batch.targets, mask) + likelihood.constant(size))
        tokens, apart, rows = (torch.cat(parts).double().cpu().numpy() for parts in (nats, alone, costs))
        name = likelihood_name(run, "bound", otherwise="cross_entropy_bound")
        bound = measure_mean(tokens + rows)
        bits = {"per_row": measure_mean(tokens / np.log(2)), "independent": measure_mean(apart / np.log(2))}
        values = {"nats": measure_mean(tokens), **{f"bits_{key}": value for key, value in bits.items()}, name: bound}
        if (grid := grid_bits(run)) is not None and name != "cross_entropy_bound":
            values[f"{name}_bits_per_dim"] = bound.scale(1 / (features * math.log(2)), grid)
        return {f"code_prior/{key}": value for key, value in values.items()}
