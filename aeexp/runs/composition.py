"""A command line that does not compose: why, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, product

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from aeexp.errors import UsageError, quote_override
from aeexp.reference.folders import find_conf_dir
from aeexp.reference.options import list_groups
from aeexp.reference.parts import MULTIPLE
from aeexp.runs.values import suggestion

MOST = 16  # jobs of a sweep, half a second each
MISSING = object()


def composition_message(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's word on a line that does not compose, in one or two lines and with the nearest name."""
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        why = "Hydra cannot read this value; text with spaces, umlauts or brackets stands in quotes of its own"
        return f"{error.override}: {why}:\n{quote_override(key, value)}"
    if isinstance(error.__cause__, UsageError):  # of a plugin or callback, around which Hydra puts words of its own
        return str(error.__cause__)
    if isinstance(error, OmegaConfBaseException) and not isinstance(error, HydraException) and error.full_key:
        return explain_unresolved(error)
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    if key := re.search(r"Could not override '([^']+)'", text):
        return _explain_unknown_key(key[1], overrides)
    if option := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, name = option[1].rpartition("/")
        listed = re.search(r"Available options[^\n]*\n(.*?)\nConfig search path", text, re.DOTALL)
        known = listed[1].split() if listed else list_groups().get(group, [])
        return f"{group}={name}: there is no such option{suggestion(name, known)}"
    if option := re.search(r"Error merging '(hydra/launcher)/(\w+)' with schema", text):
        return (
            f"{option[1]}={option[2]}: another package brings a launcher of this name, with other keys "
            "(hydra-ray-launcher, hydra-submitit-launcher): pip uninstall it, or take another launcher"
        )
    if "Config group override must be a string" in text:
        return "a group cannot be null: take the option none, as in noise=none"
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:2])


def explain_unresolved(error: OmegaConfBaseException) -> str:
    """A value that refers to a key which the chosen options do not have: which, and to give it by itself."""
    key, text = error.full_key, str(error).splitlines()[0]
    if not isinstance(error, InterpolationKeyError) or not key:
        return f"{key}: {text}" if key else text
    wanted = text.partition("'")[2].rpartition("'")[0]
    group = wanted.partition(".")[0]
    return (
        f"{key} is that of {wanted}, and {group} as chosen has no such key: give {key} a value of its own, or choose "
        f"another option of {group}"
    )


def _explain_unknown_key(key: str, overrides: Sequence[str]) -> str:
    """Which keys stand beside the place where this one was looked for, in the rest of the command line."""
    override = next((word for word in overrides if word.startswith(f"{key}=")), key)
    if key.startswith("hydra.sweeper.params."):  # keys of the search space have dots in them
        name = re.sub(r"\.(low|high|log|step|type|choices)$", "", key.removeprefix("hydra.sweeper.params."))
        return f"{override}: another range is given under the key itself, as in '{name}=tag(log,interval(1e-4,1e-2))'"
    group, _, rest = key.rpartition("@")[2].partition(".")  # noise@metric.robustness.noise
    tree, job = _compose_rest(key, [word for word in overrides if "=" in word and not word.startswith(("-", "+", key))])
    option = rest.split(".")[0]
    if group in MULTIPLE and rest and option not in tree[group]:
        return f"{override}: {option} is not among your {group} options; add it, as in {group}=[{option}]"
    if "/" in key:
        group, _, inner = key.rpartition("/")
        return f"{override}: {group} as chosen has no {inner}: choose another option of {group}, or leave {key} out"
    parent, _, name = key.rpartition(".")
    while parent and OmegaConf.select(tree, parent) is None:
        parent, _, name = parent.rpartition(".")
    beside = OmegaConf.select(tree, parent) if parent else tree
    known = [str(k) for k in beside if not str(k).startswith("_")] if isinstance(beside, DictConfig) else []
    where = f"{parent} as chosen has" if parent else "there is"
    if job:
        return f"{override}: under {job} {where} no such key{suggestion(name, known)}; sweep without {job}"
    return f"{override}: {where} no such key{suggestion(name, known)}"


def _compose_rest(key: str, overrides: Sequence[str]) -> tuple[DictConfig, str]:
    """What the rest of the line composes to; where some jobs of a sweep lack `key`, the first of them, and what it has
    that no job with `key` has."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(find_conf_dir(), version_base="1.3"):
        try:
            parsed = OverridesParser.create().parse_overrides(list(overrides))
            fixed = [each.input_line or "" for each in parsed if not each.is_sweep_override()]
            hydra = compose("config", overrides=fixed, return_hydra_config=True).hydra
            more = [f"{name}={values}" for name, values in (hydra.sweeper.get("params") or {}).items()
                    if isinstance(values, str) and name not in [each.key_or_group for each in parsed]]  # fmt: skip
            swept = (*parsed, *OverridesParser.create().parse_overrides(more))
            swept = [each for each in swept if each.is_sweep_override() and each.is_discrete_sweep()]
            jobs = product(
                *([f"{each.key_or_group}={value}" for value in each.sweep_string_iterator()] for each in swept)
            )
            trees = [(compose("config", overrides=[*fixed, *job]), list(job)) for job in islice(jobs, MOST)]
        except (HydraException, OmegaConfBaseException):
            return compose("config"), ""
    having = [OmegaConf.select(tree, key, default=MISSING) is not MISSING for tree, _ in trees]
    if all(having) or not any(having):
        return trees[0][0], ""
    tree, job = trees[having.index(False)]
    fine = {override for (_, job), there in zip(trees, having, strict=True) if there for override in job}
    return tree, " ".join([override for override in job if override not in fine] or job)
