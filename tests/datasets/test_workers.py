"""`dataset.workers`: the rows, orders and messages of one process, and no process that outlives the run."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import samples
import torch
from commands import ROOT, aeexp
from disturbed import finish, wait_for
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tasks_of_workers import double, fail_at_five, kill_itself_once, list_modules

from aeexp.datasets import Fractions, folder, huggingface, npz, webdataset
from aeexp.datasets.core import shards, stored, workers
from aeexp.datasets.core.workers import Workers
from aeexp.errors import UsageError
from aeexp.types import Share

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (90, 6, 5), np.uint8)
FORMATS = {"folder": folder, "webdataset": webdataset, "huggingface": huggingface, "streamed": huggingface}


def png(picture: np.ndarray) -> bytes:
    Image.fromarray(picture).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    """The same pictures in each format."""
    parquet, wds = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("webdataset")
    import pyarrow

    root = tmp_path_factory.mktemp("formats")
    for name in ("folder", "webdataset", "huggingface"):
        (root / name).mkdir()
    encoded = [png(picture) for picture in PICTURES]
    for number, file in enumerate(encoded):
        (root / "folder" / "ab"[number % 2]).mkdir(exist_ok=True)
        (root / "folder" / "ab"[number % 2] / f"{number:03d}.png").write_bytes(file)
    for shard in range(3):
        with wds.TarWriter(str(root / "webdataset" / f"{shard}.tar")) as tar:
            for number in range(30 * shard, 30 * shard + 30):
                tar.write({"__key__": f"{number:03d}", "png": encoded[number], "cls": str(number % 2).encode()})
    table = pyarrow.table({"image": encoded, "label": np.arange(90) % 2})
    for shard in range(3):
        parquet.write_table(table.slice(30 * shard, 30), root / "huggingface" / f"{shard}.parquet")
    return {**{name: root / name for name in ("folder", "webdataset", "huggingface")}, "streamed": root / "huggingface"}


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """Tasks of four rows: 90 are many."""
    for module in (shards, stored):
        monkeypatch.setattr(module, "count_rows", lambda shape, dtype: 4)
    with workers.end_workers():
        yield


def load(name: str, places: dict[str, Path], count: int, residency: str | None = None, **keys):
    lazily = "stream" if name in ("webdataset", "streamed") else "disk"
    keys |= {"streaming": True} if name == "streamed" else {}
    data = FORMATS[name](path=str(places[name]), name=None, split=Fractions([8, 1, 1]), workers=count,
                         residency=residency or lazily, **keys)  # fmt: skip
    return data.place(CPU)


def processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_and_orders_are_those_without_them(name, places):
    with workers.end_workers():
        ours, plain = load(name, places, 2), load(name, places, 0)
        assert ours.fingerprint == plain.fingerprint
        for split in ("train", "val"):
            for one, other in zip(ours[split].batches(7), plain[split].batches(7), strict=True):
                assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y) and torch.equal(one.ids, other.ids)
        whole = list(plain["train"].epoch(3, 1, 7))
        for start in (0, 3, len(whole) - 1):  # as a run that goes on
            rest = list(ours["train"].epoch(3, 1, 7, start))
            assert len(rest) == len(whole) - start
            assert all(torch.equal(a.x, b.x) for a, b in zip(rest, whole[start:], strict=True))
        assert processes()
        host = load(name, places, 2, "host")
        assert torch.equal(host["train"].x, torch.from_numpy(plain["train"].read().rows.x))
    assert not processes()


@pytest.mark.parametrize("name", FORMATS)
def test_processes_that_share_batches_have_the_rows_of_one_without_them(name, places, monkeypatch):
    """Buffers of two batches: a task is never of two lanes, and the next ones are decoded beyond the buffer."""
    monkeypatch.setattr("aeexp.datasets.core.stream.BUFFER", 28)
    ours, plain = load(name, places, 1)["train"], load(name, places, 0)["train"]
    for start in (0, 3):
        whole = list(plain.epoch(3, 1, 14, start))
        several = [list(ours.epoch(3, 1, 14, start, Share(rank, 2))) for rank in range(2)]
        assert [len(part) for part in several] == [len(whole)] * 2 and processes()
        for batch, *parts in zip(whole, *several, strict=True):
            for field in ("x", "y", "ids"):
                assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(batch, field))
            assert {part.whole for part in parts} == {len(batch.x)}


def test_masks_are_decoded_by_them_too(tmp_path):
    for number, picture in enumerate(PICTURES[:40]):
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "x" / f"{number:02d}.png")
        (tmp_path / "m").mkdir(exist_ok=True)
        Image.fromarray((picture > 99).astype(np.uint8)).save(tmp_path / "m" / f"{number:02d}.png")
    given_ = dict(name=None, split=Fractions([8, 1, 1]), residency="disk", masks=str(tmp_path / "m"))
    ours, plain = (folder(path=str(tmp_path / "x"), workers=count, **given_).place(CPU) for count in (1, 0))
    for one, other in zip(ours["train"].epoch(0, 0, 9), plain["train"].epoch(0, 0, 9), strict=True):
        assert torch.equal(one.x, other.x) and torch.equal(one.target, other.target)


@pytest.mark.parametrize("name", FORMATS)
def test_a_broken_picture_is_told_as_without_them(name, places, tmp_path):
    broken = {each: tmp_path / each for each in ("folder", "webdataset", "huggingface")}
    content = (RNG.integers(0, 256, 60, np.uint8)).tobytes()
    bad = png(PICTURES[0])[:50] + content
    if name == "folder":
        for number in range(40):
            broken["folder"].mkdir(exist_ok=True)
            (broken["folder"] / f"{number:02d}.png").write_bytes(bad if number == 33 else png(PICTURES[number]))
    elif name == "webdataset":
        wds = pytest.importorskip("webdataset")
        broken[name].mkdir()
        with wds.TarWriter(str(broken[name] / "0.tar")) as tar:
            for number in range(40):
                tar.write({"__key__": f"{number:03d}", "png": bad if number == 33 else png(PICTURES[number])})
    else:
        parquet = pytest.importorskip("pyarrow.parquet")

        import pyarrow

        broken["huggingface"].mkdir()
        encoded = [bad if number == 33 else png(PICTURES[number]) for number in range(40)]
        parquet.write_table(pyarrow.table({"image": encoded}), broken["huggingface"] / "0.parquet")
    messages = []
    for count in (0, 1):
        with pytest.raises(UsageError) as caught:
            data = FORMATS[name].load(path=str((broken | {"streamed": broken["huggingface"]})[name]),
                                      **({"streaming": True} if name == "streamed" else {})).rows.x  # fmt: skip
            (data.use(Workers(count)) if count else data).read()
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and ("33" in messages[0]), messages


@pytest.fixture(scope="module")
def two():
    pool = Workers(2)
    yield pool
    pool.end()


@given(sizes=st.lists(st.integers(1, 5), max_size=30))
def test_tasks_come_back_in_their_order(two, sizes):
    tasks = [list(range(10 * i, 10 * i + size)) for i, size in enumerate(sizes)]
    assert [x.tolist() for x in two.map(double, tasks)] == [[2 * n for n in task] for task in tasks]


def test_what_is_read_ahead_is_bounded(two):
    taken = []

    def tasks():
        for i in range(1000):
            taken.append(i)
            yield [i]

    flow = two.map(double, tasks())
    for i in range(20):
        assert next(flow).tolist() == [2 * i]
        assert len(taken) <= i + 2 * workers.AHEAD
    flow.close()
    assert len(taken) < 30


def test_an_error_is_raised_where_its_rows_would_be(two):
    seen = []
    with pytest.raises(UsageError, match="^row=5: it is broken$"):
        for x in two.map(fail_at_five, ([i] for i in range(20))):
            seen.append(int(x[0]))
    assert seen == [0, 2, 4, 6, 8]

    def stored_rows():
        yield from ([i] for i in range(3))
        raise UsageError("the shard is another")

    seen = []
    with pytest.raises(UsageError, match="the shard is another"):
        for x in two.map(double, stored_rows()):
            seen.append(int(x[0]))
    assert seen == [0, 2, 4]


def test_a_process_that_is_killed_costs_no_row(tmp_path, caplog):
    pool = Workers(1)
    marker = str(tmp_path / "killed")
    assert [x.tolist() for x in pool.map(kill_itself_once, ([marker] for _ in range(9)))] == [[1]] * 9
    assert Path(marker).exists() and "dataset.workers=1: one of the processes was killed" in caplog.text
    assert list(pool.map(double, [[1]]))[0].tolist() == [2] and len(processes()) >= 1  # another one
    pool.end()


def test_what_is_under_way_when_they_end_is_decoded_without_them():
    pool = Workers(1)
    flow = pool.map(double, ([i] for i in range(20)))
    seen = [next(flow).tolist() for _ in range(3)]
    pool.end()
    assert seen + [x.tolist() for x in flow] == [[2 * i] for i in range(20)] and not processes()


def test_they_import_neither_torch_nor_the_script(two):
    (loaded,) = two.map(list_modules, [[0]])
    assert "torch" not in loaded and "pytest" not in loaded and "numpy" in loaded


@pytest.mark.parametrize("count", [-1, 1.5, "two", 2000])
def test_what_is_no_number_of_processes_is_refused_before_a_row_is_read(count, tmp_path):
    from composing import composed

    from aeexp.runs.config import check

    with pytest.raises(UsageError, match=rf"^dataset\.workers={count!r} should be a whole number from 0 to 1024"):
        check(composed("dataset=folder", "dataset.path=nowhere", f"dataset.workers={count}"))


def test_rows_that_are_not_decoded_are_refused_with_a_way_out(tmp_path):
    words = samples.write_npz(tmp_path)
    with pytest.raises(UsageError, match=r"^workers=2: rows of rows are read as they lie.*leave dataset.workers=0"):
        npz(path=words[0].removeprefix("path="), name=None, split=Fractions([8, 1, 1]), workers=2)


WAITS = """
import time
from aeexp.datasets.core.workers import Workers
from tasks_of_workers import double
pool = Workers(2)
flow = pool.map(double, ([i] for i in range(100)))
print(next(flow), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_where_whoever_began_them_is_killed(number):
    """The script has no guard against being imported, and the processes do not import it."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    parent = subprocess.Popen([sys.executable, "-c", WAITS], env=env, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "[0]\n"
    others = psutil.Process(parent.pid).children(recursive=True)
    assert sum("spawn_main" in " ".join(each.cmdline()) for each in others) == 2
    parent.send_signal(number)
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs(others, timeout=60)[1] == []


QUICK = ["threads=1", "plot=none", "metric=reconstruction", "dataset.residency=stream", "trainer.log_every_steps=10",
         "trainer.validate_every_steps=50"]  # fmt: skip


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "aeexp", *QUICK, *words, f"hydra.run.dir={folder}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        line, cwd=folder.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_the_run_and_any_number_goes_on_with_the_same_bits(number, tmp_path):
    wds = pytest.importorskip("webdataset")
    (tmp_path / "shards").mkdir()
    with wds.TarWriter(str(tmp_path / "shards" / "0.tar")) as tar:
        for row in range(1500):
            tar.write({"__key__": f"{row:04d}", "png": png(RNG.integers(0, 256, (16, 16), np.uint8))})
    words = ["dataset=webdataset", f"dataset.path={tmp_path / 'shards'}", "trainer.steps=400", "noise=gaussian"]
    done = aeexp(*QUICK, *words, f"hydra.run.dir={tmp_path / 'plain'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run"
    command = start(folder, *words, "dataset.workers=2", "trainer.checkpoint_seconds=0")
    wait_for(lambda: (folder / "checkpoints" / "last.pt").is_file() and (folder / "history.csv").is_file())
    others = psutil.Process(command.pid).children(recursive=True)
    assert sum("spawn_main" in " ".join(each.cmdline()) for each in others) == 2
    command.send_signal(number)
    _, output = finish(command)
    gone, alive = psutil.wait_procs(others, timeout=20)
    assert not alive and "Traceback" not in output, output
    done = aeexp(*QUICK, *words, "trainer.checkpoint_seconds=0", f"hydra.run.dir={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (folder / "history.csv").read_bytes() == (tmp_path / "plain" / "history.csv").read_bytes()


def count_begun(pid: int) -> int:
    """Processes that one began, and those that these began, while they are there."""
    found = 0
    for each in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            found += "spawn_main" in " ".join(each.cmdline())
    return found


def write_many(kind: str, place: Path) -> list[str]:
    """800 pictures, of which each of two processes has enough to begin workers for; the words that read them."""
    wds = pytest.importorskip("webdataset")
    pictures = [png(each) for each in np.random.default_rng(1).integers(0, 256, (800, 6, 5), np.uint8)]
    (place / "a").mkdir(parents=True)
    if kind == "folder":
        for number, file in enumerate(pictures):
            (place / "a" / f"{number:03d}.png").write_bytes(file)
        return ["dataset=folder", f"dataset.path={place}", "dataset.residency=disk"]
    for shard in range(4):
        with wds.TarWriter(str(place / "a" / f"{shard}.tar")) as tar:
            for number in range(200 * shard, 200 * shard + 200):
                tar.write({"__key__": f"{number:03d}", "png": pictures[number]})
    return ["dataset=webdataset", f"dataset.path={place / 'a'}"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webdataset", "folder"])
def test_each_of_several_processes_that_train_has_its_own(kind, tmp_path):
    # beside the root of Adam's square this leaves no whole step to a gradient of nothing but rounding
    words = [*write_many(kind, tmp_path / "rows"), "trainer.steps=100", "+optimizer.eps=1e-3"]
    two = ["trainer.processes=2"]
    for name, more in (("one", []), ("two", two)):
        done = aeexp(*QUICK, *words, *more, f"hydra.run.dir={tmp_path / name}", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    command = start(tmp_path / "workers", *words, *two, "dataset.workers=1")
    wait_for(lambda: count_begun(command.pid) == 3)  # the other that trains, and one of each
    code, output = finish(command)
    assert code == 0, output
    one, several, with_them = ((tmp_path / name / "history.csv").read_text() for name in ("one", "two", "workers"))
    assert several == with_them
    pairs = [[row.split(",") for row in rows] for rows in zip(one.splitlines(), several.splitlines(), strict=True)]
    assert all(row[:3] == other[:3] for row, other in pairs)
    # float32 in another order: 1e-7 a step; with another order of rows it is 0.1
    assert max(abs(float(row[4]) - float(other[4])) / max(1.0, float(row[4])) for row, other in pairs[1:]) < 1e-5
