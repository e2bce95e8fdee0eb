"""Whatever is combined either runs, or is refused in one or two lines: no traceback, no number that is none.

200 lines by default; `AEEXP_COMBINATIONS=5000` draws as many.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
import yaml
from combinations import draw_line, draw_values, list_budget
from composing import composed
from hydra.errors import HydraException
from omegaconf import OmegaConf

from aeexp.cli.command import describe_error
from aeexp.errors import UsageError
from aeexp.runs.claim import claim, identify
from aeexp.runs.composition import composition_message
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import RunFolder
from aeexp.runs.run import execute_run
from aeexp.trainers.window import Diverged

COUNT = int(os.environ.get("AEEXP_COMBINATIONS", "200"))
ROUNDS = 20


def run_one(seed: int, folder: Path) -> tuple[list[str], str]:
    """The line that this seed draws, and what became of it: "" for a finished run, else the words of the refusal."""
    rng = random.Random(seed)
    line = draw_line(rng)
    try:
        cfg = composed(*line)
        values = list_budget(cfg) + draw_values(rng, cfg)
        line += values
        for path, _, value in (word.partition("=") for word in values):  # composing again would double the time
            OmegaConf.update(cfg, path, yaml.safe_load(value))
        with claim(RunFolder(folder), identify(cfg)) as status:
            execute_run(cfg, status, {}, bar=False)
    except HydraException as error:
        return line, composition_message(error, line)
    except (UsageError, Diverged, Undrawn) as error:
        return line, describe_error(error, Diverged, Undrawn)
    return line, ""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_random_combination_runs_or_is_refused_in_words(number, tmp_path):
    finished, wrong = 0, []
    for seed in range(number, COUNT, ROUNDS):
        try:
            line, words = run_one(seed, tmp_path / "run")
        except Exception as error:  # every kind that is none of the above is what this looks for
            wrong.append((seed, repr(error)))
            continue
        if words:
            assert words.count("\n") <= 1 and "Traceback" not in words, (line, words)
        else:
            finished += 1
            json.loads((tmp_path / "run" / "metrics.json").read_text())
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert wrong == []
    assert finished > 0
