"""`hydra/launcher=stacked` and `auto`: the folders of a sweep are those that one by one would leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, aeexp
from composing import CONF, on_digits, run_in
from hydra import compose, initialize_config_dir

from aeexp.runs.folder import RunFolder
from aeexp.sweeps.stacking.group import Board, Stacking
from aeexp.sweeps.stacking.grouping import cut, group_jobs
from aeexp.testing.stacking import is_near
from aeexp.trainers.checkpoint import Progress, load

QUICK = ["plot=none", "metric=reconstruction", "trainer.epochs=2", "model.hidden_dims=[16]"]
ASIDE = [f"~hydra.callbacks.{name}" for name in ("report", "gallery", "lineup", "curves")]  # half of the time


def jobs(*each: list[str]):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [compose("config", on_digits(words)) for words in each]


def test_jobs_that_may_be_alike_are_begun_together():
    words = [["seed=0"], ["seed=1", "plot=none"], ["noise=gaussian"], ["noise=gaussian", "noise.gaussian.std=0.5"],
             ["optimizer.lr=0.1", "optimizer.betas=[0.8,0.9]"], ["model.activation=tanh"], ["trainer.epochs=3"],
             ["dataset.split.seed=1"], ["optimizer=sgd"], ["dataset/split=kfold", "dataset.split.fold=3"],
             ["dataset/split=kfold"]]  # fmt: skip
    assert group_jobs(jobs(*words)) == [[0, 1, 4], [2, 3], [5], [6], [7], [8], [9, 10]]


def test_a_process_has_no_more_than_its_share():
    parts = cut([list(range(10)), [10], [11, 12]], 2)
    assert sorted(number for part in parts for number in part) == list(range(13))
    assert [len(part) for part in parts] == [5, 5, 2, 1]
    assert cut([[0, 1, 2]], 1) == [[0, 1, 2]]


def test_memory_is_in_gigabytes_and_by_itself_a_part_of_what_is_free():
    assert Stacking(memory_gb=2).most_bytes == 2e9
    assert 0 < Stacking(processes=4).most_bytes <= Stacking(processes=1).most_bytes * 1.5
    assert Stacking(processes=None).processes >= 1


def test_one_line_a_validation_speaks_of_all_runs(caplog):
    board = Board()
    with caplog.at_level("INFO"):
        board.begin(2)
        for step in (1, 2):
            for loss in (0.5, 0.25):
                board.note(2, Progress(step=step, history=[{"loss": loss}]))
        board.say()
        board.say()
    assert caplog.messages == [
        "step 1/2  2 of 2 runs  val 0.2500 to 0.5000",
        "step 2/2  2 of 2 runs  val 0.2500 to 0.5000",
    ]


def read_states(root: Path) -> list[tuple[str, int]]:
    return [(state["status"], state["step"]) for i in range(4)
            if (state := json.loads((root / str(i) / "status.json").read_text()))]  # fmt: skip


def test_a_stacked_sweep_leaves_the_folders_of_the_runs_alone_and_goes_on(tmp_path):
    words = ["-m", "hydra/launcher=stacked", "seed=0,1", "optimizer.lr=1e-3,1e30", *QUICK, *ASIDE, "hydra.sweep.dir=s"]
    done = aeexp(*words, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "#0, #1, #2, #3: trained together" in done.stdout and "2 of 4 runs finished" in done.stdout
    assert [status for status, _ in read_states(tmp_path / "s")] == ["finished", "failed"] * 2
    assert "step 24/24  epoch 2" in (tmp_path / "s/2/train.log").read_text()
    assert done.stdout.count("digits: 1437 train") == 1 and "step 24/24  epoch 2" not in done.stdout
    assert "the loss became" in (tmp_path / "s/1/train.log").read_text()
    run_in(tmp_path / "alone", "seed=1", "optimizer.lr=1e-3", *QUICK)
    mine, alone = RunFolder(tmp_path / "s/2"), RunFolder(tmp_path / "alone")
    for row, wanted in zip(mine.read_history(), alone.read_history(), strict=True):
        assert row.keys() == wanted.keys() and all(
            is_near(row[key], value, 1e-4) if isinstance(value, float) else row[key] == value
            for key, value in wanted.items()
        )
    assert load(mine.last)["optimizer"]["state"].keys() == load(alone.last)["optimizer"]["state"].keys()
    assert {"seed=1", "optimizer.lr=0.001"} <= set(mine.read_overrides()) and any(mine.tensorboard.glob("*/events*"))

    before = mine.metrics.stat().st_mtime_ns
    again = aeexp(*words, cwd=tmp_path)
    assert again.returncode == 1 and again.stdout.count("finished already: nothing to do") == 2
    assert mine.metrics.stat().st_mtime_ns == before
    assert "#1, #3: trained together" in again.stdout  # what failed is tried again


@pytest.mark.slow
def test_processes_take_a_part_each_and_what_cannot_be_stacked_says_why(tmp_path):
    latents = "latent=deterministic,hyperspherical"
    words = ["-m", "hydra/launcher=auto", "hydra.launcher.processes=2", "seed=0,1", latents, *QUICK, *ASIDE]
    words += ["hydra.sweep.dir=s"]
    done = aeexp(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 runs finished" in done.stdout and [s for s, _ in read_states(tmp_path / "s")] == ["finished"] * 4
    assert "trained alone: a draw on the sphere is made of Gamma variates" in done.stdout
    assert "trained together" in done.stdout


@pytest.mark.parametrize("word", ["hydra.launcher.most=1", "hydra.launcher.memory_gb=0", "hydra.launcher.processes=0"])
def test_keys_of_the_launcher_are_checked_before_anything_is_trained(word, tmp_path):
    done = aeexp("-m", "hydra/launcher=stacked", "seed=0,1", word, *QUICK, "hydra.sweep.dir=s", cwd=tmp_path)
    assert done.returncode == 2 and word.split("=")[0] in done.stderr + done.stdout, done.stderr + done.stdout
    assert not (tmp_path / "s/0").exists()


@pytest.mark.slow
def test_folds_are_trained_together_where_their_rows_are_as_many(tmp_path):
    words = ["-m", "hydra/launcher=stacked", "dataset/split=kfold", "dataset.split.fold=0,1,2", "dataset.limit=101"]
    done = aeexp(*words, *QUICK, *ASIDE, "dataset.split.stratify=never", "hydra.sweep.dir=s", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "#1, #2: trained together" in done.stdout  # 20 rows of 101 are tested in each but the first, which has 21
    assert "#0: trained alone: no other run is like it" in done.stdout


@pytest.mark.slow
def test_trials_of_a_search_are_a_stack_and_the_one_behind_is_pruned_out_of_it(tmp_path):
    pruner = ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1",
              "hydra.sweeper.pruner.n_warmup_steps=0"]  # fmt: skip
    words = ["-m", "hydra/launcher=stacked", "hydra/sweeper=aeexp_optuna", "hydra/sweeper/sampler=grid", *pruner]
    words += ["hydra.sweeper.n_jobs=2", "optimizer.lr=2e-3,1e-3,1e-9,1e-2"]  # of which the third leaves all as it was
    budget = ["trainer.steps=3", "trainer.validate_every_steps=1", "metric=none", "plot=none"]
    done = aeexp(*words, *budget, *ASIDE, "hydra.sweep.dir=s", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "#0, #1: trained together" in done.stdout and "#2, #3: trained together" in done.stdout
    assert read_states(tmp_path / "s") == [("finished", 3), ("finished", 3), ("pruned", 1), ("finished", 3)]
    assert "3 complete, 1 pruned, 0 failed" in done.stdout


def interrupt(words: list[str], cwd: Path, number: int, everyone: bool) -> int:
    """The exit code of a sweep that gets a signal in the middle of its stacks: alone, or with all its processes, as
    from a terminal."""
    command = [sys.executable, "-m", "aeexp", *on_digits(words)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          start_new_session=True) as process:  # fmt: skip
        assert process.stdout is not None
        begun: set[int] = set()  # stacks, which name their runs
        for line in process.stdout:
            if "trained together" in line:
                begun.add(hash(line))
            if len(begun) == 2 and "2 of 2 runs" in line:
                break
        (os.killpg if everyone else os.kill)(process.pid, number)
        process.stdout.read()
        return process.wait(120)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "everyone"), [
    (signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True),
])  # fmt: skip
def test_a_sweep_in_processes_that_is_interrupted_loses_nothing_and_goes_on(number, everyone, tmp_path):
    words = ["-m", "hydra/launcher=auto", "hydra.launcher.processes=2", "seed=range(4)", "hydra.sweep.dir=s", *ASIDE]
    words += ["metric=none", "plot=none", "model.hidden_dims=[16]", "trainer.steps=800", "trainer.patience=null"]
    words += ["trainer.validate_every_steps=10"]
    assert interrupt(words, tmp_path, number, everyone) == 130
    states = read_states(tmp_path / "s")
    saved = [load(RunFolder(tmp_path / f"s/{i}").last)["progress"]["step"] for i in range(4)]
    # one process may be through where the other began late
    assert states == [("finished" if step == 800 else "interrupted", step // 10 * 10) for step in saved]
    assert min(saved) < 800
    done = aeexp(*words, cwd=tmp_path)
    assert done.returncode == 0 and "4 of 4 runs finished" in done.stdout, done.stdout + done.stderr
    for i in range(4):
        rows = RunFolder(tmp_path / f"s/{i}").read_history()  # the last of which is the evaluation of the best state
        assert [row["step"] for row in rows if row["split"] == "val" and "lr" in row] == list(range(10, 801, 10))
