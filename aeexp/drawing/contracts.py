"""What a plot must offer: it sees a whole run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from aeexp.drawing.animation import Animation
from aeexp.evaluation.contracts import Reads
from aeexp.evaluation.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn


class Plot(ABC):
    """Figures of a run by name, {} where there is nothing to draw."""

    of_pictures: ClassVar[bool] = False  # is left out where the output is a mask
    unfilmed: ClassVar[str] = (
        "it takes too long for each step"  # why it has no film; "": its figures make frames of one
    )
    chooses_columns: ClassVar[bool] = False  # of a table shows those that change most, which are others at each step
    reads: ClassVar[tuple[Reads, ...]] = ("model",)  # what it cannot do without, as a metric says it

    @abstractmethod
    def __call__(self, run: Run) -> Mapping[str, Figure | Animation]:
        """Figures and animations by the names of their files."""

    like: Run | None = None  # in a film the run at its end: what is chosen by codes or weights is chosen by that one's

    def sketch(self, run: Run) -> Mapping[str, np.ndarray]:
        """Pictures (H, W, 3) uint8 of the model as it stands, by name: over training, in a few hundredths of a second
        and always of the same rows. {} of figures that are drawn at the end alone."""
        return {}
