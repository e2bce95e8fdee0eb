"""Sweeps on a pool of processes, on Slurm and on Ray, whose processes are killed at random: a job's, one of those that
train a model together, a whole job with all that it began, the command itself. The same command again, until it is
through, leaves the bits of the sweep that nobody disturbed."""

from __future__ import annotations

import math
import os
import random
import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from commands import ROOT
from disturbed import finish, read_finished, start
from interrupted import check_whole, outcome, same
from struck import find_owners, name_hit, read_work

from aeexp.runs.folder import find_runs

KILLS = int(os.environ.get("AEEXP_TEST_KILLS", "0"))  # of each launcher: 3 take some 15 minutes, 17 are about 50
COMMANDS = KILLS + 12  # that may be needed: what waits for a queue or for a dead owner takes another one
VARIANTS = {
    "noise": "defaults: [denoising]\ntrainer: {steps: 1200, validate_every_steps: 100}",
    "sampled": "defaults: [vae]\ntrainer: {steps: 1200, validate_every_steps: 100}",
    "bound": "defaults: [iwae]\ntrainer: {steps: 300, validate_every_steps: 25}",
    "codebook": "defaults: [vq_vae]\ntrainer: {steps: 120, validate_every_steps: 10}",
    "critic": "defaults: [factor_vae]\ntrainer: {steps: 250, validate_every_steps: 25}",
    "sparse": "defaults: [sparse_kl]\ntrainer: {steps: 1200, validate_every_steps: 100}",
    "stages": "defaults: [stacked_denoising]\nmodel: {hidden_dims: [20, 10]}\n"
              "trainer: {pretrain_epochs: 5, finetune: {epochs: 15, checkpoint_seconds: 0.2}}",
    "ranks": "defaults: [vae]\ntrainer: {processes: 2, steps: 600, validate_every_steps: 50}",
}  # fmt: skip
WEIGHTS = {"command": 1, "trainer": 4, "rank": 4, "before or behind a run": 1, "whole job": 3}
pytestmark = pytest.mark.skipif(not KILLS, reason="takes long: AEEXP_TEST_KILLS=3 says how many kills of each launcher")
# Python's own words of a process that was being begun when who began it was killed
CUT_OFF = re.compile(r"Traceback((?!Traceback).)*?(pickle data was truncated|EOFError: Ran out of input)", re.DOTALL)
MARK = "AEEXP_TEST_SWEEP"  # in the environment of all that a command begins, on Slurm too


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """The sweep over all variants, each of which saves a state several times a second."""
    conf = tmp_path_factory.mktemp("conf")
    (conf / "variant").mkdir()
    for name, text in VARIANTS.items():
        if name != "stages":
            text = text.replace("trainer: {", "trainer: {checkpoint_seconds: 0.2, ")
        (conf / "variant" / f"own_{name}.yaml").write_text(f"# @package _global_\n{text}\n", encoding="utf-8")
    variants = ",".join(f"own_{name}" for name in VARIANTS)
    return [f"--config-dir={conf}", "dataset=mnist_small", "dataset.limit=1500", f"variant={variants}", "threads=1",
            "plot=none", "metric=reconstruction",
            *(f"~hydra.callbacks.{name}" for name in ("report", "gallery", "lineup", "curves"))]  # fmt: skip


class Undisturbed(NamedTuple):
    """What each run leaves, one after another, by its id, and how long the sweep takes here and now."""

    outcomes: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(words, tmp_path_factory) -> Undisturbed:
    root, begun = tmp_path_factory.mktemp("undisturbed") / "sweep", time.monotonic()
    code, output = finish(start(root, *words), seconds=3000)
    assert code == 0, output
    return Undisturbed(read_outcomes(root), time.monotonic() - begun)


def read_outcomes(root: Path) -> dict[str, Any]:
    return {run.read_status()["run_id"]: outcome(run.path) for run in find_runs(root)}


@pytest.fixture
def mark(monkeypatch):
    """Of what a test begins, behind the cluster that it begins it on; nothing of it outlives the test."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    yield value
    for process in find_begun(value):
        process.kill()


def find_begun(mark: str) -> list[psutil.Process]:
    """Processes of commands that are under way, wherever they run, but for those that keep no work."""
    mine, found = psutil.Process(), []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == mark or _is_task(process, mine)
            if ours and process != mine and "resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:  # it has ended, or is the system's
            continue
    return found


def _is_task(process: psutil.Process, mine: psutil.Process) -> bool:
    """A job in a worker of the cluster that this process began."""
    return "ray::_call" in " ".join(process.cmdline()) and mine in process.parents()


def kill_something(root: Path, mark: str, command: subprocess.Popen[bytes], rng: random.Random) -> str:
    """One of what runs, and what it was; "" where nothing of the kind that was drawn does."""
    begun = [process for process in find_begun(mark) if process.pid != command.pid]
    owners = find_owners(root)
    kinds: dict[str, list[psutil.Process]] = {
        "command": [psutil.Process(command.pid)] if command.poll() is None else [],
        "trainer": [process for process in begun if process.pid in owners],
        "rank": [process for process in begun if process.ppid() in owners],
        "before or behind a run": [process for process in begun if process.pid not in owners],
    }
    kinds["whole job"] = kinds["trainer"]
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if not kinds[kind]:
        return ""
    victim = rng.choice(kinds[kind])
    try:
        victims = [victim, *victim.parents(), *victim.children(recursive=True)] if kind == "whole job" else [victim]
        known = {process.pid for process in begun}
        for process in victims:
            if process is victim or process.pid in known:
                process.kill()
    except psutil.NoSuchProcess:
        return ""
    return kind


def begin(root: Path, log: Path, line: list[str]) -> subprocess.Popen[bytes]:
    """The command, whose jobs may outlive it, and hold its output."""
    words = [sys.executable, "-m", "aeexp", "-m", *line, f"hydra.sweep.dir={root}"]
    with open(log, "wb") as file:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(words, cwd=root.parent, env=env, stdout=file, stderr=subprocess.STDOUT)


def kill_until_through(root: Path, line: list[str], mark: str, seconds: float, rng: random.Random) -> Counter[str]:
    """The command again and again, with so many kills, at most `seconds` apart; what was killed how often."""
    killed: Counter[str] = Counter()
    finished: dict[int, Any] = {}
    for commands in range(1, COMMANDS + 1):
        log = root.with_name(f"{root.name}-{commands}.txt")
        command, early = begin(root, log, line), rng.random() < 0.2
        moment = time.monotonic() + rng.uniform(0, seconds) if early else math.inf
        while command.poll() is None:
            if moment == math.inf and find_owners(root) & {process.pid for process in find_begun(mark)}:
                moment = time.monotonic() + rng.uniform(0, seconds)  # most of them once a job is at work
            if killed.total() < KILLS and time.monotonic() > moment:
                moment = time.monotonic() + 0.5
                work = read_work(root)
                if kind := kill_something(root, mark, command, rng):
                    killed[kind] += 1
                    print(f"{root.name}: {kind} killed in command {commands}: {name_hit(work)}", flush=True)
                    moment += rng.uniform(0, seconds)
            time.sleep(0.5)
        code, output = command.returncode, log.read_text("utf-8", "replace")
        check_whole(root, ("running", "finished", "failed", "interrupted"))  # a rank that is killed is a failure
        assert "Traceback" not in CUT_OFF.sub("", output), output
        now = read_finished(root)
        assert now.items() >= finished.items(), "what is finished stays as it is"
        finished = now
        print(f"{root.name}: command {commands} ended with {code}, {len(finished)} finished", flush=True)
        if code == 0:
            return killed
    raise AssertionError(f"not through after {COMMANDS} commands: {output}")


def check(root: Path, line: list[str], mark: str, undisturbed: Undisturbed) -> None:
    begun, rng = time.monotonic(), random.Random(f"{line[0]} {KILLS}")
    order = rng.sample(list(VARIANTS), len(VARIANTS))  # what comes first is killed most
    words = [
        f"variant={','.join(f'own_{name}' for name in order)}" if word.startswith("variant=") else word for word in line
    ]
    killed = kill_until_through(root, words, mark, 1.5 * undisturbed.seconds / KILLS, rng)
    print(f"{line[0]}: {dict(killed)} killed, {time.monotonic() - begun:.0f} s", flush=True)
    assert killed.total() > 0
    found = read_outcomes(root)
    assert found.keys() == undisturbed.outcomes.keys() and len(list(root.glob("*/status.json"))) == len(VARIANTS)
    wrong = [key for key in found if not same(found[key], undisturbed.outcomes[key])]
    assert not wrong, wrong
    assert not list(root.rglob("*.tmp"))


@pytest.mark.slow
def test_killed_jobs_of_processes_end_with_the_same_bits(tmp_path, words, undisturbed, mark):
    check(tmp_path / "processes", ["hydra/launcher=processes", "hydra.launcher.n_jobs=2", *words], mark, undisturbed)


@pytest.mark.slow
def test_killed_jobs_of_slurm_end_with_the_same_bits(tmp_path, words, undisturbed, slurm, mark):
    check(tmp_path / "slurm", ["hydra/launcher=slurm", *words], mark, undisturbed)


@pytest.mark.slow
def test_killed_jobs_of_submitit_end_with_the_same_bits(tmp_path, words, undisturbed, mark):
    pytest.importorskip("submitit")
    line = ["hydra/launcher=submitit_local", "hydra.launcher.array_parallelism=2", *words]
    check(tmp_path / "local", line, mark, undisturbed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_killed_tasks_of_ray_end_with_the_same_bits(tmp_path, words, undisturbed, ray_cluster, mark):
    check(tmp_path / "ray", ["hydra/launcher=ray", *words], mark, undisturbed)
