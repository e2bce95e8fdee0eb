"""Rows that the model would draw in the place of those that it was shown: what a predictive check compares."""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run

AT_ONCE = 2**24  # numbers of the decoder's output


class Check(NamedTuple):
    """Statistics of real rows and of `draws` rows drawn for each."""

    real: dict[str, np.ndarray]  # (F,) of each feature
    drawn: dict[str, np.ndarray]  # (S, F)
    covered: np.ndarray  # (N,) share of a row's values that lie in the middle 90 % of the draws for them


STATISTICS = ("mean", "variance", "zeros", "largest")


@torch.no_grad()
def check_predictive(run: Run, split: str, rows: int, draws: int, seed: int) -> Check | None:
    """Draws z from q(z|x) and x' from p(x|z) for each row x; None of sequences, and where the output is no law that
    values could be drawn from."""
    chosen = run.rows(split).sample(rows, seed)
    if chosen.rows.lengths is not None or run.segments:
        return None
    size = max(1, AT_ONCE // int(np.prod(run.model.likelihood.output(tuple(run.data.shape)))))
    real, drawn, covered = _Moments(1), _Moments(draws), []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in chosen.batches(size):
            encoded = encode(run.learner, batch)
            target = encoded.batch.targets
            below, above = torch.zeros_like(target), torch.zeros_like(target)
            real.add(0, target)
            for draw in range(draws):
                posterior, code = encoded.code.posterior, encoded.code
                stochastic = run.model.latent.prior is not None
                z = posterior.draw(1)[0][0] if stochastic else code.mean
                output = run.model.parameters_of(z, encoded.context, code.skips)
                try:
                    made = run.model.likelihood.draw(output, target)
                except TypeError:
                    return None
                drawn.add(draw, made)
                below += made < target
                above += made > target
            within = (below <= 0.95 * draws) & (above <= 0.95 * draws)
            covered.append(within.flatten(1).double().mean(1).cpu().numpy())
    return Check({name: values[0] for name, values in real.compute().items()}, drawn.compute(), np.concatenate(covered))


@final
class _Moments:
    """Statistics of each feature over rows that come batch by batch, for several sets of rows."""

    def __init__(self, sets: int):
        self.sums: list[list[Tensor]] = [[] for _ in range(sets)]
        self.largest: list[Tensor | None] = [None] * sets
        self.rows = [0] * sets

    def add(self, place: int, rows: Tensor) -> None:
        """Rows (B, *shape) of one set."""
        x = rows.flatten(1).double()
        sums = [x.sum(0), x.square().sum(0), (x == 0).double().sum(0)]
        self.sums[place] = [a + b for a, b in zip(self.sums[place], sums, strict=True)] if self.sums[place] else sums
        top, before = x.amax(0), self.largest[place]
        self.largest[place] = top if before is None else before.maximum(top)
        self.rows[place] += len(x)

    def compute(self) -> dict[str, np.ndarray]:
        """(S, F) each."""
        total, square, zeros = (torch.stack([sums[i] for sums in self.sums]) for i in range(3))
        count = torch.tensor(self.rows).view(-1, 1)
        mean = total / count
        values = (
            mean,
            (square / count - mean.square()).clamp(min=0),
            zeros / count,
            torch.stack([top for top in self.largest if top is not None]),
        )
        return dict(zip(STATISTICS, (value.cpu().numpy() for value in values), strict=True))
