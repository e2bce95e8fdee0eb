"""What every part of a model keeps, whichever YAML names it: each option of conf/ is found, and goes through all.

A new option is covered without a line here. `requires` in an option's YAML says what it needs beside it.
"""

from __future__ import annotations

import copy
import functools
import inspect
import io
import math
import typing

import numpy as np
import pytest
import torch
from composing import composed
from hydra.utils import get_class, get_object
from interrupted import files_of, same, stops_after
from torch.func import functional_call, stack_module_state

from aeexp import contracts, schedulers
from aeexp.contracts import Decoder, Part
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.models.learner import Learner, means
from aeexp.reference import options
from aeexp.runs import build
from aeexp.runs.config import check, make
from aeexp.trainers.checkpoint import Store, check_weights
from aeexp.trainers.contracts import Trainer
from aeexp.trainers.joint import Joint

# groups whose options are parts of a learner; of several trainers, data sets, metrics and plots other tests speak
GROUPS = ("task", "noise", "condition", "model", "latent", "latent/prior", "likelihood", "regularizer", "objective",
          "objective/bound")  # fmt: skip
PARTS = [options.read_option(group, name) for group in GROUPS for name in options.list_groups()[group]]
CONTRACTS = {
    "task": contracts.Task, "noise": contracts.Noise, "condition": contracts.Condition, "latent": contracts.Latent,
    "latent/prior": contracts.Prior, "likelihood": contracts.Likelihood, "regularizer": contracts.Regularizer,
    "objective": contracts.Objective, "objective/bound": contracts.Objective, "trainer": Trainer, "metric": Metric,
    "plot": Plot,
}  # fmt: skip
ROWS, SIDE, STEPS = 24, 8, 6
# float32: a vectorised product may add its terms in another order, and a step of Adam divides by a small root
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def words(option) -> list[str]:
    return (
        [*option.requires, option.word, "model.hidden_dims=[20]"] if _plain(option) else [*option.requires, option.word]
    )


def _plain(option) -> bool:
    return option.group != "model" and not any(word.startswith(("model=", "dataset=")) for word in option.requires)


def pictures(facts_of=None) -> Data:
    """Rows of 1x8x8 pixels on 17 levels with a label, a number, an attribute and a mask each: all that parts want."""
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 17, (ROWS, 1, SIDE, SIDE)) / 16).astype(np.float32)
    y, s = np.arange(ROWS) % 3, np.arange(ROWS) % 2
    rows = Rows(x, y, s, np.arange(ROWS), target=(x[:, 0] > 0.5).astype(np.uint8),
                response=rng.normal(3, 2, ROWS).astype(np.float32))  # fmt: skip
    return Data("toy", {name: Split(rows) for name in ("train", "val", "test")}, ("a", "b", "c"))


def sequences() -> Data:
    """Rows of 6 steps of 8 features, most of which end before."""
    rng = np.random.default_rng(0)
    lengths = 1 + np.arange(ROWS) % STEPS
    x = (rng.random((ROWS, STEPS, SIDE)) * (np.arange(STEPS) < lengths[:, None])[..., None]).astype(np.float32)
    rows = Rows(x, np.arange(ROWS) % 3, np.arange(ROWS) % 2, np.arange(ROWS), lengths=lengths)
    return Data("toy", {name: Split(rows) for name in ("train", "val", "test")}, ("a", "b", "c"))


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
    return sequences() if any(word.startswith("dataset=sine") for word in option.requires) else pictures()


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
    part = learner(option, data)
    optimizer = torch.optim.Adam(part.parameters(), 1e-3)
    for step in range(2):
        part.before_step(data["train"], step)
        terms, out = part(data["train"].batch(slice(0, 12)))
        for name, term in terms.items():
            assert term.shape in ((), (12,)), f"{option.word}: the term {name} is {tuple(term.shape)}, not (B,) or ()"
        means(terms).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        part.observe(out)
    assert all(value.isfinite().all() for value in part.state_dict().values())
    assert all(isinstance(value, float) for value in part.readings().values())


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_the_forward_pass_is_pure_a_stack_is_its_models_one_by_one(option):
    data = data_for(option)
    parts = [learner(option, data, seed) for seed in range(2)]
    if reason := next((p.unstackable for p in parts[0].modules() if getattr(p, "unstackable", "")), ""):
        pytest.skip(f"{option.word} cannot be stacked: {reason}")
    for part in parts:
        part.before_step(data["train"], 0)
    batch = data["train"].batch(slice(0, 12))
    parameters, buffers = stack_module_state(parts)
    skeleton = copy.deepcopy(parts[0]).to("meta")

    def terms(parameters, buffers):
        return means(functional_call(skeleton, (parameters, buffers), (batch,))[0])

    torch.manual_seed(5)
    together = torch.vmap(terms, randomness="same")(parameters, buffers)
    alone = []
    for part in parts:
        torch.manual_seed(5)
        alone.append(means(part(batch)[0]))
    torch.testing.assert_close(together, torch.stack(alone), **CLOSE)


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_a_sketch_without_memory_has_the_names_shapes_and_types_of_the_model(option):
    """By which a run folder's weights are checked before anything of their size is made."""
    data = data_for(option)
    with torch.device("meta"):
        sketch = learner(option, data)
    assert {value.device.type for value in sketch.state_dict().values()} <= {"meta"}
    check_weights(sketch, learner(option, data).state_dict())


class Junk(Decoder):
    """A decoder that paints nonsense beyond the end."""

    def __init__(self, decoder: Decoder, mask: torch.Tensor):
        super().__init__()
        self.decoder, self.mask = decoder, mask
        self.autoregressive = decoder.autoregressive

    def forward(self, z, context=None, skips=()):
        return self.paint(self.decoder(z, context, skips))

    def force(self, z, context, target, skips=()):
        return self.paint(self.decoder.force(z, context, target, skips))

    def run_free(self, z, context, skips, likelihood):
        return self.paint(self.decoder.run_free(z, context, skips, likelihood))

    def reading_weight(self):
        return self.decoder.reading_weight()

    def paint(self, output):
        times = len(output) // len(self.mask)
        return torch.where(self.mask.repeat(times, 1)[..., None], output, torch.full_like(output, 3.0))


def takes_sequences(option) -> bool:
    try:
        learner(option, sequences())
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_what_follows_the_end_of_a_sequence_counts_nowhere(option):
    if not takes_sequences(option):
        pytest.skip(f"{option.word} is not for sequences")
    data = sequences()
    part = learner(option, data)
    part.before_step(data["train"], 0)
    batch = data["train"].batch(slice(0, 12))
    torch.manual_seed(5)
    terms, out = part(batch)
    assert not out.x[~out.batch.mask].any(), f"{option.word}: the encoder sees something beyond the end"
    part.model.decoder = Junk(part.model.decoder, batch.mask)
    torch.manual_seed(5)
    junk, _ = part(batch)
    assert junk.keys() == terms.keys()
    for name in terms:
        torch.testing.assert_close(junk[name], terms[name], msg=f"{option.word}: {name} counts what follows the end")


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_what_was_saved_is_what_is_loaded(option):
    data = data_for(option)
    part, other = learner(option, data, 0), learner(option, data, 1)
    part.before_step(data["train"], 0)
    torch.save(part.state_dict(), buffer := io.BytesIO())
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    batch = data["train"].batch(slice(0, 12))
    values = []
    for each in (part, other):
        torch.manual_seed(5)
        values.append(each.eval()(batch)[0])
    assert same(values[0], values[1])


@pytest.mark.parametrize("option", PARTS, ids=ids)
def test_a_run_that_is_stopped_and_taken_up_again_has_the_same_bits(option, tmp_path, quiet):
    data = data_for(option)
    trainer = Joint(steps=5, batch_size=8, validate_every_steps=2, log_every_steps=1)

    def run(name: str, seed: int, stop=lambda: False) -> Store:
        store = Store(tmp_path / name, {"run_id": option.word})
        if (tmp_path / name / "last.pt").is_file():
            store.resume(tmp_path / name)
        optimizer = functools.partial(torch.optim.Adam, lr=1e-3)
        trainer.fit(learner(option, data, seed), data, optimizer, schedulers.constant, store, quiet(), 0, stop)
        return store

    run("whole", 0)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", 0, stops_after(3))
    run("stopped", 9)  # other weights, which the checkpoint replaces
    assert same(files_of(tmp_path / "stopped"), files_of(tmp_path / "whole"))


@pytest.mark.parametrize("option", [option for option in PARTS if option.group == "latent"], ids=ids)
def test_a_code_holds_no_more_than_its_capacity_says(option):
    latent = build.build_learner(configuration(*words(option)), pictures().facts).eval().model.latent
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
