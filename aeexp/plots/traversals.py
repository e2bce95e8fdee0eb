"""What one unit of a code does to the output."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.conditions import Label
from aeexp.errors import require
from aeexp.evaluate import Run
from aeexp.model import Autoencoder
from aeexp.plots import canvas
from aeexp.priors import Standard

COLLAPSED = 0.01  # nats: below, a unit fell back to the prior
IDLE = 1e-6  # of the largest standard deviation: below, a unit never varies
FEW = 2  # units without a message that are shown all the same: nothing moves in their rows
SPAN = 2.0  # standard deviations of the prior to each side
PITCH, TOP = 1.24, 1.35  # of the rows, with room for a mark below each; of the first below the example


class Traversals:
    """Each row moves one unit over its range, the others stay at the mean code of one test example.

    The units are those with the largest KL on the test split where it falls into units, else those whose mean code
    varies most; at most `units` of them, and of those that carry nothing two at most. The range is -2 to 2 under the
    prior N(0, I), else the 1st to 99th percentile of the mean training codes. `example` counts test examples with
    one of each class first. Side information stays that of the example. Not drawn for one-hot groups.
    """

    of_pictures = True

    def __init__(self, *, units: int = 10, steps: int = 9, example: int = 0):
        require(1 <= units <= 40, f"units={units}: take 1 to 40, so that they stay readable")
        require(2 <= steps <= 20, f"steps={steps}: take 2 to 20 steps, so that they stay readable")
        require(example >= 0, f"example={example}: the first test example is number 0")
        self.units = units
        self.steps = steps
        self.example = example

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        if getattr(run.model.latent, "space", "real") == "onehot":
            return {}  # a unit of a one-hot group does not move by itself
        split = run.rows("test")
        require(self.example < len(split), f"example={self.example}: there are {len(split)} test rows only")
        chosen = canvas.spread(run.labels("test"), self.example + 1, len(split))[-1:]
        out = run.forward(split.batch(torch.from_numpy(chosen)))
        order = ranked(run)
        units = order.units[: self.units]
        values = self.values(run, units)
        z = moved(run.model, out.code.mean, units, values)
        context = None if out.context is None else out.context.expand(z.shape[1], -1)
        shown = np.stack([run.model.decode(row, context).cpu().numpy() for row in z])
        beside = np.stack([out.batch.x.cpu().numpy(), run.model.likelihood.mean(out.output).cpu().numpy()], 1)
        if out.batch.mask is not None:
            mask = out.batch.mask.cpu().numpy()
            shown, beside = canvas.ended(shown, mask), canvas.ended(beside, mask)
        own = out.code.mean[0].cpu().numpy()[units]
        return {"traversals": self.draw(run, order._replace(units=units), values, own, shown, beside)}

    def values(self, run: Run, units: np.ndarray) -> np.ndarray:
        """(U, S) what each unit is set to."""
        if standard(run):
            low, high = np.full(len(units), -SPAN), np.full(len(units), SPAN)
        else:
            low, high = np.percentile(run.codes("train")[:, units], (1, 99), axis=0)
        return np.linspace(low, high, self.steps, axis=1)

    def draw(
        self, run: Run, order: Order, values: np.ndarray, own: np.ndarray, shown: np.ndarray, beside: np.ndarray
    ) -> Figure:
        what = f"traversals: each row moves one unit of one example's code\n{order.words(run.model.latent.dim)}"
        rows, columns = TOP + PITCH * len(shown), max(self.steps, 4)
        made, axes = canvas.board(
            f"{run.data.name}: {what}", columns, rows, run.data.shape, cell=max(0.55, 6.5 / self.steps), beside=1.7
        )
        canvas.tiles(axes, beside, run.data.limits)
        kept = "label stays" if isinstance(run.model.condition, Label) else "attributes stay"
        under = "" if run.model.condition.size == 0 else f"; its {kept}"
        axes.text(1.6, 0, f"← the example and its output{under}", ha="left", va="center", fontsize=9)
        places = TOP + PITCH * np.arange(len(shown))
        for place, row, line, at in zip(places, shown, values, own, strict=True):
            canvas.tiles(axes, row[None], run.data.limits, top=place)
            _mark(axes, place, line, at)
        shared = standard(run)
        names = [
            f"unit {unit + 1}: {order.named(unit)}"
            + ("" if shared else f"\n{canvas.number(line[0], 2)} to {canvas.number(line[-1], 2)}")
            for unit, line in zip(order.units, values, strict=True)
        ]
        axes.set_yticks(places, names, fontsize=9)
        if shared:
            axes.set_xticks(range(self.steps), [f"{value:.2g}".replace("-", "−") for value in values[0]], fontsize=9)
            words = "value of the unit, in standard deviations of the prior N(0, I)"
        else:
            axes.set_xticks([0, self.steps - 1], ["lowest", "highest"], fontsize=9)
            words = "evenly over the unit's range at the left:\n1st to 99th percentile of the training codes"
        axes.set_xlabel(f"{words}\nthe mark below a row: the example's own value", fontsize=9)
        return made


class Order(NamedTuple):
    """Units from the one that says most to the one that says least, numbered from 0."""

    units: np.ndarray
    measure: np.ndarray  # (D,) of all units
    nats: bool  # the measure is the KL, else the standard deviation of the mean codes
    silent: int  # how many units of the code carry nothing

    def named(self, unit: int) -> str:
        if self.nats:
            return f"{self.measure[unit]:.2f} nats"
        return f"sd {canvas.number(float(self.measure[unit]), 2)}"

    def words(self, dim: int) -> str:
        if self.silent == dim:
            return f"no unit carries anything: {len(self.units)} of {dim} are shown"
        by = "KL" if self.nats else "standard deviation"
        many = f"all {dim} units" if len(self.units) == dim else f"the {len(self.units)} of {dim} units"
        which = f"{many} by {by} on the test split" if len(self.units) == dim else f"{many} with the largest {by}"
        none = "fell back to the prior" if self.nats else "never vary"
        return f"{which}; {self.silent} {none}" if self.silent else which


def ranked(run: Run) -> Order:
    """By KL where it falls into units, else by standard deviation; of units that carry nothing the first `FEW`."""
    codes = run.codes("test")
    rate = run.rate("test")
    nats = rate is not None and len(rate) == codes.shape[1]
    measure = rate if nats else codes.astype(np.float64).std(0)
    order = np.argsort(-measure, kind="stable")
    silent = measure[order] < COLLAPSED if nats else measure[order] <= IDLE * measure.max()
    kept = np.concatenate([order[~silent], order[silent][:FEW]])
    return Order(kept, measure, nats, int(silent.sum()))


def standard(run: Run) -> bool:
    """Whether the prior is N(0, I): then all units share one scale."""
    return isinstance(getattr(run.model.latent, "prior", None), Standard)


def moved(model: Autoencoder, code: Tensor, units: np.ndarray, values: np.ndarray) -> Tensor:
    """(U, S, D): the code (1, D) with one unit set to each value, as the nearest code that the latent can give."""
    z = code.repeat(*values.shape, 1)
    for row, unit in enumerate(units):
        z[row, :, unit] = torch.from_numpy(values[row]).to(z)
    return model.valid_codes(z.flatten(0, 1)).view_as(z)


def _mark(axes: Axes, place: float, values: np.ndarray, own: float) -> None:
    """Below the row where the example's own value lies; an arrow at the end where it lies beyond."""
    width = values[-1] - values[0]
    last = len(values) - 1
    at = (own - values[0]) / width * last if width > 0 else last / 2
    marker = "<" if at < -0.5 else ">" if at > last + 0.5 else "^"
    axes.plot(np.clip(at, -0.4, last + 0.4), place + 0.58, marker, color=canvas.VERMILION, markersize=5, clip_on=False)
