"""The search space: from Hydra's sweep syntax or YAML to Optuna's distributions, and from a trial to overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from aeexp.errors import UsageError
from aeexp.runs.values import suggestion

Space = dict[str, BaseDistribution]
KEYS = {"int": ("low", "high", "step", "log"), "float": ("low", "high", "step", "log"), "categorical": ("choices",)}
TAGS = ("log", "int", "float")


def split_space(
    params: Mapping[str, Any], arguments: Sequence[str], loader: ConfigLoader | None
) -> tuple[Space, list[str]]:
    """What is searched, and the overrides that every trial shares. A word of the command line replaces its key in
    `params`, be it another range or one value. Raises UsageError."""
    space: Space = {}
    fixed: dict[str, str] = {}
    parser = OverridesParser.create(config_loader=loader)

    def take(override: Override) -> None:
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            space[key] = parse_override(override)
        else:
            fixed[key] = str(override.input_line)

    for name, node in params.items():
        if isinstance(node, str):
            take(parser.parse_override(f"{name}={node}"))
        else:
            space[name] = parse_node(f"hydra.sweeper.params.{name}", node)
    for override in parser.parse_overrides(list(arguments)):
        take(override)
    return space, list(fixed.values())


def parse_node(path: str, node: Any) -> BaseDistribution:
    """{type: float, low: 1e-4, high: 1e-2, log: true} and the like."""
    kind = node.get("type") if isinstance(node, dict) else None
    if kind not in KEYS:
        raise UsageError(f"{path}={node!r}: give {{type: int|float|categorical, ...}}, or text as interval(0,1)")
    for key in node.keys() - {"type"}:
        if key not in KEYS[kind]:
            raise UsageError(f"{path}.{key}={node[key]!r}: {kind} has no such key{suggestion(key, KEYS[kind])}")
    if kind == "categorical":
        choices = node.get("choices")
        if not isinstance(choices, list) or not choices:
            raise UsageError(f"{path}.choices={choices!r} should be a list")
        return CategoricalDistribution(list(dict.fromkeys(map(format_value, choices))))
    for key in ("low", "high"):
        if not is_number(node.get(key), kind):
            raise UsageError(f"{path}.{key}={node.get(key)!r} should be a {'whole ' if kind == 'int' else ''}number")
    step, log = node.get("step"), node.get("log")
    if step is not None and not is_number(step, kind):
        raise UsageError(f"{path}.step={step!r} should be a number of type {kind}")
    if log not in (None, True, False):
        raise UsageError(f"{path}.log={log!r} should be true or false")
    return make_interval(path, kind, node["low"], node["high"], step, bool(log))


def parse_override(override: Override) -> BaseDistribution:
    """a,b,c; choice(...); range(...); interval(...), int(interval(...)), tag(log, ...)."""
    name, sweep = override.get_key_element(), override.value()
    tags = sweep.tags if isinstance(sweep, Sweep) else set()  # a glob has none
    for tag in tags:
        if tag not in TAGS:
            raise UsageError(f"{override.input_line}: tag {tag} is none of {', '.join(TAGS)}")
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None and sweep.end is not None, "Hydra's grammar asks for both"
        whole = "int" in tags or (isinstance(sweep.start, int) and isinstance(sweep.end, int) and "float" not in tags)
        return make_interval(name, "int" if whole else "float", sweep.start, sweep.end, None, "log" in tags)
    if isinstance(sweep, RangeSweep):
        values = sorted(sweep.range())
        if not values:
            raise UsageError(f"{override.input_line}: this range is empty")
        kind = "int" if isinstance(values[0], int) else "float"
        step = None if "log" in tags else abs(sweep.step)
        return make_interval(name, kind, values[0], values[-1], step, "log" in tags)
    if tags:
        raise UsageError(f"{override.input_line}: a list of values takes no tag; leave it out")
    return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))


def make_interval(name: str, kind: str, low: float, high: float, step: float | None, log: bool) -> BaseDistribution:
    """Whole numbers or floats from `low` to `high`, both included. Raises UsageError where Optuna knows none such."""
    if step and not log:  # the last value that the steps reach, or Optuna warns
        high = low + step * int((high - low) / step + 1e-8)
    try:
        if kind == "int":
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        return FloatDistribution(float(low), float(high), log=log, step=step)
    except ValueError as error:
        raise UsageError(f"{name}: {str(error).splitlines()[0]}") from error


def is_number(value: Any, kind: str) -> bool:
    """Whether YAML gave a whole number (`int`), or any number (`float`); true and false are none."""
    return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)


def format_overrides(values: Mapping[str, Any]) -> list[str]:
    """A trial's values as a command line has them; five digits of a sampled number, of which no one could read
    sixteen."""
    return [
        f"{name}={f'{value:.5g}' if isinstance(value, float) else format_value(value)}"
        for name, value in values.items()
    ]


def format_value(value: Any) -> str:
    """As Hydra reads it; text stands as it is, so that a choice may be [masking,gaussian]."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{format_value(item)}' for key, item in value.items())}}}"
    return str(value)
