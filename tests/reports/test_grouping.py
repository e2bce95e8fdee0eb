"""Which runs are one group, and by which columns groups are told apart."""

from __future__ import annotations

import pytest
from reported import job, write_two

from aeexp.reports.comparison import collect
from aeexp.reports.statistics import Estimate
from aeexp.reports.tables import format_estimate


def test_runs_in_any_order_and_from_several_folders_are_the_same_comparison(tmp_path):
    one = collect([write_two(tmp_path / "x")], "variant=a")
    folders = sorted((tmp_path / "x").iterdir(), reverse=True)
    other = collect([*folders, tmp_path / "x"], "variant=a")
    assert {g.name: format_estimate(g.estimate("probe/linear")) for g in one.groups} == {
        g.name: format_estimate(g.estimate("probe/linear")) for g in other.groups
    }
    assert [b[1] for b in sorted((b.key, b.group.name) for b in one.best)] == [
        b[1] for b in sorted((b.key, b.group.name) for b in other.best)
    ]
    assert {p.key: pytest.approx(p.p) for p in one.paired} == {p.key: p.p for p in other.paired}
    assert sum(len(group.records) for group in other.groups) == 8, "each folder once, however often it was named"


def test_the_same_training_twice_is_no_second_sample(tmp_path):
    for name, ended, loss in (("old", "2026-01-01", 1.0), ("new", "2026-01-02", 3.0)):
        job(tmp_path / name, "seed=0", ended=ended, loss=loss)
    report = collect([tmp_path])
    assert report.groups[0].estimate("loss") == Estimate(3.0, 0.0, 1, 0.0)
    assert any(note.startswith("1 of 2 runs repeat") for note in report.notes)


def test_columns_are_words_as_typed_and_equal_values_are_equal(tmp_path):
    job(tmp_path / "0", "trainer.lr=1e-3", "latent.dim=2", loss=1.0, config={"trainer.lr": 0.001})
    job(tmp_path / "1", "trainer.lr=0.001", "latent.dim=2", "seed=1", loss=2.0)
    job(tmp_path / "2", "trainer.lr=0.01", loss=3.0)  # latent.dim is the configuration's
    job(tmp_path / "3", "noise=[masking]", "trainer.lr=0.01", loss=3.0, config={"noise": {"masking": {"p": 0.25}}})
    report = collect([tmp_path])
    assert report.columns == ["trainer.lr", "latent.dim", "noise"]
    assert [list(group.columns.values()) for group in report.groups] == [
        ["1e-3", "2", "none"], ["0.01", "16", "none"], ["0.01", "16", "masking"],
    ]  # fmt: skip
    assert len(report.groups[0].records) == 2


def test_a_difference_that_nobody_typed_is_a_column_only_where_nothing_else_tells(tmp_path):
    job(tmp_path / "0", loss=1.0, config={"trainer.patience": 3})
    job(tmp_path / "1", loss=1.0, config={"trainer.patience": 4})
    assert collect([tmp_path]).columns == ["trainer.patience"]
