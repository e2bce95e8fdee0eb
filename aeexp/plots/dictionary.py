"""What each unit paints, and the rows that it speaks most in."""

from __future__ import annotations

from typing import Annotated, ClassVar, final

import numpy as np
import torch
from annotated_types import Interval
from matplotlib.figure import Figure

from aeexp.drawing import canvas, naming
from aeexp.drawing.arrays import mask_array, to_array
from aeexp.drawing.contracts import Plot
from aeexp.drawing.ranking import rank_units
from aeexp.evaluation.dictionary import find_columns
from aeexp.evaluation.run import Run

APART, PITCH = 1.35, 1.32  # of the first row from the column; of the units, with room for the words below


@final
class Dictionary(Plot):
    """A unit a line: what it adds to the output when it grows by 1, and the test rows in which it is largest.

    The first `units` that say most (by KL, else by standard deviation), in the order of the code; below a row the
    activation, and its class. A unit that is 0 in some rows is silent there: of it those with the largest absolute
    value are shown, and fewer where it speaks in fewer. What a deeper decoder adds hangs on where it begins: that is
    the mean code then.
    """

    of_pictures: ClassVar = True

    def __init__(
        self, *, units: Annotated[int, Interval(ge=1, le=40)] = 12, rows: Annotated[int, Interval(ge=1, le=20)] = 10
    ):
        self.units = units
        self.rows = rows

    def __call__(self, run: Run) -> dict[str, Figure]:
        codes = run.codes("test")
        units = np.sort(rank_units(run).units[: self.units])
        shape = run.model.likelihood.mean(self._decode_one(run)).shape[1:]
        about = torch.from_numpy(codes.mean(0)).to(run.device)
        columns = to_array(find_columns(run.model, shape, about))[units]
        chosen = codes[:, units]
        loudness = np.where((chosen == 0).any(0), np.abs(chosen), chosen)
        largest = np.argsort(-loudness, axis=0, kind="stable")[: self.rows].T  # (U, rows)
        batch = run.rows("test").batch(torch.from_numpy(largest.ravel()))
        shown = canvas.cut_at_end(batch.x.cpu().numpy(), mask_array(batch)).reshape(*largest.shape, *run.data.shape)
        return {"dictionary": self.draw(run, units, columns, shown, codes[largest, units[:, None]], largest)}

    def draw(
        self, run: Run, units: np.ndarray, columns: np.ndarray, shown: np.ndarray, values: np.ndarray, rows: np.ndarray
    ) -> Figure:
        """Columns (U, *shape) beside rows (U, R, *shape) with their activations (U, R)."""
        names = naming.row_names(run, "test")
        title = naming.heading(run, "what a unit paints, and the test rows in which it is largest")
        if len(units) < run.model.latent.dim:
            title += f"\n{len(units)} of {run.model.latent.dim} units, those that say most"
        figure, axes = canvas.board(
            title, APART + rows.shape[1], PITCH * len(units), run.data.shape, cell=0.8, beside=1.2
        )
        limits, image = canvas.symmetric_limits(columns), None
        for place in range(len(units)):
            top = PITCH * place
            image = canvas.draw_tiles(axes, columns[place][None, None], limits, top=top, cmap=canvas.SIGNED)
            speaks = values[place] != 0
            if speaks.any():
                canvas.draw_tiles(axes, shown[place][speaks][None], run.data.limits, left=APART, top=top)
            else:
                axes.text(APART - 0.5, top, "0 in all test rows", ha="left", va="center", fontsize=8)
            for column, (row, value) in enumerate(zip(rows[place][speaks], values[place][speaks], strict=True)):
                text = canvas.format_number(float(value), 2) + (f": {names[row]}" if names else "")
                axes.text(APART + column - 0.04, top + 0.53, text, ha="center", va="top", fontsize=7)
        axes.set_yticks(PITCH * np.arange(len(units)), [f"unit {unit + 1}" for unit in units], fontsize=8)
        by = " by absolute value," if (values < 0).any() and (run.codes("test")[:, units] == 0).any() else ""
        heads = ["it paints", f"rows, the largest activation{by} first"]
        axes.set_xticks([0, APART + (rows.shape[1] - 1) / 2], heads)
        kind = f" and {run.data.response or 'class'}" if names else ""
        axes.set_xlabel(f"below a row the unit's activation{kind}", fontsize=9)
        if image is not None and not (columns.ndim == 4 and columns.shape[1] == 3):
            figure.colorbar(image, ax=axes, label="added to the output by 1 more", shrink=0.5, pad=0.02)
        return figure

    @torch.no_grad()
    def _decode_one(self, run: Run) -> torch.Tensor:
        return run.forward(run.rows("test").batch(slice(0, 1))).output
