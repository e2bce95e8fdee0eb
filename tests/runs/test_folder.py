"""RunFolder: what is found, in which order, and what is said of files that are cut off."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from aeexp import files
from aeexp.runs.composing import compose_run
from aeexp.runs.folder import RunFolder, find_runs
from aeexp.runs.locks import hold
from aeexp.runs.runtime import RUNTIME, list_choices, read_runtime


def begin(path: Path, status: str | None = "finished") -> Path:
    (path / ".hydra").mkdir(parents=True)
    if status is not None:
        (path / "status.json").write_text(json.dumps({"status": status}))
    return path


def test_runs_are_found_in_the_order_of_the_jobs_and_none_inside_the_files_of_another(tmp_path):
    for name in ("b/10", "b/2", "b/x", "a/3"):
        begin(tmp_path / name)
    begin(tmp_path / "b" / "11", status=None)  # killed before its first file
    begin(tmp_path / "b" / "2" / "checkpoints" / "copy")
    begin(tmp_path / "b" / "2" / "nested")
    (tmp_path / "b" / ".hydra").mkdir()
    (tmp_path / "b" / "multirun.yaml").write_text("")
    names = [run.path.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert names == ["a/3", "b/2", "b/2/nested", "b/10", "b/11", "b/x"]
    assert [run.path for run in find_runs(tmp_path / "a" / "3")] == [tmp_path / "a" / "3"]


def test_what_a_run_was_asked_for_is_read_as_it_was_composed(tmp_path):
    run = RunFolder(begin(tmp_path))
    (run.hydra / "config.yaml").write_text("seed: 3\ndataset:\n  split:\n    seed: ${seed}\n  name: Käse\n", "utf-8")
    (run.hydra / "overrides.yaml").write_text("- seed=3\n- optimizer.lr=1e-3\n")
    block = "    choices:\n      variant: vae\n      hydra/launcher: basic\n  verbose: false\n"
    (run.hydra / "hydra.yaml").write_text(f"hydra:\n  runtime:\n    cwd: {tmp_path}\n{block}")
    assert run.read_config() == {"seed": 3, "dataset": {"split": {"seed": "${seed}"}, "name": "Käse"}}
    assert run.read_overrides() == ["seed=3", "optimizer.lr=1e-3"]
    assert run.read_asked()[2] == {"variant": "vae"}
    assert run.read_cwd() == tmp_path


@pytest.mark.parametrize(("content", "message"), [("{", "metrics.json: "), ("[1]", "metrics.json holds no table")])
def test_a_file_that_is_cut_off_is_named(content, message, tmp_path):
    run = RunFolder(begin(tmp_path))
    run.metrics.write_text(content)
    with pytest.raises(ValueError, match=message):
        run.read_metrics()
    assert run.is_finished() and not run.is_measured()
    run.status.write_text(content)
    assert run.read_state() == "unreadable" and not run.is_finished()
    run.write_metrics({"best": 1.0})
    assert not run.is_measured()


def test_what_is_missing_is_told_from_what_is_damaged(tmp_path):
    run = RunFolder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        run.read_status()
    assert run.read_state() == "unreadable" and run.read_codes() is None and run.read_cwd() is None
    assert not run.is_measured()


def test_what_is_written_is_read_and_leaves_nothing_beside_it(tmp_path):
    run = RunFolder(tmp_path)
    run.write_status({"status": "running"})
    run.write_metrics({"best": 1.0})
    run.write_codes({"codes": np.eye(2)})
    run.write_history([{"step": 1, "loss": 2.0}, {"step": 2, "other": 3.0}])
    run.write_figure("x.png", b"picture")
    with hold(run.path, wait=True):
        assert run.read_metrics() == {"best": 1.0}
    codes = run.read_codes()
    assert codes is not None and np.array_equal(codes["codes"], np.eye(2))
    assert run.history.read_text() == "step,loss,other\n1,2.0,\n2,,3.0\n"
    assert not run.is_measured(), "a run that goes on is measured anew"
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"status.json", "metrics.json", "codes.npz", "history.csv", "figures/x.png"}


def test_reports_read_folders_without_torch():
    code = "import sys, aeexp.runs.folder; print(sorted({'torch', 'hydra', 'omegaconf', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@given(st.text(" -?:[]{},a\n!&|>'\"\t#%*", max_size=30))
def test_yaml_that_is_taken_for_shallow_without_a_look_is_shallow(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "DEEPEST", 3)  # which short texts may exceed
        if not files._is_surely_shallow(text.encode()):
            return
        try:
            files._require_shallow_yaml(text.encode())  # raises ValueError where it is deeper, or repeats a part
        except yaml.YAMLError:
            pass


LINES = (
    "a: 1",
    "b: [1",
    "  2]",
    "c:",
    "- 3",
    "- d: 'x",
    "  y'",
    "  e: |",
    "   - z",
    "",
    "yes: null",
    "a: ''",
    "f",
    "] ",
    "---",
    "g: {}",
)


@given(st.lists(st.sampled_from(LINES) | st.text(" -:[]{}a'\"\n|>", max_size=6), max_size=8).map("\n".join))
@example("a: 'x\nb: 1'\n")
def test_yaml_from_blocks_that_are_known_is_what_it_is_as_a_whole(text):
    def read() -> tuple[object, str]:
        try:
            return files.parse_yaml(f"{text}\n".encode(), "x.yaml"), ""
        except ValueError as error:
            return None, str(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK", re.compile(b"(?!)"))  # finds none
        whole = read()
    assert read() == whole == read() and repr(read()) == repr(whole)


def test_what_is_changed_in_what_was_read_is_not_read_again():
    content = b"a:\n  b: [1]\nc:\n- d: 2\n"
    files.parse_yaml(content, "x.yaml")["a"]["b"].append(2)
    files.parse_yaml(content, "x.yaml")["c"][0]["d"] = 3
    assert files.parse_yaml(content, "x.yaml") == {"a": {"b": [1]}, "c": [{"d": 2}]}


def test_what_hydra_says_of_a_start_is_found_without_the_rest_of_its_file(tmp_path):
    run = RunFolder(tmp_path)
    run.hydra.mkdir()
    hydra = compose_run(["seed=3"]).hydra
    (run.hydra / "hydra.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})), encoding="utf-8")
    content = (run.hydra / "hydra.yaml").read_bytes()
    whole = yaml.safe_load(content)["hydra"]["runtime"]
    assert RUNTIME.match(content) and read_runtime(run.hydra) == whole != {}
    (run.hydra / "hydra.yaml").write_bytes(b"{hydra: {runtime: {choices: {model: mlp}}}}")  # as nobody writes it
    assert list_choices(read_runtime(run.hydra)) == {"model": "mlp"}
