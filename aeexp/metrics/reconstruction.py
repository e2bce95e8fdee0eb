"""How close the output is to the target."""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from aeexp.evaluation.columns import Columns
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import Measured, measure_mean
from aeexp.evaluation.units import grid_bits, likelihood_name
from aeexp.tensors import sum_features

# How a likelihood was made of the data stands behind the name: `units.likelihood_name`.
ERRORS = tuple(f"reconstruction/{name}" for name in ("mse", "mse_per_feature", "psnr", "ssim"))  # of a mean alone
CACHED = 1 << 18  # numbers of pictures that SSIM works on at a time: its maps stay in the processor's cache
NATS = "reconstruction/(nats|cross_entropy)(_given_size)?(_density)?(_fixed|_per_epoch)?"


@final
class Reconstruction(Metric):
    """Squared error, PSNR and SSIM of the mean reconstruction, and -log p(target | output) in nats per example.

    `mse` is summed over features and averaged over rows, `mse_per_feature` averaged over both. PSNR (dB, mean over
    rows) and SSIM (pictures of at least 7x7) take the data's range as peak. The name says what the likelihood is of:
    `nats`; of binarised data `nats_fixed`, `nats_per_epoch`; Bernoulli on grey values is no likelihood, and is called
    `cross_entropy`. `bits_per_dim_given_code` (with the same suffix) stands beside nats where the data is stored as
    integers; a density counts at the grid's points (`grid_bits`). It leaves out what the code costs, and ranks models
    of one likelihood alone: bits per dimension of the data are those of the bound (`generation/elbo_bits_per_dim`).
    What follows the end of a sequence counts nowhere, and `nats_per_step` is all nats over all real steps. Pictures
    come from the code alone; for the nats an autoregressive decoder sees the true past. Of masks (task=segment) there
    are nats alone: a class has no squared error. Nor has a token of text: `token_error` is the share of its tokens, the
    end among them, that the code alone is not read as, step by step.

    Formula: mse: 1/N Σ_n |x_n - x̂_n|²; psnr: mean over rows of 10 log10(range² features / |x_n - x̂_n|²)

    Look at: the comparable PCA beside it; plot=reconstructions; the probe, which often names another run.
    """

    keeps: ClassVar = True
    of_train: ClassVar = True
    figures = ("reconstructions",)
    numbers: ClassVar[tuple[Number, ...]] = (
        Number(
            "reconstruction/mse",
            "lower",
            "squared error per example",
            headline=True,
            alike=("task.",),
            label="test error (squared, per example)",
        ),
        Number("reconstruction/mse_per_feature", "lower", "squared error per feature", alike=("task.",)),
        Number("reconstruction/psnr", "higher", "dB", alike=("task.",)),
        Number("reconstruction/ssim", "higher", "", alike=("task.",)),
        Number(
            "reconstruction/token_error",
            "lower",
            "share of tokens",
            headline=True,
            alike=("task.",),
            label="wrong tokens, told from the code alone",
        ),
        Number(f"{NATS}_per_step", "lower", "nats per step", alike=("likelihood._target_", "task.")),
        Number(NATS, "lower", "nats per example", alike=("likelihood._target_", "task.")),
        Number(
            "reconstruction/bits_per_dim_given_code(_given_size)?(_fixed|_per_epoch)?",
            "lower",
            "bits per dimension, without the code's",
            alike=("likelihood._target_", "task."),
        ),
    )

    def __call__(self, run: Run, split: str) -> Values:
        return {**self.measure_once(run, split)}

    def measure_once(self, run: Run, split: str) -> dict[str, Measured]:
        """Computed once for a run and a split."""
        return run.compute_once(("reconstruction", split), lambda: self.measure(run, split))

    @torch.no_grad()
    def measure(self, run: Run, split: str) -> dict[str, Measured]:
        """Means over the rows of a split."""
        if run.segments:
            return self.measure_masks(run, split)
        if run.spelling is not None:
            return self.measure_text(run, split)
        low, high = run.data.limits
        peak = high - low or 1.0
        likelihood = run.model.likelihood
        nats = likelihood_name(run, "nats", otherwise="cross_entropy")
        columns = Columns(len(run.all_rows(split)))
        for out in run.passes(split):
            target, mask = out.batch.targets, out.batch.mask
            picture = likelihood.restore(out.output, target)
            error = sum_features((picture - target).square(), mask)
            features = sum_features(torch.ones_like(target), mask)
            output = (
                run.model.explain(out.code.z, out.context, out.batch)
                if run.model.decoder.autoregressive
                else out.output
            )
            rows = {
                "features": features,
                "mse": error,
                "psnr": 10 * torch.log10(peak**2 * features / error.clamp(min=1e-12)),
                nats: likelihood.distortion(output, target, mask) + likelihood.constant(features),
            }
            if target.dim() == 4 and min(target.shape[2:]) >= 7:
                rows["ssim"] = ssim(picture, target, peak)
            for name, values in rows.items():
                columns.add(name, values)
        each = columns.arrays()
        features = float(each.pop("features").mean(dtype=np.float64))  # sequences differ in length
        values = {name: measure_mean(column) for name, column in each.items()}
        values["mse_per_feature"] = values["mse"].scale(1 / features)
        if len(run.data.shape) == 2:
            values[f"{nats}_per_step"] = values[nats].scale(run.data.shape[1] / features)
        if (grid := grid_bits(run)) is not None and nats.startswith("nats"):
            bits = values[nats].scale(1 / (features * math.log(2)), grid)
            values[nats.replace("nats", "bits_per_dim_given_code")] = bits
        return {f"reconstruction/{name}": value for name, value in values.items()}

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """The errors of the mean of the training rows, below which a code says something."""
        if run.segments or run.spelling is not None:
            return {}
        return {"mean": {key: value for key, value in self(run.mean(), split).items() if key in ERRORS}}

    def measure_text(self, run: Run, split: str) -> dict[str, Measured]:
        """-log p(text | code), an autoregressive decoder given the true past, and what the code alone is read as."""
        likelihood, parts = run.model.likelihood, []
        for out in run.passes(split):
            output = run.model.explain(out.code.z, out.context, out.batch)
            steps = sum_features(torch.ones_like(out.batch.targets), out.batch.mask)
            nats = likelihood.distortion(output, out.batch.targets, out.batch.mask) + likelihood.constant(steps)
            parts.append((nats.cpu().double().numpy(), steps.cpu().double().numpy(), run.measure_error(out)))
        nats, steps, wrong = (np.concatenate(column) for column in zip(*parts, strict=True))
        per_step = 1 / float(steps.mean())
        values = {
            "nats": measure_mean(nats),
            "nats_per_step": measure_mean(nats).scale(per_step),
            "token_error": measure_mean(wrong.astype(np.float64)).scale(per_step),
        }
        return {f"reconstruction/{name}": value for name, value in values.items()}

    def measure_masks(self, run: Run, split: str) -> dict[str, Measured]:
        """-log p(mask | picture), which is a probability of classes whatever pixels are stored as."""
        rows = (run.model.likelihood.distortion(out.output, out.batch.targets) for out in run.passes(split))
        return {"reconstruction/nats": measure_mean(np.concatenate([values.cpu().double().numpy() for values in rows]))}


def ssim(a: Tensor, b: Tensor, peak: float, window: int = 7) -> Tensor:
    """(B,) structural similarity of pictures (B, C, H, W) (Wang et al. 2004), uniform window, unbiased covariance."""
    rows = len(a) if a.device.type != "cpu" else max(1, CACHED // a[0].numel())
    parts = zip(a.split(rows), b.split(rows), strict=True)
    return torch.cat([_ssim(few, others, peak, window) for few, others in parts])


def _ssim(a: Tensor, b: Tensor, peak: float, window: int) -> Tensor:
    pixels = window**2

    def local(x: Tensor) -> Tensor:
        return slide(slide(x, 2, window), 3, window) / pixels

    mean_a, mean_b = local(a), local(b)
    squares, product = mean_a.square() + mean_b.square(), mean_a * mean_b
    unbiased = pixels / (pixels - 1)
    variances = unbiased * (local(a.square() + b.square()) - squares)
    covariance = unbiased * (local(a * b) - product)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return similarity.flatten(1).mean(1)


def slide(x: Tensor, dim: int, window: int) -> Tensor:
    """Sums of `window` neighbours along a dimension, of which window - 1 places are lost.

    7 neighbours are 4 + 2 + 1, and each of these is two of half as many: five additions in place of a mean of 49.
    """
    places = x.shape[dim] - window + 1
    total, start, width = None, 0, 1
    while True:
        if window & width:
            part = x.narrow(dim, start, places)
            total, start = part if total is None else total + part, start + width
        width *= 2
        if width > window:
            assert total is not None
            return total
        many = x.shape[dim] - width // 2
        x = x.narrow(dim, 0, many) + x.narrow(dim, width // 2, many)
