"""How well the classes of pixels are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch

from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.probes import fitted
from aeexp.evaluation.run import Run, Values
from aeexp.models.learner import choose_batch_size


@final
class Segmentation(Metric):
    """Intersection over union per class (`iou_<class>`), its mean, mean Dice and pixel accuracy under task=segment.

    All pixels of a split count alike: the confusion matrix is that of the split, no mean over pictures. Means are over
    the classes that occur in its masks; of one that neither occurs nor is predicted there is no number. Pixels of the
    ignored value count nowhere. Rows of `baseline`: `most_frequent`, the training masks' most frequent class
    everywhere, and `pixelwise`, logistic regression (L2, C = 1) on the colour of a pixel alone, fitted on `pixels`
    drawn training pixels.

    Formula: IoU_c = TP / (TP + FP + FN); Dice_c = 2 TP / (2 TP + FP + FN), over the pixels of class c

    Look at: rare classes one by one (plot=segmentation): pixel accuracy hides them.
    """

    of_train: ClassVar = True
    numbers: ClassVar = (
        Number("segmentation/(mean_iou|pixel_accuracy)", "higher", "share", headline=True, alike=("task.",)),
        Number("segmentation/(dice|iou_.*)", "higher", "share", alike=("task.",)),
    )

    def __init__(self, pixels: int = 20_000, seed: int = 0):
        if pixels < 2:
            raise UsageError(f"pixels={pixels} must be at least 2")
        self.pixels = pixels
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        if not run.segments:
            return {}
        task, found = run.learner.task, 0
        for out in run.passes(split):
            found = found + confusion(
                task.truth(out.batch.target).cpu().numpy(),
                task.predict(run.model.likelihood, out.output).cpu().numpy(),
                task.classes,
            )
        return _named(scores(found), task.names)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        if not run.segments:
            return {}
        task = run.learner.task
        counts = sum(np.bincount(known(*pixels(batch))[1], minlength=task.classes) for batch in _masked(run, "train"))
        probe = self.probe(run)
        constant, pixelwise = 0, 0
        for batch in _masked(run, split):
            colours, truth = pixels(batch)
            constant = constant + confusion(truth, np.full_like(truth, counts.argmax()), task.classes)
            if probe is not None:
                pixelwise = pixelwise + confusion(truth, probe.predict(colours), task.classes)
        made = {"most_frequent": constant} | ({} if probe is None else {"pixelwise": pixelwise})
        return {name: _named(scores(matrix), task.names) for name, matrix in made.items()}

    def probe(self, run: Run):
        """None where the training masks hold one class only."""
        generator, drawn = np.random.default_rng(self.seed), []
        share = self.pixels / (len(run.data["train"]) * math.prod(run.learner.task.shape))
        for batch in _masked(run, "train"):
            colours, truth = known(*pixels(batch))
            chosen = generator.random(len(truth)) < share
            drawn.append((colours[chosen], truth[chosen]))
        colours, truth = (np.concatenate(part) for part in zip(*drawn, strict=True))
        return None if len(np.unique(truth)) < 2 else fitted("linear", colours, truth)


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 pixels of each true (row) and predicted (column) class; a true class of -1 is left out."""
    counted = truth >= 0
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def scores(matrix: np.ndarray) -> dict[str, float | np.ndarray]:
    """`iou` (C,), NaN where a class is in neither; its mean, mean Dice and accuracy, NaN where no pixel counts."""
    hit, true, said = np.diag(matrix).astype(float), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice, accuracy = hit / (true + said - hit), 2 * hit / (true + said), hit.sum() / matrix.sum()
    there = true > 0
    mean_iou, mean_dice = (float(values[there].mean()) if there.any() else math.nan for values in (iou, dice))
    return {"mean_iou": mean_iou, "dice": mean_dice, "pixel_accuracy": float(accuracy), "iou": iou}


def _named(found: dict[str, float | np.ndarray], names: Sequence[str]) -> Values:
    values = {f"iou_{name}": float(value) for name, value in zip(names, found.pop("iou"), strict=True)}
    return {f"segmentation/{name}": value for name, value in {**found, **values}.items()}


def _masked(run: Run, split: str):
    """Batches of a split with their masks as the task gives them."""
    task = run.learner.task
    for batch in run.data[split].batches(choose_batch_size(run.data.shape)):
        yield batch.x, task.truth(task(batch).target)


def pixels(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Colours (P, C) and classes (P,) of the pixels of all rows."""
    x, truth = batch
    return x.movedim(1, -1).flatten(0, 2).cpu().numpy(), truth.flatten().cpu().numpy()


def known(colours: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return colours[truth >= 0], truth[truth >= 0]
