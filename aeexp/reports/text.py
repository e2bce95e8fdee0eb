"""A report as text: for the console, as Markdown, as CSV."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from aeexp import files
from aeexp.reports.comparison import Group, Report
from aeexp.reports.grouping import baselines
from aeexp.reports.tables import DASH, Grid, against, overview, sentences, without

LEAST = 60  # columns, whatever a terminal says


def console(report: Report, width: int, paired: bool = True) -> str:
    """All of it, in lines of at most `width`; tables that are wider are cut into several."""
    width = max(width, LEAST)
    parts = []
    if report.groups:
        if report.common:
            parts.append(_wrapped("All runs: " + " ".join(report.common), width))
        parts.append(_drawn(overview(report), width))
    if sentences(report):
        parts.append("\n".join(_wrapped(line, width, "  ") for line in sentences(report)))
    if paired and (grid := against(report)):
        parts.append(_drawn(grid, width))
    if report.notes:
        parts.append("\n".join(_wrapped(note, width, "  ") for note in report.notes))
    parts += [_wrapped(line, width, "  ") for line in without(report)]
    return "\n".join(part.rstrip() for part in parts if part)


def _wrapped(line: str, width: int, indent: str = "") -> str:
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _drawn(grid: Grid, width: int) -> str:
    text = io.StringIO()
    to = Console(file=text, width=width, highlight=False, markup=False, emoji=False)
    grid, names = _numbered(grid) if sum(_sizes(grid)[: grid.fixed]) > width // 2 else (grid, [])
    for columns in _fitting(grid, width):
        table = Table(*(_broken(grid.head[i]) for i in columns))
        for row in grid.rows:
            table.add_row(*(row[i] for i in columns))
        to.print(table)
    named = [_wrapped(name, width, "   ") for name in names]
    lines = [_wrapped(grid.title, width), *named, text.getvalue().rstrip("\n"), _wrapped(grid.caption, width)]
    return "\n".join(line for line in lines if line)


def _numbered(grid: Grid) -> tuple[Grid, list[str]]:
    """Names that leave no room for numbers stand above the table."""
    pairs = ([f"{n}={cell}" for n, cell in zip(grid.head, row[: grid.names], strict=False) if cell != DASH]
             for row in grid.rows)  # fmt: skip
    names = [f"{i:>2} {' '.join(words)}" for i, words in enumerate(pairs, 1)]
    rows = [[str(i), *row[grid.names :]] for i, row in enumerate(grid.rows, 1)]
    small = grid._replace(head=["", *grid.head[grid.names :]], rows=rows, names=1, fixed=grid.fixed - grid.names + 1)
    return small, names


def _sizes(grid: Grid) -> list[int]:
    """Letters that each column needs, with its line."""
    return [max(*map(len, _broken(head).split("\n")), *(len(row[i]) for row in grid.rows), 1) + 3
            for i, head in enumerate(grid.head)]  # fmt: skip


def _broken(name: str) -> str:
    return name.replace("/", "/\n")


def _fitting(grid: Grid, width: int) -> list[list[int]]:
    """Columns of each table: those that name a row, and as many others as there is room for."""
    sizes = _sizes(grid)
    first = list(range(grid.fixed))
    tables, room = [list(first)], width - 1 - sum(sizes[: grid.fixed])
    for i in range(grid.fixed, len(grid.head)):
        if sum(sizes[j] for j in tables[-1][grid.fixed :]) + sizes[i] > room and len(tables[-1]) > grid.fixed:
            tables.append(list(first))
        tables[-1].append(i)
    return tables


def markdown(report: Report) -> str:
    """Fit for a README: a table, what is best, the comparison, how it was measured."""
    grids = [overview(report), against(report)] if report.groups else []
    blocks = ["# Report", " ".join(f"`{word.replace('`', chr(39))}`" for word in report.common)]
    for grid in (grid for grid in grids if grid is not None):
        blocks += [f"{_escaped(grid.title)}.", _pipes(grid), _escaped(grid.caption)]
        if grid is grids[0]:
            blocks.append("\n".join(f"- {_escaped(line)}" for line in sentences(report)))
    blocks.append("\n".join(f"- {_escaped(note)}" for note in report.notes))
    if report.protocol:
        facts = "; ".join(f"{key} {words}" for key, words in report.protocol.items())
        blocks.append(f"Measured by: {_escaped(facts)}.")
    blocks.append("\n".join(f"- {_escaped(line)}" for line in without(report)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _pipes(grid: Grid) -> str:
    rule = ["---" if i < grid.fixed - 1 else "---:" for i in range(len(grid.head))]
    lines = [[_escaped(cell) for cell in row] for row in (grid.head, *grid.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (lines[0], rule, *lines[1:]))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<").replace("\n", " ")


def summary_csv(report: Report) -> str:
    """One row a group: its columns, its runs, and of every number mean, standard deviation, half interval and n.

    All numbers of the test split under their own names; what is compared also as `train/<key>`, `val/<key>` and
    `baseline/<name>/<key>`, where measured.
    """
    parts = [("train",), ("val",), *(("baseline", name) for name in baselines(report.groups))]
    places = [(key, ()) for key in report.keys] + [(key, part) for part in parts for key in report.criteria]
    places = [(key, part) for key, part in places if any(group.estimate(key, *part) for group in report.groups)]
    heads = [f"{'/'.join((*part, key))} {what}" for key, part in places for what in ("mean", "sd", "half", "n")]
    rows = ([*group.columns.values(), len(group.records), *_numbers(group, places)] for group in report.groups)
    return files.csv_text([*report.columns, "runs", *heads], rows)


def _numbers(group: Group, places: Sequence[tuple[str, tuple[str, ...]]]) -> list[float | int | str]:
    cells: list[float | int | str] = []
    for key, part in places:
        made = group.estimate(key, *part)
        single = made is not None and made.runs == 1  # of which there is no spread, rather than one of 0
        cells += (
            ["", "", "", 0] if made is None else [made.mean, *(("", "") if single else (made.sd, made.half)), made.runs]
        )
    return cells
