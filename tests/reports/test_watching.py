"""How far a sweep is: what stands in status.json, whoever writes it and however it is broken."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aeexp.cli.report import main
from aeexp.reports.plan import read_plan
from aeexp.reports.watching import REST, Job, Progress, Watch, look_again, show, summarise, watch
from aeexp.runs import locks
from aeexp.runs.folder import RunFolder

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def plan(root: Path, *words: str, **sweeper: object) -> None:
    root.mkdir(exist_ok=True)
    node = {"overrides": {"task": list(words)}, "sweeper": sweeper}
    (root / "multirun.yaml").write_text(json.dumps({"hydra": node}))


def leave(root: Path, number: int, state: str, words: list[str] | None = None, **values: object) -> RunFolder:
    run = RunFolder(root / str(number))
    run.write_asked("overrides.yaml", json.dumps(words or []))
    run.write_status({"status": state, "step": 0, **values})
    return run


def job(state: str, began: float = 0, ended: float | None = None, step: int = 0, steps: int | None = 100) -> Job:
    end = None if ended is None else NOW + timedelta(seconds=ended)
    return Job("0", state, "", step, steps, None, NOW + timedelta(seconds=began), end)


def test_the_counts_are_of_what_is_there_and_what_is_to_come(tmp_path):
    plan(tmp_path, "seed=range(4)", "latent.dim=2,3", "variant=vae")
    words = ["variant=vae", "seed=1", "latent.dim=2"]
    leave(tmp_path, 0, "finished", words, best=0.5, started=NOW.isoformat(), ended=NOW.isoformat())
    leave(tmp_path, 1, "failed", ["seed=1"])
    leave(tmp_path, 2, "running", ["seed=2"], best=0.25, steps=10)
    held = leave(tmp_path, 3, "running", ["seed=3"])
    held.checkpoints.mkdir()
    with locks.hold(held.checkpoints):
        progress = Watch(tmp_path).look()
    counts = {state: count for state, count in progress.counts.items() if count}
    assert counts == {"finished": 1, "failed": 1, "cut off": 1, "running": 1, "to come": 4}
    assert [each.words for each in progress.jobs] == ["seed=1 latent.dim=2", "seed=1", "seed=2", "seed=3"]
    best = progress.find_best()
    assert best is not None and best.name == "2" and not progress.is_over


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 4))
def test_at_a_steady_rate_the_time_that_is_left_is_that_of_what_is_left(done, left, at_once):
    """Jobs of 10 seconds, so many at once: each batch ends when the next begins."""
    ends = [10.0 * (1 + place // at_once) for place in range(done)]
    jobs = [job("finished", end - 10, end) for end in ends]
    progress = Progress(jobs, done + left, NOW + timedelta(seconds=ends[-1]))
    estimate = progress.estimate()
    assert estimate is not None
    # of a batch that has just ended all its jobs count, of one that is cut by RECENT a part: a batch at most
    assert estimate.total_seconds() == pytest.approx(10 * left / at_once, rel=at_once / min(done, 20), abs=1e-6)


def test_a_job_under_way_counts_by_what_is_left_of_it():
    jobs = [job("finished", 0, 10), job("running", 10, step=75)]
    progress = Progress(jobs, 2, NOW + timedelta(seconds=10))
    assert progress.left == 0.25 and progress.estimate() == timedelta(seconds=2.5)
    assert Progress([job("running")], 1, NOW).estimate() is None


@pytest.mark.parametrize(
    ("words", "sweeper", "jobs"),
    [
        (["seed=0,1,2", "latent.dim=2,4"], {}, 6),
        (["seed=range(5)", "optimizer.lr=1e-3"], {}, 5),
        (["dataset.normal_classes=[1,2],[3]"], {}, 2),
        (["latent.dim=int(interval(2,64))"], {"n_trials": 30}, 30),
        (["variant=vae"], {}, 1),
        (["seed=3"], {"params": {"seed": "0,1,2", "latent.dim": "2,4"}}, 2),
    ],
)
def test_what_is_planned_is_what_hydra_will_run(words, sweeper, jobs, tmp_path):
    plan(tmp_path, *words, **sweeper)
    assert read_plan(tmp_path)[0] == jobs


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "hydra: 3", "hydra: {overrides: {task: 3}, sweeper: {}}", "hydra: {overrides: {task: ['=']}}"],
)
def test_a_plan_that_is_none_is_none(text, tmp_path):
    (tmp_path / "multirun.yaml").write_text(text)
    assert read_plan(tmp_path) == (None, {})


@given(
    st.dictionaries(
        st.sampled_from(["status", "step", "steps", "best", "started", "ended"]),
        st.none()
        | st.booleans()
        | st.integers(-5, 5)
        | st.floats(-1, 1)
        | st.text(max_size=8)
        | st.just([1])
        | st.just({}),
    )
)
def test_whatever_a_status_says_the_table_is_drawn(node):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        leave(Path(name), 0, "running").write_status(node)
        progress = Watch(Path(name)).look()
        text = io.StringIO()
        Console(file=text, width=100).print(show(progress, Path(name)))
        assert "finished" in text.getvalue() and summarise(progress) in " ".join(text.getvalue().split())


def test_elsewhere_than_on_a_terminal_a_line_is_written_where_the_counts_change(tmp_path):
    plan(tmp_path, "seed=0,1")
    leave(tmp_path, 0, "finished", ["seed=0"], best=0.5)
    leave(tmp_path, 1, "failed", ["seed=1"])
    text = io.StringIO()
    watch(tmp_path, Console(file=text, width=40), every=0)
    assert text.getvalue() == "1 of 2 finished, 1 failed\n"


def test_what_may_be_gone_on_with_is_waited_for_as_long_as_a_process_may_be_silent():
    jobs = [job("finished", 0, 10), job("interrupted", 0, 5)]
    assert not Progress(jobs, 2, NOW, quiet=locks.STALE - 1).is_over
    assert Progress(jobs, 2, NOW, quiet=locks.STALE + 1).is_over
    assert Progress(jobs[:1], 1, NOW, quiet=0).is_over and not Progress([job("running")], 1, NOW).is_over


def test_the_plans_of_several_sweeps_are_one(tmp_path):
    plan(tmp_path / "one", "seed=0,1")
    plan(tmp_path / "two", "latent.dim=range(5)")
    count, swept = read_plan(tmp_path)
    assert count == 7 and swept == {
        "seed": {"seed=0", "seed=1"}, "latent.dim": {f"latent.dim={value}" for value in range(5)},
    }  # fmt: skip
    plan(tmp_path / "three", "variant=glob(*)")
    assert read_plan(tmp_path) == (None, {})


def test_what_a_folder_says_is_no_command_to_the_terminal(tmp_path):
    leave(tmp_path, 0, "finished", ["a=\x1b]0;x\x07"], best=1.0)
    assert Watch(tmp_path).look().jobs[0].words == "a=?]0;x?"


@pytest.mark.parametrize(("roots", "words"), [(["a", "b"], "takes one folder"), (["nowhere"], "no such folder")])
def test_one_folder_that_is_there_is_watched(roots, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*roots, "--watch"])
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_runs_of_an_earlier_sweep_of_other_values_are_none_of_those_to_come(tmp_path):
    """A sweep of other values in the same folder is trained beside what lies there."""
    plan(tmp_path, "latent.dim=3,4,5,6")
    for number, dim in enumerate((1, 2, 3)):
        leave(tmp_path, number, "finished", [f"latent.dim={dim}"], best=1.0)
    runs = Watch(tmp_path)
    progress = runs.look()
    assert progress.counts["to come"] == 3 and not progress.is_over
    assert summarise(progress) == "3 of 6 finished, 3 to come"
    plan(tmp_path, "latent.dim=1,2")  # another command
    assert runs.look().counts["to come"] == 0


def test_a_look_that_takes_long_is_rare(tmp_path, monkeypatch):
    leave(tmp_path, 0, "running")
    looks, slept = Watch(tmp_path), []
    monkeypatch.setattr("aeexp.reports.watching.time.sleep", slept.append)
    clock = iter(range(0, 1000, 5))  # each question what time it is takes five seconds
    monkeypatch.setattr("aeexp.reports.watching.time.monotonic", lambda: next(clock))
    several = look_again(looks, every=2.0)
    next(several), next(several)
    assert len(slept) == 1 and slept[0] >= REST * 5
