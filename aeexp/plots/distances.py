"""Which of two pairs is closer: among the inputs, among PCA's codes, among the model's."""

from __future__ import annotations

from typing import Annotated, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.ranges import Seed, Whole

DRAWN = 20_000  # triples that shares are counted over
TRIED = 400  # of a class, among which the worst for the input is looked for


class Triple(NamedTuple):
    """Test rows: A and B should be closer than A and C."""

    a: int
    b: int
    c: int


@final
class Distances(Plot):
    """Triples of test rows, A and B of one class and C of another, where the input says that C is closer to A than B:
    the ratio |A − B| / |A − C| among inputs, PCA's codes and the model's. Left of 1 is as it should be.

    The titles of the rows below say in how many triples drawn by chance each one has it right, of 1/2 by chance. Chosen
    is, class by class, the triple of the largest ratio among those tried; `triples` names others, [[A, B, C], ...] by
    the numbers of test rows. Only for pictures whose classes are known, or whose triples are named.
    """

    def __init__(
        self,
        *,
        count: Annotated[int, Interval(ge=1, le=12)] = 5,
        triples: list[list[Whole]] | None = None,
        seed: Seed = 0,
    ):
        if triples is not None and not all(len(triple) == 3 for triple in triples):
            raise UsageError(f"triples={triples}: each is three numbers of test rows, as in [[0,1,2]]")
        self.count = count
        self.triples = triples
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        labels = run.labels("test")
        if not canvas.are_pictures(run.data.shape):
            return {}
        x = np.concatenate([batch.x.flatten(1).cpu().numpy() for batch in run.rows("test").batches(1024)])
        drawn = draw_triples(labels, self.seed)
        triples = self.choose(x, labels, drawn)
        if not triples:
            return {}
        pca = run.pca()
        spaces = {"input": x} | ({} if pca is None else {run.describe_pca(): pca.codes("test")})
        spaces["code"] = run.codes("test")
        return {"distances": self.draw(run, triples, spaces, drawn)}

    def choose(self, x: np.ndarray, labels: np.ndarray | None, drawn: np.ndarray) -> list[Triple]:
        """The named ones; else of each class the one that the input has most wrong. Raises UsageError on other rows."""
        if self.triples is not None:
            if max(map(max, self.triples), default=0) >= len(x):
                raise UsageError(f"triples={self.triples}: the test split has rows 0 to {len(x) - 1}")
            return [Triple(*triple) for triple in self.triples]
        if labels is None or len(drawn) == 0:
            return []
        ratios, found = find_ratios(x, drawn), []
        for label in np.unique(labels[drawn[:, 0]])[: self.count]:
            ours = np.flatnonzero(labels[drawn[:, 0]] == label)[:TRIED]
            found.append(Triple(*drawn[ours[ratios[ours].argmax()]].tolist()))
        return found

    def draw(self, run: Run, triples: list[Triple], spaces: dict[str, np.ndarray], drawn: np.ndarray) -> Figure:
        """A, B and C of each triple, and beside them the ratios."""
        places = np.array(triples)
        pictures = run.rows("test").batch(torch.from_numpy(places.ravel())).x.cpu().numpy()
        tiles = pictures.reshape(len(triples), 3, *run.data.shape)
        title = naming.heading(run, "A and B are of one class, C of another: which pair is closer?")
        figure = canvas.figure(title, 10.0, 1.1 + 1.0 * len(triples) * canvas.proportion(run.data.shape))
        board, chart = figure.subplots(1, 2, width_ratios=[3.2, 5.2])
        canvas.lay_out(board, 3, len(triples), run.data.shape)
        canvas.draw_tiles(board, tiles, run.data.limits)
        names = naming.row_names(run, "test")
        board.set_xticks(range(3), list("ABC"))
        board.xaxis.tick_top()
        board.set_yticks(range(len(triples)), [f"{names[t.a]} · {names[t.c]}" if names else "" for t in triples])
        draw_ratios(chart, {name: find_ratios(space, places) for name, space in spaces.items()}, spaces, drawn)
        return figure


def draw_triples(labels: np.ndarray | None, seed: int) -> np.ndarray:
    """(T, 3) test rows by chance, of which the first two are of one class and the third is of another; (0, 3) where
    classes are not known."""
    known = np.empty(0, int) if labels is None else np.flatnonzero(labels >= 0)
    if labels is None or len(np.unique(labels[known])) < 2:
        return np.empty((0, 3), int)
    a, b, c = np.random.default_rng(seed).choice(known, (3, DRAWN * 10))
    right = (labels[a] == labels[b]) & (a != b) & (labels[a] != labels[c])
    return np.stack([a, b, c], 1)[right][:DRAWN]


def find_ratios(space: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """(T,) |A − B| / |A − C| of triples (T, 3) of rows (N, D); 1 where both are 0."""
    a, b, c = (space[triples[:, place]].astype(np.float64) for place in range(3))
    near, far = np.linalg.norm(a - b, axis=1), np.linalg.norm(a - c, axis=1)
    return np.where(far > 0, near / np.where(far > 0, far, 1.0), np.where(near > 0, np.inf, 1.0))


def draw_ratios(axes: Axes, ratios: dict[str, np.ndarray], spaces: dict[str, np.ndarray], drawn: np.ndarray) -> None:
    """A mark for each space in each triple's row, and in the legend how often each has it right."""
    axes.axvspan(1e-9, 1.0, color="#E8F3EC", zorder=0)
    axes.axvline(1.0, color="0.3", linewidth=1.0)
    looks = zip((canvas.GREY, canvas.ORANGE, canvas.BLUE)[-len(ratios) :], ("s", "^", "o")[-len(ratios) :], strict=True)
    shown = [value for values in ratios.values() for value in values if np.isfinite(value) and value > 0]
    for (name, values), (colour, marker) in zip(ratios.items(), looks, strict=True):
        right = f": right in {np.mean(find_ratios(spaces[name], drawn) < 1):.1%} of triples" if len(drawn) else ""
        axes.plot(values, range(len(values)), marker, color=colour, markersize=8, label=f"{name}{right}")
    axes.set_xscale("log")
    low, high = min([*shown, 0.8]), max([*shown, 1.25])
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if low / 1.15 <= tick <= high * 1.15]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlim=(low / 1.15, high * 1.15), ylim=(len(next(iter(ratios.values()))) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("|A − B| / |A − C|; green: A is closer to B, as it should be", fontsize=9)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, frameon=False)
    canvas.hide_frame(axes)
