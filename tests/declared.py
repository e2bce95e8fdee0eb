"""What metrics.json declares of numbers and options, for run folders that no run has written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aeexp import metrics
from aeexp.evaluation.protocol import describe_numbers, describe_options

ALL = {name.lower(): getattr(metrics, name) for name in metrics.__all__}
METRICS = describe_options(ALL)


def declare(keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The table `numbers`; a key of no metric, such as mine/score, is left out."""
    known = (key for key in keys if key.split("/")[0] in ("loss", *ALL))
    return describe_numbers(ALL, known)
