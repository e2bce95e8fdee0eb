"""Every number that conf/ names has its range where it is declared, and what lies outside is refused before a run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import pytest
import yaml
from annotated_types import Interval
from composing import CONF
from hydra.utils import get_object
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.runs.config import check_node, find_keys
from aeexp.runs.schema import VALUES
from aeexp.runs.values import check_value

# Any number is one: values of the data, names of classes, texts that stand for a gap, a place that the metric looks up.
FREE = {"low", "high", "fill", "ignore", "classes", "normal_classes", "missing_values", "dampening"}


class Number(NamedTuple):
    """A numeric key of an option."""

    target: str
    partial: bool
    key: str
    hint: Any


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield tree
        for value in tree.values():
            yield from nodes(value)


def numeric(hint: Any) -> list[Any]:
    """The numbers within a hint: `int`, `float`, or the annotated ones."""
    if hint in (int, float):
        return [hint]
    if get_origin(hint) is Annotated:
        return [hint] if get_args(hint)[0] in (int, float) else []
    if get_origin(hint) is Literal:
        return []
    return [number for argument in get_args(hint) for number in numeric(argument)]


def read_numbers() -> list[Number]:
    found: dict[tuple[str, str], Number] = {}
    for path in sorted(CONF.rglob("*.yaml")):
        for node in nodes(yaml.safe_load(path.read_text(encoding="utf-8"))):
            target, partial = node["_target_"], bool(node.get("_partial_"))
            if "sweep" in target:  # callbacks and sweepers check themselves
                continue
            keys, hints = find_keys(get_object(target), partial)
            for key in keys:
                if numeric(hints.get(key)):
                    found[target, key] = Number(target, partial, key, hints[key])
    return list(found.values())


NUMBERS = read_numbers()
BOUNDED = [number for number in NUMBERS if number.key not in FREE]


def test_the_walk_saw_the_numbers():
    assert len(BOUNDED) > 250
    assert {number.key for number in BOUNDED} >= {"seed", "dim", "weight", "lr", "rows", "epochs", "fold", "limit"}


@pytest.mark.parametrize("number", BOUNDED, ids=lambda number: f"{number.target}.{number.key}")
def test_every_number_says_its_range(number):
    for part in numeric(number.hint):
        assert get_origin(part) is Annotated, "annotate it by a name of aeexp.ranges, or by Interval"


@pytest.mark.parametrize("number", [n for n in NUMBERS if "seed" in n.key], ids=lambda n: f"{n.target}.{n.key}")
def test_every_seed_is_one_that_numpy_takes(number):
    node = {"_target_": number.target, "_partial_": number.partial}
    for seed in (-1, 2**32, 1.5, "a", None):
        with pytest.raises(UsageError, match=rf"^group\.{number.key}={re.escape(repr(seed))} should be a whole number"):
            check_node("group", {**node, number.key: seed})
    for seed in (0, 2**32 - 1):
        check_node("group", {**node, number.key: seed})


def list_beyond(interval: Any) -> list[float]:
    """The nearest whole numbers that lie outside."""
    ends = [(interval.ge, -1), (interval.gt, 0), (interval.le, 1), (interval.lt, 0)]
    return [end + step for end, step in ends if end is not None]


def outside(interval: Any) -> st.SearchStrategy[float]:
    """Numbers beyond the ends, the open ends themselves among them, and what is no number."""
    low = interval.ge if interval.ge is not None else interval.gt
    high = interval.le if interval.le is not None else interval.lt
    ends = [end for end in (interval.gt, interval.lt) if end is not None]
    below = [st.floats(max_value=low, exclude_max=True, allow_infinity=True)] if low is not None else []
    above = [st.floats(min_value=high, exclude_min=True, allow_infinity=True)] if high is not None else []
    return st.one_of(*below, *above, st.sampled_from([*ends, math.nan, math.inf, -math.inf]))


def single(hint: Any) -> Any:
    """The range of a key that is one number or null."""
    parts = [part for part in get_args(hint) if part is not type(None)] if get_origin(hint) is not Annotated else [hint]
    alone = len(parts) == 1 and get_origin(parts[0]) is Annotated
    return get_args(parts[0])[1] if alone else None


SINGLE = [number for number in BOUNDED if single(number.hint) is not None]


def refuse(number: Number, value: float) -> None:
    with pytest.raises(UsageError) as caught:
        check_node("group", {"_target_": number.target, "_partial_": number.partial, number.key: value})
    message = str(caught.value)
    assert message.startswith(f"group.{number.key}={value!r} should be a"), message
    assert "\n" not in message


@pytest.mark.parametrize("number", SINGLE, ids=lambda number: f"{number.target}.{number.key}")
def test_the_ends_and_what_is_no_number_are_refused_with_key_value_and_range(number):
    for value in (*list_beyond(single(number.hint)), math.nan, math.inf, -math.inf):
        refuse(number, value)


@settings(max_examples=300)
@given(data=st.data())
def test_what_lies_outside_is_refused_wherever_it_lies(data):
    number = data.draw(st.sampled_from(SINGLE))
    refuse(number, data.draw(outside(single(number.hint))))


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (VALUES["seed"], -1, "x=-1 should be a whole number from 0 to 4294967295"),
        (VALUES["threads"], 0, "x=0 should be a whole number from 1 to 1024 or null"),
        (VALUES["threads"], 10**30, f"x={10**30} is larger than any machine counts"),
        (Annotated[float, Interval(gt=0, lt=1)], 1, "x=1 should be a number above 0 and below 1"),
        (list[Annotated[int, Interval(ge=1)]], [3, 0], "x=[3, 0] should be a list of whole numbers of at least 1"),
        (Annotated[float, Interval(gt=0, le=1)], 2.0, "x=2.0 should be a number above 0 and at most 1"),
    ],
)
def test_a_range_is_told_in_words(hint, value, message):
    with pytest.raises(UsageError) as caught:
        check_value("x", value, hint)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("option", "keys", "message"),
    [
        ("LBFGS", {"line_search_fn": "abc"}, r"^optimizer\.line_search_fn='abc' should be one of strong_wolfe or null"),
        ("Adam", {"lr": -1}, r"^optimizer\.lr=-1 should be a number above 0"),
        ("Adam", {"betas": [0.9, 1.0]}, r"^optimizer\.betas=\[0\.9, 1\.0\] should be a list of numbers of at"),
        ("SGD", {"momentum": -1.0}, r"^optimizer\.momentum=-1\.0 should be a number of at least 0"),
    ],
)
def test_an_optimizer_of_torch_is_held_to_ranges_too(option, keys, message):
    with pytest.raises(UsageError, match=message):
        check_node("optimizer", {"_target_": f"torch.optim.{option}", "_partial_": True, **keys})
