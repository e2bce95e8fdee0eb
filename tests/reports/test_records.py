"""What a report reads in a run folder, and which folders it reads."""

from __future__ import annotations

import pytest
from reported import job

from aeexp.reports.comparison import collect
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


def test_an_interpolation_that_a_sweep_passes_on_reads_as_it_was_typed(tmp_path):
    """Hydra escapes its braces; runs of several seeds, each from a folder of its own, are one group."""
    for seed in (0, 1):
        words = (r"init.from=runs/$\{seed\}", f"seed={seed}")
        start = {"init.from": "runs/${seed}", "init.parts": ["encoder"], "init.freeze": True}
        job(tmp_path / str(seed), *words, config=start, probe__linear=0.5)
    report = collect([tmp_path])
    assert report.common == ["init.from=runs/${seed}"] and [len(group.records) for group in report.groups] == [2]


def test_a_run_that_starts_from_nothing_is_as_one_of_before_there_was_such_a_key(tmp_path):
    job(tmp_path / "old", probe__linear=0.5)
    nothing = {"init.from": None, "init.parts": None, "init.freeze": False}
    job(tmp_path / "new", "seed=1", config=nothing, probe__linear=0.5)
    longer = {"init.from": "other", "init.parts": None, "init.freeze": False}
    job(tmp_path / "other", config=longer, probe__linear=0.5)
    assert [len(group.records) for group in collect([tmp_path]).groups] == [2, 1]
