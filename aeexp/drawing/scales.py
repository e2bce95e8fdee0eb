"""Logarithmic axes whose ticks are numbers that one reads."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDE = 300  # of the largest to the smallest value: above, powers of ten are ticks enough


def make_logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Upwards; ticks at powers of ten, of values that span less at their double and fivefold too: 0.5, not 5×10⁻¹."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(values) < WIDE * min(values) else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
