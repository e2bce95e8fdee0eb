"""The regression bench: the short forms of all studies anew, beside the numbers that were recorded of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aeexp.errors import UsageError
from aeexp.evaluation.identity import digest_code
from aeexp.reproductions.planning import choose_rows, make_plan
from aeexp.reproductions.results import NAME, Result, find_recorded, make_result, write_result
from aeexp.reproductions.running import read_cost, read_values, run_plan
from aeexp.reproductions.studies import Study
from aeexp.reproductions.verdicts import PASS, Shift, compare_recorded

SAME, CHANGED, NEW, GONE = "", "CHANGED", "not recorded yet", "INCOMPLETE"


class Row(NamedTuple):
    """An arm beside its record."""

    study: str
    arm: str
    shift: Shift | None
    word: str


def bench_folder(output: Path) -> Path:
    """Runs of other sources lie elsewhere: changed code is trained anew, and a bench that was cut off goes on."""
    return output / f"bench-{digest_code()[:8]}"


def run_bench(studies: Sequence[Study], added: Sequence[str], output: Path, own: Sequence[str]) -> list[Row]:
    """The short form of each, the cheapest first; one whose data are not here is left out with a word."""
    rows: list[Row] = []
    for study in sorted(studies, key=lambda study: study.short.budget.two_cores):
        try:
            choice = choose_rows(study)
        except UsageError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        plan = make_plan(study, "short", choice, added, bench_folder(output), own)
        run_plan(plan, plan.form.seeds)
        values, failures = read_values(plan, plan.form.seeds)
        hours, versions = read_cost(plan)
        rows_of = choice.name if choice else ""
        result = make_result(study, "short", rows_of, [], values, failures, hours, versions)
        write_result(plan.folder / NAME, result)
        rows += compare(result, find_recorded(study.name, "short"))
    return rows


def compare(now: Result, then: Result | None) -> list[Row]:
    """A row for each arm. A record of other rows is none."""
    if then is not None and then.rows != now.rows:
        then = None
    rows = []
    for arm, values in now.values.items():
        recorded = then.values.get(arm) if then is not None else None
        shift = compare_recorded(recorded, values) if recorded else None
        word = NEW if not recorded else GONE if shift is None else SAME if shift.within else CHANGED
        rows.append(Row(now.study, arm, shift, word))
    if then is not None and then.verdict == PASS != now.verdict:
        rows.append(Row(now.study, "verdict", None, f"{then.verdict} then, {now.verdict} now"))
    return rows
