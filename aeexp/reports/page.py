"""report.html: a report that is looked at. One file without network, for a screen and for paper."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from aeexp import files
from aeexp.reports.comparison import Best, Paired, Report
from aeexp.reports.grouping import NONE
from aeexp.reports.scatter import scatter
from aeexp.reports.statistics import CORRECTED, Estimate
from aeexp.reports.swept import number, points
from aeexp.reports.tables import probability, shown, verdict

HERE = Path(__file__).resolve().parent / "html"
CELLS = 12_000  # of the table: more, and the page is no longer quick; then criteria alone are shown


class Cell(NamedTuple):
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
    files.write_text(path, environment.get_template("report.html").render(content(report)))


def content(report: Report) -> dict[str, Any]:
    """All that the template shows."""
    from markupsafe import Markup

    from aeexp.reports.pictures import curves, pictures

    found = points(report.groups, report.common)
    shown, hidden = table_keys(report)
    return {
        "title": heading(report),
        "facts": facts(report),
        "notes": report.notes,
        "columns": [Cell(n, n, kind=kind(report, n)) for n in report.columns] or [Cell("group", "group")],
        "keys": [Cell(key, key, report.declared.unit(key), more=key in hidden) for key in (*shown, *hidden)],
        "rows": rows(report, shown, hidden),
        "cut": len(report.keys) - len(shown) - len(hidden),
        "deviations": any(len(group.records) > 1 for group in report.groups),
        "best": [(best.key, best.better, told(best)) for best in report.best],
        "disagreement": report.disagreement,
        "paired": [pairing(paired) for paired in report.paired],
        "untested": sorted({paired.reason for paired in report.paired if paired.reason}),
        "averaged": any(paired.test == CORRECTED for paired in report.paired),
        "tests": sorted({paired.test for paired in report.paired if paired.test}),
        "curves": curves(found),
        "swept": found.name,
        "scatter": scatter(report, found),
        "figures": pictures(report.groups),
        "failures": report.failures,
        "commands": commands(report),
        "style": Markup((HERE / "report.css").read_text(encoding="utf-8")),
        "script": Markup((HERE / "report.js").read_text(encoding="utf-8")),
    }


def heading(report: Report) -> str:
    names = sorted({str(record.metrics["data"].get("name")) for group in report.groups for record in group.records})
    what = f"{', '.join(report.columns)} compared" if report.columns else "one group of runs"
    return f"{', '.join(names) or 'no data'}: {what}"


def facts(report: Report) -> list[tuple[str, str]]:
    done, lost = sum(len(group.records) for group in report.groups), len(report.failures)
    sizes = sorted({len(group.records) for group in report.groups}) or [0]
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    each += " run" if each == "1" else " runs"
    words = f"{done} finished in {len(report.groups)} groups, {each} each; a group differs in seed and fold alone"
    found = [
        ("folders", ", ".join(map(str, report.roots))),
        ("runs", f"{words}; {lost} without numbers" if lost else words),
        *((name, str(value)) for name, value in report.protocol.items()),
    ]
    if report.common:
        found.append(("all runs share", " ".join(report.common)))
    return [*found, ("made", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"))]


def table_keys(report: Report) -> tuple[list[str], list[str]]:
    """What is compared, and all else that was measured, as far as the page stays quick."""
    shown = [key for key in report.criteria if key in report.keys] or report.keys[:8]
    hidden = [key for key in report.keys if key not in shown]
    room = CELLS // max(1, len(report.groups)) - len(shown)
    return shown, hidden[: max(0, room)]


def rows(report: Report, shown: Sequence[str], hidden: Sequence[str]) -> list[dict[str, Any]]:
    marks = {(id(best.group), best.key): "best" for best in report.best}
    marks |= {(id(group), best.key): "tied" for best in report.best for group in best.ties}
    made = []
    for group in report.groups:
        names = [setting(name, group.columns[name]) for name in report.columns] or [Cell(group.name, group.name)]
        cells = [
            measured(group.estimate(key), marks.get((id(group), key), ""), key in hidden) for key in (*shown, *hidden)
        ]
        folders = ", ".join(str(record.folder) for record in group.records)
        made.append({"names": names, "runs": len(group.records), "folders": folders, "cells": cells})
    return made


def setting(name: str, word: str) -> Cell:
    value = number(word, name)
    return Cell(word, ("" if word == NONE else word) if value is None else value)


def kind(report: Report, name: str) -> str:
    """Of a column: numbers stand right where all are."""
    return "word" if any(number(group.columns[name], name) is None for group in report.groups) else "number"


def measured(estimate: Estimate | None, mark: str, more: bool) -> Cell:
    if estimate is None:
        return Cell("–", "", "not measured", mark, "number", more)
    title = f"{estimate.mean!r}, one run" if estimate.runs == 1 else f"sd {estimate.sd:.3g} over {estimate.runs} runs"
    return Cell(minus(shown(estimate)), estimate.mean, minus(title), mark, more=more)


def told(best: Best) -> str:
    """The criterion's best group in words."""
    doubt = "" if best.tested else "; too few runs to tell it from the others"
    return f"{verdict(best, minus(shown(best.estimate)))}{doubt}."


def pairing(paired: Paired) -> list[Cell]:
    """A row: criterion, group, baseline, pairs, difference, p, p by Holm, or the reason why there is no test."""
    blank = Cell("–", "", kind="number")
    difference = blank
    if paired.difference is not None:
        half = "" if paired.half is None else f" ± {paired.half:.2g}"
        difference = Cell(minus(f"{paired.difference:+.4g}{half}"), paired.difference)
    clear = "clear" if paired.adjusted is not None and paired.adjusted < 0.05 else ""
    return [
        Cell(paired.key, paired.key),
        Cell(paired.group.name, paired.group.name),
        Cell(paired.against, paired.against),
        Cell(str(paired.pairs), paired.pairs),
        difference,
        blank if paired.p is None else Cell(probability(paired.p), paired.p),
        blank if paired.adjusted is None else Cell(probability(paired.adjusted), paired.adjusted, mark=clear),
        Cell(paired.reason or "", paired.reason or ""),
    ]


def commands(report: Report) -> list[tuple[str, str]]:
    """How this page, and one run of each group, are made again."""
    places = " ".join(shlex.quote(str(root)) for root in report.roots)
    again = " ".join(["aeexp-report", places, *map(shlex.quote, report.options)])
    curves = [(f"curves of {root}", f"tensorboard --logdir {shlex.quote(str(root))}") for root in report.roots]
    found = [("this report", again), *curves]
    for group in report.groups[:1]:
        words = [f"{key}={value}" for key, value in group.records[0].overrides.items()]
        found.append(("a run of the first group", " ".join(["aeexp", *map(shlex.quote, words)])))
    return found


def minus(text: str) -> str:
    return re.sub(r"-(?=\d)", "−", text) if not re.search(r"e-\d", text) else text
