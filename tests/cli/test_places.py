"""Places that are not there, or cannot be written: one line, exit code 2, before time is spent, and no folder left."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from commands import ROOT

MISSING = [
    *([f"dataset={kind}", "dataset.path=nowhere/x.csv"] for kind in
      ("csv", "npz", "npy", "idx", "folder", "huggingface", "webdataset")),
    ["dataset=csv", "dataset.path=~/no such place"],
    ["latent.dim=2,3", "-m", "dataset=csv", "dataset.path=nowhere/x.csv"],
    ["resume=nowhere"],
]  # fmt: skip
UNUSABLE = [
    ["hydra.run.dir=file"], ["hydra.run.dir=file/below"], ["-m", "hydra.sweep.dir=file"],
    ["hydra.run.dir=" + "x" * 300],
]  # fmt: skip
EACH = """
import contextlib, io, json, os, sys
from aeexp.cli.train import main
for words in json.loads(sys.argv[1]):
    sys.argv, said, code = ["aeexp", *words], io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, said.getvalue(), "torch" in sys.modules, sorted(os.listdir())]))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> list[list]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "file").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps([*MISSING, *UNUSABLE])], cwd=folder, capture_output=True, text=True,
        timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("i", range(len(MISSING) + len(UNUSABLE)))
def test_a_place_is_told_before_torch_is_loaded_and_leaves_no_folder(answers, i):
    code, said, torch, left = answers[i]
    words = [*MISSING, *UNUSABLE][i]
    assert code == 2 and said.count("\n") == 1 and "Traceback" not in said, said
    assert said.startswith(next(word for word in words[::-1] if "." in word or "resume" in word).split("=")[0] + "=")
    assert ("no such file or folder" in said or "is no folder of a run" in said) == (i < len(MISSING))
    assert not torch and left == ["file"]
