"""report.html: a report that is looked at. One file without network, for a screen and for paper."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from aeexp import files
from aeexp.errors import quote_words
from aeexp.reports.comparison import Best, Paired, Report
from aeexp.reports.grouping import NONE
from aeexp.reports.scatter import collect_scatter
from aeexp.reports.statistics import CORRECTED, Estimate
from aeexp.reports.swept import arrange_points, parse_number
from aeexp.reports.tables import format_estimate, format_probability, verdict
from aeexp.runs.folder import RunFolder

HERE = Path(__file__).resolve().parent / "html"
LINKS = 5  # runs of a group
CELLS = 12_000  # of the table: more, and the page is no longer quick; then criteria alone are shown


class Cell(NamedTuple):
    """Of a table that a reader may sort."""

    text: str
    value: float | str  # what the column is sorted by; "" of nothing, which comes last
    title: str = ""
    mark: str = ""  # best, tied, clear
    kind: str = ""  # number, word: how it is aligned; by its value where not said
    more: bool = False  # shown with all numbers alone


def write_page(report: Report, path: Path) -> None:
    """Write the page; what it draws are means over a group's runs with their 95 % intervals."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["address"] = partial(find_address, home=path.parent)
    files.write_text(path, environment.get_template("report.html").render(collect_content(report, path.parent)))


def collect_content(report: Report, home: Path) -> dict[str, Any]:
    """All that the template shows in the folder `home`."""
    from markupsafe import Markup

    from aeexp.reports.pictures import collect_galleries, collect_pictures, encode_curves

    sweep = arrange_points(report.groups, report.common)
    criteria, more = choose_keys(report)
    return {
        "title": describe_title(report),
        "facts": list_facts(report),
        "notes": report.notes,
        "columns": [Cell(n, n, kind=choose_kind(report, n)) for n in report.columns] or [Cell("group", "group")],
        "keys": [Cell(key, key, report.declarations.unit(key), more=key in more) for key in (*criteria, *more)],
        "rows": list_rows(report, criteria, more, home),
        "cut": len(report.keys) - len(criteria) - len(more),
        "deviations": any(len(group.records) > 1 for group in report.groups),
        "bracketed": any("intervals" in run.metrics for group in report.groups for run in group.records),
        "blurred": any(best.blurred for best in report.best),
        "best": [(best.key, best.better, describe_best(best)) for best in report.best],
        "disagreement": report.disagreement,
        "paired": [paired_cells(paired) for paired in report.paired],
        "untested": sorted({paired.reason for paired in report.paired if paired.reason}),
        "averaged": any(paired.test == CORRECTED for paired in report.paired),
        "tests": sorted({paired.test for paired in report.paired if paired.test}),
        "curves": encode_curves(sweep),
        "swept": sweep.name,
        "scatter": collect_scatter(report, sweep),
        "galleries": collect_galleries(report.groups),
        "figures": collect_pictures(report.groups),
        "failures": report.failures,
        "commands": list_commands(report),
        "style": Markup((HERE / "report.css").read_text(encoding="utf-8")),
        "script": Markup((HERE / "report.js").read_text(encoding="utf-8")),
    }


def describe_title(report: Report) -> str:
    """The data sets, and by what groups differ."""
    names = sorted({str(record.metrics["data"].get("name")) for group in report.groups for record in group.records})
    what = f"{', '.join(report.columns)} compared" if report.columns else "one group of runs"
    return f"{', '.join(names) or 'no data'}: {what}"


def list_facts(report: Report) -> list[tuple[str, str]]:
    """Name and text of what stands at the head of the page."""
    done, lost = sum(len(group.records) for group in report.groups), len(report.failures)
    sizes = sorted({len(group.records) for group in report.groups}) or [0]
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    each += " run" if each == "1" else " runs"
    count = f"{done} finished in {len(report.groups)} groups, {each} each; a group differs in seed and fold alone"
    rows = [
        ("folders", ", ".join(map(str, report.roots))),
        ("runs", f"{count}; {lost} without numbers" if lost else count),
        *((name, str(value)) for name, value in report.protocol.items()),
    ]
    if report.common:
        rows.append(("all runs share", " ".join(report.common)))
    return [*rows, ("made", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))]


def choose_keys(report: Report) -> tuple[list[str], list[str]]:
    """What is compared, and all else that was measured, as far as the page stays quick."""
    criteria = [key for key in report.criteria if key in report.keys] or report.keys[:8]
    more = [key for key in report.keys if key not in criteria]
    room = CELLS // max(1, len(report.groups)) - len(criteria)
    return criteria, more[: max(0, room)]


def list_rows(report: Report, criteria: Sequence[str], more: Sequence[str], home: Path) -> list[dict[str, Any]]:
    """A row a group; the numbers of `more` are shown on demand. The figures of its first runs are linked."""
    marks = {(id(best.group), best.key): "best" for best in report.best}
    marks |= {(id(group), best.key): "blurred" for best in report.best for group in best.blurred}
    marks |= {(id(group), best.key): "tied" for best in report.best for group in best.ties}
    rows = []
    for group in report.groups:
        names = [setting_cell(name, group.columns[name]) for name in report.columns] or [Cell(group.name, group.name)]
        cells = [
            number_cell(group.estimate(key), marks.get((id(group), key), ""), key in more) for key in (*criteria, *more)
        ]
        folders = ", ".join(str(record.folder) for record in group.records)
        links = [(record.folder.name, find_address(record.folder, home)) for record in group.records[:LINKS]]
        rows.append({"names": names, "runs": len(group.records), "folders": folders, "cells": cells, "links": links})
    return rows


def find_address(folder: Path, home: Path) -> str:
    """Of a run's figures, or of its folder where it has none, for a page in the folder `home`: both may move together.
    What a name holds is no scheme and no markup."""
    figures = RunFolder(folder).figures
    place = figures if figures.is_dir() else folder
    return f"./{quote(Path(os.path.relpath(place.absolute(), home.absolute())).as_posix())}/"


def setting_cell(name: str, text: str) -> Cell:
    """Of a column: sorted as a number where it is one."""
    value = parse_number(text, name)
    return Cell(text, ("" if text == NONE else text) if value is None else value)


def choose_kind(report: Report, name: str) -> str:
    """Of a column: numbers stand right where all are."""
    return "word" if any(parse_number(group.columns[name], name) is None for group in report.groups) else "number"


def number_cell(estimate: Estimate | None, mark: str, more: bool) -> Cell:
    """Mean and half interval; the standard deviation is the tooltip."""
    if estimate is None:
        return Cell("–", "", "not measured", mark, "number", more)
    title = f"{estimate.mean!r}, one run" if estimate.runs == 1 else f"sd {estimate.sd:.3g} over {estimate.runs} runs"
    if estimate.rows is not None:
        title += f"; half of the 95 % interval over test rows {estimate.rows:.3g}"
    return Cell(typeset_minus(format_estimate(estimate)), estimate.mean, typeset_minus(title), mark, more=more)


def describe_best(best: Best) -> str:
    """A sentence on the criterion's best group."""
    doubt = "" if best.tested else "; too few runs to tell it from the others"
    return f"{verdict(best, typeset_minus(format_estimate(best.estimate)))}{doubt}."


def paired_cells(paired: Paired) -> list[Cell]:
    """A row: criterion, group, baseline, pairs, difference, p, p by Holm, or the reason why there is no test."""
    blank = Cell("–", "", kind="number")
    difference = blank
    if paired.difference is not None:
        half = "" if paired.half is None else f" ± {paired.half:.2g}"
        difference = Cell(typeset_minus(f"{paired.difference:+.4g}{half}"), paired.difference)
    clear = "clear" if paired.adjusted is not None and paired.adjusted < 0.05 else ""
    return [
        Cell(paired.key, paired.key),
        Cell(paired.group.name, paired.group.name),
        Cell(paired.against, paired.against),
        Cell(str(paired.pairs), paired.pairs),
        difference,
        blank if paired.p is None else Cell(format_probability(paired.p), paired.p),
        blank if paired.adjusted is None else Cell(format_probability(paired.adjusted), paired.adjusted, mark=clear),
        Cell(paired.reason or "", paired.reason or ""),
    ]


def list_commands(report: Report) -> list[tuple[str, str]]:
    """How this page, and a run of the first group, are made again."""
    again = quote_words("aeexp-report", *report.roots, *report.options)
    curves = [(f"curves of {root}", f"tensorboard {quote_words('--logdir', root)}") for root in report.roots]
    rows = [("this report", again), *curves]
    for group in report.groups[:1]:
        rows.append(("a run of the first group", f"aeexp {quote_words(*group.records[0].typed)}".rstrip()))
    return rows


def typeset_minus(text: str) -> str:
    """With a minus as wide as a plus; powers of ten stay as they may be copied."""
    return re.sub(r"-(?=\d)", "−", text) if not re.search(r"e-\d", text) else text
