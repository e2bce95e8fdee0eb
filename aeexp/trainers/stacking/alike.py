"""Which runs can be one stack: found from what was built, not listed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from aeexp.contracts import Decoder, Encoder, Part
from aeexp.datasets.core.split import Split
from aeexp.models.learner import Learner
from aeexp.trainers.arithmetic import Arithmetic
from aeexp.trainers.contracts import Splits, Training
from aeexp.trainers.joint import Joint

# Each number moves by its own gradient alone: the parameters of many runs can lie in one tensor.
ELEMENTWISE = (
    torch.optim.Adadelta, torch.optim.Adagrad, torch.optim.Adam, torch.optim.Adamax, torch.optim.AdamW,
    torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.SGD,
)  # fmt: skip
EACH_ITS_OWN = {"patience", "min_delta", "checkpoint_seconds"}  # of the trainer
_TORCH = set(vars(nn.Module())) - {"training"}  # what a module keeps for torch


def explain_alone(training: Training) -> str:
    """Why this run cannot be in any stack; "" where nothing is known against it."""
    if type(training.trainer) is not Joint:
        return f"trainer={type(training.trainer).__name__.lower()} has a loop of its own"
    if training.trainer.group.size > 1 or training.trainer.processes > 1:
        return "several processes train it together"
    if training.trainer.arithmetic != Arithmetic():
        return "trainer.precision, trainer.compile and trainer.channels_last are those of a run alone"
    if not isinstance(training.data["train"], Split):
        return "its rows are streamed, in an order of their own"
    if (kind := _find_kind(training)) not in ELEMENTWISE:
        name = kind.__name__ if isinstance(kind, type | FunctionType) else type(kind).__name__
        return f"{name} is not known to move each number by its own gradient alone"
    for part in training.learner.modules():
        if isinstance(part, Part | Encoder | Decoder) and part.unstackable:
            return part.unstackable
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats:
            return "batch normalisation keeps averages in its forward pass"
    moved = [parameter for parameter in training.learner.parameters() if parameter.requires_grad]
    if len({(parameter.dtype, parameter.device) for parameter in moved}) != 1:
        return "its parameters are of several types, or none is trained"
    return ""


def _find_kind(training: Training) -> object:
    """What makes the optimizer."""
    maker: object = training.optimizer
    while isinstance(maker, functools.partial):
        maker = maker.func
    return maker


def explain_difference(a: Training, b: Training) -> str:
    """What keeps two runs from being trained together: anything that differs and is not a value of a tensor, a number
    of the optimizer or of its schedule; "" where nothing does."""
    if reason := _compare_data(a.data, b.data):
        return reason
    own, other = vars(a.trainer), vars(b.trainer)
    if name := next((key for key in own if key not in EACH_ITS_OWN and own[key] != other[key]), ""):
        return f"trainer.{name} differs"
    if _find_kind(a) is not _find_kind(b):
        return "its optimizer differs"
    return _compare_learners(a.learner, b.learner)


def _compare_data(a: Splits, b: Splits) -> str:
    """Other rows, as those of another fold, go beside each other where there are as many of the same kind."""
    for name in ("train", "val") if a is not b else ():
        one, other = a[name], b[name]
        if len(one) != len(other):
            return f"its data differ: {len(other)} {name} rows beside {len(one)}"
        kinds = [
            [each if each is None else (each.shape, each.dtype, each.device) for each in next(split.batches(1))[:-1]]
            for split in (one, other)
        ]
        if kinds[0] != kinds[1]:
            return "its data differ"
    return ""


def _compare_learners(a: Learner, b: Learner) -> str:
    ours, theirs = dict(a.named_modules()), dict(b.named_modules())
    if ours.keys() != theirs.keys() or any(type(ours[name]) is not type(theirs[name]) for name in ours):
        return "its parts differ"
    own, other = _list_tensors(a), _list_tensors(b)
    if name := next((name for name in own | other if own.get(name) != other.get(name)), ""):
        return f"{name} has another shape"
    for name, module in ours.items():
        for key, value in _list_attributes(module).items():
            if not _is_same(value, vars(theirs[name]).get(key)):
                return f"{f'{name}.{key}'.strip('.')} differs, which is no tensor"
    return ""


def _list_tensors(learner: Learner) -> dict[str, tuple[Any, ...]]:
    named = [*learner.named_parameters(), *learner.named_buffers()]
    return {name: (tuple(t.shape), t.dtype, t.requires_grad) for name, t in named}


def _list_attributes(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in _TORCH}


def _is_same(a: Any, b: Any, depth: int = 0) -> bool:
    """Equal as far as can be seen; what cannot be compared is not."""
    if a is b:
        return True
    if type(a) is not type(b) or depth > 8:
        return False
    if isinstance(a, nn.Module):  # compared by its own name in the tree
        return True
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key], depth + 1) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(_is_same(x, y, depth + 1) for x, y in zip(a, b, strict=True))
    if isinstance(a, functools.partial):
        return a.func is b.func and _is_same((a.args, a.keywords), (b.args, b.keywords), depth + 1)
    try:
        return bool(a == b)
    except Exception:  # of another package's class: whatever its == raises, it does not say that they are equal
        return False


def sort_out(trainings: Sequence[Training]) -> Iterator[tuple[list[int], str]]:
    """The runs in groups that can be trained together, by their numbers; of a single one why it is alone."""
    groups: list[list[int]] = []
    why: dict[int, str] = {}
    for number, training in enumerate(trainings):
        if reason := explain_alone(training):
            yield [number], reason
            continue
        for group in groups:
            difference = explain_difference(trainings[group[0]], training)
            if not difference:
                group.append(number)
                break
            why.setdefault(number, difference)
        else:
            groups.append([number])
    for group in groups:
        alone = "no other run is like it"
        yield group, "" if len(group) > 1 else why.get(group[0], alone)
