"""The one error a user can mend. Imports nothing, so that the command line answers fast."""

from __future__ import annotations


class UsageError(ValueError):
    """A value that a user gave and can change: says key, value and way out in one or two lines.

    Constructors begin the message with ``name=value``; the command puts the config path in front.
    """
