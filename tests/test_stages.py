"""The benchmark of stages: its commands compose, and one of them is told in full."""

from __future__ import annotations

import shlex

import pytest
from composing import composed

from aeexp.runs.config import check
from benchmarks import stages

TRAINED = {name: words for name, words in stages.COMMANDS.items() if words.startswith("train")}


@pytest.mark.parametrize("name", TRAINED)
def test_a_command_of_the_benchmark_composes(name, tmp_path):
    words = shlex.split(TRAINED[name].format(out=tmp_path, data=tmp_path))[1:]
    words = [word for word in words if word != "-m" and not word.startswith(("hydra.", "seed="))]
    check(composed(*words))


def test_stages_of_a_command_are_told_with_the_loop_and_sum_up_to_the_whole(tmp_path, capsys):
    words = ["train", "trainer.epochs=1", "plot=none", "metric=none", "threads=1", f"hydra.run.dir={tmp_path / 'run'}"]
    seconds = stages.measure(words, tmp_path)
    assert {"imports", "compose", "data", "build", "fit", "tensorboard", "files", "report"} <= seconds.keys()
    whole, loop = seconds.pop("whole"), seconds.pop("loop")
    assert min(seconds.values()) >= 0 and loop > 0
    assert sum(seconds.values()) == pytest.approx(whole, rel=1e-9)
    ratios = stages.compare("x", [{**seconds, "whole": whole, "loop": loop}], {"start": 0.0, "fit": 1e-6, "whole": 1e9})
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert ratios["whole"] == pytest.approx(whole / loop, abs=0.006)  # two digits
    assert lines["fit"].endswith("slower") and lines["whole"].endswith("faster")
