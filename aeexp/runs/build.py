"""From a checked configuration to objects."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from aeexp.contracts import Task
from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.runs.config import at_path, make
from aeexp.types import Facts

MODEL = ("task", "latent", "likelihood", "condition", "model")  # the nodes that an Autoencoder is built from


def build_autoencoder(cfg: DictConfig, facts: Facts, task: Task) -> Autoencoder:
    """The untrained model for such data, on the CPU; seed the weights before."""
    latent, likelihood, condition, networks = (make(cfg, key) for key in MODEL[1:])
    condition.adapt(facts)
    if latent.prior is not None:
        latent.prior.adapt(latent.dim, facts.shape, condition.told)
    shape = task.target_shape(facts.shape)
    with at_path("likelihood"):
        likelihood.adapt(task.levels, shape)
    task.check(likelihood)
    output = likelihood.output(shape)
    with at_path("model"):
        encoder, decoder = networks(facts.shape, latent.params, latent.dim, condition.size, output, condition.told)
    classes = task.masks or 0 < facts.tokens == likelihood.levels
    return Autoencoder(encoder, latent, decoder, likelihood, condition, classes)


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


def build_seeded(cfg: DictConfig, data: Data) -> Learner:
    """The untrained learner for this data, on its device, with the weights of the run's seed."""
    torch.manual_seed(cfg.seed)
    learner = build_learner(cfg, data.facts)
    if not learner.task.masks:  # masks are checked where the model is built
        low, high = data.limits
        learner.model.likelihood.check(low, high, data.step)
        if learner.model.likelihood.counts and not data.is_counts:
            raise UsageError(
                f"likelihood={cfg.likelihood._target_.rpartition('.')[2].lower()} needs whole numbers from 0 on, and "
                f"{data.name} has others: take the counts as they are (dataset.scale=1 dataset.standardise=false), or "
                "likelihood=gaussian"
            )
    return learner.to(data.device)


def choose_device(name: str) -> torch.device:
    """`auto` is the fastest there is. Raises UsageError for one that this machine lacks."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise UsageError(f"device={name} is not available here: take device=auto or device=cpu")
    return torch.device(name)
