"""Results can be made anew: the commands of their tables compose, and read numbers that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest
from composing import compose_as_typed
from representatives import few
from settled import settle

from aeexp.evaluation.protocol import describe_numbers
from aeexp.reports.stability import KEY
from aeexp.reports.statistics import quantile
from aeexp.reproductions.records import list_studies, read_study
from aeexp.reproductions.telling import list_markdown
from aeexp.runs.config import check, make
from benchmarks.results.__main__ import Table, build_grid, read_tables

ROOT = Path(__file__).resolve().parents[1]
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
TABLES = read_tables()


@pytest.mark.parametrize("name", few(TABLES, "collapse"))
def test_a_table_composes_and_reads_numbers_that_its_metrics_declare(name, tmp_path):
    keys = [key.rpartition(":")[2] for column in TABLES[name].columns.values() for key in column.split(" / ")]
    seen = set()
    for _, folder, words in TABLES[name].commands(tmp_path):
        cfg = compose_as_typed(*settle(words))
        check(cfg)
        metrics = make(cfg, "metric")
        describe_numbers(metrics, [key.replace("*", "n1_x") for key in keys if key != KEY])
        seen.add(folder)
    assert len(seen) == len(TABLES[name].rows)  # no two rows share a folder
    for line in TABLES[name].first:
        if (words := shlex.split(line))[0] == "aeexp":
            check(compose_as_typed(*settle(words[1:])))


def test_the_page_names_each_table_and_its_script():
    assert "python -m benchmarks.results" in RESULTS
    assert set(re.findall(r"\*\*(\w+)\*\*", RESULTS)) == set(TABLES) and len(TABLES) > 20


def test_the_page_has_what_was_recorded_of_each_study():
    """`aeexp-reproduce --list --markdown` prints what stands there."""
    shown = re.search(r"<!-- aeexp-reproduce --list --markdown -->\n\n(.*?)\n\n<!-- end -->", RESULTS, re.DOTALL)
    assert shown is not None and shown[1] == list_markdown([read_study(name) for name in list_studies()])


def metrics(error: float, pca: float = 2.0) -> dict:
    return {
        "test": {"a/error": error, "a/other_n7": 3.0, "a/gone": None},
        "baseline": {"pca": {"a/error": pca}},
        "intervals": {"test": {"a/other_n7": [2.5, 3.5]}, "baseline": {"pca": {"a/error": [1.9, 2.1]}}},
    }


def test_a_grid_has_means_with_intervals_over_seeds_or_rows():
    """Student's interval of the seeds 1, 2, 4; where seeds change nothing, or there is one, the interval over rows."""
    columns = {"error": "a/error", "both": "a/other_* / a/gone", "of PCA": "pca:a/error"}
    table = Table(rows={"x": ""}, columns=columns, baselines={"PCA": "pca"}, mean="mean of two")
    values = [1.0, 2.0, 4.0]
    half = quantile(3) * (sum((v - fmean(values)) ** 2 for v in values) / 2 / 3) ** 0.5
    groups = {"x": [metrics(v) for v in values], "y": [metrics(5.0)]}
    assert 1 < half < 10  # one decimal is its second digit
    assert build_grid(Table(**{**vars(table), "mean": None}), groups) == [
        ["", "error", "both", "of PCA"],
        ["x", f"{fmean(values):.1f} ± {half:.1f}", "3.00 ± 0.50 / -", "2.00 ± 0.10"],
        ["y", "5", "3.00 ± 0.50 / -", "2.00 ± 0.10"],
        ["PCA", "2.00 ± 0.10", "- / -", "2.00 ± 0.10"],
    ]
    turned = build_grid(Table(**{**vars(table), "columns": {"error": "a/error"}, "transposed": True}), groups)
    assert turned[1][-1] == f"{(fmean(values) + 5) / 2:.3f}" and turned[0][-1] == "mean of two"


@pytest.mark.slow
def test_the_script_prints_a_table_and_goes_on_with_finished_runs(tmp_path):
    words = ["collapse", "--output", str(tmp_path), "seed=0", "dataset.limit=60", "trainer.epochs=1"]

    def made() -> str:
        command = [sys.executable, "-m", "benchmarks.results", *words]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    first = made()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    assert [line.split("|")[1].strip() for line in first.splitlines()] == ["", "---", *TABLES["collapse"].rows]
    assert made() == first
    assert len(times) == 2 and {path: path.stat().st_mtime_ns for path in times} == times
