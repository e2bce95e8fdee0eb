"""Runs that were not measured alike are refused, and mixed on request alone."""

from __future__ import annotations

import pytest
from reported import job

from aeexp.reports.comparison import Unmixed, collect
from aeexp.runs.evaluations import add_evaluation
from aeexp.runs.folder import RunFolder


def test_options_of_an_evaluation_are_held_against_those_of_the_other_runs(tmp_path):
    own = {"metric.clustering.clusters": 20, "latent.dim": 2}
    job(tmp_path / "0", "a=1", config=own, clustering__nmi=0.4)
    job(tmp_path / "1", "a=2", loss=1.0)
    entry = {"metric": "clustering", "options": {"clusters": 10}, "differs": "", "val": {}, "baseline": {}}
    add_evaluation(RunFolder(tmp_path / "1"), {**entry, "test": {"clustering/nmi": 0.5}})
    with pytest.raises(Unmixed, match=r"metric\.clustering\.clusters=20 .*, metric\.clustering\.clusters=10 "):
        collect([tmp_path])


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["dataset.binarise=fixed"], {"data": {"fingerprint": "g"}}, "dataset.binarise=fixed"),
        (["dataset.standardise=true"], {"data": {"fingerprint": "g"}}, "dataset.standardise=true"),
        (["dataset.split.fractions=[6,2,2]"], {"data": {"fingerprint": "g"}}, "dataset.split.fractions=[6,2,2]"),
        (["dataset.name=mnist"], {"data": {"fingerprint": "g"}}, "dataset.name=mnist"),
        ([], {"data": {"fingerprint": "g"}}, "changed between runs (fingerprints f, g)"),
        (["metric.probe.rows=100"], {}, "metric.probe.rows=100"),
        ([], {"generation__nll_k": 50.0}, "generation/nll_k=50"),
        (["dataset.limit=50"], {"data": {"fingerprint": "g", "rows": {"train": 40, "val": 5, "test": 5}}}, "test rows"),
        (["dataset.split.seed=1"], {"data": {"fingerprint": "g"}}, "dataset.split.seed=1"),
    ],
)  # fmt: skip
def test_unlike_protocols_are_refused_with_key_values_and_a_way_out(tmp_path, words, more, said):
    first = {"generation__nll_k": 100.0} if "generation__nll_k" in more else {}
    job(tmp_path / "a", "latent.dim=2", loss=1.0, **first)
    job(tmp_path / "b", "latent.dim=3", *words, **{"loss": 2.0, **more})
    with pytest.raises(Unmixed) as refusal:
        collect([tmp_path])
    text = str(refusal.value)
    assert said in text and str(tmp_path / "b") in text or "fingerprints" in text
    assert "--mix" in text and len(text.splitlines()) == 2
    report = collect([tmp_path], mix=True)
    assert len(report.groups) == 2 and any("Mixed on request" in note for note in report.notes)


def test_what_a_sweep_may_change_is_one_protocol(tmp_path):
    job(tmp_path / "a", "dataset.labelled=10", loss=1.0, data={"fingerprint": "f"})
    job(tmp_path / "b", "dataset.labelled=100", loss=1.0, data={"fingerprint": "g"})
    job(tmp_path / "c", "dataset.limit=50", loss=1.0, data={"fingerprint": "h"})
    job(tmp_path / "d", "metric.probe.budgets=[10]", "threads=4", "latent.dim=3", loss=1.0)
    job(tmp_path / "e", "dataset.path=/elsewhere", "latent.dim=5", loss=1.0)
    report = collect([tmp_path])
    assert report.columns == ["dataset.labelled", "dataset.limit", "latent.dim"] and len(report.groups) == 5


def test_mixed_runs_are_never_one_mean(tmp_path):
    for i, rows in enumerate((100, 5000)):
        for seed in (0, 1):
            job(tmp_path / f"{i}{seed}", f"seed={seed}", f"metric.probe.rows={rows}", probe__linear=0.1 * i)
    report = collect([tmp_path], mix=True)
    assert report.columns == ["metric.probe.rows"]
    assert [group.estimate("probe/linear").mean for group in report.groups] == [0.0, 0.1]
