"""Simple classifiers on codes, fitted on few labels or many: what the metric counts and the figure draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aeexp.contracts import Part
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.splits import draw
from aeexp.errors import UsageError
from aeexp.evaluation.classifiers import Held, Kind, fit_probe
from aeexp.evaluation.regressors import Kind as RegressorKind
from aeexp.evaluation.regressors import fit_regressor
from aeexp.evaluation.run import Run

Reading = Literal["visible", "mean", "sampled"]  # what a probe sees of a code

REGRESSORS: dict[Kind, RegressorKind] = {"linear": "ridge", "knn": "knn"}


def read_codes(run: Run, split: str, reading: Reading = "visible", places: np.ndarray | None = None) -> np.ndarray:
    """(N, D) codes of `rows`, or of those at `places`, as a probe sees them: `mean`; with units that the noise hides
    at 0; or `sampled`."""
    if reading == "sampled":
        return run.draws(split) if places is None else run.draws(split)[places]
    codes = run.codes(split, places)
    return codes if reading == "mean" else hide(run, codes)


def hide(run: Run, codes: np.ndarray) -> np.ndarray:
    """Codes (N, D) with the units that the posterior's noise hides at 0."""
    return codes if run.visible().all() else np.where(run.visible(), codes, np.float32(0))


def select_labelled_codes(run: Run, split: str, reading: Reading = "visible") -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) and labels (N,) of the rows that have one; where training saw some classes alone, of these."""
    places, labels = find_labelled(run, split)
    return read_codes(run, split, reading, places), labels


def find_truth(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Places (N,) of the labelled rows and their classes (N,), where training saw some classes alone, of these; or the
    numbers to predict, whichever the data has."""
    numbers = None if run.data.is_labelled else run.responses(split)
    if numbers is None:
        return find_labelled(run, split)
    places = np.flatnonzero(~np.isnan(numbers))
    return places, numbers[places]


def select_truth(run: Run, split: str, reading: Reading = "visible") -> tuple[np.ndarray, np.ndarray]:
    """Codes (N, D) of `find_truth` and what is true of them (N,)."""
    places, truth = find_truth(run, split)
    return read_codes(run, split, reading, places), truth


def draw_truth(run: Run, split: str, most: int, seed: int, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """As `select_truth`, of at most so many rows: which hangs on their number and the seed alone."""
    places, truth = find_truth(run, split)
    chosen = np.random.default_rng(seed).permutation(len(places))[:most]
    return read_codes(run, split, reading, places[chosen]), truth[chosen]


def find_labelled(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Places (N,) and labels (N,) of the same rows. Raises ValueError where the data has no labels."""
    labels = run.labels(split)
    if labels is None:
        raise ValueError(f"the labels of {run.data.name} are read, which has none")
    places = np.flatnonzero(labels >= 0 if run.data.normal is None else np.isin(labels, run.data.normal))
    return places, labels[places]


@torch.no_grad()
def score_labels(run: Run, split: str) -> tuple[Tensor, Tensor] | None:
    """What the model itself says: scores (N, classes) and labels (N,) of the rows that have one.

    None where no part of the learner predicts labels, or the data's classes are others than it learnt.
    """
    parts = [part for part in run.learner.modules() if isinstance(part, Part) and part.predicts_label]
    if not parts or not run.data.is_labelled or "classes" in run.lacks:
        return None
    outs = (run.forward(batch) for batch in run.rows(split).batches(1024))
    pairs = [(parts[0].score_labels(out), out.batch.labels) for out in outs]
    scores, y = (torch.cat(column) for column in zip(*pairs, strict=True))
    known = y >= 0 if run.data.normal is None else torch.isin(y, torch.tensor(run.data.normal, device=y.device))
    return scores[known], y[known]


def hold_out(run: Run, most: int, seed: int = 0, reading: Reading = "visible") -> Held | None:
    """Labelled codes of the validation rows; None where none has a label.

    At most `most`: no probe is chosen by more rows than it is fitted on.
    """
    held = Held(*draw_truth(run, "val", most, seed, reading))
    return held if len(held.labels) else None


def name_regressor(kind: Kind) -> RegressorKind | None:
    """What stands for a classifier where numbers are to be predicted; None where nothing does."""
    return REGRESSORS.get(kind)


def fit_reader(kind: Kind, codes: np.ndarray, truth: np.ndarray, neighbours: int = 5, held: Held | None = None) -> Any:
    """A classifier of classes (N,) int, or what stands for it of numbers (N,) float: its `score` is R² then."""
    if truth.dtype.kind != "f":
        return fit_probe(kind, codes, truth, neighbours, held)
    regressor = name_regressor(kind)
    if regressor is None:
        raise UsageError(f"{kind} is a probe of classes, and the labels are numbers: take linear or knn")
    return fit_regressor(regressor, codes, truth, neighbours, held)


def draw_rows(labels: np.ndarray, budget: int, seed: int) -> np.ndarray:
    """(budget,) places of rows, by class where there are classes: those that dataset.labelled keeps where the seed is
    0."""
    if budget >= len(labels):
        return np.arange(len(labels))
    classes = None if labels.dtype.kind == "f" else labels
    return np.asarray(draw(Rows(np.arange(len(labels)), classes), budget, seed, quiet=True)[1].x)


def accuracies(
    run: Run,
    split: str,
    kind: Kind,
    budgets: Sequence[int],
    draws: int,
    seed: int = 0,
    neighbours: int = 5,
    reading: Reading = "visible",
) -> dict[int, list[float]]:
    """Accuracy on a split for each number of labels, from `draws` draws of the training rows; R² of numbers to predict,
    where `linear` is ridge regression.

    Rows hang on labels and seed alone, so that they are the same for every model of the same data. A budget beyond the
    labels that there are is left out.
    """
    train, labels = select_truth(run, "train", reading)
    codes, truth = select_truth(run, split, reading)
    scores: dict[int, list[float]] = {}
    for budget in (b for b in budgets if b <= len(labels)):
        rows = [draw_rows(labels, budget, seed + i) for i in range(draws if budget < len(labels) else 1)]
        held = hold_out(run, budget, seed, reading)
        probes = (fit_reader(kind, train[r], labels[r], neighbours, held) for r in rows)
        scores[budget] = [float(probe.score(codes, truth)) for probe in probes]
    return scores
