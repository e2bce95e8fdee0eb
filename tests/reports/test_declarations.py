"""Which number is better, a headline, or of unlike things is what the runs declare in metrics.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reported import job

from aeexp.reports.comparison import Report, collect
from aeexp.reports.declarations import Declarations
from aeexp.reports.protocol import list_settled_options
from aeexp.reports.records import Record, read
from aeexp.reports.text import console_text, markdown
from aeexp.runs.evaluations import merge_evaluations

SCORE = {"better": "higher", "unit": "points", "headline": True, "alike": ["task."], "of_labels": True, "counts": False}


def record(numbers: dict[str, Any] | None, config: dict[str, Any] | None = None, **more: Any) -> Record:
    metrics = {"test": {}, **({} if numbers is None else {"numbers": numbers}), **more}
    return Record(Path(), {}, config or {}, {}, metrics, {})


def rewrite(folder: Path, **change: Any) -> None:
    """A part of metrics.json by another; None: without it."""
    path = folder / "metrics.json"
    metrics = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in metrics.items() if value is not None}))


def test_a_key_is_what_any_run_declares_and_with_options_what_it_is_without():
    declared = Declarations([record({"mine/score": SCORE}), record(None), record({"mine/k": {"counts": True}})])
    assert declared.better("mine/score") == declared.better("mine/score [seed=1]") == "higher"
    assert declared.unit("mine/score") == "points" and declared.unit("mine/k") == ""
    assert declared.is_headline("mine/score") and not declared.is_headline("mine/score [seed=1]")
    assert declared.is_of_labels("mine/score [seed=1]") and not declared.is_of_labels("mine/k")
    assert declared.is_count("mine/k") and not declared.is_count("mine/k [samples=9]")
    assert declared.better("mine/k") is None


def test_what_nobody_declares_ranks_nothing():
    declared = Declarations([record(None)])
    assert declared.better("probe/linear") is None and not declared.is_headline("loss")
    assert (
        declared.unit("loss") == ""
        and declared.incomparable("loss", [record(None, {"task.a": 1}), record(None)]) is None
    )


def test_of_two_versions_of_a_declaration_the_later_runs_counts():
    declared = Declarations([record({"a/b": SCORE}), record({"a/b": {**SCORE, "better": "lower"}})])
    assert declared.better("a/b") == "lower"


def test_numbers_compare_where_the_parts_that_they_declare_agree():
    declared = Declarations([record({"a/b": SCORE, "a/c": {**SCORE, "alike": [], "of_labels": False}})])
    runs = [record(None, {"task._target_": name}) for name in ("x", "y")]
    assert declared.incomparable("a/b", runs) == declared.incomparable("a/b [n=2]", runs) == "task differs between runs"
    assert declared.incomparable("a/c", runs) is None and declared.incomparable("a/b", runs[:1]) is None
    told = [record(None, {"condition._target_": name}) for name in ("aeexp.conditions.Label", "aeexp.conditions.Free")]
    assert "tells the encoder the label" in str(declared.incomparable("a/b", told))
    assert declared.incomparable("a/c", told) is None


def test_a_loss_with_terms_of_the_code_compares_for_one_latent_of_any_width():
    declared = Declarations([record({"loss": {"better": "lower", "alike": []}})])
    terms = {"loss/kl": 1.0, "loss/reconstruction": 1.0}
    latents = [{"latent.beta": 1, "latent.dim": 2}, {"latent.beta": 1, "latent.dim": 8}, {"latent.beta": 4}]
    narrow, wide, other = (record(None, config, test=terms) for config in latents)
    assert declared.incomparable("loss", [narrow, wide]) is None
    assert declared.incomparable("loss", [narrow, other]) == "latent differs between runs"
    plain = [record(None, config, test={"loss/reconstruction": 1.0}) for config in latents]
    assert declared.incomparable("loss", plain) is None


def test_options_that_stand_in_the_keys_or_change_nothing_may_differ():
    options = {"mine": {"in_keys": ["budgets"], "harmless": ["rows"]}}
    assert list_settled_options([record({}, metrics=options), record(None)]) == {
        "metric.mine.budgets",
        "metric.mine.rows",
    }


def test_a_users_own_number_is_a_column_and_ranked(tmp_path):
    for i in range(2):
        folder = job(tmp_path / str(i), f"latent.dim={i}", mine__score=float(i), mine__other=1.0)
        rewrite(folder, numbers={"mine/score": SCORE})
    report = collect([tmp_path])
    assert report.criteria == ["mine/score"] and report.best[0].group.name == "latent.dim=1"
    assert "mine/other" in report.keys


def older(root: Path, runs: int) -> Report:
    """Four runs, of which the first `runs` declare nothing."""
    for i in range(4):
        folder = job(root / str(i), f"latent.dim={i}", reconstruction__mse=float(i))
        if i < runs:
            rewrite(folder, numbers=None, metrics=None)
    return collect([root])


@pytest.mark.parametrize(("runs", "criteria"), [(4, []), (3, ["reconstruction/mse"])])
def test_runs_of_an_older_version_are_shown_and_named_in_one_line(tmp_path, runs, criteria):
    report = older(tmp_path, runs)
    (note,) = [note for note in report.notes if "older version" in note]
    assert note.startswith(f"{runs} of 4 runs were measured by an older version")
    assert "run aeexp-evaluate, or train anew" in note and "aeexp-evaluate" in console_text(report, 200)
    assert report.criteria == criteria and len(report.best) == len(criteria)
    asked = collect([tmp_path], criteria=["reconstruction/mse"])
    assert "reconstruction/mse" in markdown(asked) and len(asked.groups) == 4


def test_runs_that_declare_all_are_not_told_to_be_measured_anew(tmp_path):
    assert not any("older version" in note for note in older(tmp_path, 0).notes)


def test_an_evaluations_declarations_come_along(tmp_path):
    folder = job(tmp_path / "0", loss=1.0)
    entry = {"metric": "mine", "options": {"n": 2}, "differs": "n=2", "val": {}, "baseline": {},
             "test": {"mine/score": 0.5}, "numbers": {"mine/score": SCORE, "loss": {"better": "higher"}},
             "metrics": {"mine": {"in_keys": ["n"], "harmless": []}}}  # fmt: skip
    rewrite(folder, evaluations=[entry])
    (found,), _ = read([tmp_path])
    declared = Declarations([found])
    assert declared.better("mine/score [n=2]") == "higher" and found.value("mine/score [n=2]") == 0.5
    assert "metric.mine.n" in list_settled_options([found])
    assert declared.better("loss") == "lower", "what the run says of its own numbers stays"
    rewrite(folder, numbers=None)
    assert merge_evaluations(json.loads((folder / "metrics.json").read_text()))["numbers"].keys() == {
        "mine/score",
        "loss",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": ["loss"]}, "numbers is no table"),
        ({"numbers": {"loss": "lower"}}, "numbers loss is no table"),
        ({"numbers": {"loss": {"alike": "task."}}}, "numbers loss holds no list"),
        ({"metrics": {"probe": {"in_keys": 3}}}, "metrics probe holds no list"),
    ],
)
def test_declarations_that_someone_wrote_into_break_nothing(tmp_path, change, message):
    rewrite(job(tmp_path / "0", loss=1.0), **change)
    (failure,) = read([tmp_path])[1]
    assert failure.status == "unreadable" and message in failure.message
