"""What scikit-learn imports and a run hardly ever calls is imported when it is called.

`import sklearn` loads all of scipy.stats, for four functions, and pandas, whose version it asks for where it is given a
frame: half of the seconds that it takes. Commands put that off; who uses aeexp from Python has what he imports himself.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, final

STATS, FIXES = "scipy.stats", "sklearn.utils.fixes"  # the second reads pandas
# What scikit-learn's modules take out of it by `from`, and do not call; what they read as an attribute loads it.
NAMES = frozenset({"rankdata", "gmean", "chi2", "spearmanr"})


@final
class Late(ModuleType):
    """Stands for a module until something of it is read but `names`, each of which is a `Deferred`."""

    def __init__(self, name: str, names: frozenset[str] = frozenset()):
        super().__init__(name)
        self.__spec__ = importlib.util.find_spec(name)
        self.__path__ = [] if self.__spec__ is None else list(self.__spec__.submodule_search_locations or [])
        self._names = names

    def __getattr__(self, name: str) -> Any:
        """Called for what is not here: all but the module's name and spec."""
        if name in self._names and sys.modules.get(self.__name__) is self:
            return Deferred(self, name)
        return getattr(self.bring(), name)

    def bring(self) -> ModuleType:
        """The module itself, from here on the only one of its name."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


@final
class Deferred:
    """A function or an object of a module that is loaded when it is called or read."""

    def __init__(self, module: Late, name: str):
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._module.bring(), self._name)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._module.bring(), self._name), name)


@final
class Puts(MetaPathFinder, Loader):
    """Puts one in the place of scipy.stats when scikit-learn is imported, and of pandas while it looks for that. Who
    imports a module below one that stands in has the whole first, which brings it along."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """None for what is to be found as ever."""
        if fullname.startswith("sklearn.") and isinstance(sys.modules.get("pandas"), Late):  # it has looked
            del sys.modules["pandas"]  # others ask whether it is loaded: nothing is a frame before it is
        if fullname == "sklearn" and STATS not in sys.modules:
            sys.modules[STATS] = Late(STATS, NAMES)
        if fullname == FIXES and "pandas" not in sys.modules and importlib.util.find_spec("pandas") is not None:
            sys.modules["pandas"] = Late("pandas")
        whole = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(whole, Late):
            return None
        whole.bring()
        return ModuleSpec(fullname, self) if fullname in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """It is there."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has been run."""


def put_off() -> None:
    """From here on; what is loaded already stays."""
    if not any(isinstance(finder, Puts) for finder in sys.meta_path):
        sys.meta_path.insert(0, Puts())
