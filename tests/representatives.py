"""Of what is tested for many alike, a few at every run: the others are `slow`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Parameters of which all but `kept` are marked slow, as each must be one of them."""
    values = list(values)
    assert kept and all(each in values for each in kept), f"{kept} are not among {values}"
    return [each if each in kept else pytest.param(each, marks=pytest.mark.slow) for each in values]
