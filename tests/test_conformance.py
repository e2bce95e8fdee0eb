"""What every part of a model keeps, whichever YAML names it: each option of conf/ is found, and goes through all.

A new option is covered without a line here. `requires` in an option's YAML says what it needs beside it.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing

import pytest
import torch
from composing import composed
from hydra.utils import get_class, get_object
from representatives import few

from aeexp import contracts
from aeexp.contracts import Part
from aeexp.datasets.core.data import Data
from aeexp.drawing.contracts import Plot
from aeexp.evaluation.contracts import Metric
from aeexp.models.learner import Learner
from aeexp.reference import options
from aeexp.runs import build
from aeexp.runs.config import check, make
from aeexp.testing import learners, stacking
from aeexp.testing.toy import make_data, make_pictures, make_sequences
from aeexp.trainers.contracts import Trainer

# groups whose options are parts of a learner; of several trainers, data sets, metrics and plots other tests speak
GROUPS = ("task", "noise", "condition", "model", "latent", "latent/prior", "latent/posterior", "likelihood",
          "regularizer", "objective", "objective/bound")  # fmt: skip
PARTS = [options.read_option(group, name) for group in GROUPS for name in options.list_groups()[group]]
CONTRACTS = {
    "task": contracts.Task, "noise": contracts.Noise, "condition": contracts.Condition, "latent": contracts.Latent,
    "latent/prior": contracts.Prior, "latent/posterior": contracts.Family, "likelihood": contracts.Likelihood,
    "regularizer": contracts.Regularizer,
    "objective": contracts.Objective, "objective/bound": contracts.Objective, "trainer": Trainer, "metric": Metric,
    "plot": Plot,
}  # fmt: skip


def words(option) -> list[str]:
    return (
        [*option.requires, option.word, "model.hidden_dims=[20]"] if _plain(option) else [*option.requires, option.word]
    )


def _plain(option) -> bool:
    return option.group != "model" and not any(word.startswith(("model=", "dataset=")) for word in option.requires)


@functools.cache
def configuration(*given: str):
    cfg = composed(*given)
    check(cfg)
    return cfg


def learner(option, data: Data, seed: int = 0, *more: str) -> Learner:
    cfg = configuration(*words(option), *more)
    torch.manual_seed(seed)
    made = build.build_learner(cfg, data.facts)
    return made.train()


def data_for(option) -> Data:
    sequential = any(word.startswith("dataset=sine") for word in option.requires)
    return make_sequences() if sequential else make_pictures()


FEW_CODES = ["latent.codes=8"]  # more of them than rows start alike, and rounding decides which is the nearest


def build_for(option, data: Data) -> learners.Build:
    return lambda seed: learner(option, data, seed)


def ids(option) -> str:
    return option.word


@pytest.mark.parametrize(
    "option", [each for each in options.list_options() if each.group in CONTRACTS and each.target], ids=ids
)
def test_an_option_is_a_final_class_of_its_groups_contract(option):
    target = get_object(option.target)
    if inspect.isclass(target):
        assert issubclass(target, CONTRACTS[option.group]), f"{option.target} is no {CONTRACTS[option.group].__name__}"
        assert getattr(target, "__final__", False), f"{option.target} is not final"
        assert not inspect.isabstract(target)
    if inspect.isclass(target) and "__init__" not in vars(target):
        return  # nothing to set
    build_it = target.__init__ if inspect.isclass(target) else target
    parameters = [each for name, each in inspect.signature(build_it).parameters.items() if name != "self"]
    kinds = {parameter.kind for parameter in parameters}
    assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{option.target} takes **kwargs: a typo would vanish"
    assert {parameter.name for parameter in parameters} <= typing.get_type_hints(build_it).keys()


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_two_steps_leave_finite_terms_and_parameters(option):
    data = data_for(option)
    learners.check_steps(build_for(option, data), data)


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_the_forward_pass_is_pure_a_stack_is_its_models_one_by_one(option):
    data = data_for(option)
    if reason := learners.check_purity(build_for(option, data), data):
        pytest.skip(f"{option.word} cannot be stacked: {reason}")


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_runs_that_are_trained_as_one_are_the_runs_alone(option):
    """Each option is in one of two sets, and the code says in which: no list is kept here."""
    data = data_for(option)
    few = FEW_CODES if "codes" in configuration(*words(option)).latent else []
    if reason := stacking.check_stacking(lambda seed: learner(option, data, seed, *few), data):
        pytest.skip(f"{option.word} is trained alone: {reason}")


@pytest.mark.parametrize("name", few(options.list_groups()["variant"], "vae", "vq_vae"))
def test_runs_of_a_variant_that_are_trained_as_one_are_the_runs_alone(name):
    cfg = configuration(f"variant={name}")
    if "codes" in cfg.latent:
        cfg = configuration(f"variant={name}", *FEW_CODES)
    data = make_data(cfg.dataset.name)

    def build_it(seed: int) -> Learner:
        torch.manual_seed(seed)
        return build.build_learner(cfg, data.facts).train()

    if reason := stacking.check_stacking(build_it, data):
        pytest.skip(f"variant={name} is trained alone: {reason}")


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_a_sketch_without_memory_has_the_names_shapes_and_types_of_the_model(option):
    """By which a run folder's weights are checked before anything of their size is made."""
    learners.check_sketch(build_for(option, data_for(option)))


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_what_follows_the_end_of_a_sequence_counts_nowhere(option):
    data = make_sequences()
    if not learners.check_ends(build_for(option, data), data):
        pytest.skip(f"{option.word} is not for sequences")


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_what_was_saved_is_what_is_loaded(option):
    data = data_for(option)
    learners.check_saving(build_for(option, data), data)


STATELESS = ("task", "condition", "model", "likelihood")  # what they keep are weights, as `saved is loaded` holds them


@pytest.mark.parametrize("option", few(PARTS, *(each for each in PARTS if each.group not in STATELESS)), ids=ids)
def test_a_run_that_is_stopped_and_taken_up_again_has_the_same_bits(option, tmp_path):
    data = data_for(option)
    learners.check_resuming(build_for(option, data), data, tmp_path)


@pytest.mark.parametrize("option", [option for option in PARTS if option.group == "latent"], ids=ids)
def test_a_code_holds_no_more_than_its_capacity_says(option):
    latent = build.build_learner(configuration(*words(option)), make_pictures().facts).eval().model.latent
    capacity = latent.capacity()
    codes = latent.project(latent(10 * torch.randn(500, latent.params)).mean)
    assert set(latent(torch.randn(3, latent.params)).losses) <= set(latent.terms)
    assert capacity.width == latent.dim == codes.shape[1]
    if capacity.active is not None and not capacity.shared:  # a threshold of a batch is found in training
        assert (codes != 0).sum(1).max() <= capacity.active
    if capacity.bits is not None:
        values = math.prod(len(unit.unique()) for unit in codes.T)
        assert len(codes.unique(dim=0)) <= 2**capacity.bits <= 2 * values, "as many bits as there are codes to tell"
    else:
        assert capacity.active is not None or len(codes.unique(dim=0)) == 500


def test_the_suite_saw_every_group():
    assert {option.group for option in PARTS} == set(GROUPS) and len(PARTS) > 50
    parts = {name for name, value in vars(contracts).items() if inspect.isclass(value) and issubclass(value, Part)}
    assert {contract.__name__ for contract in CONTRACTS.values()} >= parts - {"Part"}
    assert get_class("aeexp.latents.Gaussian") and make
