"""Studies and their results as tables: for the console, and for the documentation's page of results."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aeexp.reproductions.results import NAME, Result, find_last, find_recorded
from aeexp.reproductions.studies import FORMS, Study
from aeexp.reproductions.verdicts import Shift, describe

READ = {
    "primary": "read in a primary file",
    "second_hand": "second-hand",
    "computed": "computed here",
}


def describe_result(study: Study, result: Result, width: int) -> str:
    """What a run of a study ends with."""
    rows = f", {result.rows}" if result.rows else ""
    lines = [f"{study.name}: {study.title} ({result.form} form{rows}; {study.unit})"]
    lines += [f"  {cite(study, i)}" for i in range(len(study.sources))]
    grid = Table("published, or what must hold", "ours", "verdict", box=box.SIMPLE)
    for each in result.outcomes:
        grid.add_row(Text(each.claim), Text(each.ours), Text(each.verdict))
    lines += [_print(grid, width)]
    if any("*" in each.ours for each in result.outcomes):
        lines += ["  *: the 95 % interval of the difference, seed by seed, leaves 0 out"]
    lines += [f"  no number of {each}" for each in result.failures]
    if result.form == "short":
        lines += [
            f"  only the short form: it says nothing of the full one ({format_hours(study.full.budget.two_cores)})"
        ]
    if result.words:
        lines += [f"  with {' '.join(result.words)}: this is no longer the study, and it is not listed"]
    seeds = max((len(each) for each in result.values.values()), default=0)
    lines += [
        f"{result.verdict} ({seeds} seed{'s' * (seeds != 1)}, {format_hours(result.hours)} on {result.machine['cpu']})"
    ]
    return "\n".join(lines)


def cite(study: Study, number: int = 0) -> str:
    """A source in a line, with who read the number there."""
    source = study.sources[number]
    return f"{source.authors} {source.year}, {source.title}, {source.place} ({READ[source.read]}: {source.note})"


def format_hours(hours: float | None) -> str:
    """`40 min`, `3.5 h`, `-` where nobody knows."""
    if hours is None:
        return "-"
    if hours < 1:
        return f"{60 * hours:.2g} min"
    return f"{hours:.2g} h" if hours < 10 else f"{hours:,.0f} h"


def summarise_claims(study: Study) -> str:
    """What was published, in a line."""
    full = study.full
    parts = [f"{each.arm} {each.value:g}" for each in full.published]
    parts += [" < ".join(reversed(each.arms)) if study.better == "higher" else " < ".join(each.arms)
              for each in full.orders if not parts]  # fmt: skip
    parts += [f"{each.arm} {each.side.replace('_', ' ')} {each.value:g}" for each in full.bounds if not parts]
    return "; ".join(parts)


def list_table(studies: Sequence[Study], output: Path, width: int) -> str:
    """All studies with cost and last result."""
    grid = Table(
        "study", "published", "2 cores", "GPU", "short", "full form", "short form", box=box.SIMPLE,
        title="studies: aeexp-reproduce NAME [--short]", title_justify="left",
    )  # fmt: skip
    for study in studies:
        cells = [tell_state(find_last(study.name, form, output), output / study.name / form) for form in FORMS]
        hours = (study.full.budget.two_cores, study.full.budget.gpu, study.short.budget.two_cores)
        published = f"{summarise_claims(study)} ({study.unit})"
        grid.add_row(*map(Text, [study.name, published, *map(format_hours, hours), *cells]))
    return _print(grid, width)


def tell_state(result: Result | None, folder: Path) -> str:
    """`PASS 13.87 (2026-11-27)`, or that it was begun here, or not run."""
    begun = folder.is_dir() and not (folder / NAME).is_file()
    if result is None:
        return "begun" if begun else "not run"
    again = "; begun again" if begun else ""
    return f"{result.verdict} {'; '.join(each.ours for each in result.outcomes)} ({result.day}{again})"


def list_markdown(studies: Sequence[Study]) -> str:
    """The table of the documentation: what lies beside the records, and nothing of this machine's."""
    lines = ["| study | published | full form | short form |", "|---|---|---|---|"]
    lines += [describe_row(study, {form: find_recorded(study.name, form) for form in FORMS}) for study in studies]
    notes = [f"- `{study.name}`: {' '.join(study.notes.split())}" for study in studies if study.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def describe_row(study: Study, results: Mapping[str, Result | None]) -> str:
    """A study's row of that table."""
    source = study.sources[0]
    head = f"`{study.name}`: {study.title} ({source.authors} {source.year}; {READ[source.read]}; {study.unit})"
    cells = [head, summarise_claims(study)]
    for form in FORMS:
        budget = format_hours(study.form(form).budget.two_cores)
        result = results.get(form)
        cells.append(describe_cell(result) if result else f"not run: {budget} on two cores")
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def describe_cell(result: Result) -> str:
    """Verdict, each claim with its outcome, cost and day."""
    claims = "; ".join(f"{each.claim}: {each.ours}{_mark(each.verdict)}" for each in result.outcomes)
    rows = f"; {result.rows}" if result.rows else ""
    return f"{result.verdict}: {claims} ({format_hours(result.hours)}, {result.day}{rows})"


def _mark(verdict: str) -> str:
    return "" if verdict == "PASS" else f" {verdict}"


def bench_table(rows: Sequence[tuple[str, str, Shift | None, str]], width: int) -> str:
    """Study, arm, the two means, and whether seeds explain what lies between them."""
    grid = Table("study", "arm", "recorded", "now", "allowed", "", box=box.SIMPLE)
    for study, arm, shift, word in rows:
        cells = ("-", "-", "-")
        if shift is not None:
            cells = (describe(shift.then), describe(shift.now), f"± {shift.allowed:.2g}")
        grid.add_row(*map(Text, [study, arm, *cells, word]))
    return _print(grid, width)


def read_width() -> int:
    """Columns of the terminal, within bounds that are pleasant to read."""
    return min(160, max(80, shutil.get_terminal_size((120, 24)).columns))


def _print(grid: Table, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False, markup=False, emoji=False).print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
