"""What a scheduler says to a job: a preempted one goes on by itself, and one that its user takes away does not."""

from __future__ import annotations

import signal
import subprocess

import pytest
from disturbed import find_trainer, make_words, start, wait_for

from aeexp.sweeps.cluster.scheduler import hear_scheduler, is_preempted, pass_on


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGUSR1])
def test_what_a_scheduler_says_ends_the_jobs_and_is_passed_on_to_whoever_listened_before(number):
    """submitit listens to one of the two: it hears of the other as well."""
    passed: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: passed.append(number))
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt), hear_scheduler() as told:
            signal.raise_signal(number)
        assert told == [number] and passed == [] and signal.getsignal(signal.SIGTERM) is terminated
        pass_on(told[0])
        assert passed == [number]
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize(
    ("said", "preempted"),
    [
        ("JobState=RUNNING Reason=None EndTime=2026-11-27T14:37:37 PreemptTime=2026-11-27T14:36:57", True),
        ("JobState=RUNNING Reason=None EndTime=2026-11-27T15:36:53 PreemptTime=None", False),
        ("JobState=COMPLETING Reason=None PreemptTime=2026-11-27T14:36:57", False),  # scancel's, in the grace time
        ("slurm_load_jobs error: Unable to contact slurm controller", False),
        (None, False),
    ],
)
def test_sigterm_is_a_preemption_where_slurm_says_so(said, preempted, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("aeexp.sweeps.cluster.scheduler._before", {signal.SIGUSR2: print})
    if said is not None:
        (tmp_path / "scontrol").write_text(f'#!/bin/sh\n[ "$*" = "show job 7" ] && echo "{said}"\n')
        (tmp_path / "scontrol").chmod(0o755)
    assert is_preempted() == preempted
    monkeypatch.setattr("aeexp.sweeps.cluster.scheduler._before", {signal.SIGUSR2: signal.SIG_DFL})
    assert not is_preempted(), "nobody is there who would put it into the queue again"
    monkeypatch.delenv("SLURM_JOB_ID")
    assert not is_preempted()


@pytest.mark.slow
def test_a_job_of_slurm_that_hears_sigterm_alone_waits_until_another_has_had_its_place(tmp_path, slurm):
    root, words = tmp_path / "sweep", ["seed=0", "trainer.steps=4000", *make_words(2)[2:]]
    command = start(root, "hydra/launcher=slurm", "hydra.launcher.partition=spare", *words)
    find_trainer(root, 0)
    take = ["sbatch", "--partition=main", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    subprocess.run(take, check=True, timeout=60, cwd=tmp_path)
    log = root / "0" / "train.log"
    wait_for(lambda: "Requeued job" in log.read_text())  # two minutes before Slurm begins it again
    assert "interrupted; the same command" in log.read_text() and command.poll() is None
    queued = ["squeue", "--noheader", "--partition=spare", "--format=%T"]
    wait_for(lambda: subprocess.run(queued, capture_output=True, text=True, check=True).stdout.split() == ["PENDING"])
    command.kill()
    command.communicate()
