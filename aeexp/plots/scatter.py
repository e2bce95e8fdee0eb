"""Test codes in the plane."""

from __future__ import annotations

import math
from typing import NamedTuple, final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from aeexp.drawing import canvas, dots
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation import maps as plane
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import is_normal

NEIGHBOURS = 5  # that trustworthiness looks for
MOST = 5000  # rows: t-SNE's time and trustworthiness's memory grow with their square
WITHIN = 0.95  # of the prior lies in the circle


class View(NamedTuple):
    """One panel."""

    points: np.ndarray  # (N, 2)
    title: str
    axes: tuple[str, str]
    itself: bool = False  # the code, no map of it


@final
class Scatter(Plot):
    """At most `rows` test codes by each of `maps`, the same points in the same colours; PCA always stands beside.

    Each panel says its trustworthiness: how many neighbours in the map are neighbours among the codes. A code of two
    units is shown as it is, and needs no map; a code of one unit becomes one line of dots a class. Colours are
    classes, or the values of an `attribute`, by name or number from 0 (null: the first one where there are no classes).
    umap and pacmap are packages of their own: pip install 'aeexp[maps]'.
    """

    def __init__(
        self, *, rows: int = 2000, maps: list[plane.Name] | None = None, perplexity: float = 30.0,
        attribute: str | int | None = None, seed: int = 0,
    ):  # fmt: skip
        if not 2 <= rows <= MOST:
            raise UsageError(f"rows={rows}: take 2 to {MOST}; maps of more take minutes")
        if not perplexity > 0:
            raise UsageError(f"perplexity={perplexity} must be above 0; 5 to 50 is usual")
        maps = ["pca", "tsne"] if maps is None else maps
        if len(set(maps)) != len(maps):
            raise UsageError(f"maps={maps}: each map once")
        plane.require(maps)
        self.rows = rows
        self.maps = ["pca", *(name for name in maps if name != "pca")]
        self.perplexity = perplexity
        self.attribute = attribute
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        codes = run.codes("test")
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        if len(codes) < 2:
            return {}  # one code has no place among others
        codes = codes[chosen].astype(np.float64)
        hue = self.hue(run)
        hue = hue._replace(values=hue.values[chosen])
        title = canvas.heading(run, f"{len(codes)} test codes")
        if codes.shape[1] == 1:
            return {"scatter": _line(run, title, codes[:, 0], hue)}
        views = self.views(codes)
        columns = len(views) if len(views) <= 3 else math.ceil(len(views) / 2)
        lines = math.ceil(len(views) / columns)
        size = 4.6 if len(views) > 1 else 5.6
        made = canvas.figure(title, size * columns + 1.6, size * lines + 0.4)
        boards = made.subplots(lines, columns, squeeze=False).ravel()
        for axes, view in zip(boards, views, strict=False):
            drawn = dots.scattered(axes, view.points, hue, run)
            axes.set_title(view.title, fontsize=10)
            axes.set(xlabel=view.axes[0], ylabel=view.axes[1])
            if view.itself:
                axes.set_aspect("equal", "datalim")
                _prior(axes, run)
            elif not view.axes[1]:
                axes.set(xticks=[], yticks=[])
        for axes in boards[len(views) :]:
            axes.set_visible(False)
        dots.key(made, boards, drawn, hue, run)
        return {"scatter": made}

    def views(self, codes: np.ndarray) -> list[View]:
        if codes.shape[1] == 2:
            return [View(codes, "the code itself", ("unit 1", "unit 2"), True)]
        views = []
        for name in self.maps:
            if not plane.is_mappable(name, codes):
                continue
            points = plane.embed(name, codes, self.seed, self.perplexity)
            trust = plane.trustworthiness(codes, points, NEIGHBOURS)
            said = "" if trust is None else f"\ntrustworthiness {trust:.3f} ({NEIGHBOURS} neighbours)"
            views.append(View(points, f"{self.title(name, len(codes))}{said}", _axes(name, codes)))
        return views

    def title(self, name: str, rows: int) -> str:
        perplexity = f"t-SNE (perplexity {min(self.perplexity, (rows - 1) / 3):.3g})"
        return {"pca": "PCA", "tsne": perplexity, "umap": "UMAP", "pacmap": "PaCMAP"}[name]

    def hue(self, run: Run) -> dots.Hue:
        """Of all test rows."""
        labels, s = run.labels("test"), run.rows("test").s
        unlabelled = labels is None or (labels < 0).all()
        if self.attribute is None and (s is None or not unlabelled):
            return dots.Hue(np.full(len(run.codes("test")), -1) if labels is None else labels, "class", True)
        names = run.data.attributes
        number = self.number(names, 0 if s is None else 1 if s.dim() == 1 else s.shape[1])
        values = (s if s.dim() == 1 else s[:, number]).cpu()
        whole = bool((values == values.round()).all() and (values >= 0).all())
        whole = whole and (not values.is_floating_point() or values.unique().numel() <= len(canvas.COLOURS))
        title = names[number] if number < len(names) else f"attribute {number}"
        values = values.to(torch.int64 if whole else torch.float64).numpy()
        return dots.Hue(values, title, whole, False)

    def number(self, names: tuple[str, ...], columns: int) -> int:
        """Of the attribute's column."""
        words = f"attribute={self.attribute}: this data has "
        if columns <= 0:
            raise UsageError(f"{words}no attributes; leave it at null for classes")
        if self.attribute in names:
            return names.index(self.attribute)
        number = 0 if self.attribute is None else self.attribute
        listed = ", ".join(names[:20]) or f"attributes 0 to {columns - 1}"
        if not isinstance(number, int) or not 0 <= number < columns:
            raise UsageError(f"{words}{listed}")
        return number


def _axes(name: str, codes: np.ndarray) -> tuple[str, str]:
    if name != "pca":
        return "(axes have no unit)", ""
    found = np.append(plane.shares(codes), 0.0)
    return tuple(f"component {i + 1} ({found[i]:.0%} of the variance)" for i in range(2))


def _prior(axes: Axes, run: Run) -> None:
    """The circle about 0 that holds 95 % of N(0, I) in the plane: its radius squared is -2 log(0.05)."""
    if is_normal(run):
        radius = math.sqrt(-2 * math.log(1 - WITHIN))
        axes.add_patch(Circle((0, 0), radius, fill=False, color="0.4", linestyle="--", linewidth=1.2, zorder=0))
        axes.autoscale_view()
        axes.set_title(f"the code itself; dashed: {WITHIN:.0%} of the prior N(0, I)", fontsize=10)


def _line(run: Run, title: str, codes: np.ndarray, hue: dots.Hue) -> Figure:
    """A code of one unit: one line of dots for each class, moved up and down a little so that all are seen."""
    if not hue.whole:
        made = canvas.figure(title, 7.5, 4.5)
        axes = made.add_subplot()
        axes.scatter(codes, hue.values, s=14, c=canvas.BLUE, linewidths=0, alpha=0.6)
        axes.set(xlabel="unit 1", ylabel=hue.title)
        return made
    labels = hue.values
    present = np.unique(labels)
    made = canvas.figure(title, 7.5, 1.6 + 0.32 * min(len(present), 30))
    axes = made.add_subplot()
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(codes))
    axes.scatter(codes, np.searchsorted(present, labels) + shift, s=14, c=canvas.BLUE, linewidths=0, alpha=0.6)
    axes.set(xlabel="unit 1", ylim=(len(present) - 0.4, -0.6))
    names = ["unlabelled" if label < 0 else dots.named(run, hue, int(label)) for label in present]
    every = -(-len(present) // 30)
    axes.set_yticks(range(0, len(present), every), names[::every])
    if len(present) > 1:
        axes.set_ylabel(hue.title)
    return made
