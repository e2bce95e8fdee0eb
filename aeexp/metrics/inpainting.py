"""How well what was taken away is put back."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.evaluation import fills
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean
from aeexp.ranges import Count, Seed
from aeexp.types import Batch


@final
class Inpainting(Metric):
    """Squared error inside the hole: summed (mean over rows), per feature of the holes; PSNR (dB, mean over rows).

    Measured on at most `rows` rows of the split, the same for model, PCA and the two fills without a model: the mean of
    each feature over the training rows, and the features of the nearest of `train_rows` training rows, by what is
    visible. PCA is given the mean fill. PSNR takes the data's range as peak. Left out where the task makes no hole.

    Formula: mse: mean over rows of Σ_i (x_i - x̂_i)² over the features i of the hole

    Look at: plot=inpainting, and the fills without a model beside it.
    """

    figures = ("inpainting",)
    numbers: ClassVar = (
        Number(
            "inpainting/mse",
            "lower",
            "squared error per example",
            headline=True,
            alike=("task.",),
            label="squared error in the hole",
        ),
        Number("inpainting/mse_per_feature", "lower", "squared error per feature", alike=("task.",)),
        Number("inpainting/psnr", "higher", "dB", alike=("task.",)),
    )

    def __init__(self, rows: Count = 1000, train_rows: Count = 5000, seed: Seed = 0):
        self.rows = rows
        self.train_rows = train_rows
        self.seed = seed

    def __call__(self, run: Run, split: str) -> Values:
        batch = fills.make_holes(run, split, self.rows, self.seed)
        return {} if batch is None else errors(fills.fill_by_model(run, batch), batch, run.data.limits)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """PCA, the mean of each feature, and the nearest training row."""
        batch = fills.make_holes(run, split, self.rows, self.seed)
        if batch is None:
            return {}
        filled = {
            **({} if (pca := fills.fill_by_pca(run, batch)) is None else {"pca": pca}),
            "mean_fill": fills.fill_by_mean(run, batch),
            "nearest_neighbour": fills.fill_by_neighbour(run, batch, self.train_rows, self.seed),
        }
        return {name: errors(picture, batch, run.data.limits) for name, picture in filled.items()}


def errors(filled: Tensor, batch: Batch, limits: tuple[float, float]) -> Values:
    """Of rows (B, *shape) that are right outside the hole; rows without a hole count nowhere."""
    hole = fills.hole_of(batch)
    features = hole.flatten(1).sum(1).cpu().double()
    squared = (filled - batch.targets).square() * hole
    error = squared.flatten(1).sum(1).cpu().double()[features > 0]
    features = features[features > 0]
    if len(features) == 0:
        return {}
    peak = limits[1] - limits[0] or 1.0
    psnr = 10 * torch.log10(peak**2 * features / error.clamp(min=1e-12))
    return {
        "inpainting/mse": measure_mean(error.numpy()),
        "inpainting/mse_per_feature": measure_mean(error.numpy()).scale(1 / float(features.mean())),
        "inpainting/psnr": measure_mean(psnr.numpy()),
    }
