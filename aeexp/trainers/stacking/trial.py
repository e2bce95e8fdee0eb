"""Whether runs that look alike can be one: tried on copies of two of them before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from aeexp.models.learner import Learner, average, means
from aeexp.randomness import mix, reseed
from aeexp.trainers.contracts import Training
from aeexp.trainers.joint import Joint
from aeexp.trainers.stacking.draws import make_generators
from aeexp.trainers.stacking.stack import Stack, Unstackable, make_skeleton
from aeexp.types import ALL, Batch, Share

# A bmm adds its products in another order than the product of one run, and rounding may move a number over the kink of
# a rectifier, behind which a gradient is another: in double precision that is some 1e-12 of it. A part that is not
# pure, or draws other numbers, is off by far more. What is not to be had in double precision is held to float32's.
CLOSE = {torch.float64: 1e-6, torch.float32: 2e-2}
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
    for kind in (torch.float64, torch.float32):
        try:
            return _try_out(trainings[:2], kind)
        except (RuntimeError, TypeError) as error:
            if isinstance(error, Unstackable) or kind == torch.float32:
                raise
    raise AssertionError("the second of two returns or raises")


def _try_out(two: Sequence[Training], kind: torch.dtype) -> Trial:
    train, trainer = two[0].data["train"], two[0].trainer
    assert isinstance(trainer, Joint)
    with torch.random.fork_rng():
        learners = [copy.deepcopy(training.learner).train() for training in two]
        for learner in learners:
            learner.before_step(train, 0)
            learner.to(kind)
        batch = _convert(next(iter(train.batches(trainer.choose_batch_size(len(train))))), kind)
        seeds = [mix(training.seed, 0) for training in two]
        alone = [_run_alone(copy.deepcopy(learner), batch, seed) for learner, seed in zip(learners, seeds, strict=True)]
        stack = Stack(learners, make_skeleton(learners[0]))
        before = [tensor.clone() for tensor in stack.rest.values()]
        generators = make_generators(seeds, train.device)
        together = stack.forward(batch, False, generators, torch.arange(len(two), device=train.device)).terms
        gradients = dict(zip(stack.parameters, _differentiate(together.sum(), stack), strict=True))
        if not all(map(torch.equal, before, stack.rest.values())):
            raise Unstackable("its forward pass changes what it reads")
        for row, one in enumerate(alone):
            _compare(one, together[row], {name: None if g is None else g[row] for name, g in gradients.items()}, kind)
        few = next(iter(two[0].data["val"].batches(FEW)))
        _check_validation(learners, stack, Few(_convert(few, kind)), kind)
    size = sum(p.numel() for p in learners[0].parameters())
    unused = [name for name, gradient in gradients.items() if gradient is None]
    return Trial(unused, (max(one.kept for one in alone) // kind.itemsize + COPIES * size) * torch.float32.itemsize)


@final
class Few:
    """A batch as a split of its own."""

    def __init__(self, batch: Batch):
        self.batch = batch
        self.shape = batch.x.shape[1:]
        self.device = batch.x.device
        self.y = batch.y

    def __len__(self) -> int:
        return len(self.batch.x)

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """The one that it is."""
        yield self.batch

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """The same."""
        yield self.batch

    def sample(self, rows: int, seed: int = 0) -> Few:
        """All of it."""
        return self


def _convert(batch: Batch, kind: torch.dtype) -> Batch:
    return batch.change(lambda field: field.to(kind) if field.is_floating_point() else field)


class _Alone(NamedTuple):
    """What a run gives by itself."""

    terms: Tensor
    gradients: dict[str, Tensor | None]
    kept: int  # bytes that autograd keeps of it


def _run_alone(learner: Learner, batch: Batch, seed: int) -> _Alone:
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    def run() -> Tensor:
        reseed(seed, batch.x.device)
        return means(learner(batch)[0], batch.weight)

    try:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            terms = run()
    except RuntimeError:  # a part that differentiates by itself takes no hooks: twice a pass of what it has kept so far
        terms, kept = run(), {0: 2 * sum(kept.values())}
    terms.sum().backward()
    gradients = {name: p.grad for name, p in learner.named_parameters() if p.requires_grad}
    return _Alone(terms.detach(), gradients, sum(kept.values()))


def _differentiate(loss: Tensor, stack: Stack) -> Sequence[Tensor | None]:
    try:
        return torch.autograd.grad(loss, list(stack.parameters.values()), allow_unused=True)
    except (RuntimeError, NotImplementedError) as error:
        raise Unstackable(f"its gradient cannot be taken through torch.vmap: {str(error).splitlines()[0]}") from error


def _compare(alone: _Alone, terms: Tensor, gradients: dict[str, Tensor | None], kind: torch.dtype) -> None:
    if not torch.allclose(alone.terms, terms, rtol=CLOSE[kind], atol=CLOSE[kind], equal_nan=True):
        raise Unstackable("two of them as one give other terms than one by one")
    for name, own in alone.gradients.items():
        other = gradients[name]
        if (own is None) != (other is None):
            raise Unstackable(f"{name} has a gradient alone and none in a stack, or the other way round")
        if own is None or other is None or not bool(own.isfinite().all()):
            continue
        if float((own - other).norm()) > CLOSE[kind] * (float(own.norm()) + 1):
            raise Unstackable(f"the gradient of {name} is another in a stack")


def _check_validation(learners: Sequence[Learner], stack: Stack, few: Few, kind: torch.dtype) -> None:
    for learner, other in zip(learners, stack.measure([few] * len(learners)), strict=True):
        one = average(learner, few)
        a, b = torch.tensor(list(one.values())), torch.tensor(list(other.values()))
        if one.keys() != other.keys() or not torch.allclose(a, b, rtol=CLOSE[kind], atol=CLOSE[kind], equal_nan=True):
            raise Unstackable("two of them as one are validated to other terms than one by one")
