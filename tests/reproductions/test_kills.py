"""A study that is killed in the middle and started again has the same table."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT

from aeexp.reproductions.results import NAME, read_result

RECORD = """
title: cut off
sources: [{authors: A, title: T, year: 2020, place: table 1, read: computed, note: as quoted}]
unit: error
better: lower
number: reconstruction/mse
convert: none
protocol: {split: s, binarisation: b, samples: s, epochs: e, differs: d}
command: dataset=digits metric=[reconstruction] trainer.checkpoint_seconds=0 trainer.log_every_steps=5 threads=1
arms: {small: latent.dim=2, large: latent.dim=16}
full:
  words: trainer.epochs=40
  seeds: [0, 1]
  budget: {two_cores: 0.01, gpu: null, measured: guessed}
  orders: [{arms: [large, small], derived: more units tell more}]
short:
  seeds: [0]
  budget: {two_cores: 0.01, gpu: null, measured: guessed}
  orders: [{arms: [large, small], derived: more units tell more}]
"""


def begin(folder: Path, output: str) -> subprocess.Popen[str]:
    words = ["cut_off", "--config-dir", "conf", "--output", output]
    return subprocess.Popen(
        [sys.executable, "-m", "aeexp.cli.reproduce", *words], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def wait_for_the_end(root: Path) -> None:
    """The run that was begun is told of its parent's death, and writes its last word."""
    deadline = time.monotonic() + 60
    while any('"running"' in path.read_text(encoding="utf-8") for path in root.rglob("large-*/*/status.json")):
        assert time.monotonic() < deadline, "it went on alone"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the runs of a killed study go on to their end")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_a_study_that_was_killed_goes_on_to_the_same_table(number, tmp_path):
    (tmp_path / "conf" / "reproduce").mkdir(parents=True)
    (tmp_path / "conf" / "reproduce" / "cut_off.yaml").write_text(RECORD, encoding="utf-8")
    process = begin(tmp_path, "killed")
    deadline = time.monotonic() + 240
    while not any((tmp_path / "killed").rglob("large-*/*/checkpoints/last.pt")):  # in the middle of the second arm
        assert time.monotonic() < deadline and process.poll() is None, "it was never in the middle"
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGTERM else -number)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("small-*/*/metrics.json")}
    assert len(before) == 2
    assert not list((tmp_path / "killed").rglob(NAME))
    wait_for_the_end(tmp_path / "killed")
    text, _ = begin(tmp_path, "killed").communicate(timeout=240)
    assert not list((tmp_path / "killed").rglob(".*.tmp"))
    assert {path: path.stat().st_mtime_ns for path in before} == before  # finished runs were not trained again
    whole, _ = begin(tmp_path, "whole").communicate(timeout=240)
    first, second = (read_result(tmp_path / name / "cut_off" / "full" / NAME) for name in ("killed", "whole"))
    assert first is not None and second is not None and first.verdict == second.verdict == "PASS"
    assert first.values == second.values and first.outcomes == second.outcomes  # to the bit
    table = [line for line in text.splitlines() if "better than" in line]
    assert table and table == [line for line in whole.splitlines() if "better than" in line]
