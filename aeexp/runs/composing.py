"""From overrides to a configuration, without the command: for Python, the estimator and evaluation."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.errors import UsageError, quote_value
from aeexp.files import expand_home
from aeexp.reference.folders import find_conf_dir, use_folders
from aeexp.runs.hydra_loader import compose_once

if TYPE_CHECKING:  # with torch and numpy, which the command does not wait for
    from hydra.conf import HydraConf

    from aeexp.runs.claim import Ask
    from aeexp.runs.folder import RunFolder

# `~` where a value begins, or an item of a list, in quotes or without.
HOME = re.compile(r"""(?<![^,\[(])(?:(['"])(~/(?:(?!\1).)*)\1|(~/[^,\])'"]*))(?=[,\])]|$)""")
_COMPOSING = threading.RLock()  # Hydra keeps one global object


class Composed(NamedTuple):
    """What a command line without `aeexp` composes to."""

    cfg: DictConfig  # of the run
    hydra: DictConfig  # Hydra's own node: folders, callbacks, which option of each group was chosen

    @property
    def choices(self) -> dict[str, str]:
        """The option of each group."""
        return dict(self.hydra.runtime.choices)


def compose_run(overrides: Sequence[str]) -> Composed:
    """The configuration of one run, not yet checked.

    Raises UsageError where the words do not compose. Who uses Hydra around this finds it as it was.
    """
    words = [expand_override(word) for word in overrides]
    with _without_hydra(), compose_once():
        try:
            with initialize_config_dir(find_conf_dir(), version_base="1.3"):
                cfg = compose("config", words, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            from aeexp.runs.composition import composition_message

            raise UsageError(composition_message(error, words)) from error
    root = OmegaConf.create({"hydra": copy.deepcopy(cfg.hydra)})
    with open_dict(cfg):
        del cfg["hydra"]
    return Composed(cfg, root.hydra)


def use_options(config_dir: str | Path | None) -> AbstractContextManager[None]:
    """`use_folders` of one folder, or of none."""
    return use_folders([] if config_dir is None else [config_dir], "config_dir=")


def split_words(words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Overrides of one value, and the values of each of the others as texts."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        from aeexp.runs.composition import composition_message

        raise UsageError(composition_message(error, words)) from error
    fixed, swept = [], {}
    for each in parsed:
        if not each.is_sweep_override():
            fixed.append(each.input_line or "")
        elif not each.is_discrete_sweep():
            raise UsageError(f"{each.input_line}: a range is for a search, which is the command's: give values here")
        else:
            swept[each.get_key_element()] = list(each.sweep_string_iterator())
    return fixed, swept


@contextmanager
def _without_hydra() -> Iterator[None]:
    """Hydra as if nobody had used it yet; one thread at a time."""
    with _COMPOSING:
        outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
        try:
            yield
        finally:
            GlobalHydra.instance().hydra = outer  # Hydra has put a copy in the place of the instance


def expand_override(word: str) -> str:
    """`dataset.path=~/rows.csv` with the home folder in the place of `~`, as a shell does for a word of its own."""
    key, equals, value = word.partition("=")
    if not equals or word.startswith("-"):
        return word
    return f"{key}={HOME.sub(lambda found: quote_value(expand_home(found[2] or found[3])), value)}"


def make_ask(cfg: DictConfig, hydra: DictConfig | HydraConf) -> Ask:
    """What the files of `.hydra` say of this configuration in a folder; `cfg` as it is now, not yet resolved."""
    root = OmegaConf.create({"hydra": copy.deepcopy(hydra)})
    composed, typed = OmegaConf.to_yaml(cfg), OmegaConf.to_yaml(hydra.overrides.task)

    def ask(place: RunFolder) -> dict[str, str]:
        with read_write(root.hydra.runtime):
            root.hydra.runtime.output_dir = str(place)
        return {"config.yaml": composed, "hydra.yaml": OmegaConf.to_yaml(root), "overrides.yaml": typed}

    return ask
