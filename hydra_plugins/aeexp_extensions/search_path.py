"""Options of installed extensions, and of folders that a command was given, wherever aeexp's own are composed.

Hydra imports this file at each start, so it imports neither torch nor the extensions.
"""

from __future__ import annotations

from typing import final

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from aeexp.reference.folders import find_conf_dir, list_conf_dirs


@final
class ExtensionSearchPath(SearchPathPlugin):
    """Appends their folders behind aeexp's conf/; a program of another package that uses Hydra is left as it is."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra's call for every search path."""
        _, *others = list_conf_dirs()
        own = {f"file://{find_conf_dir()}", find_conf_dir()}
        if not any(element.path in own for element in search_path.get_path()):
            return
        for folder in others:
            search_path.append(provider="aeexp-extensions", path=f"file://{folder}")
