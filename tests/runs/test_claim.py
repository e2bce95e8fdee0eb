"""Whose a run folder is: another's is not touched, one's own is gone on from, and a sweep trains nothing twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from composing import composed
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.runs.claim import Taken, claim, claim_place, identify
from aeexp.runs.config import check, to_dict
from aeexp.runs.folder import RunFolder, run_id


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below with its time."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def leave(folder: Path, status: str, identity: str, *, saved: bool) -> RunFolder:
    """A run as far as a claim looks at it."""
    run = RunFolder(folder)
    run.write_status({"status": status, "run_id": identity})
    run.write_asked("config.yaml", f"id: {identity}\n")
    run.log.write_text("words")
    if status == "finished":
        run.write_metrics({"best": 1.0, "data": {"fingerprint": "f"}})
    if saved:
        run.checkpoints.mkdir(exist_ok=True)
        torch.save({"run_id": identity, "learner": {}}, run.last)
    return run


def ask(folder: RunFolder) -> dict[str, str]:
    return {name: f"folder: {folder}\n" for name in ("config.yaml", "hydra.yaml", "overrides.yaml")}


@pytest.mark.parametrize(
    ("status", "saved"),
    [("finished", True), ("finished", False), ("interrupted", True), ("failed", True), ("pruned", True),
     ("running", True)],
)  # fmt: skip
def test_another_runs_work_is_refused_and_not_a_byte_of_it_changes(status, saved, tmp_path):
    run = leave(tmp_path / "run", status, "other", saved=saved)
    before = content(tmp_path)
    with pytest.raises(
        Taken, match=r"^hydra.run.dir=.*run holds a .*run.* of another configuration \(id other, .*mine"
    ):
        with claim(run, "mine", ask) as mine:
            mine.begin()
    assert content(tmp_path) == before


def test_whose_a_run_is_stands_in_its_checkpoint_where_a_refused_command_wrote_over_its_status(tmp_path):
    """As versions before this one did."""
    run = leave(tmp_path, "failed", "mine", saved=True)
    torch.save({"run_id": "other", "learner": {}}, run.last)
    with pytest.raises(Taken, match="id other"), claim(run, "mine", ask):
        pass
    with claim(run, "other", ask) as status:
        status.begin()
    assert run.read_status()["run_id"] == "other"


def test_a_folder_of_which_nothing_says_whose_it_is_is_left_alone(tmp_path):
    run = leave(tmp_path, "finished", "mine", saved=True)
    run.last.write_bytes(run.last.read_bytes()[:100])
    run.status.write_text("{")
    before = content(tmp_path)
    with pytest.raises(Taken, match=r"holds a run whose status.json and checkpoints cannot be read: choose another"):
        with claim(run, "mine", ask):
            pass
    assert content(tmp_path) == before


def test_a_run_that_came_to_nothing_makes_room_and_what_is_not_of_a_run_stays(tmp_path):
    run = leave(tmp_path, "failed", "other", saved=False)
    (tmp_path / "notes.txt").write_text("of the user")
    run.tensorboard.mkdir()
    with claim(run, "mine", ask) as status:
        status.begin()
    assert run.read_status()["run_id"] == "mine" and run.read_config() == {"folder": str(tmp_path)}
    assert not run.log.exists() and not run.tensorboard.exists()
    assert (tmp_path / "notes.txt").read_text() == "of the user"


def test_what_a_killed_write_left_is_gone_with_the_next_start(tmp_path):
    run = leave(tmp_path, "running", "mine", saved=True)
    left = [run.checkpoints / ".last.pt.123.tmp", tmp_path / ".metrics.json.9.tmp"]
    for path in left:
        path.write_bytes(b"half")
    with claim(run, "mine", ask):
        assert not any(path.exists() for path in left) and run.last.is_file()


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    with claim(RunFolder(tmp_path), "mine", ask) as status:
        status.begin()
        with pytest.raises(Taken, match="is being written by another process: wait for it"):
            with claim(RunFolder(tmp_path), "mine", ask):
                pass
    with claim(RunFolder(tmp_path), "mine", ask):
        pass


def test_a_finished_run_s_labels_are_checked_where_they_are_read(tmp_path):
    with claim(RunFolder(tmp_path), "mine", ask) as status:
        status.begin()
        status.end("finished")
    run = RunFolder(tmp_path)
    assert run.read_config() == {"folder": str(tmp_path)}
    (run.hydra / "overrides.yaml").write_text("- latent.dim=3\n")
    for read in (run.read_config, run.read_overrides, run.read_asked):
        with pytest.raises(ValueError, match=r"\.hydra is not what this run wrote"):
            read()


# A command: the ids of its jobs in order, and how many of them are done before it is killed, if it is.
COMMANDS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True), st.integers(0, 9)), max_size=5
)


@given(COMMANDS)
@settings(max_examples=12, deadline=None)
def test_sweeps_in_one_place_train_each_run_once_whatever_their_numbering_and_kills(commands):
    with TemporaryDirectory() as name:
        root, trained = Path(name), []
        for jobs, until in commands:
            for number, identity in enumerate(jobs):
                place = root / str(number)
                place.mkdir(exist_ok=True)  # as Hydra does
                finished = {path: content(path) for path in root.iterdir() if RunFolder(path).is_finished()}
                with claim_place(RunFolder(place), number, identity, ask) as status:
                    status.begin()
                    run = status.folder
                    if status.finished is None and number == until:  # killed, with a checkpoint or before the first
                        if len(jobs) % 2:
                            torch.save({"run_id": identity, "learner": {}}, run.last)
                    elif status.finished is None:
                        run.write_metrics({"best": 1.0, "data": {"fingerprint": "f"}})
                        status.end("finished")
                        trained.append(identity)
                assert {path: content(path) for path in finished} == finished
                assert run.read_status()["run_id"] == identity
                if number == until:
                    break
        assert len(trained) == len(set(trained))
        states = [RunFolder(path).read_status() for path in root.iterdir() if (path / "status.json").is_file()]
        assert sorted(s["run_id"] for s in states if s["status"] == "finished") == sorted(trained)
        ids = [state["run_id"] for state in states]
        assert len(ids) == len(set(ids)), "a run has one folder"


def test_a_place_of_the_users_own_is_not_changed_for_another(tmp_path):
    leave(tmp_path / "vae", "finished", "other", saved=False)
    with pytest.raises(Taken, match=r"^hydra.sweep.dir=.*vae holds a finished run"):
        with claim_place(RunFolder(tmp_path / "vae"), 0, "mine", ask):
            pass


def test_the_id_of_a_composed_run_is_that_of_the_checked_one_and_a_wrong_one_has_one_too():
    cfg = composed("variant=factor_vae", "latent.dim=3")
    identity = identify(cfg)
    check(cfg)
    assert identity == run_id(to_dict(cfg))
    wrong = composed("latent.dim=${nowhere}")
    assert identify(wrong) == identify(composed("latent.dim=${nowhere}")) != identity


def test_a_status_keeps_its_last_word_on_a_disk_that_takes_no_new_file(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    with claim(run, "mine", ask) as status:
        status.begin()

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("aeexp.files.write", full)
        assert status.end("failed", "No space left on device", 1)
        assert json.loads(run.status.read_text())["status"] == "failed"
        shutil.rmtree(tmp_path)
        assert not status.end("failed")
