"""Tables of the library rich as text."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def draw_table(table: Table, width: int) -> str:
    """At most `width` columns wide. In a kernel of Jupyter too: rich would show it there, and write nothing."""
    text = io.StringIO()
    Console(
        file=text, width=width, highlight=False, markup=False, emoji=False, force_terminal=False, force_jupyter=False
    ).print(table)
    return text.getvalue()
