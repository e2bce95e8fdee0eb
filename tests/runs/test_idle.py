"""What is said of keys that do nothing beside the others, found in conf/ and not listed here."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from composing import CONF
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from representatives import few

from aeexp.reference.options import Option, list_groups, read_option
from aeexp.runs.config import MULTIPLE, check_node
from aeexp.runs.hydra_loader import compose_once
from aeexp.runs.idle import Condition, list_idle, read_condition

CONDITIONAL = [
    (option, key, condition)
    for group, names in list_groups().items()
    for option in (read_option(group, name) for name in names)
    if group not in ("variant", "experiment")
    for key in option.keys
    if (condition := read_condition(key.comment)) is not None
]
OTHER = {
    "null": "other",
    "nearest": "bilinear",
    "vgg": "alex",
    "1.0": 0.5,
    "0.5": 0.25,
    "0.9": 0.5,
    "0.99": 0.5,
    "0.0": 0.25,
    "[256, 256]": [8],
    "[0.03, 0.1, 0.3]": [0.2],
}  # else one more


def changed(text: str) -> Any:
    return OTHER[text] if text in OTHER else 31 if text.startswith("$") else int(text) + 1


@cache
def compose_with_choices(*overrides: str) -> tuple[DictConfig, dict[str, Any]]:
    with compose_once(), initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", list(overrides), return_hydra_config=True)
    choices = dict(cfg.hydra.runtime.choices)
    OmegaConf.set_struct(cfg, False)
    cfg.pop("hydra")
    return cfg, choices


def idle(*overrides: str, values: dict[str, Any] | None = None) -> list[str]:
    composed, choices = compose_with_choices(*overrides)
    cfg = composed.copy()
    for path, value in (values or {}).items():
        OmegaConf.update(cfg, path, value)
    tree = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(tree, dict)
    return list(list_idle({str(key): value for key, value in tree.items()}, choices))


def pick(option: Option) -> list[str]:
    word = f"{option.group}=[{option.name}]" if option.group in MULTIPLE else option.word
    return [*option.requires, word]


def test_the_walk_saw_them():
    assert len(CONDITIONAL) >= 15


@pytest.mark.parametrize("variant", few(list_groups()["variant"], "semi_supervised", "vae"))
def test_no_variant_sets_a_key_that_does_nothing(variant):
    assert idle(f"variant={variant}") == []


@pytest.mark.parametrize(("option", "key", "condition"), CONDITIONAL, ids=lambda each: getattr(each, "path", ""))
def test_a_key_is_said_to_do_nothing_where_its_condition_fails_and_there_alone(option, key, condition):
    if key.value.startswith("$"):
        return  # it follows another key
    parent = key.path.rpartition(".")[0]
    beside = f"{parent}.{condition.key}"
    meeting = [value for value in (*condition.values, 1, [10], ["tsne"]) if condition.holds(value)]
    failing = [value for value in (None, "none", "another", ["pca"], 1, []) if not condition.holds(value)]
    told = idle(*pick(option), values={key.path: changed(key.value), beside: failing[0]})
    assert [line for line in told if line.startswith(key.path)] == [
        f"{key.path}={str(changed(key.value))} has no effect: it acts under {parent}.{condition}"
    ]
    for value in meeting:
        told = idle(*pick(option), values={key.path: changed(key.value), beside: value})
        assert not [line for line in told if line.startswith(key.path)]
    assert not [line for line in idle(*pick(option), values={beside: failing[0]}) if line.startswith(key.path)]


@pytest.mark.parametrize(("option", "key", "condition"), CONDITIONAL, ids=lambda each: getattr(each, "path", ""))
def test_a_condition_names_a_key_of_the_option_and_values_that_it_may_have(option, key, condition):
    parent = key.path.rpartition(".")[0]
    path = f"{parent}.{condition.key}"
    assert path in [each.path for each in option.keys]
    for value in condition.values if "finetune" not in path else ():  # the keys of trainer=joint once more
        inside = condition.key not in ("classifiers", "maps")
        check_node(parent, {"_target_": option.target, condition.key: value if inside else [value]})


def test_conditions_are_read_from_comments():
    assert read_condition("of the running means") is None
    assert read_condition("each step; acts under codebook=ema") == Condition("codebook", ("ema",), False)
    assert read_condition("acts under warmup=linear or cyclic") == Condition("warmup", ("linear", "cyclic"), False)
    assert read_condition("acts under steps=null; more") == Condition("steps", (None,), False)
    assert str(read_condition("acts under patience!=null")) == "patience other than null"
