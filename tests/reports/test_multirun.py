"""A real multirun: its report, its figures and what it says on the console are what its runs measured."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import aeexp
from scipy import stats

from aeexp.cli.report import main
from aeexp.reports.comparison import collect
from aeexp.reports.tables import format_estimate
from aeexp.reports.text import markdown, summary_csv

WIDTHS, SEEDS = (2, 8), (0, 1, 2)
KEYS = ("loss", "reconstruction/mse", "probe/linear")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """2 widths x 3 seeds by one command, and what the command said."""
    folder = tmp_path_factory.mktemp("report")
    words = [f"latent.dim={','.join(map(str, WIDTHS))}", f"seed={','.join(map(str, SEEDS))}", "dataset.limit=300",
             "trainer.epochs=2", "model.hidden_dims=[16]", "metric=[reconstruction,probe]",
             "metric.probe.classifiers=[linear]", "threads=1", "plot=none",
             "hydra.callbacks.curves.metrics=[reconstruction/mse,probe/linear]"]  # fmt: skip
    done = aeexp("-m", *words, "hydra.sweep.dir=runs", cwd=folder)
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    return folder / "runs", done.stdout


def numbers(root: Path, key: str) -> dict[str, list[float]]:
    """Width -> the number of each seed, straight from the folders, in the order of Hydra's jobs."""
    jobs = iter(range(len(WIDTHS) * len(SEEDS)))
    read = {job: json.loads((root / str(job) / "metrics.json").read_text())["test"][key] for job in range(6)}
    return {str(width): [read[next(jobs)] for _ in SEEDS] for width in WIDTHS}


def test_means_and_intervals_are_those_of_metrics_json(swept):
    root, _ = swept
    report = collect([root])
    assert report.columns == ["latent.dim"] and set(KEYS) == set(report.criteria)
    assert "dataset.limit=300" in report.common and "threads=1" not in report.common
    for key in KEYS:
        for group in report.groups:
            values = np.array(numbers(root, key)[group.columns["latent.dim"]])
            estimate = group.estimate(key)
            assert estimate.mean == pytest.approx(values.mean()) and estimate.sd == pytest.approx(values.std(ddof=1))
            low, high = stats.t.interval(0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3))
            assert estimate.half == pytest.approx((high - low) / 2) and estimate.runs == 3


def test_pca_is_that_of_each_runs_own_metrics(swept):
    root, _ = swept
    report = collect([root], "pca", ["reconstruction/mse"])
    assert len(report.paired) == 2
    for one in report.paired:
        nodes = [json.loads((record.folder / "metrics.json").read_text()) for record in one.group.records]
        pairs = [(node["test"]["reconstruction/mse"], node["baseline"]["pca"]["reconstruction/mse"]) for node in nodes]
        assert one.p == pytest.approx(stats.ttest_1samp([a - b for a, b in pairs], 0).pvalue)


def test_the_multirun_says_the_same_and_leaves_the_files(swept):
    root, said = swept
    report = collect([root], "auto")
    for key in report.criteria:
        for group in report.groups:
            assert format_estimate(group.estimate(key)) in said
    assert "6 of 6 runs finished" in said and "training seeds on one split" in said
    assert {"summary.csv", "report.md", "report.html"} <= {path.name for path in root.iterdir()}
    told = markdown(report).replace(f"aeexp-doctor {root}", f"aeexp-doctor {root.name}")  # as it was called there
    assert (root / "report.md").read_text() == told


def test_the_multirun_leaves_the_figure_without_plots_and_a_users_panels(swept):
    root, said = swept
    assert (root / "sweep.png").stat().st_size > 10_000
    assert said.index("numbers over latent.dim") < said.index("6 of 6 runs finished")


def test_the_csv_holds_every_number_of_every_group(swept):
    root, _ = swept
    rows = list(csv.DictReader(summary_csv(collect([root])).splitlines()))
    assert [(row["latent.dim"], row["runs"]) for row in rows] == [(str(width), "3") for width in WIDTHS]
    for key in ("reconstruction/psnr", "probe/linear"):
        for row in rows:
            values = numbers(root, key)[row["latent.dim"]]
            assert float(row[f"{key} mean"]) == pytest.approx(np.mean(values)) and row[f"{key} n"] == "3"
            assert float(row[f"{key} sd"]) == pytest.approx(np.std(values, ddof=1))
    group = collect([root]).groups[0]
    for part in (("train",), ("val",), ("baseline", "pca")):
        key = "reconstruction/mse"
        assert float(rows[0][f"{'/'.join((*part, key))} mean"]) == group.estimate(key, *part).mean


def test_the_command_prints_fits_and_writes(swept, tmp_path, capsys, monkeypatch):
    root, _ = swept
    monkeypatch.setenv("COLUMNS", "100")
    main([str(root), "--output", str(tmp_path), "--sort", "reconstruction/mse", "--baseline", "raw"])
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines() if str(tmp_path) not in line) <= 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "summary.csv"]
    table = (tmp_path / "report.md").read_text()
    head, *rows = (row.split("|") for row in re.findall(r"^\|(?! -).*$", table, re.M)[:4] if "---" not in row)
    column = next(i for i, cell in enumerate(head) if cell.strip() == "reconstruction/mse")
    means = [float(row[column].split("±")[0]) for row in rows[:2]]
    assert means == sorted(means) == sorted(np.mean(v).round(2) for v in numbers(root, "reconstruction/mse").values())
