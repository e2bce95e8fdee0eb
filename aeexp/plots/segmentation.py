"""Pictures with the true and the predicted class of each pixel."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.drawing.sketching import draw_examples
from aeexp.evaluation.run import Run
from aeexp.tasks.segment import Segment

# Twelve classes: Okabe and Ito's colours and four that differ from them in lightness. Void is white.
CLASSES = (
    canvas.BLUE, canvas.ORANGE, canvas.SKY, canvas.BLACK, canvas.YELLOW, canvas.GREEN, canvas.VERMILION, canvas.PURPLE,
    "#882255", "#999933", "#BBBBBB", "#332288",
)  # fmt: skip
VOID, WRONG, RIGHT = (1.0, 1.0, 1.0), to_rgb(canvas.VERMILION), 0.35  # contrast left to a picture below its errors
LISTED = 24  # classes in the legend
COLUMNS = ("picture", "true mask", "predicted mask", "predicted,\nover the picture", "wrong pixels")


@final
class Segmentation(Plot):
    """Test pictures with true mask, predicted mask, both over each other, and where it is wrong; IoU beside each row.

    Mean IoU is over the classes that occur in that picture. One picture a class first, where rows have labels; else
    they lie evenly over the split. Drawn under task=segment alone.
    """

    unfilmed: ClassVar = ""

    def __init__(self, *, examples: Annotated[int, Interval(ge=1, le=12)] = 6):
        self.examples = examples

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        task = run.learner.task
        if not isinstance(task, Segment):
            return {}
        pictures, truth, predicted = self.predict(run, task)
        title = f"{run.data.name}: classes of the pixels of {len(pictures)} test pictures"
        if run.data.shape[0] > 3:
            title += f"\nof {run.data.shape[0]} channels the first three as red, green and blue"
        return {"segmentation": _draw(title, task, pictures, truth, predicted)}

    @torch.no_grad()
    def sketch(self, run: Run) -> dict[str, np.ndarray]:
        """Pictures, true masks and predicted masks, a row each."""
        task = run.learner.task
        if not isinstance(task, Segment):
            return {}
        pictures, truth, predicted = self.predict(run, task)
        masks = [np.moveaxis(palette(task.classes)[mask], -1, 1) for mask in (truth, predicted)]
        return {"segmentation": draw_examples([pictures, *masks], pictures.shape[1:], (0.0, 1.0))}

    def predict(self, run: Run, task: Segment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures (N, 3, H, W) in [0, 1], their true classes (N, H, W), -1 for none, and the predicted ones."""
        out = run.forward(run.rows("test").batch(torch.from_numpy(self.choose_rows(run))))
        truth = task.truth(out.batch.targets).cpu().numpy()
        predicted = task.predict(run.model.likelihood, out.output).cpu().numpy()
        return _rgb(out.batch.x.cpu().numpy(), run.data.limits), truth, predicted

    def choose_rows(self, run: Run) -> np.ndarray:
        """Numbers of the test rows that are shown."""
        labels, rows = run.labels("test"), len(run.rows("test"))
        if labels is None:  # neighbours may be frames of one film
            return np.unique(np.linspace(0, rows - 1, min(self.examples, rows)).round().astype(int))
        return canvas.choose_rows(labels, self.examples, rows)


def _draw(title: str, task: Segment, pictures: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """Pictures (N, 3, H, W) in [0, 1], classes (N, H, W), -1 for none."""
    colours = palette(task.classes)
    true, painted = (np.moveaxis(colours[mask], -1, 1) for mask in (truth, predicted))
    faint = 1 - RIGHT * (1 - pictures.mean(1, keepdims=True).repeat(3, 1))
    wrong = np.where(((predicted != truth) & (truth >= 0))[:, None], np.reshape(WRONG, (1, 3, 1, 1)), faint)
    columns = np.stack([pictures, true, painted, 0.45 * pictures + 0.55 * painted, wrong], 1)
    count, (height, width) = len(columns), pictures.shape[2:]
    cell = 1.7 if width >= height else 1.7 * width / height
    figure, axes = canvas.board(title, len(COLUMNS), count, pictures.shape[1:], cell=cell, beside=1.7)
    canvas.draw_tiles(axes, columns, (0.0, 1.0))
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(COLUMNS)), COLUMNS, fontsize=9)
    axes.set_yticks(range(count), [_score(*pair) for pair in zip(truth, predicted, strict=True)], fontsize=9)
    _legend(figure, task.names, colours, bool((truth < 0).any()))
    return figure


def _legend(figure: Figure, names: tuple[str, ...], colours: np.ndarray, void: bool) -> None:
    handles = [
        Patch(facecolor=tuple(colour), edgecolor="0.5", label=canvas.name_entry(_class(name)))
        for name, colour in zip(names[:LISTED], colours, strict=False)
    ]
    if len(names) > LISTED:
        handles.append(Patch(facecolor="none", label=f"and {len(names) - LISTED} more"))
    if void:
        handles.append(Patch(facecolor=VOID, edgecolor="0.5", label="no class: counts nowhere"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), fontsize=9, frameon=False)


def palette(classes: int) -> np.ndarray:
    """(classes + 1, 3) colours; the last, which -1 takes, is that of no class. Beyond twelve they come again, paler."""
    base = np.array([to_rgb(colour) for colour in CLASSES])
    rounds = [1 - (1 - base) * 0.5**number for number in range(math.ceil(classes / len(base)))]
    return np.vstack([np.vstack(rounds)[:classes], VOID])


def _rgb(pictures: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(N, 3, H, W) in [0, 1]: of more than three channels the first three, of two their mean in grey."""
    pictures = canvas.scale(pictures, limits).clip(0, 1)
    return pictures[:, :3] if pictures.shape[1] >= 3 else pictures.mean(1, keepdims=True).repeat(3, 1)


def _class(name: str) -> str:
    return f"class {name}" if name.lstrip("-").isdigit() else name


def _score(truth: np.ndarray, predicted: np.ndarray) -> str:
    """What stands beside a picture whose masks (H, W) these are."""
    known = truth >= 0
    if not known.any():
        return "no pixel has a class"
    truth, predicted = truth[known], predicted[known]
    classes = [(truth == c, predicted == c) for c in np.unique(truth)]
    ious = [(own & given).sum() / (own | given).sum() for own, given in classes]
    return f"mean IoU {np.mean(ious):.2f}\n{(truth == predicted).mean():.1%} of pixels right"
