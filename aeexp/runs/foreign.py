"""Parts that another package brings: which names may lead to one, what is found there, and whether it is a part.

A name is read strictly: all but its last word is a module, which is imported by that name, and the last is what the
module holds and the package defines. So `mypkg.os.makedirs`, methods of classes and what was merely imported lead
nowhere.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from aeexp.errors import UsageError

NAME = re.compile(r"(__main__|(?!__)[A-Za-z_]\w*)(\.(?!__)[A-Za-z_]\w*)+", re.ASCII)
LONGEST = 200  # characters of a name
# Roots in which no part of another package lies: Python's own, aeexp's, which conf/ names, and Hydra's.
NEVER = frozenset(sys.stdlib_module_names) | {"aeexp", "hydra", "hydra_plugins", "omegaconf"}
PARTIAL = ("model", "objective", "optimizer", "scheduler")  # groups whose parts wait for more at run time
FUNCTIONS = {"model": ("shape", "params", "dim", "context"), "scheduler": ("optimizer", "steps")}


class MissingPackage(UsageError):
    """A part lies in a package that is not installed here."""

    def __init__(self, message: str, package: str):
        super().__init__(message)
        self.package = package


def find_package(target: object) -> str | None:
    """The package of another one's part: mypkg of mypkg.Hoyer. None of what is no such name, Python's or aeexp's."""
    if not isinstance(target, str) or len(target) > LONGEST or not NAME.fullmatch(target):
        return None
    package = target.partition(".")[0]
    return None if package in NEVER else package


def may_be_foreign(target: object, group: str) -> bool:
    """Whether a package of another one may bring such a part of this group; torch brings networks alone, beside the
    optimizers that conf/ names."""
    package = find_package(target)
    return package is not None and (package != "torch" or group.startswith("model/") and is_torch_network(target))


def is_torch_network(target: object) -> bool:
    """Whether a name may lead to one of torch's layers: elsewhere in torch there are functions that give a module made
    of the source code that they are handed."""
    return str(target).startswith("torch.nn.")


def list_foreign(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and `_target_` of every part of another package in a configuration."""
    if isinstance(node, dict):
        target = node.get("_target_")
        if find_package(target) is not None and not str(target).startswith("torch.optim."):
            yield path, str(target)
        for key, inner in node.items():
            yield from list_foreign(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from list_foreign(inner, path)


def wants_partial(group: str) -> bool | None:
    """Whether parts of a group wait for more at run time; None: they may or may not."""
    if group.startswith("model/"):
        return None
    return group.split("/")[0] in PARTIAL and not group.startswith("latent/")


def locate(path: str, target: str, group: str) -> Any:
    """The class or function that a name leads to, a part of the group. Raises UsageError.

    Its package is imported: to be called where that is trusted.
    """
    found = find_object(path, target)
    if not is_defined_there(target, found):
        home = ".".join(read_name(found))
        way = f": name it as {home}" if find_package(home) == find_package(target) else ""
        raise UsageError(f"{path}._target_={target}: what this name leads to is not defined there{way}")
    if (fault := find_fault(found, group)) is not None:
        raise UsageError(f"{path}._target_={target}: {fault}")
    return found


def find_object(path: str, target: str) -> Any:
    """What a module holds under a name. Raises UsageError, `MissingPackage` where its package is not there."""
    name, _, last = target.rpartition(".")
    package = target.partition(".")[0]
    head = f"{path}._target_={target}"
    try:
        if package == "torchvision":
            from aeexp.datasets.sets.vision import import_torchvision

            import_torchvision()  # beside a torch without CUDA it needs help
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == package:
            where = "among installed packages, in the current folder and beside --config-dir"
            raise MissingPackage(f"{head}: there is no package {package} {where}", package) from error
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"{head}: there is no module {error.name}") from error
        raise UsageError(f"{head} needs the package {error.name}, which is not installed") from error
    except UsageError:
        raise
    except Exception as error:  # whatever its module does when it is imported
        raise UsageError(f"{head}: importing {name} fails: {type(error).__name__}: {error}") from error
    try:
        return getattr(module, last)
    except AttributeError as error:
        near = difflib.get_close_matches(last, vars(module), n=1)
        more = f": did you mean {name}.{near[0]}?" if near else ""
        raise UsageError(f"{head}: the module {name} has no {last}{more}") from error


def is_defined_there(target: str, found: Any) -> bool:
    """Whether the thing found under a name is defined under that name, in its package or a module below it: not what
    was merely imported there, nor what hangs on a class."""
    package, _, name = target.rpartition(".")
    module, own = read_name(found)
    inside = module == package or module.startswith(f"{package}.")
    return inside and own == name and getattr(sys.modules.get(module), name, None) is found


def read_name(found: Any) -> tuple[str, str]:
    """Module and name that a class or function says of itself; empty texts of what says none."""
    try:
        module, name = found.__module__, found.__qualname__
    except AttributeError:
        return "", ""
    return (module, name) if isinstance(module, str) and isinstance(name, str) else ("", "")


def find_fault(found: Any, group: str) -> str | None:
    """Why something is no part of a group, as a sentence with the way out; None where it is one."""
    if group == "dataset":
        from aeexp.datasets.core.assemble import DataSet

        fine = isinstance(found, DataSet)
        return None if fine else "a data set is a function with @aeexp.datasets.DataSet above it, which gives a Source"
    if group in FUNCTIONS:
        wanted = FUNCTIONS[group]
        fine = callable(found) and tuple(_list_parameters(found))[: len(wanted)] == wanted
        return None if fine else f"a {group} is a function ({', '.join(wanted)}, ..., *, keys of its own)"
    if group.startswith("model/"):
        fine = _gives_module(found) and (inspect.isclass(found) or not read_name(found)[0].startswith("torch."))
        return None if fine else (
            "an encoder or decoder is a torch.nn.Module, or a function that says so (-> torch.nn.Module)")  # fmt: skip
    contract = find_contract(group)
    if contract is None:
        return f"{group} has no parts of other packages"
    name = f"{contract.__module__}.{contract.__qualname__}"
    if not inspect.isclass(found) or not issubclass(found, contract):
        return f"it is no {contract.__name__}: write class {read_name(found)[1] or 'X'}({name})"
    if inspect.isabstract(found):
        left = [word for word in dir(found) if word in vars(found).get("__abstractmethods__", ())]
        return f"it does not write {', '.join(left)}, which {name} asks for"
    return None


def find_contract(group: str) -> type | None:
    """The class that parts of a group inherit from."""
    from torch.optim import Optimizer

    from aeexp import contracts
    from aeexp.drawing.contracts import Plot
    from aeexp.evaluation.contracts import Metric
    from aeexp.trainers.contracts import Trainer

    return {
        "task": contracts.Task, "noise": contracts.Noise, "condition": contracts.Condition, "latent": contracts.Latent,
        "latent/prior": contracts.Prior, "latent/posterior": contracts.Family, "likelihood": contracts.Likelihood,
        "regularizer": contracts.Regularizer,
        "objective": contracts.Objective, "objective/bound": contracts.Objective, "trainer": Trainer, "metric": Metric,
        "plot": Plot, "optimizer": Optimizer,
    }.get(group)  # fmt: skip


def _list_parameters(function: Callable[..., Any]) -> Iterator[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    yield from (each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)


def _gives_module(found: Any) -> bool:
    from torch import nn

    if inspect.isclass(found):
        return issubclass(found, nn.Module)
    if not inspect.isfunction(found):
        return False
    try:
        given = get_type_hints(found).get("return")
    except (NameError, TypeError):
        return False
    return inspect.isclass(given) and issubclass(given, nn.Module)
