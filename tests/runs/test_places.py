"""Where the runs of a sweep lie: one folder a run and one training of it, whoever looks for it when, in as many
questions to the file system however many there are."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.runs import places, status
from aeexp.runs.claim import Taken, claim_place
from aeexp.runs.folder import PLACES, RunFolder, find_runs
from aeexp.runs.locks import hold
from aeexp.runs.places import Places

STEPS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime", "os.listdir", "os.scandir", "os.link"}
MARK = "sweep-of-this-test"  # in the paths that count
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where no disk is waited for
LONG = 600  # seconds
_heard: dict[int, Callable[[], None]] = {}  # by thread: what is called before each question to the file system


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STEPS and (call := _heard.get(threading.get_ident())) is not None and MARK in str(arguments[0]):
        call()


sys.addaudithook(_hear)  # for good: one cannot be taken away
_stat = os.stat


def _heard_stat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
    _hear("open", (path,))
    return _stat(path, *arguments, **options)


@contextmanager
def hearing(call: Callable[[], None]) -> Iterator[None]:
    """`call` before each question that this thread asks the file system."""
    _heard[threading.get_ident()] = call
    try:
        yield
    finally:
        del _heard[threading.get_ident()]


@pytest.fixture(autouse=True, scope="module")
def _heard_and_fast():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "stat", _heard_stat)
        patch.setattr(os, "fsync", lambda handle: None)  # no power is cut here
        patch.setattr(status, "read_versions", dict)
        yield


def ask(folder: RunFolder) -> dict[str, str]:
    return {name: f"folder: {folder}\n" for name in ("config.yaml", "hydra.yaml", "overrides.yaml")}


def train(root: Path, number: int, identity: str) -> bool:
    """A job as short as can be; whether it was one. Raises `Taken`."""
    place = root / str(number)
    place.mkdir(parents=True, exist_ok=True)  # as Hydra does
    with claim_place(RunFolder(place), number, identity, ask) as run:
        if run.finished is not None:
            return False
        run.begin()
        run.folder.write_metrics({"best": 1.0, "data": {"fingerprint": "f"}})
        return run.end("finished")


def leave(folder: Path, identity: str) -> None:
    """What a version that noted nothing left of a finished run, as far as a claim looks at it."""
    folder.mkdir(parents=True)
    RunFolder(folder).write_status({"status": "finished", "run_id": identity})
    RunFolder(folder).write_metrics({"best": 1.0, "data": {"fingerprint": "f"}})


class Baton:
    """Two threads of which one goes on at a time: after so many questions to the file system it is the other's turn."""

    def __init__(self, schedule: list[int]):
        self.turns, self.left = cycle(schedule), schedule[0]
        self.at, self.ended = 0, set[int]()
        self.changed = threading.Condition()

    def step(self, me: int) -> None:
        with self.changed:
            self.left -= 1
            if self.left <= 0:
                self.pass_on(me)

    def pass_on(self, me: int) -> None:
        with self.changed:
            self.left = next(self.turns)
            if 1 - me not in self.ended:
                self.at = 1 - me
                self.changed.notify_all()
                assert self.changed.wait_for(lambda: self.at == me, LONG)

    def run(self, me: int, work: Callable[[], None]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.at == me, LONG)
        try:
            with hearing(lambda: self.step(me)):
                work()
        finally:
            with self.changed:
                self.ended.add(me)
                self.at = 1 - me
                self.changed.notify_all()


JOBS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@given(JOBS, JOBS, st.lists(st.integers(1, 60), min_size=1, max_size=30), st.booleans())
@settings(max_examples=20, deadline=None)
def test_two_commands_at_once_train_each_run_once_whoever_goes_on_when(first, second, schedule, old):
    """Of the same jobs in other orders, so that a run has two numbers, and of jobs that the other has not."""
    with TemporaryDirectory(dir=MEMORY) as name, pytest.MonkeyPatch.context() as patch:
        root, baton, trained, broken = Path(name) / MARK, Baton(schedule), [], []
        if old:  # another has been here before, in a version that noted nothing
            leave(root / "3", "a")
        numbers = {}
        patch.setattr(places.time, "sleep", lambda seconds: baton.pass_on(numbers[threading.get_ident()]))

        def work(me: int, jobs: list[str]) -> None:
            numbers[threading.get_ident()] = me
            for number, identity in enumerate(jobs):
                try:
                    trained.extend([identity] * train(root, number, identity))
                except Taken:
                    continue
                except BaseException as error:
                    broken.append(error)
                    raise

        threads = [threading.Thread(target=baton.run, args=(me, lambda me=me, jobs=jobs: work(me, jobs)))
                   for me, jobs in enumerate((first, second))]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not broken
        wanted = {*first, *second}
        assert Counter(trained) == Counter(wanted - set("a" * old)), "each once, and none is left to nobody"
        states = [run.read_status() for run in find_runs(root) if run.status.is_file()]
        assert Counter(state["run_id"] for state in states) == Counter(wanted | set("a" * old))
        for number, identity in enumerate([*first, *second]):
            assert not train(root, number, identity)


def count_questions(work: Callable[[], Any]) -> int:
    total = [0]

    def note() -> None:
        total[0] += 1

    with hearing(note):
        work()
    return total[0]


def fill(root: Path, runs: int) -> None:
    for number in range(runs):
        leave(root / str(number), f"old{number}")


def test_a_job_asks_as_much_among_many_runs_as_among_few(tmp_path):
    counts = []
    for runs in (5, 60):
        root = tmp_path / MARK / str(runs)
        fill(root, runs)
        train(root, runs, "first")  # notes what lay there, once
        train(root, 0, "second")  # finds the next free number, once
        counts.append(
            [
                count_questions(lambda root=root, runs=runs: train(root, runs + 10, "new")),
                count_questions(lambda root=root: train(root, 1, "instead")),
                count_questions(lambda root=root: train(root, 1, "old3")),
                count_questions(lambda root=root: train(root, 2, "instead")),
            ]
        )
        assert len(find_runs(root)) == runs + 4
    assert counts[0] == counts[1]
    new, instead, *finished = counts[0]
    assert new < 100 and instead < 100 and max(finished) < 30, counts


def test_runs_of_an_older_version_are_found_whatever_their_folders_are_called(tmp_path):
    fill(tmp_path, 12)
    (tmp_path / "7").rename(tmp_path / "good one")
    assert not train(tmp_path, 0, "old7") and not train(tmp_path, 0, "old11")
    assert not (tmp_path / "7").exists()
    (tmp_path / "good one").rename(tmp_path / "7")
    assert not train(tmp_path, 0, "old7")


def test_what_was_removed_is_trained_again_and_looked_for_once(tmp_path):
    root = tmp_path / MARK
    fill(root, 30)
    train(root, 0, "old0")
    for path in root.glob("[0-9]*"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    assert train(root, 0, "old5")
    assert [path.name for path in (root / PLACES).iterdir() if path.name.startswith("old")] == ["old5"]
    assert count_questions(lambda: train(root, 3, "old3")) < 100


@pytest.mark.parametrize(
    "content", [b"", b"..", b".", b"../2", b"2/../2", b"/", b"a\0b", b"\xff", b"x" * 10_000, b"nowhere", b"2\n", b"1"]
)
def test_a_note_that_says_nonsense_or_another_folder_is_no_note(content, tmp_path):
    fill(tmp_path, 4)
    root = tmp_path
    train(root, 0, "old0")
    (root / PLACES / "old2").write_bytes(content)
    assert not train(root, 3, "old2")
    assert (root / PLACES / "old2").read_bytes() == b"2"


@pytest.mark.parametrize("content", [b"", b"x", b"-5", b"9" * 18, b"9" * 400, b"\xff"])
def test_a_next_number_that_cannot_be_is_none(content, tmp_path):
    fill(tmp_path, 4)
    train(tmp_path, 0, "old0")
    (tmp_path / PLACES / places.NEXT).write_bytes(content)
    assert train(tmp_path, 1, "mine") and RunFolder(tmp_path / "4").read_status()["run_id"] == "mine"


@pytest.mark.parametrize("identity", ["../x", "", ".complete", "a/b", 5, ["a"], "x" * 300, "ä"])
def test_an_id_in_a_folder_names_no_file_elsewhere(identity, tmp_path):
    root = tmp_path / "sweep"
    RunFolder(root / "0").write_status({"status": "finished", "run_id": identity})
    assert train(root, 1, "mine")
    assert {path.name for path in tmp_path.iterdir()} == {"sweep"}
    assert {path.name for path in (root / PLACES).iterdir()} == {places.COMPLETE, "mine"}


def test_who_looks_for_a_moment_is_waited_for_and_who_trains_is_not(tmp_path, monkeypatch):
    pauses = []
    fill(tmp_path, 1)
    train(tmp_path, 0, "old0")
    with hold(tmp_path / PLACES, name="mine.held"):
        monkeypatch.setattr(places.time, "sleep", pauses.append)
        monkeypatch.setattr(places, "PATIENCE", 0.1)
        with pytest.raises(Taken, match="is being written by another process"):
            train(tmp_path, 1, "mine")
    assert pauses
    pauses.clear()
    with claim_place(RunFolder(tmp_path / "1"), 1, "mine", ask), pytest.raises(Taken, match="sweep.dir=.*/1 is being"):
        train(tmp_path, 5, "mine")
    assert not pauses


def test_folders_of_the_users_own_and_trials_of_a_search_are_found_by_a_later_sweep(tmp_path):
    train(tmp_path, 0, "first")
    for name, number in (("seed=1", 7), ("8", None)):
        with claim_place(RunFolder(tmp_path / name), number, f"of{number}", ask) as run:
            run.begin()
    for name, number in (("seed=1", 7), ("8", None)):
        place = Places(tmp_path).find(f"of{number}")
        assert place is not None and place.path == tmp_path / name
