"""What a model with labels as a latent variable says of a row whose label it is not told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.evaluation.units import likelihood_name
from aeexp.objectives.bounds import bound, log_weights
from aeexp.ranges import Count
from aeexp.types import Batch

VALUES = 2**24  # numbers for decoded rows that lie in memory at a time

SUFFIX = "(_given_size)?(_density)?(_fixed|_per_epoch)?"
NLL = f"marginal/(nll|cross_entropy_bound){SUFFIX}"
NATS = ("likelihood._target_", "task.")


@final
class Marginal(Metric):
    """log p(x) of M2 with the label summed out, in nats per example, on at most `rows` rows; reads no label.

    - `elbo`: -U(x) of Kingma et al. 2014 (equation 7), the bound on log p(x) that q(y|x) and q(z|x, y) give, with the
      likelihood's constant, and the KL at weight 1 whatever was trained.
    - `nll`: -log p(x) by importance sampling, `samples` codes for each label (K = `nll_k`) and the sum over labels
      exact; an upper bound that falls with K, in which q(y|x) has no part. `nll_se` is its standard error over rows.

    Names have the suffixes of metric=generation, whose numbers are those given the inferred label. Left out where the
    label is no latent variable, or the code is not drawn.

    Formula: elbo: Σ_y q(y|x) log p(x|z) p(y) p(z) / q(z|x, y) + H(q(y|x)); nll: -log Σ_y p(y) 1/K Σ_k w_k(x, y)

    Look at: how far nll lies below -elbo: what q(y|x) and q(z|x, y) lose; generation/nll_given_label beside it.
    """

    of_pictures: ClassVar = True
    numbers: ClassVar = (
        Number(f"marginal/nll{SUFFIX}", "lower", "nats per example", headline=True, alike=NATS,
               label="-log p, label unknown: {name} ({k:.0f} codes a label), nats"),
        Number(NLL, "lower", "nats per example", headline=True, alike=NATS),
        Number(f"{NLL}_se", None, "nats per example", alike=NATS, no_interval="it is an error itself"),
        Number(f"{NLL}_k", None, "codes", alike=NATS, counts=True, no_interval="it is an option"),
        Number(f"marginal/(elbo|cross_entropy_elbo){SUFFIX}", "higher", "nats per example", alike=NATS),
    )  # fmt: skip
    harmless: ClassVar = ("samples",)  # `_k` says how many

    def __init__(self, samples: Count = 10, rows: Count = 1000):
        self.samples = samples
        self.rows = rows

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        prior = run.learner.objective.label_prior()
        if prior is None or run.model.latent.prior is None:
            return {}
        nll, elbo = torch.cat(list(self.estimate(run, split, prior)), 1).cpu().double().numpy()
        name = likelihood_name(run, "nll", otherwise="cross_entropy_bound")
        values = {
            name: measure_mean(nll),
            f"{name}_se": float(nll.std(ddof=1) / math.sqrt(len(nll))) if len(nll) > 1 else math.nan,
            f"{name}_k": float(self.samples),
            likelihood_name(run, "elbo", otherwise="cross_entropy_elbo"): measure_mean(elbo),
        }
        return {f"marginal/{key}": value for key, value in values.items()}

    def estimate(self, run: Run, split: str, prior: Tensor) -> Iterator[Tensor]:
        """(2, B) -log p(x) and ELBO, batch by batch; the same draws at every call."""
        rows = run.rows(split).sample(self.rows)
        outputs = math.prod(run.model.likelihood.output(tuple(rows.shape)))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for batch in rows.batches(max(1, VALUES // outputs // self.samples)):
                log_q = run.learner.objective.score_labels(run.forward(batch)).log_softmax(1)
                batch = run.learner.task(batch)
                # (K, B, classes) log p(x, y, z) / q(z|x, y)
                weights = torch.stack([self.weigh(run, batch, label) for label in range(len(prior))], 2) + prior
                features = batch.targets[0].numel() if batch.mask is None else batch.mask.sum(1) * rows.shape[1]
                constant = run.model.likelihood.constant(features)
                elbo = (log_q.exp() * (weights.mean(0) - log_q)).sum(1) - constant
                yield torch.stack([constant - torch.logsumexp(bound(weights), 1), elbo])

    def weigh(self, run: Run, batch: Batch, label: int) -> Tensor:
        """(K, B) log importance weights of codes under one label for all rows."""
        told = batch._replace(y=torch.full_like(batch.labels, label))
        return log_weights(run.model, told, told.x, self.samples)[0]
