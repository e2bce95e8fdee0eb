"""Test codes in the plane."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from matplotlib.ticker import MaxNLocator

from aeexp.drawing import canvas, dots, naming
from aeexp.drawing.arrays import attribute_tensor
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation import maps as plane
from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import is_normal
from aeexp.latents.posteriors import Normal
from aeexp.ranges import Positive, Seed, Whole

NEIGHBOURS = 5  # that trustworthiness looks for
MOST = 5000  # rows: t-SNE's time and trustworthiness's memory grow with their square
CLOUDS = 40  # rows whose draws are shown
WITHIN = 0.95  # of the prior lies in the circle
# What the axes of a map without units mean: who reads a picture of t-SNE measures lengths in it that mean nothing.
NEAR = (
    "no unit and no direction: near dots have near codes; sizes\nof groups, gaps and distances between them say little"
)


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
    units is shown as it is, and needs no map; where it is drawn, ellipses show its noise. A code of one unit becomes
    one line of dots a class. Colours are classes or the numbers to predict (a row without one is grey), or the values
    of an `attribute`, by name or number from 0 (null: the first one where there are no classes).
    umap and pacmap are packages of their own: pip install 'aeexp[maps]'.
    """

    unfilmed: ClassVar = ""
    reads: ClassVar = ("codes",)

    def __init__(
        self,
        *,
        rows: Annotated[int, Interval(ge=2, le=MOST)] = 2000,
        maps: list[plane.Name] | None = None,
        perplexity: Positive = 30.0,
        attribute: str | Whole | None = None,
        seed: Seed = 0,
    ):
        maps = ["pca", "tsne"] if maps is None else maps
        if len(set(maps)) != len(maps):
            raise UsageError(f"maps={maps}: each map once")
        plane.require(maps)
        self.rows = rows
        self.maps: list[plane.Name] = ["pca", *(name for name in maps if name != "pca")]
        self.perplexity = perplexity
        self.attribute = attribute
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        codes = run.codes("test")
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        if len(codes) < 2:
            return {}  # one code has no place among others
        codes = codes[chosen].astype(np.float64)
        hue = self.choose_hue(run)
        hue = hue._replace(values=hue.values[chosen])
        title = naming.heading(run, f"{len(codes)} test codes")
        if codes.shape[1] == 1:
            return {"scatter": _line(run, title, codes[:, 0], hue)}
        views = self.map_codes(codes) if self.like is None else [project(codes, self.like)]
        columns = len(views) if len(views) <= 3 else math.ceil(len(views) / 2)
        lines = math.ceil(len(views) / columns)
        size = 4.6 if len(views) > 1 else 5.6
        figure = canvas.figure(title, size * columns + 1.6, size * lines + 0.4)
        panels, explained = canvas.panels(figure, lines, columns, len(views)), None
        for axes, view in zip(panels, views, strict=True):
            explained = dots.draw_dots(axes, view.points, hue)
            axes.set_title(view.title, fontsize=10)
            axes.set_xlabel(view.axes[0], fontsize=9)
            axes.set_ylabel(view.axes[1], fontsize=9)
            axes.xaxis.set_major_locator(MaxNLocator(6))  # −0.075 and −0.050 need more room than −1 and 0
            if view.itself:
                axes.set_aspect("equal", "datalim")
                _prior(axes, run)
                _noise(axes, run, chosen)
            elif not view.axes[1]:
                axes.set(xticks=[], yticks=[])
        dots.draw_key(figure, panels, explained, hue)
        return {"scatter": figure}

    def map_codes(self, codes: np.ndarray) -> list[View]:
        """A panel for each map of codes (N, D) that has enough rows."""
        if codes.shape[1] == 2:
            return [View(codes, "the code itself", ("unit 1 of the code", "unit 2 of the code"), True)]
        if (codes == codes[0]).all():
            return [View(np.zeros((len(codes), 2)), "all codes are the same", ("", ""))]
        views = []
        for name in self.maps:
            if not plane.is_mappable(name, codes):
                continue
            points = plane.embed(name, codes, self.seed, self.perplexity)
            trust = plane.trustworthiness(codes, points, NEIGHBOURS)
            share = f"{NEIGHBOURS} neighbours; 1: all are true"
            suffix = "" if trust is None else f"\ntrustworthiness {trust:.3f} ({share})"
            views.append(View(points, f"{self.map_title(name, len(codes))}{suffix}", _axes(name, codes)))
        return views

    def map_title(self, name: str, rows: int) -> str:
        """What a map is called, with t-SNE's perplexity for so many rows."""
        perplexity = f"t-SNE (perplexity {min(self.perplexity, (rows - 1) / 3):.3g})"
        return {"pca": "PCA", "tsne": perplexity, "umap": "UMAP", "pacmap": "PaCMAP"}[name]

    def choose_hue(self, run: Run) -> dots.Hue:
        """Of all test rows: their classes, or an attribute."""
        numbers = run.responses("test")
        if self.attribute is None and numbers is not None:
            return dots.Hue(numbers.astype(np.float64), run.data.response, False)
        labels, attributes = run.labels("test"), attribute_tensor(run)
        unlabelled = labels is None or (labels < 0).all()
        if self.attribute is None and (attributes is None or not unlabelled):
            known = np.full(len(run.codes("test")), -1) if labels is None else labels
            return dots.Hue(known, "class", True, run.data.classes)
        if attributes is None or attributes.shape[-1] == 0:
            raise UsageError(f"{self._complaint()}no attributes; leave it at null for classes")
        columns = attributes[:, None] if attributes.dim() == 1 else attributes
        number = self.find_column(run.data.attributes, columns.shape[1])
        values = columns[:, number].cpu()
        categorical = bool((values == values.round()).all() and (values >= 0).all())
        categorical = categorical and (not values.is_floating_point() or values.unique().numel() <= len(canvas.COLOURS))
        values = values.to(torch.int64 if categorical else torch.float64).numpy()
        return dots.Hue(values, naming.attribute_name(run, number), categorical, naming.group_names(run, number))

    def find_column(self, names: tuple[str, ...], columns: int) -> int:
        """Number of the attribute's column. Raises UsageError where there is no such one."""
        if isinstance(self.attribute, str) and self.attribute in names:
            return names.index(self.attribute)
        number = 0 if self.attribute is None else self.attribute
        if not isinstance(number, int) or not 0 <= number < columns:
            listed = ", ".join(names[:20]) or f"attributes 0 to {columns - 1}"
            raise UsageError(f"{self._complaint()}{listed}")
        return number

    def _complaint(self) -> str:
        return f"attribute={self.attribute}: this data has "


def project(codes: np.ndarray, last: Run) -> View:
    """In a film: codes (N, D) on the plane of the run at its end, so that a dot moves where its code does."""
    if codes.shape[1] == 2:
        return View(codes, "the code itself", ("unit 1 of the code", "unit 2 of the code"), True)
    mean, plane_, shares = plane.find_plane(last.codes("test").astype(np.float64))
    words = [
        f"component {i} of the codes at the end ({share:.0%} of their variance)" for i, share in enumerate(shares, 1)
    ]
    return View((codes - mean) @ plane_.T, "the same plane at each step", (words[0], words[-1]))


def _axes(name: str, codes: np.ndarray) -> tuple[str, str]:
    if name != "pca":
        return NEAR, ""
    first, second = np.append(plane.shares(codes), 0.0)[:2]
    rest = max(0.0, 1 - first - second)
    hidden = f"a shadow of the code's {codes.shape[1]} units: {rest:.0%} of the variance is not seen"
    return f"component 1 ({first:.0%} of the variance)\n{hidden}", f"component 2 ({second:.0%} of the variance)"


def _prior(axes: Axes, run: Run) -> None:
    """The circle about 0 that holds 95 % of N(0, I) in the plane: its radius squared is -2 log(0.05)."""
    if is_normal(run):
        radius = math.sqrt(-2 * math.log(1 - WITHIN))
        axes.add_patch(Circle((0, 0), radius, fill=False, color="0.4", linestyle="--", linewidth=1.2, zorder=0))
        axes.autoscale_view()
        axes.set_title(f"the code itself; dashed: {WITHIN:.0%} of the prior N(0, I)", fontsize=10)


def _noise(axes: Axes, run: Run, chosen: np.ndarray) -> None:
    """One standard deviation of the draws of the first rows, where a code is drawn from a Gaussian."""
    if run.model.latent.prior is None:
        return
    with torch.no_grad():
        posterior = encode(run.learner, run.rows("test").batch(torch.from_numpy(chosen[:CLOUDS]))).code.posterior
    if not isinstance(posterior, Normal):
        return
    means, spreads = posterior.mean.cpu().numpy(), (0.5 * posterior.log_var).exp().cpu().numpy()
    for mean, spread in zip(means, spreads, strict=True):
        axes.add_patch(Ellipse(mean, *(2 * spread), fill=False, color="0.25", linewidth=0.7))
    axes.autoscale_view()
    title = axes.get_title()
    axes.set_title(f"{title}\nellipses: one standard deviation of the draws of {len(means)} rows", fontsize=10)


def _line(run: Run, title: str, codes: np.ndarray, hue: dots.Hue) -> Figure:
    """A code of one unit: one line of dots for each class, moved up and down a little so that all are seen."""
    if not hue.categorical:
        figure = canvas.figure(title, 7.5, 4.5)
        axes = figure.add_subplot()
        axes.scatter(codes, hue.values, s=14, c=canvas.BLUE, linewidths=0, alpha=0.6)
        axes.set(xlabel="unit 1", ylabel=hue.title)
        return figure
    labels = hue.values
    present = np.unique(labels)
    figure = canvas.figure(title, 7.5, 1.6 + 0.32 * min(len(present), 30))
    axes = figure.add_subplot()
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(codes))
    axes.scatter(codes, np.searchsorted(present, labels) + shift, s=14, c=canvas.BLUE, linewidths=0, alpha=0.6)
    axes.set(xlabel="unit 1", ylim=(len(present) - 0.4, -0.6))
    names = ["unlabelled" if label < 0 else naming.value_name(hue.names, int(label)) for label in present]
    every = math.ceil(len(present) / 30)
    axes.set_yticks(range(0, len(present), every), names[::every])
    if len(present) > 1:
        axes.set_ylabel(hue.title)
    return figure
