"""How well the model explains new rows: estimates of log p(x)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from aeexp.contracts import Model
from aeexp.datasets.core.split import Split
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.evaluation.units import grid_bits, likelihood_name
from aeexp.objectives.bounds import bound, log_weights
from aeexp.ranges import Count
from aeexp.types import Batch

log = logging.getLogger(__name__)

EVERY = 20.0  # seconds between two lines of progress
VALUES = 2**24  # numbers for decoded rows that lie in memory at a time: 64 MB, and some times as much on the way

# How a likelihood was made of the data stands behind the name: `units.likelihood_name`.
SUFFIX = "(_given_(label|attribute))?(_given_size)?(_density)?(_fixed|_per_epoch)?"
NLL, BOUND, ELBO = (
    f"generation/nll{SUFFIX}",
    f"generation/(nll|cross_entropy_bound){SUFFIX}",
    f"generation/(elbo|cross_entropy_elbo){SUFFIX}",
)
NATS = ("likelihood._target_", "task.")


@final
class Generation(Metric):
    """-log p(x) in nats per example by importance sampling with the encoder as proposal (Burda et al. 2016).

    `samples` codes a row (K), `rows` drawn rows of the split; an upper bound that falls with K. Of more than `chunk` a
    row, as of several rows, so many are decoded at a time; what takes long tells how far it is. The name says how the
    data was binarised (`nll`, `nll_fixed`, `nll_per_epoch`) and what the model was told (`nll_given_label` is -log
    p(x|y)). Bernoulli on grey values is no likelihood and is called `cross_entropy_bound`; a density of bits is no
    probability and is called `nll_density_fixed`. `_se` is the standard error over rows, `_k` is K, `_per_step` all
    nats over all real steps of sequences. `_bits_per_dim` of data stored as integers are those of a probability, and
    compare between likelihoods: of a density they bound it by uniform noise of one step of the grid on the target
    (Theis et al. 2016), so that a density that is narrow on the grid's points gains nothing. `elbo`, named likewise, is
    the lower bound of log p(x) that one code gives, in nats per example: the mean over the same draws, with the KL at
    weight 1 whatever was trained. Left out where the latent has no prior.

    Formula: -log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x)

    Look at: nll beside elbo: their distance is what the encoder loses; samples from the prior (plot=samples).
    """

    of_pictures: ClassVar = True
    figures = ("samples",)
    numbers: ClassVar = (
        Number(
            NLL, "lower", "nats per example", headline=True, alike=NATS, label="-log p: {name} ({k:.0f} codes), nats"
        ),
        Number(
            BOUND,
            "lower",
            "nats per example",
            headline=True,
            alike=NATS,
            label="no -log p: {name} ({k:.0f} codes), nats",
        ),
        Number(f"{BOUND}_per_step", "lower", "nats per step", headline=True, alike=NATS),
        Number(f"({BOUND}|{ELBO})_bits_per_dim", "lower", "bits per dimension", alike=("task.",)),
        Number(f"{BOUND}_se", None, "nats per example", alike=NATS, no_interval="it is an error itself"),
        Number(f"{BOUND}_k", None, "codes", alike=NATS, counts=True, no_interval="it is an option"),
        Number(ELBO, "higher", "nats per example", alike=NATS),
    )
    harmless: ClassVar = ("chunk", "samples")  # rows at a time are a matter of memory; `_k` says how many samples

    def __init__(self, samples: Count = 100, rows: Count = 1000, chunk: Count = 20_000):
        self.samples = samples
        self.rows = rows
        self.chunk = chunk  # codes decoded at a time

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        if run.model.latent.prior is None:
            return {}
        condition = run.model.condition
        given = f"_given_{type(condition).__name__.lower()}" if condition.size else ""
        name = likelihood_name(run, f"nll{given}", otherwise=f"cross_entropy_bound{given}")
        parts = [part.cpu().double().numpy() for part in self.estimates(run, split)]
        values, elbo, *bounds = np.concatenate(parts, axis=1)
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        nll = measure_mean(values)
        row = {name: nll, f"{name}_se": float(error), f"{name}_k": float(self.samples)}
        name_of_elbo = likelihood_name(run, f"elbo{given}", otherwise=f"cross_entropy_elbo{given}")
        row[name_of_elbo] = measure_mean(elbo)
        features = self.features(run, split)
        if len(run.data.shape) == 2:
            row[f"{name}_per_step"] = nll.scale(run.data.shape[1] / features)
        if (grid := grid_bits(run)) is not None and name.startswith("nll"):
            for key, nats in zip((name, name_of_elbo), bounds or (values, -elbo), strict=True):
                row[f"{key}_bits_per_dim"] = measure_mean(nats).scale(1 / (features * math.log(2)), grid)
        return {f"generation/{key}": value for key, value in row.items()}

    def features(self, run: Run, split: str) -> float:
        """Of a row, on average: sequences differ in length."""
        rows = self.draw_rows(run, split)
        mask = rows.batch(slice(0, len(rows))).mask
        return math.prod(run.data.shape) if mask is None else float(mask.sum() * run.data.shape[1] / len(rows))

    def draw_rows(self, run: Run, split: str) -> Split:
        """At most `rows` of the split, the same at every call."""
        return run.compute_once(("generation", split, self.rows), lambda: run.rows(split).sample(self.rows))

    def estimates(self, run: Run, split: str):
        """-log p(x) and ELBO in nats, (2, B), batch by batch; the same draws at every call.

        (4, B) of a density over a grid: behind them both as upper bounds, under uniform noise of one step on the
        target.
        """
        step = run.data.step if run.model.likelihood.density and grid_bits(run) is not None else None
        rows = self.draw_rows(run, split)
        most = max(1, min(self.chunk, VALUES // math.prod(run.model.likelihood.output(tuple(rows.shape)))))
        count, size = len(rows), max(1, most // self.samples)
        codes = [min(most, self.samples - start) for start in range(0, self.samples, most)]  # of a row at a time
        progress = Progress(split, count)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for start in range(0, count, size):
                batch = run.learner.task(rows.batch(slice(start, min(start + size, count))))
                features = batch.target[0].numel() if batch.mask is None else batch.mask.sum(1) * batch.target.shape[2]
                constant = run.model.likelihood.constant(features)
                log_mean, elbo = summarise_weights(run.model, batch, batch.x, codes)
                parts = [constant - log_mean, elbo - constant]
                if step is not None:
                    spread = (torch.rand_like(batch.targets) - 0.5) * step
                    cells = batch._replace(target=batch.targets + spread)
                    log_mean, elbo = summarise_weights(run.model, cells, batch.x, codes)
                    parts += [constant - log_mean, constant - elbo]
                progress.tell(parts[0])
                yield torch.stack(parts)


def summarise_weights(model: Model, batch: Batch, x: Tensor, codes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(B,) log of the mean weight and mean of the log weights, over so many codes at a time."""
    logs, means = [], []
    for count in codes:
        weights, _, _ = log_weights(model, batch, x, count)
        logs.append(bound(weights))
        means.append(weights.mean(0))
    if len(codes) == 1:
        return logs[0], means[0]
    shares = torch.tensor(codes, dtype=means[0].dtype, device=means[0].device).unsqueeze(1) / sum(codes)
    return torch.logsumexp(torch.stack(logs) + shares.log(), 0), (torch.stack(means) * shares).sum(0)


@final
class Progress:
    """Of an estimate that takes long: a line now and then, with the mean so far and its standard error."""

    def __init__(self, split: str, rows: int):
        self.split = split
        self.rows = rows
        self._began = self._told = time.monotonic()
        self._values: list[Tensor] = []
        self._done = 0

    def tell(self, values: Tensor) -> None:
        """-log p(x) of further rows, (B,)."""
        self._values.append(values)
        self._done += len(values)
        now = time.monotonic()
        if now - self._told < EVERY or self._done >= self.rows:
            return
        self._told = now
        found = torch.cat(self._values).double()
        error = float(found.std()) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        left = (now - self._began) * (self.rows / self._done - 1)
        log.info(
            "generation: %s of %s %s rows, %.2f nats so far (standard error %.2f), some %s left", f"{self._done:,}",
            f"{self.rows:,}", self.split, float(found.mean()), error, describe_seconds(left),
        )  # fmt: skip


def describe_seconds(seconds: float) -> str:
    """`40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
