"""From a checked configuration to objects, and from a run folder back to its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from aeexp.contracts import Task
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.runs.config import at_path, check_node, make
from aeexp.trainers.checkpoint import load as load_checkpoint
from aeexp.types import Facts

MODEL = ("task", "latent", "likelihood", "condition", "model")  # the nodes that an Autoencoder is built from


def build_autoencoder(cfg: DictConfig, facts: Facts, task: Task) -> Autoencoder:
    """The untrained model for such data, on the CPU; seed the weights before."""
    latent, likelihood, condition, networks = (make(cfg, key) for key in MODEL[1:])
    condition.adapt(facts)
    if latent.prior is not None:
        latent.prior.adapt(latent.dim, facts.shape, condition.size)
    task.check(likelihood)
    output = likelihood.output(task.target_shape(facts.shape))
    with at_path("model"):
        encoder, decoder = networks(facts.shape, latent.params, latent.dim, condition.size, output)
    return Autoencoder(encoder, latent, decoder, likelihood, condition, task.masks)


def build_task(cfg: DictConfig, facts: Facts) -> Task:
    """The task, which knows its data; raises UsageError where it cannot be had of them."""
    task = make(cfg, "task")
    with at_path("task"):
        task.adapt(facts)
    return task


def build_learner(cfg: DictConfig, facts: Facts) -> Learner:
    """The untrained model with its task and objective."""
    task = build_task(cfg, facts)
    model = build_autoencoder(cfg, facts, task)
    regularizers = make(cfg, "regularizer")
    noise, objective = Chain(make(cfg, "noise")), make(cfg, "objective")
    with at_path("objective"):
        objective = objective(noise, regularizers)
        objective.check(model)
        objective.adapt(model, facts)
    for name, penalty in regularizers.items():
        penalty.check(model)
        with at_path(f"regularizer.{name}"):
            penalty.adapt(model, facts)
    return Learner(task, model, objective)


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
    cfg, facts = _checked(saved, MODEL), Facts(**saved["facts"])
    model = build_autoencoder(cfg, facts, build_task(cfg, facts))
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
    return build_learner(_checked(saved, (*MODEL, "objective"), ("noise", "regularizer")), Facts(**saved["facts"]))


def _checked(saved: dict[str, Any], parts: Sequence[str], several: Sequence[str] = ()) -> DictConfig:
    """The nodes of a stored configuration that are about to be built."""
    for key in parts:
        check_node(key, saved["config"][key])
    for group in several:
        for option, node in saved["config"][group].items():
            check_node(f"{group}.{option}", node)
    return OmegaConf.create({key: saved["config"][key] for key in (*parts, *several)})
