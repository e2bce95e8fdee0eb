"""How well the classes of pixels are found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import torch

from aeexp.evaluation.classifiers import fit_probe
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import DRAWS, percentiles
from aeexp.models.learner import choose_batch_size
from aeexp.ranges import Seed, Several
from aeexp.tasks.segment import Segment


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
    figures = ("segmentation",)
    numbers: ClassVar = (
        Number(
            "segmentation/mean_iou", "higher", "share", headline=True, alike=("task.",), label="mean IoU over classes"
        ),
        Number(
            "segmentation/pixel_accuracy", "higher", "share", headline=True, alike=("task.",), label="pixel accuracy"
        ),
        Number("segmentation/(dice|iou_.*)", "higher", "share", alike=("task.",)),
    )

    def __init__(self, pixels: Several = 20_000, seed: Seed = 0):
        self.pixels = pixels
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run, split: str) -> Values:
        task = run.learner.task
        if not isinstance(task, Segment):
            return {}
        matrices = []
        for out in run.passes(split):
            truth = task.truth(out.batch.targets).cpu().numpy()
            predicted = task.predict(run.model.likelihood, out.output).cpu().numpy()
            matrices += [confusion(*pair, task.classes) for pair in zip(truth, predicted, strict=True)]
        return measure_matrices(np.stack(matrices), task.names)

    def baselines(self, run: Run, split: str) -> dict[str, Values]:
        """The training masks' most frequent class everywhere, and a probe of single pixels."""
        task = run.learner.task
        if not isinstance(task, Segment):
            return {}
        counts = np.zeros(task.classes, np.int64)
        for batch in _iterate_masked(run, task, "train"):
            counts += np.bincount(drop_unlabelled(*pixels(batch))[1], minlength=task.classes)
        probe = self.fit_pixel_probe(run, task)
        constant, pixelwise = [], []
        for batch in _iterate_masked(run, task, split):
            colours, truth = pixels(batch)
            rows = truth.reshape(len(batch[0]), -1)
            constant += [confusion(row, np.full_like(row, counts.argmax()), task.classes) for row in rows]
            if probe is not None:
                predicted = probe.predict(colours).reshape(rows.shape)
                pixelwise += [confusion(*pair, task.classes) for pair in zip(rows, predicted, strict=True)]
        matrices = {"most_frequent": constant} | ({} if probe is None else {"pixelwise": pixelwise})
        return {name: measure_matrices(np.stack(each), task.names) for name, each in matrices.items()}

    def fit_pixel_probe(self, run: Run, task: Segment) -> Any | None:
        """Logistic regression on single pixels; None where the training masks hold one class only."""
        generator, parts = np.random.default_rng(self.seed), []
        share = self.pixels / (len(run.data["train"]) * math.prod(task.shape))
        for batch in _iterate_masked(run, task, "train"):
            colours, truth = drop_unlabelled(*pixels(batch))
            chosen = generator.random(len(truth)) < share
            parts.append((colours[chosen], truth[chosen]))
        colours, truth = (np.concatenate(part) for part in zip(*parts, strict=True))
        return None if len(np.unique(truth)) < 2 else fit_probe("linear", colours, truth)


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 pixels of each true (row) and predicted (column) class; a true class of -1 is left out."""
    counted = truth >= 0
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


class Scores(NamedTuple):
    """Of one confusion matrix."""

    mean_iou: float
    dice: float
    pixel_accuracy: float
    iou: np.ndarray  # (C,), NaN where a class is in neither


def scores(matrix: np.ndarray) -> Scores:
    """Of a confusion matrix (C, C); mean IoU, mean Dice and accuracy are NaN where no pixel counts."""
    hit, true, said = np.diag(matrix).astype(float), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, dice, accuracy = hit / (true + said - hit), 2 * hit / (true + said), hit.sum() / matrix.sum()
    there = true > 0
    mean_iou, mean_dice = (float(values[there].mean()) if there.any() else math.nan for values in (iou, dice))
    return Scores(mean_iou, mean_dice, float(accuracy), iou)


def measure_matrices(matrices: np.ndarray, names: Sequence[str]) -> Values:
    """Of one confusion matrix a picture, (N, C, C); intervals are over pictures: pixels are not independent."""
    draw, rows = np.random.default_rng(0), len(matrices)
    weights = np.stack([np.bincount(draw.integers(rows, size=rows), minlength=rows) for _ in range(DRAWS)])
    drawn = [_name(scores(matrix), names) for matrix in np.tensordot(weights, matrices, 1)]
    values = _name(scores(matrices.sum(0)), names)
    return {key: percentiles(value, np.array([one[key] for one in drawn])) for key, value in values.items()}


def _name(values: Scores, names: Sequence[str]) -> Values:
    each = {f"iou_{name}": float(value) for name, value in zip(names, values.iou, strict=True)}
    means = {"mean_iou": values.mean_iou, "dice": values.dice, "pixel_accuracy": values.pixel_accuracy}
    return {f"segmentation/{name}": value for name, value in {**means, **each}.items()}


def _iterate_masked(run: Run, task: Segment, split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a split with their masks as the task gives them."""
    for batch in run.data[split].batches(choose_batch_size(run.data.shape)):
        yield batch.x, task.truth(task(batch).targets)


def pixels(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Colours (P, C) and classes (P,) of the pixels of all rows."""
    x, truth = batch
    return x.movedim(1, -1).flatten(0, 2).cpu().numpy(), truth.flatten().cpu().numpy()


def drop_unlabelled(colours: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the pixels that have a class."""
    return colours[truth >= 0], truth[truth >= 0]
