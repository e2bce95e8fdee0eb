"""What is made of the runs of a multirun."""

from aeexp.sweeps.callbacks import Curves, Gallery, Lineup, Report, Summary
from aeexp.sweeps.paths import Paths

__all__ = ["Curves", "Gallery", "Lineup", "Paths", "Report", "Summary"]
