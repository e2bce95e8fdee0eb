"""What lies between the codes of two pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.drawing import canvas, naming, tables
from aeexp.drawing.arrays import mask_array
from aeexp.drawing.cloud import is_cloud
from aeexp.drawing.contracts import Plot
from aeexp.drawing.moves import draw_paths
from aeexp.evaluation.paths import slerp
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import has_one_length

APART = 1.25  # tiles between an input and what is decoded
GROUP = 0.35  # tiles between two pairs
SMOOTH = 65  # codes of a path that is drawn as a line


@final
class Interpolation(Plot):
    """Paths of `steps` codes between `pairs` pairs of test examples, of different classes if labelled; of the same one
    under `within_class`.

    `path` is the straight line, slerp (the arc about 0, White 2016), or both, a row each; auto takes both where a
    code's length is given by its law, which is where the prior is N(0, I) or codes lie on a sphere, else the line.
    The last row of each pair mixes the two inputs pixel by pixel: a code that knows no more than that gains
    nothing. Where a latent has other codes than all vectors, a path is brought to the nearest ones: on the sphere
    the line becomes an arc of uneven steps. Of a table each path is a heat map of the columns that change most.
    Bits know neither: they change sides one after the other (`latent.between`).
    """

    unfilmed: ClassVar = ""
    chooses_columns: ClassVar = True
    of_pictures: ClassVar = True

    def __init__(
        self,
        *,
        pairs: Annotated[int, Interval(ge=1, le=20)] = 4,
        within_class: bool = False,
        steps: Annotated[int, Interval(ge=2, le=20)] = 9,
        path: Literal["auto", "line", "slerp", "both"] = "auto",
    ):
        self.pairs = pairs
        self.within_class = within_class
        self.steps = steps
        self.path = path

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        chosen = self.choose_pairs(run)
        pairs = len(chosen) // 2
        if pairs == 0:
            return {}
        out = run.forward(split.batch(torch.from_numpy(chosen[: 2 * pairs])))
        if out.context is not None:
            return {}  # between two side informations there is no line
        points = is_cloud(run.data)
        weights = torch.linspace(0, 1, SMOOTH if points else self.steps, device=out.code.mean.device)
        paths, rows = self.choose_paths(run), []
        for path in paths.values():
            codes = torch.stack([path(out.code.mean[0::2], out.code.mean[1::2], share) for share in weights], 1)
            codes = run.model.latent.project(codes)  # (P, S, D)
            rows.append(run.model.decode(codes.flatten(0, 1)).unflatten(0, (pairs, len(weights))))
        if points:
            decoded = {name: row for name, row in zip(paths, rows, strict=True)}
            return {"interpolation": draw_paths(run, decoded, out.batch.x.unflatten(0, (pairs, 2)))}
        if run.data.variables:
            return {"interpolation": self.draw_table(run, [*paths], torch.stack(rows, 1), chosen)}
        mixed = torch.stack([torch.lerp(out.batch.x[0::2], out.batch.x[1::2], share) for share in weights], 1)
        pictures = torch.stack([*rows, mixed], 1).cpu().numpy()
        ends = out.batch.x.unflatten(0, (pairs, 2)).cpu().numpy()
        if (mask := mask_array(out.batch)) is not None:
            mask = mask.reshape(pairs, 2, -1)
            longer = np.logical_or.reduce(mask, axis=1)  # what is decoded has as many steps as the longer of the two
            ends, pictures = canvas.cut_at_end(ends, mask), canvas.cut_at_end(pictures, longer[:, None, None])
        return {"interpolation": self.draw(run, ends, pictures, [*paths, "input mix"])}

    def choose_pairs(self, run: Run) -> np.ndarray:
        """(2 P,) numbers of test rows: A and B of the first pair, then those of the second, ..."""
        labels, rows = run.labels("test"), len(run.rows("test"))
        if self.within_class and labels is not None and (labels >= 0).any():
            present = np.unique(labels[labels >= 0])
            twins = [np.flatnonzero(labels == label)[:2] for label in present]
            return np.concatenate([twin for twin in twins if len(twin) == 2][: self.pairs] or [np.arange(0)])
        return canvas.choose_rows(labels, 2 * self.pairs, rows)

    def choose_paths(self, run: Run) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """Functions of two codes and a share, by name."""
        latent = run.model.latent
        if latent.path:
            return {latent.path: latent.between}
        path = self.path
        if path == "auto":
            path = "both" if has_one_length(run) else "line"
        known = {"line": torch.lerp, "slerp": slerp}
        return known if path == "both" else {path: known[path]}

    def draw_table(self, run: Run, names: list[str], decoded: Tensor, chosen: np.ndarray) -> Figure:
        """Of a table (P, R, S, D): a heat map for each way of each pair, changes counted from its first row."""
        texts = naming.row_names(run, "test")
        known = [texts[row] if texts else "" for row in chosen]
        ticks = [(0, "A"), ((self.steps - 1) / 2, "half way"), (self.steps - 1, "B")]
        sheets = []
        for pair, rows in enumerate(tables.in_units(run.data, decoded)):
            a, b = (f"test row {2 * pair + end + 1}: {known[2 * pair + end]}".rstrip(": ") for end in range(2))
            for name, values in zip(names, rows, strict=True):
                way = f" ({name})" if len(names) > 1 else ""
                sheets.append(tables.Sheet(f"{a} → {b}{way}", values, values[0], ticks))
        title = naming.heading(run, "from one test example to another")
        numbers = [f"behind a row: its {run.data.response}"] if run.data.response else []
        caption = "; ".join([*self.describe_rows(run, names), "white: as decoded from A", *numbers])
        return tables.draw_sheets(title, caption, run, sheets)

    def draw(self, run: Run, ends: np.ndarray, pictures: np.ndarray, names: list[str]) -> Figure:
        """`ends` (P, 2, *shape) stand a little apart from `pictures` (P, R, S, *shape), a row for each name."""
        limits, columns, lines = run.data.limits, self.steps + 2 * APART, len(names)
        pitch, last = lines + GROUP, 2 * APART + self.steps - 1
        title = naming.heading(run, "from one test example to another")
        cell = max(0.45, 8.5 / columns)
        height = len(ends) * pitch - GROUP
        figure, axes = canvas.board(title, columns, height, run.data.shape, cell=cell, beside=1.3)
        for pair, (two, rows) in enumerate(zip(ends, pictures, strict=True)):
            top = pair * pitch
            canvas.draw_tiles(axes, rows, limits, left=APART, top=top)
            for end, place in zip(two, (0, last), strict=True):
                canvas.draw_tiles(axes, end[None, None], limits, left=place, top=top + (lines - 1) / 2)
        tops = [pair * pitch + row for pair in range(len(ends)) for row in range(lines)]
        axes.set_yticks(tops, names * len(ends), fontsize=8)
        shares = [f"{weight:.3g}" for weight in np.linspace(0, 1, self.steps)]
        axes.set_xticks([0, *(APART + np.arange(self.steps)), last], ["input A", *shares, "input B"], fontsize=9)
        axes.set_xlabel("\n".join(["the share t of the way from A to B", *self.describe_rows(run, names)]), fontsize=9)
        return figure

    def describe_rows(self, run: Run, names: list[str]) -> list[str]:
        """What each kind of row shows."""
        nearest = ", brought to the nearest code" if run.model.latent.constrained else ""
        meanings = {
            "line": f"line: decoded from (1 − t) code(A) + t code(B){nearest}",
            "slerp": f"slerp: decoded from the arc about 0 between code(A) and code(B){nearest}",
            "bit by bit": "bit by bit: decoded from code(A) with the share t of the bits that differ from code(B)",
            "input mix": "input mix: (1 − t) A + t B, no code",
        }
        return [meanings[name] for name in names]
