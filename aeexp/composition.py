"""A command line that does not compose, told in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.config import MULTIPLE, suggestion
from aeexp.errors import UsageError
from aeexp.options import conf_dir


def composition_message(error: Exception, words: Sequence[str]) -> str:
    """Hydra's word on a line that does not compose, in one or two lines and with the nearest name."""
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        quoted = value.replace("'", "\\'")
        why = "Hydra cannot read this value; text with spaces, umlauts or brackets stands in quotes of its own"
        return f"{error.override}: {why}:\n\"{key}='{quoted}'\""
    if isinstance(error.__cause__, UsageError):  # of a plugin or callback, around which Hydra puts words of its own
        return str(error.__cause__)
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    if key := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(key[1], words)
    if option := re.search(r"Could not find '([^']+)'", text):
        group, _, name = option[1].rpartition("/")
        known = re.search(r"Available options[^\n]*\n(.*?)\nConfig search path", text, re.DOTALL)
        return f"{group}={name}: there is no such option{suggestion(name, known[1].split() if known else [])}"
    if "Config group override must be a string" in text:
        return "a group cannot be null: take the option none, as in noise=none"
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:2])


def _unknown_key(key: str, words: Sequence[str]) -> str:
    """Which keys stand beside the place where this one was looked for, in the rest of the command line."""
    given = next((word for word in words if word.startswith(f"{key}=")), key)
    if key.startswith("hydra.sweeper.params."):  # keys of the search space have dots in them
        name = re.sub(r"\.(low|high|log|step|type|choices)$", "", key.removeprefix("hydra.sweeper.params."))
        return f"{given}: another range is given under the key itself, as in '{name}=tag(log,interval(1e-4,1e-2))'"
    group, _, rest = key.partition(".")
    others = [word for word in words if "=" in word and not word.startswith(("-", "+", key))]
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        try:
            tree = compose("config", overrides=others)
        except (HydraException, OmegaConfBaseException):
            tree = compose("config")
    option = rest.split(".")[0]
    if group in MULTIPLE and rest and option not in tree[group]:
        return f"{given}: {option} is not among your {group} options; add it, as in {group}=[{option}]"
    if "/" in key:
        group, _, inner = key.rpartition("/")
        return f"{given}: {group} as chosen has no {inner}: choose another option of {group}, or leave {key} out"
    parent, _, name = key.rpartition(".")
    beside = OmegaConf.select(tree, parent) if parent else tree
    known = [str(k) for k in beside if not str(k).startswith("_")] if isinstance(beside, DictConfig) else []
    where = f"{parent} as chosen has" if parent else "there is"
    return f"{given}: {where} no such key{suggestion(name, known)}"
