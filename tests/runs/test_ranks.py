"""`trainer.processes` and torchrun: one run folder, the numbers of one process, and one end for all."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from commands import ROOT, aeexp
from composing import on_digits
from disturbed import finish, wait_for

from aeexp.files import read_json
from aeexp.runs.locks import NAME
from aeexp.runs.owners import describe_process
from aeexp.runs.ranks import PLACE, make_place

QUICK = ["threads=1", "plot=none", "metric=reconstruction", "trainer.validate_every_steps=10"]
# a step of Adam is the rate's sign of the gradient where that is next to nothing, and rounding decides the sign; with
# this beside the root of its square the step is smooth, and so are differences of float32 in another order: 1e-7 a step
SMOOTH = "+optimizer.eps=1e-3"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "aeexp"]


def read_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def measure_difference(one: Path, other: Path) -> float:
    """The largest between two histories, of the loss's size."""
    pairs = list(zip(read_rows(one), read_rows(other), strict=True))
    assert pairs
    return max(abs(float(a["loss"]) - float(b["loss"])) / max(1.0, abs(float(a["loss"]))) for a, b in pairs)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return aeexp(*QUICK, *words, f"hydra.run.dir={folder}", cwd=folder.parent)


def start(folder: Path, *words: str, line: list[str] | None = None) -> subprocess.Popen[str]:
    line = [*(line or [sys.executable, "-m", "aeexp"]), *on_digits([*QUICK, *words]), f"hydra.run.dir={folder}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        line, cwd=folder.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    words = ["variant=vae", "trainer.steps=20", SMOOTH]
    for name, more in (("one", []), ("two", ["trainer.processes=2"])):
        done = run(tmp_path / name, *words, *more)
        assert done.returncode == 0, done.stderr
    assert measure_difference(tmp_path / "one", tmp_path / "two") < 1e-5
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )
    again = run(tmp_path / "two", *words)
    assert again.returncode == 0 and "is finished already: nothing to do" in again.stdout


def write_rows(folder: Path) -> dict[str, list[str]]:
    """4,000 rows of four columns in every form that lies on disk, and the words that read them."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("datasets"), pytest.importorskip("sqlalchemy")
    x = np.random.default_rng(0).normal(size=(4000, 4)).astype(np.float32)
    np.save(folder / "x.npy", x)
    (folder / "rows").mkdir()
    for number, part in enumerate(np.split(x, 4)):
        pq.write_table(pa.table({name: part[:, i] for i, name in enumerate("abcd")}), folder / f"rows/{number}.parquet")
    with sqlite3.connect(folder / "rows.db") as opened:
        opened.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a REAL, b REAL, c REAL, d REAL)")
        opened.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?)", [(i, *map(float, row)) for i, row in enumerate(x)]
        )
    opened.close()
    streamed = ["dataset=huggingface", "dataset.x=[a,b,c,d]", "dataset.streaming=true", "dataset.residency=stream"]
    return {
        "parquet": [*streamed, "dataset.path=rows"],
        "a query": [
            *streamed,
            "dataset.database=sqlite:///rows.db",
            "dataset.sql='SELECT * FROM rows'",
            "dataset.key=id",
        ],
        "a memory map": ["dataset=npy", "dataset.path=x.npy", "dataset.residency=disk"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "a query", "a memory map"])
def test_two_processes_train_as_one_on_rows_that_lie_on_disk(kind, tmp_path):
    rows = write_rows(tmp_path)[kind]
    words = ["variant=vae", "latent.dim=2", "model.hidden_dims=[16]", "likelihood=gaussian", "trainer.batch_size=64"]
    for name, more in (("one", []), ("two", ["trainer.processes=2"])):
        done = run(tmp_path / name, *rows, *words, "trainer.steps=200", SMOOTH, *more)
        assert done.returncode == 0, done.stderr
    assert measure_difference(tmp_path / "one", tmp_path / "two") < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "a memory map"])
def test_a_run_on_rows_that_lie_on_disk_goes_on_with_other_processes_and_under_torchrun(kind, tmp_path):
    words = [*write_rows(tmp_path)[kind], "variant=vae", "latent.dim=2", "model.hidden_dims=[16]",
             "likelihood=gaussian", "trainer.batch_size=64", SMOOTH]  # fmt: skip
    begun = tmp_path / "begun"
    for name, more in (
        ("one", ["trainer.steps=80"]),
        ("begun", ["trainer.steps=40", "trainer.processes=2"]),
        ("resumed", ["trainer.steps=80", f"resume={begun}"]),
    ):
        done = run(tmp_path / name, *words, *more)
        assert done.returncode == 0, done.stderr
    code, output = finish(start(tmp_path / "torchrun", *words, "trainer.steps=80", line=TORCHRUN))
    assert code == 0, output
    for name in ("resumed", "torchrun"):
        assert measure_difference(tmp_path / "one", tmp_path / name) < 1e-5, name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["variant=semi_supervised"],
            "trainer.processes=2: bound is made of a whole batch, not row by row",
        ),
        pytest.param(
            ["trainer.compile=true"], "trainer.compile=true: not with several processes", marks=pytest.mark.slow
        ),
    ],
)
def test_what_cannot_be_shared_is_refused_before_a_step(words, message, tmp_path):
    done = run(tmp_path / "run", *words, "trainer.processes=2", "trainer.steps=20")
    assert (done.returncode, message in done.stdout + done.stderr) == (2, True), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr and read_json(tmp_path / "run" / "status.json")["step"] == 0


def test_what_killed_runs_left_where_their_processes_met_is_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, foreign = tmp_path / f"{PLACE}dead", tmp_path / f"{PLACE}foreign"
    for place, owner in ((dead, {**describe_process(), "began": -1.0}), (foreign, {"machine": "another"})):
        place.mkdir()
        (place / NAME).write_text(json.dumps(owner))
    with make_place() as mine, make_place() as beside:
        assert {*tmp_path.iterdir()} == {mine, beside, foreign}, "one that gave a sign of life a moment ago is left"
    assert [*tmp_path.iterdir()] == [foreign]


def find_others(pid: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(pid).children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_one_process_is_that_of_all_and_any_number_goes_on(number, tmp_path):
    words, folder = ["variant=vae", "trainer.steps=4000", "trainer.checkpoint_seconds=0"], tmp_path / "run"
    command = start(folder, *words, "trainer.processes=2")
    wait_for(lambda: (folder / "history.csv").is_file() and (folder / "checkpoints" / "last.pt").is_file())
    others = find_others(command.pid)
    assert len(others) == 1
    others[0].send_signal(number)
    code, output = finish(command)
    assert "Traceback" not in output and not others[0].is_running(), output
    told = read_json(folder / "status.json")
    if number == signal.SIGTERM:
        assert code == 130 and told["status"] == "interrupted", output
    else:
        assert code == 1 and told["status"] == "failed" and "process 1 of the 2 that train together" in told["message"]
    done = run(folder, *words[:1], "trainer.steps=4000", "trainer.checkpoint_seconds=0")
    assert done.returncode == 0, done.stderr
    told = read_json(folder / "status.json")
    assert told["status"] == "finished" and told["step"] == 4000


# of more codes than rows several start alike, and rounding decides which is the nearest
ALIKE = ["variant=denoising", "variant=vae", "variant=iwae", "latent=vq latent.codes=8", "variant=conv",
         "variant=wae", "variant=factor_vae", "variant=beta_tc_vae",
         "variant=vae regularizer=[kl,adversary] regularizer.adversary.against=label"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("words", ALIKE)
def test_two_processes_end_near_where_one_does(words, tmp_path):
    for name, more in (("one", []), ("two", ["trainer.processes=2"])):
        done = run(tmp_path / name, *words.split(), "trainer.steps=60", SMOOTH, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    assert measure_difference(tmp_path / "one", tmp_path / "two") < 1e-4


@pytest.mark.slow
def test_torchrun_s_processes_are_those_of_the_key_and_leave_one_folder(tmp_path):
    words = ["variant=vae", "trainer.steps=40"]
    assert run(tmp_path / "key", *words, "trainer.processes=2").returncode == 0
    code, output = finish(start(tmp_path / "torchrun", *words, line=TORCHRUN))
    assert code == 0, output
    assert (tmp_path / "key" / "history.csv").read_bytes() == (tmp_path / "torchrun" / "history.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"key", "torchrun"}
    code, output = finish(start(tmp_path / "torchrun", *words, line=TORCHRUN))
    assert code == 0 and output.count("is finished already: nothing to do") == 1, output


def test_torchrun_trains_one_run(tmp_path):
    done = aeexp("-m", "seed=0,1", cwd=tmp_path, RANK="0", WORLD_SIZE="2")
    assert done.returncode == 2 and "-m: torchrun's processes train one run" in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
