"""How the units of a code are used."""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.rate import decompose
from aeexp.evaluation.run import Run, Values
from aeexp.ranges import Count
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.total_correlation import gaussian_total_correlation
from aeexp.types import Batch

DESCRIBES = "it describes the code, and ranks nothing"
EXACT = 1e-12  # of the largest eigenvalue: float32 codes leave none below it that means anything
RELATIVE = 0.01  # of the largest unit of a row: smaller ones say next to nothing
LISTED = 64  # units that get a number each
DIRECTIONS = 64  # in which the Jacobian is taken at most
NUMBERS = 1 << 19  # of rows whose Jacobian is taken at a time
DRAWN = 312_500  # the same of directions: 80 MB of Jacobians


@final
class Latent(Metric):
    """Statistics of the mean codes of one split, and the size of the encoder's Jacobian.

    - `effective_rank`: exp of the entropy of the covariance's eigenvalues as shares of the variance.
      `effective_rank_singular`: the same of the singular values of the centred codes, their roots (Roy and Vetterli
      2007); it is never smaller.
    - `l0`: units per row that are not exactly 0. `sparsity`: mean over rows of Hoyer's (2004), which sees units that
      are nearly 0 too: 0 where all are equally large, 1 where a single one is not 0. `mean_activation`: over rows and
      units. `l0_relative`: units per row of at least a hundredth of the row's largest. `gini`: mean over rows of the
      Gini index of absolute values (Hurley and Rickard 2009): 0 where all are equally large, 1 - 1/D where a single
      one is not 0.
    - `total_correlation_gaussian`: how far units are from independent by their correlations alone, in nats, of codes as
      the decoder gets them (drawn, where the latent is stochastic): 0 on average of independent normal units, so that
      chance may leave it below, and some 7 for each unit that is a sum of others; left out where rows are no more than
      units.
      The term `total_correlation` of a loss is biased upwards by some nats.
    - `dead_units`: units whose standard deviation is below 1e-6 of the largest. `dead_share`: share of the units that
      were 0 in all of the last `latent.dead_after` steps of training; of sparse latents, whatever the split.
    - `jacobian_norm`: mean Frobenius norm of the encoder's Jacobian over the first `jacobian_rows` rows; of a code of
      more than 64 units from 64 random directions, good to a hundredth or so.
    - `active_units`: units whose mean code varies by more than 0.01 (variance, Burda et al. 2016; in a bounded space
      0.01 of the uniform law's variance), `kl` in nats per example and its largest and smallest unit, where the code
      is stochastic, and `kl_unit_1`, ... of up to 64 units; a categorical code has groups in place of units.
      `collapsed_units` fell back to the prior: the KL of the unit, or of its group, is below 0.01 nats (where the KL
      does not fall into units they are not active).
    - `kl_index_code`, `kl_total_correlation`, `kl_dimension_wise`: what the KL is spent on (Chen et al. 2018): mutual
      information of row and code, dependence of the units, each unit's own law against the prior; of up to 1,000
      drawn rows, whose posteriors stand for all, so that the first is at most the log of their number. Where the
      units of the posterior are independent.
    - `kl_layer_1`, the lowest, ...: of a code of several layers (latent=ladder).
    - `perplexity` (exp of the entropy of the usage), `codes_used` and `codebook_use` (their share) of a codebook, where
      the latent has one; `bits` that a row of codes takes as it is, and `bits_entropy` where each place has a code of
      the shortest mean length for the usage.

    Formula: effective_rank = exp(-Σ_j p_j log p_j), p_j = λ_j / Σ λ of the covariance's eigenvalues λ; of
    effective_rank_singular p_j = √λ_j / Σ √λ

    Look at: effective_rank beside latent.dim; dead and active units.
    """

    reads: ClassVar = ("codes",)
    numbers: ClassVar = (  # a code is not the better for any of these
        Number(
            "latent/(effective_rank|effective_rank_singular|l0|l0_relative|dead_units|active_units|collapsed_units)",
            None,
            "units",
            no_interval=DESCRIBES,
        ),
        Number("latent/(mean_activation|sparsity|gini|jacobian_norm)", None, "", no_interval=DESCRIBES),
        Number("latent/total_correlation_gaussian", None, "nats", no_interval=DESCRIBES),
        Number(
            "latent/kl", None, "nats per example", label="KL from the prior, nats per example", no_interval=DESCRIBES
        ),
        Number(
            "latent/kl_(index_code|total_correlation|dimension_wise)", None, "nats per example", no_interval=DESCRIBES
        ),
        Number(
            r"latent/kl(_unit_\d+|_layer_\d+|_largest_unit|_smallest_unit)",
            None,
            "nats per example",
            no_interval=DESCRIBES,
        ),
        Number("latent/(perplexity|codes_used)", None, "codes", no_interval=DESCRIBES),
        Number("latent/(codebook_use|dead_share)", None, "", no_interval=DESCRIBES),
        Number("latent/bits(_entropy)?", None, "bits per row", no_interval=DESCRIBES),
    )

    def __init__(self, jacobian_rows: Count = 256):
        self.jacobian_rows = jacobian_rows

    def __call__(self, run: Run, split: str) -> Values:
        codes = run.codes(split).astype(np.float64)
        spread = codes.std(0)
        values = {
            "effective_rank": effective_rank(codes),
            "effective_rank_singular": effective_rank(codes, 0.5),
            "l0": float((codes != 0).sum(1).mean()),
            "l0_relative": count_relative(codes),
            "sparsity": sparsity(codes),
            "gini": gini(codes),
            "mean_activation": float(codes.mean()),
            "dead_units": float((spread <= 1e-6 * spread.max()).sum()),
        }
        if "model" not in run.lacks:
            values["jacobian_norm"] = self.jacobian_norm(run, split)
            if (dead := run.model.latent.find_dead()) is not None:
                values["dead_share"] = float(dead.double().mean())
        if len(codes) > codes.shape[1]:
            values["total_correlation_gaussian"] = total_correlation(run.draws(split).astype(np.float64))
        if (units := run.rate(split)) is not None:
            values |= measure_rate(units, 0.01 * run.model.latent.unit_variance, spread)
            values |= decompose(run, split)
        values |= run.model.latent.usage(run.forward(batch) for batch in run.rows(split).batches(1024))
        if (bits := run.model.latent.capacity().bits) is not None:
            values["bits"] = float(bits)
        return {f"latent/{name}": value for name, value in values.items()}

    def jacobian_norm(self, run: Run, split: str) -> float:
        """Mean Frobenius norm of the encoder's Jacobian over the first rows of a split."""
        rows, dim = min(self.jacobian_rows, len(run.rows(split))), run.model.latent.dim
        measure = _square_exactly if dim <= DIRECTIONS else _estimate_square
        at_once = max(1, (NUMBERS if dim <= DIRECTIONS else DRAWN) // math.prod(run.data.shape))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            starts = range(0, rows, at_once)
            norms = [measure(run, run.rows(split).batch(slice(s, min(s + at_once, rows)))) for s in starts]
        return float(torch.cat(norms).sqrt().mean())


def measure_rate(units: np.ndarray, active: float, spread: np.ndarray) -> Values:
    """Active and collapsed units and KL in nats, given the mean KL by unit and the spread (D,) of codes."""
    values = {"active_units": float((spread**2 > active).sum()), "kl": float(units.sum())}
    if len(units) == 1 < len(spread):  # this prior's KL does not fall into units
        silent = units[0] < 0.01 * len(spread)  # then all: a direction always varies, however little it says
        return {**values, "collapsed_units": float(len(spread) if silent else (spread**2 <= active).sum())}
    collapsed = float((units < 0.01).sum()) * len(spread) / len(units)
    if len(units) <= LISTED:
        values |= {f"kl_unit_{number}": float(kl) for number, kl in enumerate(units, 1)}
    ends = {"kl_largest_unit": float(units.max()), "kl_smallest_unit": float(units.min())}
    return {**values, "collapsed_units": collapsed, **ends}


def _square_exactly(run: Run, batch: Batch) -> Tensor:
    """(B,) squared norms by a backward pass for each unit: for all units at once convolutions take twice as long."""
    batch = run.learner.task(batch)
    context = run.learner.context(batch)
    with torch.enable_grad():
        x = batch.x.clone(memory_format=torch.contiguous_format).requires_grad_()
        code = run.model.encode(x, context, batch.mask).mean
        total = x.new_zeros(len(x))
        for unit in code.sum(0) if code.requires_grad else ():
            (row,) = torch.autograd.grad(unit, x, retain_graph=True, allow_unused=True)
            total += 0 if row is None else row.square().flatten(1).sum(1)
    return total


@torch.no_grad()  # nothing is derived from the Jacobian itself
def _estimate_square(run: Run, batch: Batch) -> Tensor:
    return Contractive(1.0, "hutchinson", DIRECTIONS)(run.forward(batch), run.model)


def effective_rank(codes: np.ndarray, power: float = 1.0) -> float:
    """1 to D for codes (N, D); 0 where no unit varies, or for a single row. Shares are of eigenvalues to the power."""
    if len(codes) < 2:
        return 0.0
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(codes.T))).clip(min=0)
    if values.sum() == 0:
        return 0.0
    values = np.where(values > EXACT * values.max(), values, 0) ** power  # a root would make much of what is rounding
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def sparsity(codes: np.ndarray) -> float:
    """Mean over rows (N, D) of (√D - |z|_1 / |z|_2) / (√D - 1) (Hoyer 2004); 1 of a row of zeros, 0 of one unit."""
    root = math.sqrt(codes.shape[1])
    if root == 1:
        return 0.0
    length = np.linalg.norm(codes, axis=1)
    ratio = np.abs(codes).sum(1) / np.where(length > 0, length, 1)
    return float(np.where(length > 0, (root - ratio) / (root - 1), 1.0).mean())


def count_relative(codes: np.ndarray) -> float:
    """Mean over rows (N, D) of the units of at least `RELATIVE` of the row's largest; 0 of a row of zeros."""
    size = np.abs(codes)
    largest = size.max(1, keepdims=True)
    return float(((size >= RELATIVE * largest) & (largest > 0)).sum(1).mean())


def gini(codes: np.ndarray) -> float:
    """Mean over rows (N, D) of 1 - 2 Σ_j |z|_(j) / |z|_1 (D - j + ½) / D, sizes rising; 0 of a row of zeros."""
    size = np.sort(np.abs(codes), 1)
    total, dim = size.sum(1), codes.shape[1]
    above = (size * (dim - np.arange(1, dim + 1) + 0.5) / dim).sum(1)
    return float(np.where(total > 0, 1 - 2 * above / np.where(total > 0, total, 1), 0.0).mean())


def total_correlation(codes: np.ndarray) -> float:
    """Nats by the correlations of the units (N, D) that vary; 0 where none does."""
    spread = codes.std(0)
    varies = spread > 1e-6 * spread.max(initial=0)
    return float(gaussian_total_correlation(torch.from_numpy(codes[:, varies]))) if varies.any() else 0.0
