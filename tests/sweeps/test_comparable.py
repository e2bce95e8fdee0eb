"""A search over what its objective is made of is refused before any trial, with the way out."""

from __future__ import annotations

import pytest
from composing import composed
from omegaconf import OmegaConf

from aeexp.errors import UsageError
from aeexp.reference import options
from aeexp.sweeps.search.comparable import check_comparable

WAY = r"take hydra\.sweeper\.objectives=\[val/probe/linear\] hydra\.sweeper\.directions=\[maximize\]"
PENALTIES = [name for name in options.list_groups()["regularizer"] if name != "none"]


def check(objective: str, key: str, *values: object, shared: tuple[str, ...] = ()) -> None:
    trees = [composed(*shared, f"{key}={value}") for value in values]
    check_comparable([objective], trees, [key])


@pytest.mark.parametrize("name", PENALTIES)
def test_the_default_objective_over_the_weight_of_any_penalty_is_refused(name):
    shared, key = (f"regularizer=[{name}]",), f"regularizer.{name}.weight"
    trees = [composed(*shared) for _ in range(2)]  # once: a composition is most of this
    for tree, value in zip(trees, (0.5, 2.0), strict=True):
        OmegaConf.update(tree, key, value)
    with pytest.raises(UsageError, match=rf"^objectives=\['best'\]: best, the validation loss, .* {key}.*{WAY}"):
        check_comparable(["best"], trees, [key])
    for objective in ("val/probe/linear", "val/reconstruction/mse", "latent.dim", "timing/fit_seconds"):
        check_comparable([objective], trees, [key])


@pytest.mark.parametrize(
    ("objective", "key", "values", "shared"),
    [
        ("best", "variant", ("vae", "beta_vae"), ()),
        ("best", "likelihood", ("gaussian", "laplace"), ()),
        ("best", "regularizer.kl.warmup_steps", (1, 900), ("variant=annealed_vae",)),
        ("best", "latent.commitment", (0.1, 2.0), ("variant=vq_vae",)),
        ("best", "objective.samples", (1, 50), ("variant=iwae",)),
        ("best", "objective.alpha", (0.1, 9), ("variant=semi_supervised",)),
        ("best", "regularizer.kl.weight", (0.1, 9), ("variant=vae", "trainer.monitor=kl")),
        ("best", "objective.reconstruction_weight", (0.5, 1), ("trainer.monitor=reconstruction",)),
        ("best", "regularizer.kl.weight", (0.1, 9), ("variant=vae", "trainer.monitor=null")),
        ("best", "dataset.standardise", ("true", "false"), ()),
        ("best", "regularizer.l1.weight", (0.1, 9), ("variant=stacked", "regularizer=[l1]")),
        ("val/loss", "regularizer.l1.weight", (0.1, 9), ("variant=sparse_l1",)),
        ("val/loss/l1", "regularizer.l1.weight", (0.1, 9), ("variant=sparse_l1",)),
        ("val/reconstruction/mse", "dataset.standardise", ("true", "false"), ()),
        ("val/reconstruction/nats", "likelihood", ("gaussian", "laplace"), ()),
    ],
)
def test_whatever_makes_the_number_another_thing_is_refused(objective, key, values, shared):
    with pytest.raises(UsageError, match=rf"^objectives=.*is another thing at each .*{WAY}"):
        check(objective, key, *values, shared=shared)


@pytest.mark.parametrize(
    ("objective", "key", "values", "shared"),
    [
        ("best", "latent.dim", (2, 64), ("variant=vae",)),
        ("best", "optimizer.lr", (1e-4, 1e-2), ("variant=vae",)),
        ("best", "noise.gaussian.std", (0.0, 0.5), ("noise=[gaussian]",)),
        ("best", "model.hidden_dims", ("[64]", "[256,128]"), ()),
        ("best", "latent", ("deterministic", "sigmoid"), ()),
        ("best", "latent.k", (2, 8), ("variant=k_sparse", "regularizer=[none]")),
        ("best", "dataset.limit", (500, 1000), ()),
        ("best", "trainer.batch_size", (32, 256), ("variant=beta_tc_vae",)),
        ("best", "regularizer.kl.weight", (0.1, 9), ("variant=vae", "trainer.monitor=reconstruction")),
        ("val/probe/linear", "dataset.standardise", ("true", "false"), ()),
        ("val/classification/accuracy", "objective.alpha", (0.1, 9), ("variant=semi_supervised",)),
    ],
)
def test_what_leaves_the_number_what_it_is_may_be_searched(objective, key, values, shared):
    check(objective, key, *values, shared=shared)
