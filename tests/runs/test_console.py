"""Tables as text are text wherever they are made."""

from __future__ import annotations

import rich.console
from rich.table import Table

from aeexp.runs.console import draw_table


def test_a_table_is_text_in_a_kernel_and_where_colours_are_forced_too(monkeypatch):
    """rich asks both and would show the table itself, or put codes of a terminal into the file."""
    table = Table("name", "value")
    table.add_row("[x]", "1")
    plain = draw_table(table, 40)
    assert "│ [x]  │ 1     │" in plain and "\x1b" not in plain
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert draw_table(table, 40) == plain
