"""Whatever is combined either runs, or is refused in one or two lines: no traceback, no number that is none.

200 lines or so by default; `AEEXP_COMBINATIONS=5000` draws as many.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from combinations import draw_line, draw_values, list_budget
from composing import composed
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.errors import UsageError, describe_error
from aeexp.runs.claim import claim, identify
from aeexp.runs.composition import composition_message
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import RunFolder
from aeexp.runs.run import execute_run
from aeexp.trainers.window import Diverged

COUNT = int(os.environ.get("AEEXP_COMBINATIONS", "200"))
DRAWS = 4  # of values for one line of options
ROUNDS = 5


def run_some(seed: int, folder: Path) -> Iterator[tuple[list[str], str | Exception]]:
    """The lines that this seed draws, one of options with several sets of values, and what became of each: "" for a
    finished run, the words of its refusal, or what no user should see."""
    rng = random.Random(seed)
    options = draw_line(rng)
    try:
        drawn = composed(*options)
    except HydraException as error:
        yield options, composition_message(error, options)
        return
    try:
        OmegaConf.resolve(copy.deepcopy(drawn))
    except OmegaConfBaseException:  # before values can be drawn; the command's words on it
        yield options, run(drawn, folder)
        return
    for values in (list_budget(drawn) + draw_values(rng, drawn) for _ in range(DRAWS)):
        line, cfg = options + values, copy.deepcopy(drawn)  # composing again would double the time
        for path, _, value in (word.partition("=") for word in values):
            OmegaConf.update(cfg, path, yaml.safe_load(value))
        yield line, run(cfg, folder)


def run(cfg: DictConfig, folder: Path) -> str | Exception:
    """One run in a folder that is gone afterwards."""
    try:
        with claim(RunFolder(folder), identify(cfg)) as status:
            execute_run(cfg, status, {}, bar=False)
        json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return ""
    except (UsageError, Diverged, Undrawn) as error:
        return describe_error(error, Diverged, Undrawn)
    except Exception as error:  # every kind that is none of the above is what this looks for
        return error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_random_combination_runs_or_is_refused_in_words(number, tmp_path):
    outcomes = [
        outcome for seed in range(number, COUNT // DRAWS + 1, ROUNDS) for outcome in run_some(seed, tmp_path / "run")
    ]
    wrong = [
        (line, repr(words)) for line, words in outcomes
        if not isinstance(words, str) or words.count("\n") > 1 or "Traceback" in words
    ]  # fmt: skip
    assert wrong == []
    assert "" in {words for _, words in outcomes}, "none of some 40 lines ran"
