"""What a plot must offer: it sees a whole run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from aeexp.drawing.animation import Animation
from aeexp.evaluation.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn


class Plot(ABC):
    """Figures of a run by name, {} where there is nothing to draw."""

    of_pictures: ClassVar[bool] = False  # is left out where the output is a mask

    @abstractmethod
    def __call__(self, run: Run) -> Mapping[str, Figure | Animation]:
        """Figures and animations by the names of their files."""
