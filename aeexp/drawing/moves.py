"""Where rows that are points go: from an input to its reconstruction, and along the path between two codes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.drawing import canvas, cloud, dots, naming
from aeexp.evaluation.run import Run
from aeexp.models.autoencoder import Autoencoder
from aeexp.types import Batch


@torch.no_grad()
def draw_reconstructions(run: Run, seed: int) -> Figure:
    """Test rows, their outputs, and a line for the error between, of the model and of the comparable PCA.

    Under noise the line begins at the corrupted row; `seed` draws it.
    """
    points = cloud.choose_points(run)
    batch = run.learner.task(run.rows("test").batch(torch.from_numpy(points.chosen)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x = run.learner.objective.noise.corrupt(batch)
        models = {"model": run.model} | ({} if (pca := run.pca()) is None else {run.describe_pca(): pca.model})
        outputs = {name: _decode(model, batch, x) for name, model in models.items()}
    figure = canvas.figure(naming.heading(run, "reconstructions of the test split"), 5.4 * len(models) + 1.2, 5.4)
    start, explained, panels = cloud.locate(run.data, x), None, []
    for place, (name, output) in enumerate(outputs.items(), 1):
        axes = cloud.open_space(figure, 1, len(outputs), place, run.data)
        end = cloud.locate(run.data, output)
        if end.shape[1] < cloud.MOST:
            cloud.draw_behind(axes, run)  # in space they would stand before the others
        cloud.draw_lines(axes, list(np.stack([start, end], 1)), "0.55", 0.8)
        explained = cloud.draw_points(axes, end, points.hue, 10.0)
        error = float((output - batch.targets).square().flatten(1).sum(1).mean())
        axes.set_title(f"{textwrap.fill(name, 40)}\nsquared error {canvas.format_number(error)}", fontsize=10)
        cloud.frame(axes, start)
        panels.append(axes)
    dots.draw_key(figure, panels, explained, points.hue)
    return figure


def draw_paths(run: Run, paths: Mapping[str, Tensor], ends: Tensor) -> Figure:
    """Decoded paths (P, S, F) by name, and the straight lines between rows `ends` (P, 2, F), among training rows."""
    title = naming.heading(run, "from one test example to another")
    figure = canvas.figure(title, 6.6, 5.6)
    axes = cloud.open_space(figure, 1, 1, 1, run.data)
    cloud.draw_behind(axes, run)
    places = cloud.locate(run.data, ends)
    cloud.draw_lines(axes, list(places), canvas.GREY, 1.4, linestyles="dashed", label="input mix")
    for (name, path), colour in zip(paths.items(), (canvas.BLUE, canvas.VERMILION), strict=False):
        cloud.draw_lines(axes, list(cloud.locate(run.data, path)), colour, 2.0, label=f"decoded: {name}")
    cloud.draw_plain(axes, places.reshape(-1, places.shape[-1]), 26.0)
    canvas.legend_below(figure, axes, 3)
    return figure


def draw_samples(run: Run, examples: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """Decoded codes (N, F), a panel for each way of drawing them, among training rows."""
    title = naming.heading(run, "decoded codes that were drawn, none is a reconstruction")
    figure = canvas.figure(title, 4.2 * len(names) + 0.4, 4.6)
    for place, (name, rows) in enumerate(zip(names, examples, strict=True), 1):
        axes = cloud.open_space(figure, 1, len(names), place, run.data)
        cloud.draw_behind(axes, run)
        cloud.draw_plain(axes, cloud.locate(run.data, torch.from_numpy(rows)), 12.0)
        axes.set_title(name.replace("\n", " "), fontsize=10)
    return figure


def _decode(model: Autoencoder, batch: Batch, x: Tensor) -> Tensor:
    """The reconstruction from the mean code."""
    out = model(batch, x)
    return model.decode(out.code.mean, out.context, out.code.skips)
