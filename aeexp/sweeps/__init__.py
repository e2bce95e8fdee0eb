"""What is made of the runs of a multirun."""

from aeexp.sweeps.callbacks import Curves, Gallery, Lineup, Report, Summary

__all__ = ["Curves", "Gallery", "Lineup", "Report", "Summary"]
