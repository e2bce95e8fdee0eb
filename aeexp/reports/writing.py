"""The files of a report."""

from __future__ import annotations

from pathlib import Path

from aeexp import files
from aeexp.reports.comparison import Report
from aeexp.reports.page import write_page
from aeexp.reports.text import markdown, summary_csv


def write_report(report: Report, folder: Path) -> list[Path]:
    """summary.csv, report.md and report.html, each whole or not there."""
    paths = [folder / name for name in ("summary.csv", "report.md", "report.html")]
    files.write_text(paths[0], summary_csv(report))
    files.write_text(paths[1], markdown(report))
    write_page(report, paths[2])
    return paths
