"""What a part of another package was when a run was trained: its package's version, and a hash of its source."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any, final

from aeexp.datasets.core.assemble import DataSet
from aeexp.runs.foreign import find_package, list_foreign


@final
@dataclass
class Provenance:
    """Of one class or function."""

    package: str
    version: str | None  # None of a file that no installed package has
    source: str | None  # sha256 of its source with that of its bases in the package; None where there is none to read

    def __str__(self) -> str:
        return f"{self.package} {self.version}" if self.version else self.package


def describe_provenance(config: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """`_target_` -> plain values of all parts of other packages; these packages are imported already."""
    return {target: asdict(read_provenance(target)) for _, target in list_foreign(dict(config))}


def read_provenance(target: str) -> Provenance:
    """Of a part whose module is imported."""
    module, _, name = target.rpartition(".")
    package = target.partition(".")[0]
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None  # a lazy module would import more
    return Provenance(package, find_version(package), hash_source(found))


def find_version(package: str) -> str | None:
    """Of the installed distribution that a package is from, else what the package says of itself."""
    for distribution in packages_distributions().get(package, ()):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    module = sys.modules.get(package)
    said = None if module is None else vars(module).get("__version__")
    return said if isinstance(said, str) else None


def hash_source(found: Any) -> str | None:
    """Of a class with its bases in the same package, or of a function; None where no source can be read."""
    found = found.load if isinstance(found, DataSet) else found  # the function that it was made of
    if inspect.isclass(found):
        package = found.__module__.partition(".")[0]
        objects: list[Any] = [each for each in found.__mro__ if each.__module__.partition(".")[0] == package]
    else:
        objects = [found]
    try:
        text = "\n".join(inspect.getsource(each) for each in objects)
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def list_changes(then: Mapping[str, Provenance], config: Mapping[str, Any]) -> list[str]:
    """A sentence for each part of a configuration that is another than it was; of those that are imported."""
    lines = []
    for target in dict.fromkeys(target for _, target in list_foreign(dict(config))):
        if target not in then or target.rpartition(".")[0] not in sys.modules:
            continue
        before, now = then[target], read_provenance(target)
        if before.source != now.source or before.version != now.version:
            what = "its source" if before.source != now.source else "its package"
            versions = f" ({before} then, {now} now)" if before.version != now.version else ""
            lines.append(f"{target} has changed since the run was trained: {what} is another one{versions}")
    return lines


def name_provenance(target: str, then: Mapping[str, Provenance]) -> str:
    """`mypkg.Hoyer (mypkg 0.3)`, where the run says which."""
    found = then.get(target)
    known = found is not None and found.version is not None and found.package == find_package(target)
    return f"{target} ({found})" if known else target
