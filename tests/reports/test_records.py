"""What a report reads in a run folder, and which folders it reads."""

from __future__ import annotations

import pytest
from reported import job

from aeexp.reports.records import Failure, Record, read, read_run
from aeexp.runs.folder import RunFolder, find_runs


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("hydra:\n  runtime:\n    choices:\n      variant: vae\n      hydra/launcher: basic\n", {"variant": "vae"}),
        ("{hydra: {runtime: {choices: {variant: vae, 'noise': null}}}}", {"variant": "vae", "noise": "None"}),
        ("hydra:\n runtime:\n  # of the groups\n  choices:\n   'a b': \"c: d\"\n   x: >-\n    two\n    lines\n",
         {"a b": "c: d", "x": "two lines"}),
        ("", {}), ("hydra: 3\n", {}), ("hydra: {runtime: {choices: [vae]}}\n", {}),
    ],
)  # fmt: skip
def test_choices_are_read_as_yaml_whatever_its_style(tmp_path, text, choices):
    folder = job(tmp_path / "0", loss=1.0)
    (folder / ".hydra" / "hydra.yaml").write_text(text)
    record = read_run(RunFolder(folder))
    assert isinstance(record, Record) and record.choices == choices


def test_a_broken_hydra_yaml_is_a_failure_that_names_it(tmp_path):
    folder = job(tmp_path / "0", loss=1.0)
    (folder / ".hydra" / "hydra.yaml").write_text("hydra: [")
    failure = read_run(RunFolder(folder))
    assert isinstance(failure, Failure) and failure.message.startswith("hydra.yaml: ")


def test_runs_come_in_the_order_of_the_jobs_and_nothing_inside_of_a_run_is_one(tmp_path):
    for name in ("10", "2", "x", "2/figures/3"):
        job(tmp_path / name, loss=1.0)
    assert [folder.path.name for folder in find_runs(tmp_path)] == ["2", "10", "x"]
    records, failures = read([tmp_path, tmp_path / "10"])
    assert [record.folder.name for record in records] == ["2", "10", "x"] and not failures
