"""Whether rows come in the units that a model was trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

log = logging.getLogger(__name__)


def warn_of_units(rows: str, found: Sequence[float], known: Sequence[float], run: str = "the run") -> None:
    """A word on values (smallest, largest) that lie far beyond those of a run's own rows, or fill a small part of them:
    other units, most likely."""
    room = known[1] - known[0]
    beyond = found[0] < known[0] - room or found[1] > known[1] + room
    if beyond or found[1] - found[0] < room / 20:
        message = "%s: values run from %.4g to %.4g, those of %s from %.4g to %.4g: are the units the same?"
        log.warning(message, rows, *found, run, *known)
