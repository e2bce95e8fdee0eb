"""From a checked configuration to objects, and from a run folder back to its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.runs.config import check_node, make, placed
from aeexp.trainers.checkpoint import load as load_checkpoint
from aeexp.types import Facts

MODEL = ("task", "latent", "likelihood", "condition", "model")  # the nodes that an Autoencoder is built from


def autoencoder(cfg: DictConfig, facts: Facts) -> Autoencoder:
    """The untrained model for such data, on the CPU; seed the weights before."""
    task, latent, likelihood, condition, networks = (task_for(cfg, facts), *(make(cfg, key) for key in MODEL[1:]))
    condition.sized(facts)
    if hasattr(latent, "prior"):
        latent.prior.sized(latent.dim, facts.shape, condition.size)
    segments = hasattr(task, "predicted")
    if segments:
        task.check(likelihood)
    output = likelihood.output(task.shape if segments else facts.shape)
    try:
        encoder, decoder = networks(facts.shape, latent.params, latent.dim, condition.size, output)
    except UsageError as error:
        raise placed("model", error) from error
    model = Autoencoder(encoder, latent, decoder, likelihood, condition)
    if segments:
        model.shown = "mode"
    return model


def task_for(cfg: DictConfig, facts: Facts) -> nn.Module:
    """The task, which knows its data; raises UsageError where it cannot be had of them."""
    task = make(cfg, "task")
    if hasattr(task, "sized"):
        try:
            task.sized(facts)
        except UsageError as error:
            raise placed("task", error) from error
    return task


def learner(cfg: DictConfig, facts: Facts) -> Learner:
    """The untrained model with its task and objective."""
    model = autoencoder(cfg, facts)
    regularizers = make(cfg, "regularizer")
    noise, objective = Chain(make(cfg, "noise")), make(cfg, "objective")
    try:
        objective = objective(noise, regularizers)
        if hasattr(objective, "check"):
            objective.check(model)
        if hasattr(objective, "sized"):
            objective.sized(model, facts)
    except UsageError as error:
        raise placed("objective", error) from error
    for name, penalty in regularizers.items():
        penalty.check(model)
        if hasattr(penalty, "sized"):
            try:
                penalty.sized(model, facts)
            except UsageError as error:
                raise placed(f"regularizer.{name}", error) from error
    return Learner(task_for(cfg, facts), model, objective)


def device(name: str) -> torch.device:
    """`auto` is the fastest there is."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there[name]:
        raise UsageError(f"device={name} is not available here: take device=auto or device=cpu")
    return torch.device(name)


def load(folder: str | Path) -> Autoencoder:
    """The trained model of a run folder, in evaluation mode, on the CPU, in its best state.

    Nothing is unpickled, and only `aeexp.*` and `torch.*` classes are built. Raises UsageError where the folder
    holds no finished training.
    """
    saved = load_checkpoint(Path(folder) / "checkpoints" / "best.pt")
    # Only what the model needs: a plot that has changed since must not keep it from loading.
    model = autoencoder(_checked(saved, MODEL), Facts(**saved["facts"]))
    weights = {key: value for key, value in saved["learner"].items() if key.startswith("model.")}
    model.load_state_dict({key.removeprefix("model."): value for key, value in weights.items()})
    return model.eval().requires_grad_(False)


def load_learner(folder: str | Path) -> Learner:
    """As `load`, with task and objective: what may find labels itself (M2)."""
    saved = load_checkpoint(Path(folder) / "checkpoints" / "best.pt")
    made = _again(saved)
    made.load_state_dict(saved["learner"])
    return made.eval().requires_grad_(False)


def untrained(saved: dict[str, Any]) -> Autoencoder:
    """The model of a checkpoint as it was before training, by the run's seed, on the CPU."""
    with torch.random.fork_rng():
        torch.manual_seed(saved["config"]["seed"])
        return _again(saved).model


def _again(saved: dict[str, Any]) -> Learner:
    """The learner of a checkpoint without its weights."""
    return learner(_checked(saved, (*MODEL, "objective"), ("noise", "regularizer")), Facts(**saved["facts"]))


def _checked(saved: dict[str, Any], parts: Sequence[str], several: Sequence[str] = ()) -> DictConfig:
    """The nodes of a stored configuration that are about to be built."""
    for key in parts:
        check_node(key, saved["config"][key])
    for group in several:
        for option, node in saved["config"][group].items():
            check_node(f"{group}.{option}", node)
    return OmegaConf.create({key: saved["config"][key] for key in (*parts, *several)})
