"""The files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aeexp import files
from aeexp.reports.by_protocol import describe
from aeexp.reports.comparison import Report
from aeexp.reports.page import write_page
from aeexp.reports.text import markdown, summary_csv


def write_report(report: Report, folder: Path, parts: Sequence[Report] = ()) -> list[Path]:
    """summary.csv, report.md and report.html, each whole or not there; in report.md each of the `parts` by itself."""
    paths = [folder / name for name in ("summary.csv", "report.md", "report.html")]
    files.write_text(paths[0], summary_csv(report))
    texts = [markdown(part, f"{i}. {describe(part)}") for i, part in enumerate(parts, 1)]
    files.write_text(paths[1], "\n".join([*texts, markdown(report, "All runs")] if texts else [markdown(report)]))
    write_page(report, paths[2])
    return paths
