"""What an encoder that sees a part of its patches makes of a picture."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.arrays import to_array
from aeexp.drawing.contracts import Plot
from aeexp.drawing.marking import mark_hole
from aeexp.evaluation.run import Run
from aeexp.ranges import Seed


class Views(NamedTuple):
    """Pictures (N, C, H, W), and which of their values the encoder saw."""

    whole: np.ndarray
    seen: np.ndarray  # bool
    restored: np.ndarray
    fill: np.ndarray  # (C, H, W) the mean of the training rows

    def measure(self, pictures: np.ndarray) -> np.ndarray:
        """(N,) squared error in what was not seen, summed over its values."""
        return np.where(self.seen, 0, (pictures - self.whole) ** 2).reshape(len(self.whole), -1).sum(1)


@final
class Patches(Plot):
    """Test pictures under masks as in training: the patches that the encoder sees, what the decoder makes of them
    alone, and the whole picture (He et al. 2022, figure 2).

    Below stands the squared error in what was not seen, and that of the training rows' mean there, which needs no
    encoder. Where the encoder sees all patches in training as well (`model.masked` of model=vit) there is none.
    """

    of_pictures: ClassVar = True

    def __init__(self, *, examples: Annotated[int, Interval(ge=1, le=24)] = 10, seed: Seed = 0):
        self.examples = examples
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        views = self.view(run)
        if views is None:
            return {}
        share = 1 - views.seen.mean()
        title = naming.heading(run, f"{share:.0%} of the patches hidden, and restored from the others")
        return {"patches": draw(title, views, run.data.limits)}

    @torch.no_grad()
    def view(self, run: Run) -> Views | None:
        """None where the encoder always sees all."""
        rows = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), self.examples, len(rows))
        batch = run.learner.task(rows.batch(torch.from_numpy(chosen)))
        context, model = run.learner.context(batch), run.model
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            part = model.encoder.see_part(batch.x, context if model.condition.told else None)
        if part is None:
            return None
        numbers, seen = part
        code = model.latent(numbers)
        restored = model.decode(code.mean, context, code.skips)
        mean = torch.cat([each.x for each in run.rows("train").batches(1024)]).mean(0)
        return Views(to_array(batch.x), seen.cpu().numpy(), to_array(restored), to_array(mean))


def draw(title: str, views: Views, limits: tuple[float, float]) -> Figure:
    """One column an example; seen, restored, whole."""
    count = len(views.whole)
    places = [0.0, 1.0, 2.4]
    cell = min(1.6, max(0.55, 8 / count))
    figure, axes = canvas.board(title, count, places[-1] + 1, views.whole.shape[1:], cell=cell, beside=1.6)
    shown = mark_hole(views.whole, ~views.seen, limits)
    for top, pictures in zip(places, (shown, views.restored, views.whole), strict=True):
        canvas.draw_tiles(axes, pictures[None], limits, top=top)
    canvas.write_numbers(axes, views.measure(views.restored), 1.62)
    canvas.write_numbers(axes, views.measure(np.broadcast_to(views.fill, views.whole.shape)), 1.8)
    axes.set_yticks(
        [*places[:2], 1.62, 1.8, places[2]],
        ["what the encoder sees", "what is told from it", "its error", "the mean's error", "whole"],
        fontsize=9,
    )
    axes.set_xlabel("error: squared, summed over the values of the hidden patches", fontsize=9)
    return figure
