"""A report as text: for the console, as Markdown, as CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.table import Table

from aeexp import files
from aeexp.reports.comparison import Report
from aeexp.reports.grouping import Group, list_baselines
from aeexp.reports.tables import DASH, Grid, difference_table, list_failures, list_sentences, overview
from aeexp.runs.console import draw_table

LEAST = 60  # columns, whatever a terminal says


def console_text(report: Report, width: int, paired: bool = True) -> str:
    """All of it, in lines of at most `width`; tables that are wider are cut into several."""
    width = max(width, LEAST)
    parts = []
    if report.groups:
        if report.common:
            parts.append(_wrap("All runs: " + " ".join(report.common), width))
        parts.append(_draw(overview(report), width))
    if list_sentences(report):
        parts.append("\n".join(_wrap(line, width, "  ") for line in list_sentences(report)))
    if paired and (grid := difference_table(report)):
        parts.append(_draw(grid, width))
    if report.notes:
        parts.append("\n".join(_wrap(note, width, "  ") for note in report.notes))
    parts += [_wrap(line, width, "  ") for line in list_failures(report)]
    return "\n".join(part.rstrip() for part in parts if part)


def _wrap(line: str, width: int, indent: str = "") -> str:
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _draw(grid: Grid, width: int) -> str:
    text = ""
    grid, names = _number(grid) if sum(_measure(grid)[: grid.fixed]) > width // 2 else (grid, [])
    for columns in _fit(grid, width):
        table = Table(*(_break(grid.head[i]) for i in columns))
        for row in grid.rows:
            table.add_row(*(row[i] for i in columns))
        text += draw_table(table, width)
    lines = [
        _wrap(grid.title, width),
        *(_wrap(name, width, "   ") for name in names),
        text.rstrip("\n"),
        _wrap(grid.caption, width),
    ]
    return "\n".join(line for line in lines if line)


def _number(grid: Grid) -> tuple[Grid, list[str]]:
    """Names that leave no room for numbers stand above the table."""
    pairs = ([f"{n}={cell}" for n, cell in zip(grid.head, row[: grid.names], strict=False) if cell != DASH]
             for row in grid.rows)  # fmt: skip
    names = [f"{i:>2} {' '.join(settings)}" for i, settings in enumerate(pairs, 1)]
    rows = [[str(i), *row[grid.names :]] for i, row in enumerate(grid.rows, 1)]
    small = grid._replace(head=["", *grid.head[grid.names :]], rows=rows, names=1, fixed=grid.fixed - grid.names + 1)
    return small, names


def _measure(grid: Grid) -> list[int]:
    """Letters that each column needs, with its line."""
    return [max(*map(len, _break(head).split("\n")), *(len(row[i]) for row in grid.rows), 1) + 3
            for i, head in enumerate(grid.head)]  # fmt: skip


def _break(name: str) -> str:
    return name.replace("/", "/\n")


def _fit(grid: Grid, width: int) -> list[list[int]]:
    """Columns of each table: those that name a row, and as many others as there is room for."""
    sizes = _measure(grid)
    first = list(range(grid.fixed))
    tables, room = [list(first)], width - 1 - sum(sizes[: grid.fixed])
    for i in range(grid.fixed, len(grid.head)):
        if sum(sizes[j] for j in tables[-1][grid.fixed :]) + sizes[i] > room and len(tables[-1]) > grid.fixed:
            tables.append(list(first))
        tables[-1].append(i)
    return tables


def markdown(report: Report, title: str = "Report") -> str:
    """Fit for a README: a table, what is best, the comparison, how it was measured."""
    grids = [overview(report), difference_table(report)] if report.groups else []
    blocks = [f"# {_escape(title)}", " ".join(f"`{override.replace('`', chr(39))}`" for override in report.common)]
    for grid in (grid for grid in grids if grid is not None):
        blocks += [f"{_escape(grid.title)}.", _pipe(grid), _escape(grid.caption)]
        if grid is grids[0]:
            blocks.append("\n".join(f"- {_escape(line)}" for line in list_sentences(report)))
    blocks.append("\n".join(f"- {_escape(note)}" for note in report.notes))
    if report.protocol:
        facts = "; ".join(f"{key} {value}" for key, value in report.protocol.items())
        blocks.append(f"Measured by: {_escape(facts)}.")
    blocks.append("\n".join(f"- {_escape(line)}" for line in list_failures(report)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _pipe(grid: Grid) -> str:
    rule = ["---" if i < grid.fixed - 1 else "---:" for i in range(len(grid.head))]
    lines = [[_escape(cell) for cell in row] for row in (grid.head, *grid.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (lines[0], rule, *lines[1:]))


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<").replace("\n", " ")


def summary_csv(report: Report) -> str:
    """One row a group: its columns, its runs, and of every number mean, standard deviation, half interval and n.

    All numbers of the test split under their own names; what is compared also as `train/<key>`, `val/<key>` and
    `baseline/<name>/<key>`, where measured.
    """
    parts = [("train",), ("val",), *(("baseline", name) for name in list_baselines(report.groups))]
    places = [(key, ()) for key in report.keys] + [(key, part) for part in parts for key in report.criteria]
    places = [(key, part) for key, part in places if any(group.estimate(key, *part) for group in report.groups)]
    heads = [f"{'/'.join((*part, key))} {what}" for key, part in places for what in ("mean", "sd", "half", "n")]
    rows = ([*group.columns.values(), len(group.records), *_list_cells(group, places)] for group in report.groups)
    return files.csv_text([*report.columns, "runs", *heads], rows)


def _list_cells(group: Group, places: Sequence[tuple[str, tuple[str, ...]]]) -> list[float | int | str]:
    cells: list[float | int | str] = []
    for key, part in places:
        estimate = group.estimate(key, *part)
        if estimate is None:
            cells += ["", "", "", 0]
        else:  # one run has no spread, rather than one of 0
            spread = ("", "") if estimate.runs == 1 else (estimate.sd, estimate.half)
            cells += [estimate.mean, *spread, estimate.runs]
    return cells
