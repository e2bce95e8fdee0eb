"""Commands that meet an old sweep's folder, and sweeps that a job, a file or the machine fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import QUICK
from forked import call

from aeexp.reports.records import Record, read
from aeexp.runs.folder import RunFolder, find_runs
from aeexp.sweeps.refusals import note_refusal, take_refusals


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of every run with its time."""
    files = (path for run in find_runs(folder) for path in run.path.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def numbers(root: Path) -> dict[tuple[str, str], float | None]:
    """The loss by width and seed, as a report reads them."""
    records, failures = read([root])
    assert not failures
    told = {(r.overrides["latent.dim"], r.overrides.get("seed", "0")): r.value("loss") for r in records}
    assert all(str(record.config["latent.dim"]) == record.overrides["latent.dim"] for record in records)
    assert len(told) == len(records), "no run twice"
    return told


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder in which a sweep of the widths 2 and 4 is through."""
    where = tmp_path_factory.mktemp("again")
    code, text = call("-m", *QUICK, "latent.dim=2,4", "hydra.sweep.dir=s", cwd=where)
    assert code == 0, text
    return where


def test_other_values_in_an_old_folder_stand_under_their_own_names_and_the_old_ones_stay(place):
    before, old = content(place / "s"), numbers(place / "s")
    code, text = call("-m", *QUICK, "latent.dim=3,4,2", "hydra.sweep.dir=s", cwd=place)
    assert code == 0 and "3 of 3 runs finished" in text, text
    assert text.count("is finished already") == 2
    new = numbers(place / "s")
    assert new.keys() == {("2", "0"), ("3", "0"), ("4", "0")} and new.items() >= old.items()
    after = content(place / "s")
    assert {name: after[name] for name in before} == before
    assert sorted(path.name for path in (place / "s").glob("[!.]*/")) == ["0", "1", "2"]
    seeds = call("-m", *QUICK, "latent.dim=2,4", "seed=0,1", "hydra.sweep.dir=s", cwd=place)
    assert seeds[0] == 0 and "5 of 5 runs finished" in seeds[1] and seeds[1].count("is finished already") == 2
    assert numbers(place / "s").keys() == new.keys() | {("2", "1"), ("4", "1")}


def test_a_broken_status_does_not_turn_a_failing_sweep_into_a_good_one(place):
    root = place / "t"
    broken = ["{}", "[1]", "{", '{"status": 3, "exit_code": "x"}', '{"status": "failed", "exit_code": 0}', "\udcff", ""]
    for i, text in enumerate(broken):
        (root / f"old{i}").mkdir(parents=True)
        (root / f"old{i}" / "status.json").write_text(text, "utf-8", "surrogateescape")
    code, text = call("-m", *QUICK, "latent.dim=2,-1", "hydra.sweep.dir=t", cwd=place)
    assert code == 2 and f"1 of {len(broken) + 2} runs finished" in text
    assert "latent.dim=-1 should be a whole number of at least 1" in text.splitlines()[-2 - len(broken)]
    assert "Traceback" not in text and "Warning" not in text


def test_a_report_that_breaks_leaves_counts_and_exit_code(place, monkeypatch, caplog):
    from omegaconf import OmegaConf

    from aeexp.sweeps import callbacks

    def broken(root):
        raise ZeroDivisionError

    monkeypatch.setattr(callbacks, "tabulate", broken)
    RunFolder(place / "u" / "0").write_status({"status": "failed", "message": "no luck", "exit_code": 2})
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(place / "u")}}})
    with pytest.raises(SystemExit) as end, caplog.at_level("INFO"):
        callbacks.Summary().on_multirun_end(config)
    assert end.value.code == 2 and "0 of 1 runs finished" in caplog.text and "no luck" in caplog.text


def test_a_refused_job_counts_as_failed(place):
    words = ["hydra.sweep.subdir=here", "hydra.sweep.dir=v"]
    code, text = call("-m", *QUICK, "latent.dim=2,3", *words, cwd=place)
    assert code == 2 and "1 of 2 runs finished, 1 refused" in text
    assert "job 1 refused: hydra.sweep.dir=" in text and "holds a finished run of another configuration" in text
    assert json.loads((place / "v/here/status.json").read_text())["status"] == "finished"
    assert not list((place / "v").glob(".refused*"))


def test_what_is_refused_is_told_once_and_on_any_disk(tmp_path):
    note_refusal(tmp_path, 3, "told by another process", 2)
    assert take_refusals(tmp_path) == {3: {"message": "told by another process", "exit_code": 2}}
    assert take_refusals(tmp_path) == {} and not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    note_refusal(tmp_path / "file", 1, "where nothing can be written", 1)
    assert take_refusals(tmp_path / "file") == {1: {"message": "where nothing can be written", "exit_code": 1}}


def test_a_finished_run_whose_data_has_changed_says_so(tmp_path):
    rows = np.random.default_rng(0).random((60, 6))
    np.savez(tmp_path / "rows.npz", x=rows)
    words = ["dataset=npz", "dataset.path=rows.npz", *QUICK]
    assert call(*words, "hydra.run.dir=run", cwd=tmp_path)[0] == 0
    assert call("-m", *words, "latent.dim=2,3", "hydra.sweep.dir=s", cwd=tmp_path)[0] == 0
    before = content(tmp_path)
    np.savez(tmp_path / "rows.npz", x=rows[:50])
    code, text = call(*words, "hydra.run.dir=run", cwd=tmp_path)
    assert code == 2 and "finished on other data (fingerprint " in text and "nothing to do" not in text
    assert "Traceback" not in text and len(text.splitlines()) == 2
    code, text = call("-m", *words, "latent.dim=2,3", "hydra.sweep.dir=s", cwd=tmp_path)
    assert code == 2 and "2 of 4 runs finished, 2 refused" in text
    (tmp_path / "rows.npz").write_bytes(b"no archive any more")
    code, text = call(*words, "hydra.run.dir=run", cwd=tmp_path)
    assert code == 0 and "nothing to do (its data cannot be read: " in text
    np.savez(tmp_path / "rows.npz", x=rows)
    code, text = call(*words, "hydra.run.dir=run", cwd=tmp_path)
    assert (code, text.count("nothing to do\n")) == (0, 1)
    assert content(tmp_path) == before


def test_a_refused_command_leaves_an_interrupted_runs_folder_as_it_was(tmp_path):
    words = [*QUICK, "trainer.epochs=3", "hydra.run.dir=run"]
    code, _ = call(*words, "latent.dim=3", cwd=tmp_path, dies_at=60)
    assert code == -9 and (tmp_path / "run/checkpoints/last.pt").is_file()
    before = content(tmp_path)
    for wrong in ("latent.dim=4", "latent.dim=0", "dataset.limit=50"):
        code, text = call(*words, wrong, cwd=tmp_path)
        assert code == 2 and "holds a run (running) of another configuration" in text
        assert content(tmp_path) == before
    assert call(*words, "latent.dim=3", cwd=tmp_path)[0] == 0
    assert isinstance(read([tmp_path / "run"])[0][0], Record)
