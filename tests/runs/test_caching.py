"""Where baselines are kept: in the sweep, or where the user says; never where another's files say."""

from __future__ import annotations

import yaml

from aeexp.runs.caching import find_cache
from aeexp.runs.folder import RunFolder


def make_job(root, mode):
    folder = RunFolder(root / "0")
    node = {"hydra": {"mode": mode, "runtime": {"cwd": str(root)}, "sweep": {"dir": "."}, "overrides": {"task": []}}}
    folder.write_asked("hydra.yaml", yaml.safe_dump(node))
    (root / "multirun.yaml").write_text(yaml.safe_dump(node))
    return folder


def test_a_job_of_a_sweep_keeps_them_in_the_sweep_and_a_run_by_itself_nowhere(tmp_path, monkeypatch):
    monkeypatch.delenv("AEEXP_CACHE", raising=False)
    assert find_cache(make_job(tmp_path, "MULTIRUN")).folder == tmp_path / "baselines"
    assert find_cache(make_job(tmp_path, "RUN")).folder is None
    assert find_cache(RunFolder(tmp_path / "none")).folder is None and find_cache().folder is None


def test_the_user_may_name_a_folder_for_all_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("AEEXP_CACHE", str(tmp_path / "mine"))
    places = {find_cache(each).folder for each in (None, make_job(tmp_path, "MULTIRUN"), make_job(tmp_path, "RUN"))}
    assert places == {tmp_path / "mine" / "baselines"}
