"""How far two samples of codes are from one law: maximum mean discrepancies. Weights are buffers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import NonNegative
from aeexp.regularizers.needs import draw_prior, need_unbounded
from aeexp.tensors import whole_rows
from aeexp.types import Facts, Pass

Kernel = Literal["imq", "rbf"]
WIDE = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of 2 D, in the code of Tolstikhin et al. 2018
FINE = tuple(4.0**-power for power in range(5))  # of the median squared distance
FEW = 16.0  # rows; two alone, at a weight of 100, are noise of some ten nats


@final
class MMD(Regularizer):
    """Squared maximum mean discrepancy of the codes in a batch from another law, (): unbiased, over different rows.

    - `prior`: from as many draws of N(0, I) or the latent's prior (WAE, Tolstikhin et al. 2018). Acts on any code.
      `imq` is a sum of inverse multiquadratics at seven scales about 2 D, as in the paper's code; `rbf` a Gaussian of
      variance D.
    - `attribute`: the codes of each value of the attribute from those of the other rows, the mean over the values
      (variational fair autoencoder, Louizos et al. 2016): 0 where the codes do not tell of it. It acts
      on mean codes, each unit brought to variance 1 over the batch: what the noise of a drawn code hides, or a small
      scale, a probe of the mean reads all the same. Either kernel is a sum over five widths from the batch's median
      distance down to a sixteenth of it: a forest reads what a wide one does not see. Values with few rows in a batch
      count less.

    Formula: E k(z, z') + E k(p, p') - 2 E k(z, p), for codes z and draws p of the other law

    Look at: samples from the prior (plot=samples), which are as good as the match; against an attribute
    metric=fairness.
    """

    kernel: Kernel

    def __init__(
        self,
        weight: NonNegative = 10.0,
        kernel: Kernel = "imq",
        against: Literal["prior", "attribute"] = "prior",
    ):
        super().__init__(weight)
        self.kernel = kernel
        self.against = against
        self.holds_against_prior = against == "prior"

    def adapt(self, model: Model, facts: Facts) -> None:
        """How many values the attribute has."""
        if self.against == "attribute" and facts.codes < 2:
            raise UsageError(f"against=attribute: {facts.explain_attributes()}, or take against=prior")
        self.values = facts.codes

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() between the batch's codes and the other law."""
        z = out.code.z
        if self.against == "attribute":
            groups = whole_rows(F.one_hot(out.batch.attributes.long(), self.values).to(z))
            return group_mmd(standardise_units(whole_rows(out.code.mean)), groups, self.kernel)
        return mmd(whole_rows(z), whole_rows(draw_prior(model, z)), self.kernel)

    def check(self, model: Model) -> None:
        """Raises UsageError where codes cannot be held against a prior."""
        if self.against == "prior":
            need_unbounded("mmd", model)


def mmd(a: Tensor, b: Tensor, kernel: Kernel = "imq", widths: Sequence[float | Tensor] | None = None) -> Tensor:
    """Unbiased squared MMD of samples (N, D) and (M, D), (); may be a little below 0 (Gretton et al. 2012, eq. 3).

    The kernel is a sum over `widths`, squared distances; None: about 2 D, for two draws of about N(0, I).
    """
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return a.sum() * 0.0
    if widths is None:
        widths = [2.0 * a.shape[1] * scale for scale in (WIDE if kernel == "imq" else (1.0,))]
    across = _kernel(square_distances(a, b), kernel, widths).mean()
    return _within(a, kernel, widths) + _within(b, kernel, widths) - 2 * across


def group_mmd(z: Tensor, groups: Tensor, kernel: Kernel = "imq") -> Tensor:
    """Unbiased squared MMD of each group's codes (N, D) from the others', the mean over groups, (), at `fine_widths`.

    `groups` (N, K) is one-hot. A group of n rows counts by n (N - n) / N, its evidence, and where that is below `FEW`
    once more in proportion: its noise is then never above that of so many rows. One of a single row or none, or one
    that leaves so few, does not count.
    """
    n, outside = len(z), 1 - groups
    distances = square_distances(z, z)
    pairs = _kernel(distances, kernel, fine_widths(distances)) * (1 - torch.eye(n, dtype=z.dtype, device=z.device))
    counts = torch.stack([groups.sum(0), outside.sum(0)])
    within = torch.stack([(side * (pairs @ side)).sum(0) for side in (groups, outside)])
    across = (groups * (pairs @ outside)).sum(0) / (counts[0] * counts[1]).clamp(min=1)
    values = (within / (counts * (counts - 1)).clamp(min=1)).sum(0) - 2 * across
    evidence = counts.prod(0) / max(n, 1) * (counts >= 2).all(0)
    return (values * evidence * (evidence / FEW).clamp(max=1)).sum() / evidence.sum().clamp(min=1e-12)


def fine_widths(distances: Tensor) -> list[Tensor]:
    """Squared widths, each (): the median of the squared distances (N, N) of two different rows, and shares of it.

    The least is a sixteenth of the median distance: what shifts each of many small clusters a little is seen. Without
    gradient.
    """
    n = len(distances)
    if n < 2:
        return [distances.new_ones(())]
    middle = n + (n * n - n + 1) // 2  # behind the n distances of a row from itself
    median = distances.detach().flatten().kthvalue(middle).values.clamp(min=1e-12)
    return [median * scale for scale in FINE]


def _within(x: Tensor, kernel: Kernel, widths: Sequence[float | Tensor]) -> Tensor:
    """() mean kernel of two different rows."""
    values, rows = _kernel(square_distances(x, x), kernel, widths), len(x)
    return (values.sum() - values.diagonal().sum()) / (rows * (rows - 1))


def _kernel(distance: Tensor, kernel: Kernel, widths: Sequence[float | Tensor]) -> Tensor:
    if kernel == "rbf":
        return functools.reduce(torch.add, (torch.exp(-distance / width) for width in widths))
    return functools.reduce(torch.add, (width / (width + distance) for width in widths))


def square_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) of codes (N, D) and (M, D), by a product of matrices: no (N, M, D) is held.

    About their common centre, so that what cancels is no larger than the distances between codes far apart.
    """
    centre = a.detach().mean(0)
    a, b = a - centre, b - centre
    return (a.square().sum(-1).unsqueeze(1) + b.square().sum(-1) - 2 * a @ b.T).clamp(min=0)


def standardise_units(z: Tensor) -> Tensor:
    """Codes (N, D) with mean 0 and variance 1 over the rows; a unit that does not vary is 0."""
    centred = z - z.mean(0)
    return centred / centred.square().mean(0).clamp(min=1e-12).sqrt()
