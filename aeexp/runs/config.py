"""Checks of a composed configuration, before any minute is spent: the constructors' signatures are the schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeexp.errors import UsageError
from aeexp.reference.parts import MULTIPLE
from aeexp.runs.composition import explain_unresolved
from aeexp.runs.foreign import find_object as find_foreign
from aeexp.runs.foreign import may_be_foreign
from aeexp.runs.schema import BESIDE, OPTIMIZERS, VALUES, check_init
from aeexp.runs.trust import check_part, trust_own
from aeexp.runs.values import check_value, suggestion
from aeexp.timing import stage

ALLOWED = ("aeexp.", "torch.optim.")  # what a configuration may instantiate beside parts of other packages
TYPED = "torch.optim."  # beside the options of optimizer and scheduler, what a user may type: any of torch's
PARTS = (
    "dataset", "task", "condition", "model", "latent", "likelihood", "objective", "optimizer", "scheduler", "trainer",
)  # fmt: skip


@stage("check")
def check(cfg: DictConfig) -> None:
    """Resolve `cfg` in place and hold every node against its constructor. Raises UsageError."""
    try:
        OmegaConf.resolve(cfg)
    except OmegaConfBaseException:
        try:  # says which key it is, and takes longer
            OmegaConf.to_container(cfg, resolve=True)
        except OmegaConfBaseException as error:
            raise UsageError(explain_unresolved(error)) from error
    tree = to_dict(cfg)
    for key, text in _list_references("", tree):
        raise UsageError(f"{key}={text}: text with ${{ in it stands for another key's value: name it without")
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise UsageError(f"{', '.join(missing)} must be given, as in {missing[0]}=...")
    known = [*PARTS, *MULTIPLE, *VALUES, "init"]
    for key, value in tree.items():
        if key not in known:
            raise UsageError(f"{key}={value!r} is no key of aeexp{suggestion(key, known)}")
    for key, hint in VALUES.items():
        check_value(key, tree[key], hint)
    check_init(tree["init"])
    trust = trust_own(tree)
    for key in PARTS:
        check_node(key, tree[key])
        if not (key in ("optimizer", "scheduler") and tree[key]["_target_"].startswith(TYPED)):
            check_part(key, tree[key], key, trust)
    for group in MULTIPLE:
        for option, node in tree[group].items():
            if option in BESIDE.get(group, {}):
                check_value(f"{group}.{option}", node, BESIDE[group][option])
                continue
            if not isinstance(node, dict) or "_target_" not in node:
                raise UsageError(
                    f"{group}.{option} is set, but {option} is not among your {group} options: "
                    f"add it, as in {group}=[{option}], or leave {group}.{option} alone"
                )
            check_node(f"{group}.{option}", node)
            check_part(f"{group}.{option}", node, group, trust)


def _list_references(path: str, node: Any) -> Iterator[tuple[str, str]]:
    """Texts that were escaped as typed, and that every later reader of a resolved tree would take for a reference."""
    if isinstance(node, str) and "${" in node:
        yield path, node
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _list_references(f"{path}.{key}" if path else str(key), value)


def to_dict(cfg: DictConfig) -> dict[str, Any]:
    """A node as plain Python."""
    tree = OmegaConf.to_container(cfg)
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def make(cfg: DictConfig, key: str) -> Any:
    """Instantiate the node at `key`, of a group the options; a constructor's UsageError gets the path of the value in
    front."""
    try:
        made = instantiate(cfg[key], _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UsageError):
            cause = cause.__cause__
        if cause is None:
            raise
        path = re.search(r"full_key: (\S+)", str(error))
        raise put_in_front(path.group(1) if path else key, cause) from error
    if key in BESIDE:
        return {name: part for name, part in made.items() if name not in BESIDE[key]}
    return made


@contextmanager
def at_path(path: str) -> Iterator[None]:
    """A UsageError from inside gets the config path of the value in front."""
    try:
        yield
    except UsageError as error:
        raise put_in_front(path, error) from error


def put_in_front(path: str, error: UsageError) -> UsageError:
    """The same error with the config path of the value, unless the message names it itself."""
    message = str(error)
    if message.startswith((f"{path}=", f"{path}.")):
        return error
    return UsageError(f"{path}.{message}" if re.match(r"[\w.]+=", message) else f"{path}: {message}")


def check_node(path: str, node: dict[str, Any]) -> None:
    """Hold one node, and those inside it, against the constructor that it names. Raises UsageError."""
    target = node.get("_target_")
    if target is None:
        raise UsageError(f"{path} names no class to build (_target_): choose an option, as in {path}=...")
    function = _find_function(path, target)
    for key in node:
        if key.startswith("_") and key not in ("_target_", "_partial_"):
            raise UsageError(f"{path}.{key}={node[key]!r}: there is no such key: leave it out")
    values = {key: value for key, value in node.items() if not key.startswith("_")}
    check_values(path, function, values, partial=bool(node.get("_partial_")))


def _find_function(path: str, target: Any) -> Callable[..., Any]:
    if not str(target).startswith(ALLOWED):
        if not may_be_foreign(target, "model/encoder"):  # where torch may bring a part too; trust says where exactly
            raise UsageError(f"{path}._target_={target}: only aeexp and torch.optim may be instantiated, and own parts")
        return find_foreign(path, target)
    try:
        return get_object(target)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{path}._target_={target} does not exist: {str(error).splitlines()[0]}") from error


def check_values(path: str, function: Callable[..., Any], values: Mapping[str, Any], *, partial: bool = False) -> None:
    """Hold values, and nodes among them, against the parameters of the function that they are for. Raises UsageError.

    A `partial` gets the rest at run time: there the keys are what stands behind the `*` of our functions, and all but
    the first parameter, `params`, of an optimizer.
    """
    keys, hints = find_keys(function, partial)
    for key, value in values.items():
        group = _find_group(hints.get(key))
        if group is None and _holds_node(value):
            raise UsageError(f"{path}.{key}: a list that builds something (_target_): leave it out")
        if key not in keys:
            raise UsageError(
                f"{path}.{key}={value!r}: {path.split('.')[0]} as chosen has no such key{suggestion(key, keys)}"
            )
        if group is not None:
            _check_options(f"{path}.{key}", value, group)
        elif isinstance(value, dict) and "_target_" in value:
            check_node(f"{path}.{key}", value)
        elif key in hints:
            check_value(f"{path}.{key}", value, hints[key])


def find_keys(function: Callable[..., Any], partial: bool) -> tuple[list[str], dict[str, Any]]:
    """Names that a configuration may give, and types by name."""
    from torch import nn  # which a composed configuration does without
    from torch.optim import Optimizer

    from aeexp.contracts import Part
    from aeexp.datasets.core.assemble import DataSet

    if isinstance(function, DataSet):
        return list(function.hints), function.hints
    kind = function if inspect.isclass(function) else object
    hints = _read_hints(function)
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if partial and issubclass(kind, Optimizer):
        names, hints = names[1:], OPTIMIZERS | hints if _is_own(function) else hints | OPTIMIZERS
    elif partial and not (issubclass(kind, nn.Module) and not issubclass(kind, Part)):  # a network takes all by name
        names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return names, hints


def _is_own(function: Callable[..., Any]) -> bool:
    """Whether it is a user's, whose annotations are his and may be missing."""
    return not function.__module__.startswith(ALLOWED)


def _read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    except (NameError, TypeError):
        if _is_own(function):  # of another package: names that are there for a type checker alone
            return {}
        raise


def _find_group(hint: Any) -> str | None:
    """noise of Mapping[str, Noise]: the group whose options nest below such a key; None of any other hint."""
    if get_origin(hint) is not Mapping:
        return None
    from aeexp.contracts import Part  # with torch, which a composed configuration does without

    part = get_args(hint)[1]
    return part.__name__.lower() if inspect.isclass(part) and issubclass(part, Part) else None


def _check_options(path: str, value: Any, group: str) -> None:
    """Hold each option of a group that nests below a key against its constructor. Raises UsageError."""
    if not isinstance(value, dict) or "_target_" in value:
        raise UsageError(f"{path}={value!r}: an option of {group} goes here, as in {group}@{path}={value or 'none'}")
    for option, node in value.items():
        if not isinstance(node, dict):
            raise UsageError(f"{path}.{option}={node!r}: name the option, as in {group}@{path}={option}")
        check_node(f"{path}.{option}", node)


def _holds_node(value: Any) -> bool:
    """Whether a node hides in a list, or in a plain dict, where nobody would check it."""
    if isinstance(value, list):
        return any((isinstance(item, dict) and "_target_" in item) or _holds_node(item) for item in value)
    if isinstance(value, dict) and "_target_" not in value:
        return _holds_node(list(value.values()))
    return False
