"""Finished runs compared, from Python."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, final

from aeexp.api.fitted import FittedRun
from aeexp.api.showing import format_table, import_pandas
from aeexp.reports.compared import compare_runs, format_report
from aeexp.reports.comparison import Report
from aeexp.reports.tables import Grid, list_failures, list_sentences, overview
from aeexp.reports.text import summary_csv
from aeexp.reports.writing import write_report

WIDTH = 120  # of the text that is printed
Place = str | Path | FittedRun


@final
class Comparison:
    """Runs side by side: those that differ in seed and fold alone are one row, with mean and 95 % interval.

    `report` is the whole of it, `parts` that of each protocol where there are several.
    """

    def __init__(self, report: Report, parts: Sequence[Report]):
        self.report = report
        self.parts = list(parts)

    @property
    def frame(self) -> Any:
        """A frame of pandas: a row a group, and of every number mean, sd, half of the interval and n (summary.csv)."""
        return import_pandas().read_csv(io.StringIO(summary_csv(self.report)))

    def write(self, folder: str | Path) -> list[Path]:
        """summary.csv, report.md and report.html in this folder; their paths."""
        return write_report(self.report, Path(folder), self.parts)

    def __repr__(self) -> str:
        return format_report(self.report, self.parts, WIDTH)

    def _repr_html_(self) -> str:
        texts = [_to_html(overview(part)) + _list(list_sentences(part)) for part in self.parts or [self.report]]
        return "".join(texts) + _list([*self.report.notes, *list_failures(self.report)])


def report(
    folders: Place | Iterable[Place], *, baseline: str | None = "auto", metrics: Sequence[str] = (),
    sort: str | None = None, mix: bool = False, output: str | Path | None = None,
) -> Comparison:  # fmt: skip
    """Compare finished runs, as `aeexp-report` does: run folders, folders above them, or runs themselves.

    - `baseline`: what each row is compared with, seed by seed: pca, raw, words of a row, None; auto: pca where it
      was measured.
    - `metrics`: keys to show and rank by, as in ["probe/linear", "loss"]; none: a headline of each metric.
    - `sort`: a metric, the best first, or a column. `mix`: compare runs of unlike protocols all the same.
    - `output`: a folder for summary.csv, report.md and report.html.

    Raises UsageError where there is nothing to compare.
    """
    several = [folders] if isinstance(folders, (str, Path, FittedRun)) else list(folders)
    roots = [each.folder if isinstance(each, FittedRun) else Path(each) for each in several]
    comparison = Comparison(*compare_runs(roots, baseline, list(metrics), sort, mix))
    if output is not None:
        comparison.write(output)
    return comparison


def _to_html(grid: Grid) -> str:
    return f"{format_table(grid.title, grid.head, grid.rows)}<p>{html.escape(grid.caption)}</p>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""
