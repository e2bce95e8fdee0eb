"""A command line of the documentation as one job of it composes."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep


def first_value(override: Override) -> str:
    """The override with the first value of its sweep."""
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        return f"{override.get_key_element()}={Override._get_value_element_as_str(next(iter(sweep.list)))}"
    if isinstance(sweep, (RangeSweep, IntervalSweep)):
        return f"{override.get_key_element()}={sweep.start}"
    return str(override.input_line)


def settle(words: Sequence[str]) -> list[str]:
    """What one job of such a line composes: without flags, Hydra's own keys, and the other values of sweeps."""
    words = [word for word in words if not word.startswith(("-", "hydra"))]
    return [first_value(override) for override in OverridesParser.create().parse_overrides(words)]
