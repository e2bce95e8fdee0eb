"""The signatures are the schema: which parameters are keys, and what is said of others."""

from __future__ import annotations

import re

import pytest
from composing import composed
from omegaconf import OmegaConf

from aeexp.errors import UsageError
from aeexp.runs.config import check, check_node, check_values


def refuse(message: str, node: dict) -> None:
    with pytest.raises(UsageError, match=message):
        check_node("group", node)


def test_what_a_partial_gets_at_run_time_is_no_key():
    check_node("group", {"_target_": "aeexp.schedulers.cosine", "_partial_": True, "floor": 0.1})
    check_node("group", {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-3, "amsgrad": True})
    check_node("group", {"_target_": "torch.optim.SGD", "_partial_": True, "maximize": True, "momentum": 0.9})
    refuse(r"group.steps=3: group as chosen has no such key", {
        "_target_": "aeexp.schedulers.cosine", "_partial_": True, "steps": 3})  # fmt: skip
    refuse(r"group.optimizer=3: .* it takes none", {
        "_target_": "aeexp.schedulers.constant", "_partial_": True, "optimizer": 3})  # fmt: skip
    refuse(r"group.params=\[\]: ", {"_target_": "torch.optim.Adam", "_partial_": True, "params": []})
    refuse(r"group.noise=3: ", {"_target_": "aeexp.objectives.Additive", "_partial_": True, "noise": 3})


def test_a_class_without_arguments_takes_none():
    check_node("group", {"_target_": "aeexp.likelihoods.Bernoulli"})
    refuse(r"group.args=1: .*; it takes none", {"_target_": "aeexp.likelihoods.Bernoulli", "args": 1})


def test_values_are_held_against_a_function_without_a_node():
    def load(path: str, shape: list[int] | None = None) -> None: ...

    check_values("dataset", load, {"path": "x", "shape": [1, 8]})
    with pytest.raises(UsageError, match=r"dataset.shape=\['a'\] should be a list of whole numbers or null"):
        check_values("dataset", load, {"shape": ["a"]})
    with pytest.raises(UsageError, match=r"dataset.shap=1: .* did you mean shape\?"):
        check_values("dataset", load, {"shap": 1})


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["variant=factor_vae", "trainer=closed_form"], "regularizer.total_correlation.rows is that of trainer.batch"),
        (["latent.dim=${latent.dmi}"], "latent.dim is that of latent.dmi"),
        (["dataset.name=${oc.env:AEEXP_NO_SUCH_THING}"], "dataset.name: "),
    ],
)
def test_a_value_that_refers_to_nothing_is_told_by_its_key(words, key):
    with pytest.raises(UsageError, match=re.escape(key)):
        check(composed(*words))


def list_texts(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from list_texts(value, f"{path}{key}.")
        elif isinstance(value, str) and not key.startswith("_"):
            yield f"{path}{key}"


TEXTS = sorted(list_texts(OmegaConf.to_container(composed("dataset=npz", "dataset.path=x.npz"), resolve=True)))


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_that_would_be_read_as_a_reference_later_is_refused(key):
    cfg = composed("dataset=npz", "dataset.path=x.npz")
    OmegaConf.update(cfg, key, r"a\${b}")
    with pytest.raises(UsageError, match=re.escape(f"{key}=a${{b}}: text with ${{ in it")):
        check(cfg)
