"""Types of keys that no constructor of ours has: config.yaml's own, those of `init`, those of torch's optimizers."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_type_hints

from aeexp.errors import UsageError
from aeexp.ranges import Count, Decay, NonNegative, Positive, Seed, Threads
from aeexp.runs.values import check_value, suggestion


class Values(NamedTuple):
    """The keys of config.yaml that belong to no group."""

    seed: Seed
    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: Threads | None
    deterministic: bool
    resume: str | None
    save_codes: bool


class PlotValues(NamedTuple):
    """The keys of `plot` that belong to none of its options."""

    every: Literal["log"] | Count | None


StartPart = Literal["encoder", "latent", "decoder", "likelihood", "condition", "objective"]
INIT = {"from": str | None, "parts": list[StartPart] | None, "freeze": bool}  # keys of `init`


class OptimizerValues(NamedTuple):
    """Keys of torch's optimizers, which torch checks in its own words, or not at all."""

    lr: Positive
    betas: tuple[Decay, Decay]
    eps: NonNegative
    weight_decay: NonNegative
    momentum: NonNegative
    dampening: float
    alpha: NonNegative
    lr_decay: NonNegative
    momentum_decay: NonNegative
    initial_accumulator_value: NonNegative
    max_iter: Count
    max_eval: Count | None
    history_size: Count
    tolerance_grad: NonNegative
    tolerance_change: NonNegative
    line_search_fn: Literal["strong_wolfe"] | None


VALUES = get_type_hints(Values, include_extras=True)
# Keys of groups of which several options may be named, beside the options themselves.
BESIDE: dict[str, dict[str, Any]] = {"plot": get_type_hints(PlotValues, include_extras=True)}
OPTIMIZERS = get_type_hints(OptimizerValues, include_extras=True)


def check_init(node: Any) -> None:
    """Hold the keys of `init` against their types, and refuse those that do nothing."""
    if not isinstance(node, dict):
        raise UsageError(f"init={node!r}: give its keys, as in init.from=RUN")
    for key, value in node.items():
        if key not in INIT:
            raise UsageError(f"init.{key}={value!r}: there is no such key{suggestion(str(key), INIT)}")
        check_value(f"init.{key}", value, INIT[key])
    idle = [f"init.{key}={node[key]}" for key in ("parts", "freeze") if node.get(key)]
    if node.get("from") is None and idle:
        raise UsageError(f"{idle[0]}: there is nothing to start from: name a run by init.from=RUN")
