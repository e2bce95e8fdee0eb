"""Hydra's loader of configurations, which reads each file and merges each list of defaults once.

Of one command Hydra composes the same again and again: to see whether it is a sweep, to run it, and for a sweep each
job before all of them and each job in its turn. A composition is 0.24 s of CPU, in which files are parsed and merged in
the order of a list of defaults. The list is made anew each time, of options and overrides; what the same list of the
same files merges to is kept, and a copy takes the overrides of values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, final

import yaml
from hydra._internal import defaults_list
from hydra._internal import hydra as _hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from aeexp.files import YAML_LOADER

hydra_main: Any = _hydra  # of which the name is replaced that it makes its loader by


@final
class Loader(ConfigLoaderImpl):
    """As Hydra's, with the same results; files that change after they were read are those that were read."""

    def __init__(self, config_search_path: ConfigSearchPath):
        super().__init__(config_search_path)
        self._repositories: dict[tuple[Any, ...], Repository] = {}

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        """One repository for each search path that a command line asks for."""
        parsed = OverridesParser.create().parse_overrides(overrides=overrides)
        paths = [each.input_line for each in parsed if each.get_key_element() == "hydra.searchpath"]
        key = (config_name, *paths)
        if key not in self._repositories:
            repository = Repository(self.repository)
            self._process_config_searchpath(config_name, parsed, repository)
            self._repositories[key] = repository
        return parsed, self._repositories[key]

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        """The same list of the same files is merged once."""
        assert isinstance(repo, Repository)
        key = tuple(map(astuple, defaults))
        if key not in repo.merged:
            with repo.giving_copies():
                repo.merged[key] = super()._compose_config_from_defaults_list(defaults, repo)
        return copy.deepcopy(repo.merged[key])


@final
class Repository(CachingConfigRepository):
    """Files that were read, and what lists of them merge to."""

    def __init__(self, delegate: IConfigRepository):
        super().__init__(delegate)
        self.merged: dict[tuple[Any, ...], DictConfig] = {}
        self._copies = False

    @contextmanager
    def giving_copies(self) -> Iterator[None]:
        """Merging takes nodes out of what it is given, while lists of defaults are only read."""
        self._copies = True
        try:
            yield
        finally:
            self._copies = False

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Of this file, read at the first call."""
        loaded = super().load_config(config_path)
        return copy.deepcopy(loaded) if self._copies else loaded


@contextmanager
def compose_once() -> Iterator[None]:
    """Inside, what Hydra composes from the same folders comes of one `Loader`, and OmegaConf parses by libyaml where
    that is there: the class of its own loader is made anew for each file, from what `yaml.SafeLoader` is then.

    Within another one nothing changes. Threads take turns outside.
    """
    if hydra_main.ConfigLoaderImpl is not ConfigLoaderImpl:
        yield
        return
    loaders: dict[tuple[Any, ...], Loader] = {}
    make_map = defaults_list._create_interpolation_map

    def find_loader(config_search_path: ConfigSearchPath) -> Loader:
        key = tuple((each.provider, each.path) for each in config_search_path.get_path())
        if key not in loaders:
            loaders[key] = Loader(config_search_path)
        return loaders[key]

    def make_map_if_read(overrides: Any, defaults: list[InputDefault], self_added: bool) -> DictConfig | None:
        """The choices as a configuration, a sixth of the time: a default that names another's choice reads it."""
        return make_map(overrides, defaults, self_added) if any(each.is_interpolation() for each in defaults) else None

    parser, yaml.SafeLoader = yaml.SafeLoader, YAML_LOADER
    hydra_main.ConfigLoaderImpl, defaults_list._create_interpolation_map = find_loader, make_map_if_read
    try:
        yield
    finally:
        yaml.SafeLoader, hydra_main.ConfigLoaderImpl = parser, ConfigLoaderImpl
        defaults_list._create_interpolation_map = make_map
