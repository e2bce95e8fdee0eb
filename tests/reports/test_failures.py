"""Runs without numbers are listed with their last line, and break nothing."""

from __future__ import annotations

import json

import pytest
from reported import job, write_two

from aeexp.reports.comparison import collect
from aeexp.reports.text import console_text, markdown


def test_a_failed_an_interrupted_and_a_broken_run_are_listed_with_their_last_line(tmp_path, capsys):
    write_two(tmp_path / "good")
    job(tmp_path / "f", "seed=7", status="failed", message="Diverged: loss is nan\nmore")
    job(tmp_path / "i", "seed=8", status="interrupted")
    (tmp_path / "i" / "train.log").write_text("[2026-01-01 10:00:00,000][INFO] step 1\n[x][INFO] step 2/9  train 1\n\n")
    job(tmp_path / "m", "seed=9", loss=1.0)
    (tmp_path / "m" / "metrics.json").write_text('{"test": {')
    job(tmp_path / "n", "seed=10", loss=1.0)
    (tmp_path / "n" / ".hydra" / "config.yaml").unlink()
    job(tmp_path / "s", "seed=11", loss=1.0)
    (tmp_path / "s" / "status.json").unlink()
    job(tmp_path / "t", "seed=12", loss=1.0)
    (tmp_path / "t" / "metrics.json").write_text('{"test": {"loss": "low"}, "data": {}}')
    job(tmp_path / "y", "seed=13", loss=1.0)
    (tmp_path / "y" / ".hydra" / "overrides.yaml").write_text("- [")
    report = collect([tmp_path])
    words = {failure.folder.name: (failure.status, failure.message) for failure in report.failures}
    assert words["f"] == ("failed", "Diverged: loss is nan")
    assert words["i"] == ("interrupted", "step 2/9  train 1")
    assert words["n"] == ("unreadable", "config.yaml is missing")
    assert words["s"][1] == "status.json is missing"
    assert set(words) == set("fimnsty") and all(message for _, message in words.values())
    assert sum(len(group.records) for group in report.groups) == 8
    assert "7 runs without numbers" in console_text(report, 100) and "Diverged" in markdown(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"baseline": {"pca": {"loss": "low"}}}, "pca loss is 'low', no number"),
        ({"baseline": {"pca": "x"}}, "pca is no table"),
        ({"baseline": ["pca"]}, "baseline is no table"),
        ({"data": {"rows": [8, 1]}}, "rows is no table"),
        ({"train": [1]}, "train is no table"),
        ({"intervals": [1]}, "intervals is no table"),
        ({"intervals": {"test": {"loss": 3}}}, "intervals test loss is 3, no pair of numbers"),
        ({"intervals": {"baseline": {"pca": [1]}}}, "intervals baseline pca is no table"),
        ({"evaluations": [{}]}, "evaluations are not as aeexp-evaluate writes them"),
        ({"evaluations": 3}, "evaluations are not as"),
    ],
)
def test_a_metrics_json_of_another_make_is_listed_and_breaks_nothing(change, said, tmp_path):
    job(tmp_path / "0", "seed=0", loss=1.0)
    path = job(tmp_path / "1", "seed=1", loss=2.0) / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    report = collect([tmp_path])
    (failure,) = report.failures
    assert failure.status == "unreadable" and said in failure.message and "metrics.json" in failure.message
    assert "1 run without numbers" in console_text(report, 100)


def test_what_runs_warn_of_and_suffer_from_stands_in_the_notes(tmp_path):
    for seed in (0, 1):
        path = job(tmp_path / str(seed), f"seed={seed}", probe__linear=0.9) / "metrics.json"
        metrics = json.loads(path.read_text())
        metrics |= {"best_step": 9, "warnings": ["the code tells more"] if seed == 0 else []}
        metrics["test"]["reconstruction/mse"], metrics["baseline"]["mean"] = 2.0, {"reconstruction/mse": 2.1}
        path.write_text(json.dumps(metrics))
    notes = collect([tmp_path]).notes
    at = next(i for i, note in enumerate(notes) if note == "warning (1 of 2 runs): the code tells more.")
    assert notes[at + 1].startswith("next to nothing was learned (2 of 2 runs): test error 2, the mean of the training")
    assert notes[at + 2] == f"More on each run: aeexp-doctor {tmp_path}"
