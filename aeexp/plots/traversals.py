"""What one unit of a code does to the output."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aeexp.conditions import Label
from aeexp.drawing import canvas, tables
from aeexp.drawing.arrays import mask_array
from aeexp.drawing.contracts import Plot
from aeexp.drawing.ranking import Order, rank_units
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.models.autoencoder import Autoencoder
from aeexp.ranges import Whole

PITCH, TOP = 1.24, 1.35  # of the rows, with room for a mark below each; of the first below the example


class Rows(NamedTuple):
    """What each row sets to what: a unit, or the block of units that moves as one."""

    order: Order
    blocks: np.ndarray  # (R, W) numbers of units
    values: np.ndarray  # (R, S, W)
    levels: list[str]  # names of the S values where all rows have the same few; else []
    meaning: str  # of the values


@final
class Traversals(Plot):
    """Each row moves one unit over its range, the others stay at the mean code of one test example.

    The units are those with the largest KL on the test split where it falls into units, else those whose mean code
    varies most; at most `units` of them, and of those that carry nothing two at most. The range is the 1st to 99th
    percentile of the mean training codes in `steps` even steps. A bit is set to 0 and to 1, and of a picture the change
    stands beside; of a categorical code each row is a group, set to each of its values (20 at most); of a quantised one
    each row is a place, set to those `steps` vectors of the book that are used most. `example` counts test examples
    with one of each class first. Side information stays that of the example. Of a table each unit is a heat map: the
    columns that it moves most, with their values at both ends in the data's units.
    """

    unfilmed: ClassVar = ""
    chooses_columns: ClassVar = True
    of_pictures: ClassVar = True

    def __init__(
        self,
        *,
        units: Annotated[int, Interval(ge=1, le=40)] = 10,
        steps: Annotated[int, Interval(ge=2, le=20)] = 9,
        example: Whole = 0,
    ):
        self.units = units
        self.steps = steps
        self.example = example

    @torch.no_grad()
    def __call__(self, run: Run) -> dict[str, Figure]:
        split = run.rows("test")
        if self.example >= len(split):
            raise UsageError(f"example={self.example}: there are {len(split)} test rows only")
        chosen = canvas.choose_rows(run.labels("test"), self.example + 1, len(split))[-1:]
        out = run.forward(split.batch(torch.from_numpy(chosen)))
        moves = self.plan_moves(self.like or run)
        z = set_blocks(run.model, out.code.mean, moves.blocks, moves.values)
        context = None if out.context is None else out.context.expand(z.shape[1], -1)
        own = run.model.latent.project(out.code.mean)[0].cpu().numpy()[moves.blocks]
        decoded = torch.stack([run.model.decode(row, context) for row in z]).cpu()
        if run.data.variables:
            output = run.model.likelihood.mean(out.output)[0].cpu()
            return {"traversals": draw_table(run, moves, own, decoded, output)}
        pictures = decoded.numpy()
        beside = np.stack([out.batch.x.cpu().numpy(), run.model.likelihood.mean(out.output).cpu().numpy()], 1)
        mask = mask_array(out.batch)
        pictures, beside = canvas.cut_at_end(pictures, mask), canvas.cut_at_end(beside, mask)
        return {"traversals": self.draw(run, moves, own, pictures, beside)}

    def plan_moves(self, run: Run) -> Rows:
        """Which units each row moves, and to what."""
        codes = run.codes("train")
        offer = run.model.latent.moves(torch.from_numpy(codes), self.steps)
        order, blocks = self.choose_blocks(run, offer.width, offer.kind)
        if offer.values is not None:
            levels = offer.values.numpy()
            values = np.broadcast_to(levels, (len(blocks), *levels.shape)).copy()  # the same few in every row
            return Rows(order, blocks, values, list(offer.names), offer.caption)
        low, high = np.percentile(codes[:, blocks[:, 0]], (1, 99), axis=0)
        meaning = "evenly from the 1st to the 99th percentile of the training codes, given at both ends"
        return Rows(order, blocks, np.linspace(low, high, self.steps, axis=1)[..., None], [], meaning)

    def choose_blocks(self, run: Run, width: int, kind: str) -> tuple[Order, np.ndarray]:
        """The order of the blocks, and the numbers of their units (R, W)."""
        order = rank_units(run, width, kind)
        order = order._replace(units=order.units[: self.units])
        return order, order.units[:, None] * width + np.arange(width)

    def draw(self, run: Run, moves: Rows, own: np.ndarray, pictures: np.ndarray, beside: np.ndarray) -> Figure:
        """Pictures (R, S, *shape), the values `own` (R, W) of the example, and itself and its output `beside`."""
        order, steps = moves.order, pictures.shape[1]
        title = f"{run.data.name}: traversals: each row moves one {order.kind} of one example's code"
        rows, columns = TOP + PITCH * len(pictures), max(steps, 4)
        cell = min(max(0.55, 6.5 / steps), 0.9)
        figure, axes = canvas.board(
            f"{title}\n{order.describe()}", columns, rows, run.data.shape, cell=cell, beside=2.3
        )
        canvas.draw_tiles(axes, beside, run.data.limits)
        fixed = "label stays" if isinstance(run.model.condition, Label) else "attributes stay"
        under = "" if run.model.condition.size == 0 else f"; its {fixed}"
        axes.text(1.6, 0, f"← the example\nand its output{under}", ha="left", va="center", fontsize=9)
        places = TOP + PITCH * np.arange(len(pictures))
        for place, row, values, at in zip(places, pictures, moves.values, own, strict=True):
            canvas.draw_tiles(axes, row[None], run.data.limits, top=place)
            if moves.levels:
                _mark_level(axes, place, values, at)
            else:
                _mark(axes, place, values[:, 0], at[0])
        names = [f"{order.kind} {unit + 1}\n{order.describe_unit(unit)}" for unit in order.units]
        axes.set_yticks(places, names, fontsize=9)
        longest = max((len(_name_end(values[0, 0])) for values in moves.values), default=0)
        axes.tick_params(axis="y", pad=3 if moves.levels else 12 + 5 * longest)  # room for the value at the left end
        levels, meaning = moves.levels, moves.meaning
        if len(levels) == 2 and len(run.data.shape) == 3:
            _changes(axes, places, pictures)
            levels, meaning = [*levels, "change"], f"{meaning}; its change: red above 0, blue below"
        if levels:
            axes.set_xticks(range(len(levels)), levels, fontsize=9)
        where = "" if len(axes.lines) == len(places) else ", where that is one of these"
        axes.set_xlabel(f"{meaning}\nthe mark below a row: the example's own value{where}", fontsize=9)
        return figure


def set_blocks(model: Autoencoder, code: Tensor, blocks: np.ndarray, values: np.ndarray) -> Tensor:
    """(R, S, D): the code (1, D) with one block set to each value, as the nearest code that the latent can give."""
    z = code.repeat(*values.shape[:2], 1)
    for row, units in enumerate(blocks):
        z[row][:, torch.from_numpy(units)] = torch.from_numpy(values[row]).to(z)
    return model.latent.project(z.flatten(0, 1)).view_as(z)


def _changes(axes: Axes, places: np.ndarray, pictures: np.ndarray) -> None:
    """One bit changes little of a picture: beside its two values stands what it changes."""
    change = pictures[:, 1:] - pictures[:, :1]
    scale = canvas.symmetric_limits(change)
    for place, row in zip(places, change.mean(2, keepdims=True), strict=True):
        canvas.draw_tiles(axes, row[None], scale, left=2, top=place, cmap=canvas.SIGNED)


def draw_table(run: Run, moves: Rows, own: np.ndarray, decoded: Tensor, output: Tensor) -> Figure:
    """Rows (R, S, D) that moves give, and the example's own output (D,), which changes are counted from."""
    values, reference = tables.in_units(run.data, decoded), tables.in_units(run.data, output)
    sheets = []
    for unit, rows, set_to, at in zip(moves.order.units, values, moves.values, own, strict=True):
        name = f"{moves.order.kind} {unit + 1} ({moves.order.describe_unit(unit)})"
        last = len(set_to) - 1
        if moves.levels:
            ticks, places = list(enumerate(moves.levels)), find_level(set_to, at)
            mark = (float(places[0]), "^") if len(places) else None
        else:
            ends = [canvas.format_number(float(value), 2) for value in (set_to[0, 0], set_to[-1, 0])]
            ticks, mark = [(0, ends[0]), (last, ends[1])], find_mark(set_to[:, 0], at[0])
        sheets.append(tables.Sheet(name, rows, reference, ticks, mark))
    title = f"{run.data.name}: traversals: each map moves one {moves.order.kind} of one example's code"
    side = "" if run.model.condition.size == 0 else "; its side information stays"
    caption = f"{moves.meaning}; white: as the example's own output{side}; the mark below: the example's own value"
    return tables.draw_sheets(f"{title}\n{moves.order.describe()}", caption, run, sheets)


def find_mark(values: np.ndarray, own: float) -> tuple[float, str]:
    """Where among even steps the example's own value lies, and an arrow that points beyond the ends where it does."""
    width, last = values[-1] - values[0], len(values) - 1
    at = (own - values[0]) / width * last if width > 0 else last / 2
    marker = "<" if at < -0.5 else ">" if at > last + 0.5 else "^"
    return float(np.clip(at, -0.4, last + 0.4)), marker


def find_level(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The number of the value that is the example's own; none where that is not among them."""
    return np.flatnonzero(np.isclose(values, own, atol=1e-5).all(1))[:1]


def _mark(axes: Axes, place: float, values: np.ndarray, own: float) -> None:
    """The values at both ends of a row; below it where the example's own lies, an arrow where that lies beyond."""
    last = len(values) - 1
    at, marker = find_mark(values, own)
    _triangle(axes, at, place, marker)
    lowest, highest = _name_end(values[0]), _name_end(values[-1])
    text = axes.text(-0.56, place, lowest, ha="right", va="center", fontsize=8, color="0.35")
    text.set_in_layout(False)  # the names farther left keep its room
    axes.text(last + 0.56, place, highest, ha="left", va="center", fontsize=8, color="0.35")


def _name_end(value: float) -> str:
    return canvas.format_number(float(value), 2)


def _mark_level(axes: Axes, place: float, values: np.ndarray, own: np.ndarray) -> None:
    """Below the value that is the example's own; nothing where that is not among those shown."""
    for level in find_level(values, own):
        _triangle(axes, level, place, "^")


def _triangle(axes: Axes, at: float, place: float, marker: str) -> None:
    axes.plot(at, place + 0.58, marker, color=canvas.VERMILION, markersize=5, clip_on=False)
