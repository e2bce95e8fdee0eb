"""Weights of a run as the start of another one: what fits is taken over, and what is to be frozen does not move."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError, quote_words
from aeexp.models.learner import Learner
from aeexp.runs.header import Header, read_header
from aeexp.runs.origin import get_source, list_differences, read_source
from aeexp.runs.trust import check_plain, name_source
from aeexp.runs.units import warn_of_units
from aeexp.trainers.contracts import Trainer

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]
# Names of the parts, and the nodes of the configuration that say what each is.
NODES = {"encoder": ("model",), "latent": ("latent",), "decoder": ("model",), "likelihood": ("likelihood",),
         "condition": ("condition",), "objective": ("objective", "regularizer", "noise")}  # fmt: skip
USUAL = ("encoder", "latent", "decoder", "likelihood", "condition")
SHOWN = 4  # differences that a warning names


def start_from(config: Mapping[str, Any], learner: Learner, data: Data, trainer: Trainer) -> None:
    """Bring the weights of `init.from` into an untrained learner, part by part, and freeze those parts if asked to.

    Nothing of that run is built: its best checkpoint gives tensors alone, which must be those of such parts. What is a
    number of the configuration (a 0-d buffer) stays as this one says, where the two differ in it.
    Raises UsageError for parts that do not fit, and where nothing is left to train.
    """
    source = get_source(config)
    if source is None:
        return
    key, frozen = f"init.from={source}", bool(config["init"]["freeze"])
    if trainer.starts_anew:
        raise UsageError(f"{key}: this trainer starts from no weights: take trainer=joint, or leave init.from out")
    if frozen and not trainer.keeps_frozen:
        raise UsageError("init.freeze=true: this trainer moves every layer: take trainer=joint")
    saved = read_source(source)
    with name_source(key):
        header = read_header(saved)
        check_plain("config", header.config)
        modules, theirs = find_parts(learner), saved["learner"]
        names = list(config["init"]["parts"] or USUAL)
        _require_fit(names, modules, theirs, header, config, data)
        for name in names:
            _take_over(name, modules[name], select_weights(theirs, name), header, config, frozen)
    learner.keep([modules[name] for name in names])
    if frozen:
        learner.freeze([modules[name] for name in names])
        if not any(parameter.requires_grad for parameter in learner.parameters()):
            raise UsageError(
                f"init.freeze=true: nothing is left to train beside {', '.join(names)}: name fewer, as in "
                "init.parts=[encoder]"
            )
    if "encoder" in names:
        _compare_units(source, header, data)
    log.info("init.from=%s: %s of it%s", source, ", ".join(names), ", frozen" if frozen else "")


def find_parts(learner: Learner) -> dict[str, nn.Module]:
    """By the names of `init.parts`."""
    model = learner.model
    return {"encoder": model.encoder, "latent": model.latent, "decoder": model.decoder, "likelihood": model.likelihood,
            "condition": model.condition, "objective": learner.objective}  # fmt: skip


def select_weights(weights: Mapping[str, Tensor], name: str) -> Weights:
    """Those of one part, by its own names."""
    prefix = "objective." if name == "objective" else f"model.{name}."
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _require_fit(
    names: Sequence[str], modules: Mapping[str, nn.Module], weights: Mapping[str, Tensor], header: Header,
    config: Mapping[str, Any], data: Data,
) -> None:  # fmt: skip
    """Raises UsageError for a part whose weights have other names, shapes or types, with those that would do."""
    faults = {name: find_misfit(modules[name], select_weights(weights, name)) for name in names}
    wrong = next((name for name in names if faults[name]), None)
    if wrong is None:
        return
    there, here = ({node: tree.get(node) for node in ("model", "latent")} for tree in (header.config, config))
    reasons = [text for _, text in list_differences(there, here)][:SHOWN]
    if header.facts.shape != tuple(data.shape):
        reasons = [f"rows are {header.facts.shape} there, {tuple(data.shape)} here", *reasons]
    fitting = [name for name in names if not faults[name] and any(True for _ in modules[name].parameters())]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    alike = quote_words("init.parts=[" + ",".join(fitting) + "]")
    raise UsageError(
        f"its {wrong} is another one: {faults[wrong]}{why}\n"
        f"repeat its model and the shape of its rows{f', or take {alike}' if fitting else ''}"
    )


def find_misfit(module: nn.Module, weights: Weights) -> str:
    """The first tensor in which weights are not those of such a module, in words; "" where they are."""
    own = module.state_dict()
    for key in dict.fromkeys([*own, *weights]):
        have, want = weights.get(key), own.get(key)
        if have is None or want is None:
            return f"{key[:80]} is {'not there' if have is None else 'there alone'}"
        if have.shape != want.shape or have.dtype != want.dtype:
            return f"{key[:80]} is {_describe(have)} there, {_describe(want)} here"
    return ""


def _describe(tensor: Tensor) -> str:
    kind = "" if tensor.dtype == torch.float32 else f" of {str(tensor.dtype).removeprefix('torch.')}"
    return f"{tuple(tensor.shape)}{kind}"


@torch.no_grad()
def _take_over(
    name: str, module: nn.Module, weights: Weights, header: Header, config: Mapping[str, Any], frozen: bool
) -> None:
    """Copy tensor by tensor. Where the configurations of the part differ, its numbers (0-d) are this one's own."""
    there, here = ({node: tree.get(node) for node in NODES[name]} for tree in (header.config, config))
    differences = [text for _, text in list_differences(there, here)]
    numbers = {key for key, value in module.named_buffers() if value.dim() == 0} if differences else set()
    if numbers and frozen:
        raise UsageError(
            f"init.freeze=true: the {name} is to stay as it is, and its configuration is another: {differences[0]}: "
            "repeat its keys, or leave it out of init.parts"
        )
    for key, value in module.state_dict().items():
        if key not in numbers:
            value.copy_(weights[key])
    if differences and weights:
        log.warning("init.from: the %s gets weights of another one: %s", name, "; ".join(differences[:SHOWN]))


def _compare_units(source: str, header: Header, data: Data) -> None:
    """A word where the encoder gets values far from those that it was trained on."""
    if header.data is not None:
        warn_of_units(data.name, data.limits, header.data.limits, f"init.from={source}")
