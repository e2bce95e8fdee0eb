"""A transformer's arguments as the configuration that the command would compose."""

from __future__ import annotations

import copy
import functools
import re

from omegaconf import DictConfig, OmegaConf

from aeexp.errors import UsageError
from aeexp.reference.folders import list_named
from aeexp.runs.composing import compose_run, use_options
from aeexp.runs.config import check

_RUN = "nothing is measured, drawn or written here: leave it out, or use the command aeexp"
ELSEWHERE = {  # words of the command line that belong to an argument, or to a run folder
    "dataset": "the rows are those given to fit; scale them before, as in a Pipeline",
    "seed": "set random_state",
    "device": "set device",
    **dict.fromkeys(("threads", "deterministic", "resume", "save_codes", "metric", "plot", "hydra"), _RUN),
}


def compose_configuration(
    variant: str, overrides: tuple[str, ...], latent_dim: int | None, epochs: int | None, batch_size: int | None,
    seed: int, config_dir: str | None = None,
) -> DictConfig:  # fmt: skip
    """Raises UsageError for a size that the variant has none of, and for words that belong to a run folder."""
    for override in overrides:
        head = re.split(r"[./=]", override.lstrip("+~"))[0]
        if head in ELSEWHERE or "probe_every_epochs" in override:
            raise UsageError(f"{override}: {ELSEWHERE.get(head, _RUN)}")
    with use_options(config_dir):
        words = (f"variant={variant}", *overrides)
        # the files of a user may change from one call to the next
        cfg = copy.deepcopy(_compose(words)) if list_named() == () else compose_run(words).cfg
        _set_sizes(cfg, variant, latent_dim, epochs, batch_size)
        cfg.seed = seed
        check(cfg)
    return cfg


def _set_sizes(
    cfg: DictConfig, variant: str, latent_dim: int | None, epochs: int | None, batch_size: int | None
) -> None:
    """Arguments that are keys of the variant. Raises UsageError for one that it has none of."""
    trainer = "trainer.finetune" if "finetune" in cfg.trainer else "trainer"
    values = {"latent.dim": latent_dim, f"{trainer}.epochs": epochs, f"{trainer}.batch_size": batch_size}
    for key, value in values.items():
        if value is not None:
            group, _, last = key.rpartition(".")
            name = "latent_dim" if last == "dim" else last
            there = OmegaConf.select(cfg, group) or {}
            if last not in there:
                raise UsageError(f"{name}={value}: variant={variant} has none: leave it out")
            OmegaConf.update(cfg, key, value)


@functools.lru_cache(maxsize=64)
def _compose(words: tuple[str, ...]) -> DictConfig:
    """A search composes each candidate once."""
    return compose_run(words).cfg
