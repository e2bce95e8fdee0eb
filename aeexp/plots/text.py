"""Text that codes are read as."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Annotated, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import SAMPLERS
from aeexp.ranges import Seed

LINE = 0.19  # inches
WIDTH = 72  # characters of a line
BESIDE = 1.3  # inches of what stands before a line
LETTER = 0.082  # inches


class Line(NamedTuple):
    """What stands before a text, the text, and its colour."""

    name: str
    text: str
    colour: str = canvas.BLACK


@final
class Text(Plot):
    """Sentences as the decoder tells them from a code alone, the most probable token at each step.

    `text_reconstructions`: test rows and what becomes of them, with the share of wrong tokens. `text_interpolation`:
    codes on the straight way between those of two test rows (Bowman et al. 2016, section 5.3). `text_samples`: codes
    drawn from the prior, without one from a Gaussian of the training codes. None where rows are no text.
    """

    def __init__(
        self,
        *,
        examples: Annotated[int, Interval(ge=1, le=24)] = 8,
        pairs: Annotated[int, Interval(ge=1, le=8)] = 3,
        steps: Annotated[int, Interval(ge=2, le=20)] = 7,
        samples: Annotated[int, Interval(ge=1, le=40)] = 8,
        seed: Seed = 0,
    ):
        self.examples = examples
        self.pairs = pairs
        self.steps = steps
        self.samples = samples
        self.seed = seed

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if run.spelling is None:
            return {}
        figures = {"text_reconstructions": self.draw_reconstructions(run)}
        if run.model.condition.size:
            return figures  # between two side informations there is no line
        if len(run.rows("test")) > 1:
            figures["text_interpolation"] = self.draw_interpolation(run)
        name = "prior" if run.model.latent.prior is not None else "gaussian"
        codes = SAMPLERS[name](run, self.samples, self.seed)
        if codes is not None:
            figures["text_samples"] = self.draw_samples(run, name, codes)
        return figures

    def draw_reconstructions(self, run: Run) -> Figure:
        """Test rows, each above what becomes of it."""
        rows = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), self.examples, len(rows))
        out = run.forward(rows.batch(torch.from_numpy(chosen)))
        wrong = run.measure_error(out)
        told = spell(run, run.model.decode(out.code.mean, out.context))
        steps = out.batch.x.shape[1] if out.batch.mask is None else out.batch.mask.sum(1).cpu().numpy()
        known = naming.row_names(run, "test")
        groups = []
        for row, text, output, share in zip(chosen, spell(run, out.batch.x), told, wrong / steps, strict=True):
            name = known[row] if known else f"test row {row + 1}"
            groups.append([Line(name, text), Line(f"{share:.0%} wrong", output, canvas.BLUE)])
        return draw_lines(naming.heading(run, "test rows, and what is told from their codes"), groups)

    def draw_interpolation(self, run: Run) -> Figure:
        """Of each pair its rows, and between them what codes on the way are read as."""
        rows = run.rows("test")
        chosen = canvas.choose_rows(run.labels("test"), 2 * self.pairs, len(rows))
        chosen = chosen[: len(chosen) // 2 * 2]
        out = run.forward(rows.batch(torch.from_numpy(chosen)))
        shares = torch.linspace(0, 1, self.steps, device=out.code.mean.device)
        texts, groups = spell(run, out.batch.x), []
        for pair in range(len(chosen) // 2):
            a, b = out.code.mean[2 * pair], out.code.mean[2 * pair + 1]
            way = torch.stack([run.model.latent.between(a[None], b[None], share)[0] for share in shares])
            told = spell(run, run.model.decode(run.model.latent.project(way)))
            lines = [Line(f"{share:.2f}", text, canvas.BLUE) for share, text in zip(shares.tolist(), told, strict=True)]
            groups.append([Line("A", texts[2 * pair]), *lines, Line("B", texts[2 * pair + 1])])
        caption = "blue: told from (1 − t) code(A) + t code(B), behind the share t"
        return draw_lines(naming.heading(run, "from one test row to another"), groups, caption)

    def draw_samples(self, run: Run, name: str, codes: np.ndarray) -> Figure:
        """What drawn codes are read as."""
        told = spell(run, run.model.decode(torch.from_numpy(codes).to(run.device)))
        source = naming.SOURCES[name].replace("\n", " ")
        lines = [[Line(f"{number}", text, canvas.BLUE) for number, text in enumerate(told, 1)]]
        return draw_lines(naming.heading(run, f"told from codes drawn from {source}"), lines)


def spell(run: Run, values: Tensor) -> list[str]:
    """Texts of rows (N, T, 1); only where there is a spelling."""
    assert run.spelling is not None
    return run.spelling.read(values.cpu().numpy())


def draw_lines(title: str, groups: Sequence[Sequence[Line]], caption: str = "") -> Figure:
    """Lines of text, groups apart; long ones are broken."""
    placed: list[tuple[float, Line]] = []
    at = 0.0
    for group in groups:
        for line in group:
            parts = textwrap.wrap(line.text, WIDTH) or ["(nothing)"]
            names = [line.name, *[""] * (len(parts) - 1)]
            for name, part in zip(names, parts, strict=True):
                placed.append((at, Line(name, part, line.colour)))
                at += 1
        at += 0.6
    longest = max(len(line.text) for _, line in placed)
    beside = max(BESIDE, 0.075 * max(len(line.name) for _, line in placed) + 0.2)
    width = max(6.0, beside + LETTER * longest + 0.3)
    figure = canvas.figure(title, width, LINE * at + 0.6 + (0.3 if caption else 0))
    axes = figure.add_subplot()
    axes.set(xlim=(0, width), ylim=(at - 0.3, -0.8), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    for height, line in placed:
        axes.text(beside - 0.12, height, line.name, ha="right", va="center", fontsize=8, color="0.4", parse_math=False)
        axes.text(
            beside, height, line.text, va="center", fontsize=9, family="monospace", color=line.colour, parse_math=False
        )
    axes.set_xlabel(caption, fontsize=9)
    return figure
