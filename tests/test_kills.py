"""Real processes killed at random, some of them again and again: what goes on ends with the same bits, and of a sweep
no job is done twice or lost."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from commands import QUICK
from forked import call, start
from interrupted import check_whole, outcome, same

from aeexp.runs.folder import RunFolder, find_runs

SMALL = [*QUICK[:3], "dataset.limit=600", "hydra.run.dir=run"]
VARIANTS = {
    "noise and a schedule": ["noise=masking", "scheduler=cosine", "trainer.epochs=6"],
    "a sampled code": ["variant=vae", "latent.dim=3", "trainer.epochs=6"],
    "a critic": ["variant=factor_vae", "latent.dim=3", "trainer.epochs=6"],
    "several stages": ["variant=stacked_denoising", "model.hidden_dims=[20,10]", "trainer.pretrain_epochs=2",
                       "trainer.finetune.epochs=3"],
}  # fmt: skip
SERIES, KILLS = 5, 5  # of each variant: 100 kills in all, less those that come too late
SWEEPS = 3
STEPS = 80  # towards a file, that a run with a checkpoint at each validation takes at least


def kill(words: list[str], where: Path, seconds: float, rng: random.Random) -> bool:
    """Start the command and kill it, at a random moment or at a random step towards a file; whether it came to that."""
    options: dict[str, Any] = {"saves_always": rng.random() < 0.7}
    by_step = rng.random() < 0.7
    process = start(
        *words, cwd=where, log=where / "log.txt", dies_at=rng.randint(1, STEPS) if by_step else None, **options
    )
    if not by_step:
        process.join(rng.uniform(0.1, 0.9) * seconds)
        process.kill()
    process.join(300)
    return process.exitcode == -9


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """undisturbed(name): what the variant leaves when nobody kills it, and how long it takes."""
    known: dict[str, tuple[dict, float]] = {}

    def run(name: str) -> tuple[dict, float]:
        if name not in known:
            where = tmp_path_factory.mktemp("whole")
            call("--help", cwd=where)  # the first fork waits for what all of them have imported
            begun = time.monotonic()
            code, text = call(*SMALL, *VARIANTS[name], cwd=where)
            assert code == 0, text
            known[name] = outcome(where / "run"), time.monotonic() - begun
        return known[name]

    return run


def kill_again_and_again(name: str, where: Path, undisturbed, rng: random.Random, times: int) -> int:
    """One series; how many kills it took."""
    whole, seconds = undisturbed(name)
    words, kills = [*SMALL, *VARIANTS[name]], 0
    for _ in range(times):
        if RunFolder(where / "run").is_finished():
            break  # before it was killed
        kills += kill(words, where, seconds, rng)
        check_whole(where)
    code, text = call(*words, cwd=where)
    assert code == 0, text
    assert same(outcome(where / "run"), whole)
    assert not list(where.rglob("*.tmp"))
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_killed_runs_end_with_the_bits_of_undisturbed_ones(name, undisturbed, tmp_path):
    rng, kills = random.Random(name), 0
    for i in range(SERIES):
        (tmp_path / str(i)).mkdir()
        kills += kill_again_and_again(name, tmp_path / str(i), undisturbed, rng, KILLS)
        print(f"{name}: {kills} kills in {i + 1} series", flush=True)
    assert kills > SERIES


def test_a_run_killed_twice_ends_with_the_bits_of_an_undisturbed_one(undisturbed, tmp_path):
    kill_again_and_again("a sampled code", tmp_path, undisturbed, random.Random(5), 2)


def test_two_starts_of_one_run_folder_train_it_once(undisturbed, tmp_path):
    whole, _ = undisturbed("a sampled code")
    logs = [tmp_path / f"{i}.txt" for i in range(2)]
    both = [start(*SMALL, *VARIANTS["a sampled code"], cwd=tmp_path, log=log) for log in logs]
    for process in both:
        process.join(300)
    codes, texts = [process.exitcode for process in both], [log.read_text() for log in logs]
    refused = [text for code, text in zip(codes, texts, strict=True) if code == 2]
    assert sorted(codes) in ([0, 0], [0, 2]), texts
    assert all("is being written by another process" in text for text in refused)
    assert refused or sum("is finished already" in text for text in texts) == 1  # it came when all was done
    assert same(outcome(tmp_path / "run"), whole)


@pytest.mark.slow
def test_of_killed_sweeps_no_job_is_done_twice_or_lost(tmp_path):
    words = ["-m", *SMALL[:-1], "trainer.epochs=6", "latent.dim=2,3", "seed=0,1", "hydra.sweep.dir=s",
             "~hydra.callbacks.report", "~hydra.callbacks.curves"]  # fmt: skip
    (tmp_path / "whole").mkdir()
    call("--help", cwd=tmp_path)  # the first fork waits for what all of them have imported
    begun = time.monotonic()
    assert call(*words, cwd=tmp_path / "whole")[0] == 0
    seconds = time.monotonic() - begun
    whole = {run.read_status()["run_id"]: outcome(run.path) for run in find_runs(tmp_path / "whole/s")}
    rng, kills = random.Random(0), 0
    for i in range(SWEEPS):
        where = tmp_path / str(i)
        where.mkdir()
        finished: dict[str, tuple[str, bytes]] = {}
        for _ in range(4):
            kills += kill(words, where, seconds, rng)
            check_whole(where)
            again = {
                run.read_status()["run_id"]: (run.path.name, run.metrics.read_bytes())
                for run in find_runs(where / "s") if run.is_finished()
            }  # fmt: skip
            assert again.items() >= finished.items(), "what is finished stays as it is"
            finished = again
        code, text = call(*words, cwd=where)
        assert code == 0 and "4 of 4 runs finished" in text, text
        assert text.count("is finished already") == len(finished)
        runs = {run.read_status()["run_id"]: outcome(run.path) for run in find_runs(where / "s")}
        assert same(runs, whole) and len(list((where / "s").glob("*/status.json"))) == 4
        print(f"{kills} kills in {i + 1} sweeps", flush=True)
    assert kills > SWEEPS
