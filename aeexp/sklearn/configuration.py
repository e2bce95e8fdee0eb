"""A transformer's arguments as the configuration that the command would compose."""

from __future__ import annotations

import copy
import functools
import re
import threading

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.errors import UsageError
from aeexp.reference.folders import find_conf_dir, list_conf_dirs, name_folders
from aeexp.runs.config import check

_RUN = "nothing is measured, drawn or written here: leave it out, or use the command aeexp"
ELSEWHERE = {  # words of the command line that belong to an argument, or to a run folder
    "dataset": "the rows are those given to fit; scale them before, as in a Pipeline",
    "seed": "set random_state",
    "device": "set device",
    **dict.fromkeys(("threads", "deterministic", "resume", "save_codes", "metric", "plot", "hydra"), _RUN),
}
_COMPOSING = threading.Lock()  # Hydra keeps one global object


def compose_configuration(
    variant: str, overrides: tuple[str, ...], latent_dim: int | None, epochs: int | None, batch_size: int | None,
    seed: int, config_dir: str | None = None,
) -> DictConfig:  # fmt: skip
    """Raises UsageError for a size that the variant has none of, and for words that belong to a run folder."""
    for override in overrides:
        head = re.split(r"[./=]", override.lstrip("+~"))[0]
        if head in ELSEWHERE:
            raise UsageError(f"{override}: {ELSEWHERE[head]}")
    with name_folders([] if config_dir is None else [config_dir]):
        cfg = copy.deepcopy(_compose(f"variant={variant}", overrides, list_conf_dirs()))
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
    cfg.seed = seed
    check(cfg)
    return cfg


@functools.lru_cache(maxsize=64)
def _compose(variant: str, overrides: tuple[str, ...], folders: tuple[str, ...]) -> DictConfig:
    """Hydra's composition of the options in these folders, which its search path has.

    Who uses Hydra around this finds it as it was. A search composes each candidate once.
    """
    with _COMPOSING:
        outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
        try:
            with initialize_config_dir(find_conf_dir(), version_base="1.3"):
                return compose("config", [variant, *overrides])
        except (HydraException, OmegaConfBaseException) as error:
            text = " ".join(str(e) for e in (error, error.__cause__) if e is not None)
            raise UsageError(f"{variant}: {' '.join(text.split())[:300]}") from error
        finally:
            GlobalHydra.instance().hydra = outer  # Hydra has put a copy in the place of the instance
