"""Which units say most: what traversals and activations share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aeexp.drawing import canvas
from aeexp.evaluation.run import Run

COLLAPSED = 0.01  # nats: below, a unit fell back to the prior
IDLE = 1e-6  # of the largest standard deviation: below, a unit never varies
FEW = 2  # units without a message that are shown all the same: nothing moves in their rows


class Order(NamedTuple):
    """Units from the one that says most to the one that says least, numbered from 0."""

    units: np.ndarray
    measure: np.ndarray  # (D,) of all units
    nats: bool  # the measure is the KL, else the standard deviation of the mean codes
    silent: int  # how many units of the code carry nothing
    kind: str = "unit"  # or the group, or the place, that moves as one

    def describe_unit(self, unit: int) -> str:
        """How much a unit says."""
        if self.nats:
            return f"{self.measure[unit]:.2f} nats"
        return f"sd {canvas.format_number(float(self.measure[unit]), 2)}"

    def describe(self) -> str:
        """Which units are shown of how many, and by what they were chosen."""
        dim, kinds = len(self.measure), f"{self.kind}s" if len(self.measure) > 1 else self.kind
        if self.silent == dim:
            return f"no {self.kind} carries anything: {len(self.units)} of {dim} are shown"
        by = "KL" if self.nats else "standard deviation"
        whole = len(self.units) == dim
        several = f"all {dim} {kinds}" if dim > 1 else f"the one {kinds}"
        many = several if whole else f"the {len(self.units)} of {dim} {kinds}"
        which = f"{many} by {by} on the test split" if whole else f"{many} with the largest {by}"
        none = "fell back to the prior" if self.nats else "never varies" if self.silent == 1 else "never vary"
        if not self.silent:
            return which
        shown = len(self.units) - dim + self.silent  # of those without a message, after all others
        told = "" if whole or not 0 < shown < self.silent else f" ({shown} shown)"
        return f"{which}; {self.silent} {none}{told}"


def rank_units(run: Run, width: int = 1, kind: str = "unit") -> Order:
    """By KL where it falls into units, else by standard deviation; of units that carry nothing the first `FEW`.

    Blocks of `width` neighbouring units count as one, by the root of their summed variance.
    """
    codes = run.codes("test")
    rate = run.rate("test")
    if rate is not None and len(rate) == codes.shape[1] // width:
        measure, nats = rate, True
    else:
        measure, nats = np.sqrt(codes.astype(np.float64).var(0).reshape(-1, width).sum(1)), False
    order = np.argsort(-measure, kind="stable")
    silent = measure[order] < COLLAPSED if nats else measure[order] <= IDLE * measure.max()
    shown = np.concatenate([order[~silent], order[silent][:FEW]])
    return Order(shown, measure, nats, int(silent.sum()), kind)
