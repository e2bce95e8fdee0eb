"""Compose a configuration as the command does, without the command; the same words once in a process."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from aeexp.reference.folders import list_named
from aeexp.reference.options import find_conf_dir, read_option
from aeexp.runs.claim import claim, identify
from aeexp.runs.composing import parse_fast
from aeexp.runs.folder import RunFolder
from aeexp.runs.run import execute_run

CONF = Path(find_conf_dir())
DIGITS = "dataset=digits"


def on_digits(words: Sequence[str]) -> list[str]:
    """The words, and the digits of 8x8 pixels where they leave the data to config.yaml: tests are fastest on those."""
    if any(word.startswith(("dataset=", "experiment=", "-h", "--help", "--version")) for word in words):
        return list(words)
    variants = [name for word in words if word.startswith("variant=") for name in word[len("variant=") :].split(",")]
    known = [name for name in variants if (CONF / f"variant/{name}.yaml").is_file()]
    if any("dataset" in read_option("variant", name).picks for name in known):
        return list(words)
    map_of_8x8 = "vq_vae" in known and not any(word.startswith("latent.dim=") for word in words)
    return [DIGITS, *(["latent.dim=32"] if map_of_8x8 else []), *words]


def composed(*overrides: str) -> DictConfig:
    return compose_as_typed(*on_digits(overrides))


def compose_as_typed(*overrides: str) -> DictConfig:
    """On the default data set, as a user's line is."""
    make = _compose if list_named() else _compose_once  # of a folder of the test's own they may change
    return copy.deepcopy(make(overrides))


def _compose(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"), parse_fast():
        return compose("config", list(overrides))


_compose_once = functools.lru_cache(maxsize=512)(_compose)  # a fifth of a second each


def run_in(folder: Path, *overrides: str) -> float:
    """One run in this process; nothing is drawn unless the overrides say so."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [word for word in ("plot=none", "threads=1") if not any(o.startswith(word[:5]) for o in overrides)]
    cfg = composed(*given, *overrides)
    with claim(RunFolder(folder), identify(cfg)) as status:
        return execute_run(cfg, status, {"variant": "undercomplete"}, bar=False)
