"""Pictures with the true and the predicted class of each pixel."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aeexp.drawing import canvas
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run

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

    def __init__(self, *, examples: int = 6):
        if not 1 <= examples <= 12:
            raise UsageError(f"examples={examples}: take 1 to 12, so that they stay readable")
        self.examples = examples

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if not run.segments:
            return {}
        split, task = run.rows("test"), run.learner.task
        out = run.forward(split.batch(torch.from_numpy(self.choose_rows(run))))
        truth = task.truth(out.batch.target).cpu().numpy()
        found = task.predict(run.model.likelihood, out.output).cpu().numpy()
        return {"segmentation": self.draw(run, _rgb(out.batch.x.cpu().numpy(), run.data.limits), truth, found)}

    def choose_rows(self, run: Run) -> np.ndarray:
        labels, rows = run.labels("test"), len(run.rows("test"))
        if labels is None:  # neighbours may be frames of one film
            return np.unique(np.linspace(0, rows - 1, min(self.examples, rows)).round().astype(int))
        return canvas.choose_rows(labels, self.examples, rows)

    def draw(self, run: Run, pictures: np.ndarray, truth: np.ndarray, found: np.ndarray) -> Figure:
        """Pictures (N, 3, H, W) in [0, 1], classes (N, H, W), -1 for none."""
        colours = palette(run.learner.task.classes)
        true, said = (np.moveaxis(colours[mask], -1, 1) for mask in (truth, found))
        faint = 1 - RIGHT * (1 - pictures.mean(1, keepdims=True).repeat(3, 1))
        wrong = np.where(((found != truth) & (truth >= 0))[:, None], np.reshape(WRONG, (1, 3, 1, 1)), faint)
        shown = np.stack([pictures, true, said, 0.45 * pictures + 0.55 * said, wrong], 1)
        count, sides = len(shown), pictures.shape[2:]
        title = f"{run.data.name}: classes of the pixels of {count} test pictures"
        cell = 1.7 if sides[1] >= sides[0] else 1.7 * sides[1] / sides[0]
        made, axes = canvas.board(title, len(COLUMNS), count, pictures.shape[1:], cell=cell, beside=1.7)
        canvas.draw_tiles(axes, shown, (0.0, 1.0))
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(COLUMNS)), COLUMNS, fontsize=9)
        axes.set_yticks(range(count), [_words(*pair) for pair in zip(truth, found, strict=True)], fontsize=9)
        self.legend(made, run, colours, bool((truth < 0).any()))
        return made

    def legend(self, made: Figure, run: Run, colours: np.ndarray, void: bool) -> None:
        names = run.learner.task.names
        handles = [Patch(facecolor=colours[i], edgecolor="0.5", label=_class(name))
                   for i, name in enumerate(names[:LISTED])]  # fmt: skip
        if len(names) > LISTED:
            handles.append(Patch(facecolor="none", label=f"and {len(names) - LISTED} more"))
        if void:
            handles.append(Patch(facecolor=VOID, edgecolor="0.5", label="no class: counts nowhere"))
        made.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), fontsize=9, frameon=False)


def palette(classes: int) -> np.ndarray:
    """(classes + 1, 3) colours; the last, which -1 takes, is that of no class. Beyond twelve they come again, paler."""
    base = np.array([to_rgb(colour) for colour in CLASSES])
    rounds = [1 - (1 - base) * 0.5**number for number in range(-(-classes // len(base)))]
    return np.vstack([np.vstack(rounds)[:classes], VOID])


def _rgb(pictures: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(N, 3, H, W) in [0, 1]; other than three channels become grey."""
    low, high = limits
    pictures = ((pictures - low) / ((high - low) or 1.0)).clip(0, 1)
    return pictures if pictures.shape[1] == 3 else pictures.mean(1, keepdims=True).repeat(3, 1)


def _class(name: str) -> str:
    return f"class {name}" if name.lstrip("-").isdigit() else name


def _words(truth: np.ndarray, found: np.ndarray) -> str:
    known = truth >= 0
    if not known.any():
        return "no pixel has a class"
    truth, found = truth[known], found[known]
    ious = [((truth == c) & (found == c)).sum() / ((truth == c) | (found == c)).sum() for c in np.unique(truth)]
    return f"mean IoU {np.mean(ious):.2f}\n{(truth == found).mean():.1%} of pixels right"
