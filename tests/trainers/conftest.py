"""Toy data, learners and runs of the training loop."""

from __future__ import annotations

import functools

import pytest
import torch
from training import ADAM, FINE, LAYERS, layerwise, train_in

from aeexp import schedulers
from aeexp.latents.deterministic import Sigmoid
from aeexp.noises import Gaussian, Masking
from aeexp.regularizers.code import L1
from aeexp.regularizers.contractive import Contractive
from aeexp.regularizers.sparsity import KLSparsity
from aeexp.trainers.joint import Joint

SMALL_STEPS = functools.partial(torch.optim.Adam, lr=0.01)


@pytest.fixture
def toy(as_data):
    """26 rows: batches of 8, 8, 8 and 2."""
    generator = torch.Generator().manual_seed(3)
    return as_data(*(torch.rand(n, 6, generator=generator).numpy() for n in (26, 10)))


@pytest.fixture
def run(build_learner, toy, quiet, tmp_path):
    """run(folder, trainer, optimizer, scheduler, learner=...): joint training of 14 steps where nothing is said."""

    def start(
        folder="run", trainer=None, optimizer=ADAM, scheduler=schedulers.cosine, *, learner=None, data=toy, track=None,
        **options,
    ):  # fmt: skip
        trainer = trainer or Joint(steps=14, batch_size=8)
        learner = learner or build_learner((6,), 4)
        return train_in(tmp_path / folder, trainer, learner, data, optimizer, scheduler, track or quiet(), **options)

    return start


@pytest.fixture
def noisy(build_learner):
    """noisy(estimate, seed): noise, a random penalty, and a state beside the parameters."""

    def make(estimate="ema", seed=0):
        return build_learner(
            (6,), latent=Sigmoid(4), hidden_dims=[5], seed=seed,
            noises={"masking": Masking(0.3), "gaussian": Gaussian(0.1)},
            regularizers={"kl": KLSparsity(0.5, 0.2, estimate), "jacobian": Contractive(0.1, "hutchinson")},
        )  # fmt: skip

    return make


@pytest.fixture
def overfitting(as_data, build_learner):
    """12 rows of rank two with noise, and a learner with room for the noise: validation falls, then rises."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.tensor([[1.0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]])

    def rows(n):
        noise = 0.7 * torch.randn(n, 8, generator=generator)
        return (torch.randn(n, 2, generator=generator) @ plane + noise).numpy()

    data = as_data(rows(12), rows(60))
    return {"data": data, "optimizer": functools.partial(torch.optim.Adam, lr=0.03)}, lambda: build_learner(
        (8,), 4, hidden_dims=[16]
    )


@pytest.fixture
def deep(build_learner):
    """deep(...): 6-5-4-3 with its mirror; noise and a penalty that act in fine-tuning alone."""

    def make(seed=0, latent=None, **options):
        options = {"hidden_dims": [5, 4], "activation": "sigmoid", **options}
        parts = dict(noises={"masking": Masking(0.3)}, regularizers={"l1": L1(0.1)})
        return build_learner((6,), latent=latent or Sigmoid(3), seed=seed, **parts, **options)

    return make


@pytest.fixture
def run_layers(deep, toy, quiet, tmp_path):
    """As `run`: three layers, then fine-tuning, where nothing is said."""

    def start(
        folder="run", trainer=None, optimizer=SMALL_STEPS, scheduler=schedulers.cosine, *, learner=None, data=toy,
        track=None, **options,
    ):  # fmt: skip
        trainer = trainer or layerwise(**{**LAYERS, "finetune": Joint(**FINE)})
        return train_in(
            tmp_path / folder, trainer, learner or deep(), data, optimizer, scheduler, track or quiet(), **options
        )

    return start
