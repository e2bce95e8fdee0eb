"""What a number of a configuration may be, said once, where it is declared: in the constructor's signature.

`runs.config.check` holds every value against it before time is spent, and the messages are made of it. A bound that
depends on another value or on the data stays where that is known.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
"""What numpy and scikit-learn take."""

Count = Annotated[int, Interval(ge=1)]
Several = Annotated[int, Interval(ge=2)]
Whole = Annotated[int, Interval(ge=0)]
Depth = Annotated[int, Interval(ge=1, le=64)]
"""Layers built one by one: what a checkpoint says of itself must not build for ever."""

Positive = Annotated[float, Interval(gt=0)]
NonNegative = Annotated[float, Interval(ge=0)]
Probability = Annotated[float, Interval(ge=0, le=1)]

Threads = Annotated[int, Interval(ge=1, le=1024)]
"""More than any machine that this is for has cores."""

Processes = Annotated[int, Interval(ge=0, le=1024)]
"""Beside the one that runs."""

Share = Annotated[float, Interval(gt=0, lt=1)]
"""Of a whole that something must be left of."""

Decay = Annotated[float, Interval(ge=0, lt=1)]
"""Of a running average: 0 forgets at once."""
