"""Test codes in the plane."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from aeexp.errors import require
from aeexp.evaluate import Run
from aeexp.plots import canvas

# Ten classes: shape and colour both tell them apart, so that the figure survives a grey print.
COLOURS = (
    canvas.BLUE, canvas.ORANGE, canvas.GREEN, canvas.VERMILION, canvas.SKY,
    canvas.PURPLE, canvas.BLACK, "#B8A800", "#882255", "#8C8C8C",
)  # fmt: skip
MARKERS = "os^DvPX<>*"


class Scatter:
    """At most `rows` test codes by PCA and by t-SNE (van der Maaten and Hinton 2008), the same points in both.

    A code of two units is shown as it is instead of by PCA; a code of one unit becomes one line of dots a class.
    """

    def __init__(self, *, rows: int = 2000, perplexity: float = 30.0, seed: int = 0):
        require(rows >= 2, f"rows={rows} must be at least 2")
        require(perplexity > 0, f"perplexity={perplexity} must be above 0; 5 to 50 is usual")
        self.rows = rows
        self.perplexity = perplexity
        self.seed = seed

    def __call__(self, run: Run) -> dict[str, Figure]:
        codes, labels = run.codes("test"), run.labels("test")
        chosen = np.random.default_rng(self.seed).permutation(len(codes))[: self.rows]
        if len(codes) < 2:
            return {}  # one code has no place among others
        codes = codes[chosen].astype(np.float64)
        labels = np.full(len(codes), -1) if labels is None else labels[chosen]
        title = canvas.heading(run, f"{len(codes)} test codes")
        if codes.shape[1] == 1:
            return {"scatter": _line(run, title, codes[:, 0], labels)}
        views = [self.plane(codes), self.tsne(codes)]
        views = [view for view in views if view is not None]
        made = canvas.figure(title, 4.6 * len(views) + 1.4, 4.9)
        for axes, (points, name, names) in zip(made.subplots(1, len(views), squeeze=False)[0], views, strict=True):
            drawn = _points(axes, points, labels, run)
            axes.set_title(name, fontsize=10)
            if names:
                axes.set(xlabel=names[0], ylabel=names[1])
            else:
                axes.set(xticks=[], yticks=[])
        _key(made, axes, drawn, run)
        return {"scatter": made}

    def plane(self, codes: np.ndarray):
        if codes.shape[1] == 2:
            return codes, "the code itself", ("unit 1", "unit 2")
        centred = codes - codes.mean(0)
        _, values, vectors = np.linalg.svd(centred, full_matrices=False)
        shares = values**2 / ((values**2).sum() or 1.0)
        names = [f"component {i + 1} ({shares[i]:.0%} of the variance)" for i in range(2)]
        return centred @ vectors[:2].T, "PCA", names

    def tsne(self, codes: np.ndarray):
        """None where there is nothing to place: too few rows, or a code that never varies."""
        if len(codes) < 5 or np.ptp(codes, axis=0).max() == 0:
            return None
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(self.perplexity, (len(codes) - 1) / 3)
        # Distances between codes are all that counts: units of any size give the same picture.
        scaled = (codes - codes.mean(0)) / codes.std(0).max()
        # Half the usual iterations, a coarse angle: a third of the time, neighbours kept as well (0.978 of 0.979).
        tsne = TSNE(perplexity=perplexity, init="pca", max_iter=500, angle=0.8, random_state=self.seed)
        # Its threads wait for each other in every iteration: beside another busy process two take longer than one.
        with threadpool_limits(1):
            points = tsne.fit_transform(scaled)
        return points, f"t-SNE (perplexity {perplexity:.3g}; axes have no unit)", None


def _points(axes: Axes, points: np.ndarray, labels: np.ndarray, run: Run):
    """Draw by class; returns the mappable of a colour bar where there are too many classes for a legend."""
    size = float(np.clip(6000 / len(points), 9, 28))
    present = np.unique(labels[labels >= 0])
    rest = labels < 0
    if rest.any():
        axes.scatter(
            *points[rest].T, s=size, c="0.7" if len(present) else canvas.BLUE, linewidths=0, label="unlabelled"
        )
    if len(present) > len(COLOURS):
        return axes.scatter(*points[~rest].T, s=size, c=labels[~rest], cmap="viridis", linewidths=0)
    for place, label in enumerate(present):
        style = dict(color=COLOURS[place], marker=MARKERS[place], label=canvas.class_name(run, int(label)))
        axes.scatter(*points[labels == label].T, s=size, linewidths=0, alpha=0.85, **style)
    return None


def _key(made: Figure, axes: Axes, drawn, run: Run) -> None:
    """A legend, or a colour bar of class numbers; nothing where no row is labelled."""
    if drawn is not None:
        name = FuncFormatter(lambda value, _: canvas.class_name(run, round(value)))
        made.colorbar(drawn, ax=axes, label="class", ticks=MaxNLocator(10, integer=True), format=name)
        return
    handles, names = axes.get_legend_handles_labels()
    if names and names != ["unlabelled"]:
        legend = made.legend(handles, names, loc="outside right center", title="class", frameon=False)
        for handle in legend.legend_handles:
            handle.set_sizes([45])


def _line(run: Run, title: str, codes: np.ndarray, labels: np.ndarray) -> Figure:
    """A code of one unit: one line of dots for each class, moved up and down a little so that all are seen."""
    present = np.unique(labels)
    made = canvas.figure(title, 7.5, 1.6 + 0.32 * min(len(present), 30))
    axes = made.add_subplot()
    shift = np.random.default_rng(0).uniform(-0.3, 0.3, len(codes))
    axes.scatter(codes, np.searchsorted(present, labels) + shift, s=14, c=canvas.BLUE, linewidths=0, alpha=0.6)
    axes.set(xlabel="unit 1", ylim=(len(present) - 0.4, -0.6))
    names = ["unlabelled" if label < 0 else canvas.class_name(run, int(label)) for label in present]
    every = -(-len(present) // 30)
    axes.set_yticks(range(0, len(present), every), names[::every])
    if len(present) > 1:
        axes.set_ylabel("class")
    return made
