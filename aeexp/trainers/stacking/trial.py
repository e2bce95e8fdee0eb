"""Whether runs that look alike can be one: tried on copies of two of them before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aeexp.models.learner import Learner, average, means
from aeexp.randomness import mix, reseed
from aeexp.trainers.contracts import Training
from aeexp.trainers.joint import Joint
from aeexp.trainers.stacking.draws import make_generators
from aeexp.trainers.stacking.stack import Stack, Unstackable, make_skeleton

# float32: a bmm adds its products in another order than the product of one run, some 1e-6 of the largest of them; a
# part that is not pure, or draws other numbers, is off by far more
CLOSE = 1e-3
FEW = 64  # rows that a validation is tried on
COPIES = (
    10  # of the parameters: with gradient, averages of the optimizer, best and last state, and the room to move them
)


class Trial(NamedTuple):
    """What was found."""

    unused: list[str]  # parameters that no loss reads
    bytes: int  # that one run of the stack needs


def try_out(trainings: Sequence[Training]) -> Trial:
    """Raises `Unstackable` where two runs as one give other terms or gradients than one by one, or cannot be one.
    Nothing of them changes."""
    two = trainings[:2]
    train, trainer = two[0].data["train"], two[0].trainer
    assert isinstance(trainer, Joint)
    device = train.device
    with torch.random.fork_rng():
        learners = [copy.deepcopy(training.learner).train() for training in two]
        for learner in learners:
            learner.before_step(train, 0)
        stack = Stack(learners, make_skeleton(learners[0]))
        before = [tensor.clone() for tensor in stack.rest.values()]
        batch = next(iter(train.batches(trainer.choose_batch_size(len(train)))))
        generators = make_generators([mix(training.seed, 0) for training in two], device)
        together = stack.forward(batch, False, generators, torch.arange(len(two), device=device)).terms
        leaves = list(stack.parameters.values())
        gradients = dict(zip(stack.parameters, _differentiate(together.sum(), leaves), strict=True))
        if not all(map(torch.equal, before, stack.rest.values())):
            raise Unstackable("its forward pass changes what it reads")
        needed, unused = 0, [name for name, gradient in gradients.items() if gradient is None]
        for row, (learner, training) in enumerate(zip(learners, two, strict=True)):
            reseed(mix(training.seed, 0), device)
            needed = _compare(learner, batch, together[row], {n: g[row] for n, g in gradients.items() if g is not None})
        few = two[0].data["val"].sample(FEW)
        _check_validation([average(learner, few) for learner in learners], stack.measure(few))
    own = sum(p.numel() * p.element_size() for p in learners[0].parameters())
    return Trial(unused, needed + COPIES * own)


def _differentiate(loss: Tensor, leaves: list[Tensor]) -> Sequence[Tensor | None]:
    try:
        return torch.autograd.grad(loss, leaves, allow_unused=True)
    except (RuntimeError, NotImplementedError) as error:
        raise Unstackable(f"its gradient cannot be taken through torch.vmap: {str(error).splitlines()[0]}") from error


def _compare(learner: Learner, batch: Any, together: Tensor, gradients: dict[str, Tensor]) -> int:
    """Bytes that autograd keeps of this run alone. Raises `Unstackable` where it gives other terms and gradients."""
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        terms, _ = learner(batch)
        alone = means(terms, batch.weight)
    if not torch.allclose(alone, together, rtol=CLOSE, atol=CLOSE, equal_nan=True):
        raise Unstackable("two of them as one give other terms than one by one")
    alone.sum().backward()
    for name, parameter in learner.named_parameters():
        own = parameter.grad
        if (own is None) != (name not in gradients):
            raise Unstackable(f"{name} has a gradient alone and none in a stack, or the other way round")
        if own is not None and not _is_close(own, gradients[name]):
            raise Unstackable(f"the gradient of {name} is another in a stack")
    return sum(kept.values())


def _is_close(a: Tensor, b: Tensor) -> bool:
    return bool(((a - b).norm() <= CLOSE * (a.norm() + 1)).item()) or not bool(a.isfinite().all())


def _check_validation(alone: list[dict[str, float]], together: list[dict[str, float]]) -> None:
    for one, other in zip(alone, together, strict=True):
        a, b = torch.tensor(list(one.values())), torch.tensor(list(other.values()))
        if one.keys() != other.keys() or not torch.allclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True):
            raise Unstackable("two of them as one are validated to other terms than one by one")
