"""A walk through the space of codes, as an animation."""

from __future__ import annotations

import logging
import math
from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aeexp.drawing import canvas, channels, naming
from aeexp.drawing.animation import Animation
from aeexp.drawing.arrays import mask_array, to_array
from aeexp.drawing.contracts import Plot
from aeexp.drawing.dots import look
from aeexp.evaluation.paths import slerp, tour
from aeexp.evaluation.run import Run
from aeexp.evaluation.samplers import has_one_length

log = logging.getLogger(__name__)

BEHIND = 2000  # test codes that are drawn in the plane
REST = 600  # milliseconds at a test row's own code
NAMED = 40  # classes that have their names in it; more would cover it
DOT = 7  # pixels
WIDTH, HEIGHT = 7.2, 3.9  # inches


class Place(NamedTuple):
    """One code of the walk."""

    start: int  # the stops before and behind it
    end: int
    share: float  # of the way between them


@final
class Walk(Plot):
    """A closed walk through the codes of `stops` test rows, one of each class first: walk.gif.

    `steps` codes lead from one stop to the next and stand `milliseconds` each: along an arc under the prior N(0, I)
    and on the sphere (slerp, White 2016: a straight line runs through lengths that codes do not have), else along a
    line, brought to codes that the latent can give. The map beside the picture shows where the walk stands: the code
    itself where it has two units, else the plane of the first two principal components of the test codes.
    """

    unfilmed: ClassVar = "it moves by itself"
    of_pictures: ClassVar = True

    def __init__(
        self,
        *,
        stops: Annotated[int, Interval(ge=2, le=30)] = 10,
        steps: Annotated[int, Interval(ge=1, le=40)] = 8,
        milliseconds: Annotated[int, Interval(ge=20, le=2000)] = 80,
    ):
        self.stops = stops
        self.steps = steps
        self.milliseconds = milliseconds

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Animation]:
        split, labels = run.rows("test"), run.labels("test")
        chosen = canvas.choose_rows(labels, self.stops, len(split))
        out = run.forward(split.batch(torch.from_numpy(chosen)))
        if out.context is not None:
            log.info("plot=walk left out: between two side informations there is no way")
            return {}
        if len(chosen) < 2:
            log.info("plot=walk left out: one test row is no way")
            return {}
        order = tour(to_array(out.code.mean))
        chosen, codes = chosen[order], out.code.mean[torch.from_numpy(order).to(out.code.mean.device)]
        z, places = self.path(run, codes)
        decoded = np.concatenate([to_array(run.model.decode(part)) for part in z.split(64)])
        if (mask := mask_array(out.batch)) is not None:  # decoded are as many steps as the longest of the stops has
            decoded = canvas.cut_at_end(decoded, np.logical_or.reduce(mask))
        known = naming.row_names(run, "test")
        head = f"{run.data.response} " if run.data.response else ""
        names = [f"{head}{known[row]}" if known[row] else "unlabelled" for row in chosen] if known else None
        stops = [i for i, place in enumerate(places) if place.share == 0]
        stage = Stage(run, to_array(z), stops, f"a walk through the codes of {len(codes)} test rows")
        captions = [caption(place, names) for place in places]
        frames = [stage.draw_frame(i, picture, captions[i]) for i, picture in enumerate(decoded)]
        durations = [REST if place.share == 0 else self.milliseconds for place in places]
        return {"walk": Animation(frames, durations)}

    def path(self, run: Run, codes: Tensor) -> tuple[Tensor, list[Place]]:
        """(stops * steps, D): the code of each stop and those on the way to the next; behind the last the first."""
        latent = run.model.latent
        between = latent.between if latent.path or not has_one_length(run) else slerp
        steps, places = [], []
        for start in range(len(codes)):
            end = (start + 1) % len(codes)
            for step in range(self.steps):
                share = torch.tensor(step / self.steps, device=codes.device)
                steps.append(between(codes[start][None], codes[end][None], share) if step else codes[start][None])
                places.append(Place(start, end, step / self.steps))
        z = torch.cat(steps)
        on_way = torch.tensor([place.share > 0 for place in places], device=z.device)
        z[on_way] = latent.project(z[on_way])  # a stop's own code stays what the encoder gave
        return z, places


def caption(place: Place, names: list[str] | None) -> str:
    """From which stop to which, by the names of their classes or by number."""
    start, end = (f"row {i + 1}" if names is None else names[i] for i in (place.start, place.end))
    return f"from {start} to {end}"


@final
class Stage:
    """What all frames share, drawn once; a frame adds the decoded example, the dot on the map and the caption."""

    def __init__(self, run: Run, z: np.ndarray, stops: list[int], title: str):
        figure = canvas.figure(naming.heading(run, title), WIDTH, HEIGHT)
        self.limits = run.data.limits
        self.picture, plane = figure.subplots(1, 2)
        self.pictures = canvas.are_pictures(run.data.shape)
        _empty(self.picture, self.pictures, run)
        self.spots = _plane(plane, run, z, stops)
        agg = FigureCanvasAgg(figure)
        agg.draw()
        self.sheet = np.asarray(agg.buffer_rgba())[..., :3].copy()
        self.box = _pixels(self.picture, len(self.sheet))
        self.dots = plane.transData.transform(self.spots) * (1, -1) + (0, len(self.sheet))
        self.font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 16)

    def draw_frame(self, number: int, example: np.ndarray, text: str) -> np.ndarray:
        """(H, W, 3) uint8: the sheet with the example (*shape) of that number."""
        sheet = Image.fromarray(self.sheet)
        draw = ImageDraw.Draw(sheet)
        left, top, right, bottom = self.box
        if self.pictures:
            sheet.paste(_paint(example, self.limits, (right - left, bottom - top)), (left, top))
        else:
            values = example.reshape(-1)
            across, up = np.arange(1, values.size + 1), np.nan_to_num(values)
            points = self.picture.transData.transform(np.column_stack([across, up])) * (1, -1) + (0, len(self.sheet))
            draw.line([tuple(point) for point in points], fill=canvas.BLUE, width=2)
        draw.text(((left + right) / 2, bottom + (12 if self.pictures else 52)), text, "black", self.font, "mt")
        x, y = self.dots[number]
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill="white", outline="black", width=3)
        return np.asarray(sheet)


def _empty(axes: Axes, pictures: bool, run: Run) -> None:
    """Where the decoded example goes."""
    axes.set_title("decoded", fontsize=10)
    if pictures:
        height, width = canvas.sides(run.data.shape)
        axes.set(xticks=[], yticks=[])
        axes.set_box_aspect(height / width)
        axes.set_xlabel(" \n ", fontsize=11)  # room for the caption
        return
    low, high = run.data.limits
    features, margin = math.prod(run.data.shape), 0.05 * (high - low or 1.0)
    axes.set(xlim=(0.5, features + 0.5), ylim=(low - margin, high + margin), ylabel="value")
    axes.set_xlabel("step\n \n " if len(run.data.shape) == 2 else "feature\n \n ", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    canvas.hide_frame(axes)


def _plane(axes: Axes, run: Run, z: np.ndarray, stops: list[int]) -> np.ndarray:
    """(N, 2) the walk on the map of the test codes, both drawn; `stops` are marked."""
    codes = run.codes("test").astype(np.float64)
    chosen = np.random.default_rng(0).permutation(len(codes))[:BEHIND]
    centre, basis = np.zeros(codes.shape[1]), np.eye(codes.shape[1], 2)
    xlabel, ylabel = "unit 1", "unit 2" if codes.shape[1] == 2 else ""
    if codes.shape[1] > 2:
        centre = codes.mean(0)
        basis = np.linalg.svd(codes - centre, full_matrices=False)[2][:2].T
        xlabel, ylabel = "component 1", "component 2"
    labels, walk = run.labels("test"), (z - centre) @ basis
    labels = np.full(len(chosen), -1) if labels is None else labels[chosen]
    points, numbers = (codes[chosen] - centre) @ basis, run.responses("test")
    named = numbers is None and _dots(axes, run, points, labels)
    if numbers is not None:
        shade = axes.scatter(*points.T, s=5, c=numbers[chosen], cmap="viridis", linewidths=0, alpha=0.6)
        axes.figure.colorbar(shade, ax=axes, label=run.data.response, shrink=0.8)
    axes.plot(*np.concatenate([walk, walk[:1]]).T, color=canvas.BLACK, linewidth=1.0)
    axes.plot(*walk[stops].T, color=canvas.BLACK, linestyle="none", marker="o", markersize=4.5)
    origin = "the code itself" if codes.shape[1] <= 2 else "PCA of the test codes"
    key = "black: walk and rows" + ("; names: class medians" if named else "")
    axes.set_title(f"where the walk stands: {origin}\n{key}", fontsize=9)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.tick_params(labelsize=8)
    canvas.hide_frame(axes)
    return walk


def _dots(axes: Axes, run: Run, points: np.ndarray, labels: np.ndarray) -> bool:
    """Points (N, 2) by class, its name at the median. Returns whether there are names: some classes, not too many."""
    classes = [int(label) for label in np.unique(labels) if label >= 0]
    named = 0 < len(classes) <= NAMED
    colours = [look(classes.index(label))[0] if named and label >= 0 else "0.7" for label in labels]
    axes.scatter(*points.T, s=5, c=colours, linewidths=0, alpha=0.6)
    for label in classes if named else ():
        x, y = np.median(points[labels == label], 0)
        short = naming.class_name(run, label).split(" ")[0]  # 0 of "0 - zero"
        box = dict(facecolor="white", edgecolor="none", alpha=0.7, pad=0.8)
        axes.text(x, y, short, ha="center", va="center", fontsize=10, weight="bold", bbox=box)
    return named


def _pixels(axes: Axes, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of axes in a picture of that height."""
    box = axes.get_window_extent()
    return round(box.x0) + 1, round(height - box.y1) + 1, round(box.x1), round(height - box.y0)


def _paint(example: np.ndarray, limits: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """One example as a picture of that width and height; what has no value is white."""
    if example.ndim == 2:
        example = example[: canvas.STEPS].T[None, ::-1]  # time from left to right, feature 0 at the bottom
    planes = channels.spread(example)
    planes = planes if planes.shape[0] == 3 else planes.repeat(3, 0)
    brightness = np.nan_to_num(canvas.scale(planes, limits), nan=1.0).clip(0, 1)
    pixels = (255 * np.moveaxis(brightness, 0, -1)).round().astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
