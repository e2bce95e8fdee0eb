"""What parts of other packages give for a few rows, held against what their group promises, before time is spent."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aeexp import contracts
from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.runs.foreign import read_name
from aeexp.tensors import describe_shape
from aeexp.types import Batch, Code, Pass

ROWS = 5
Shape = tuple[int, ...]


class Promise(NamedTuple):
    """What a method must give."""

    method: str
    what: str  # a penalty
    shapes: tuple[Shape, ...]  # any of them


class Sizes(NamedTuple):
    """Of a batch that is tried."""

    rows: int
    dim: int
    row: Shape
    target: Shape
    output: Shape
    params: int


def probe_parts(learner: Learner, data: Data, parts: Mapping[str, str]) -> None:
    """Try a few training rows on a copy of the learner, some of whose parts are `parts` (path -> name of the class).

    Raises UsageError for what such a part gives that is no tensor, of another shape or not finite: with its class, file
    and line, and the shape expected. What it raises itself goes through. Generators are left as they were.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = copy.deepcopy(learner).train()
        learner.before_step(data["train"], 0)
        batch = next(iter(data["train"].batches(ROWS)))
        sizes = _measure(learner, tuple(batch.x.shape))
        own = list(_find_own(learner, parts))
        for module, path in own:
            module.register_forward_hook(_make_hook(path, sizes))
        out = learner(batch)[1]
        for module, path in own:
            _probe_methods(module, path, out, learner.model, sizes._replace(rows=len(out.output)))


def _make_hook(path: str, sizes: Sizes) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], given: Any) -> None:
        first = arguments[-1] if isinstance(module, contracts.Objective) else arguments[0]
        rows = len(first.x if isinstance(first, Batch | Pass) else first)
        for promise, value in list_promises(module, first, given, sizes._replace(rows=rows)):
            check_given(path, module, promise, value, sizes._replace(rows=rows))

    return hook


def list_promises(module: nn.Module, first: Any, given: Any, sizes: Sizes) -> Iterator[tuple[Promise, Any]]:
    """What `forward` of a part of each group has promised for `first`, with what it gave."""
    rows, forward = sizes.rows, "forward"
    match module:
        case contracts.Noise():
            yield Promise(forward, "the corrupted input", (tuple(first.shape),)), given
        case contracts.Condition():
            if given is not None or module.size:
                yield Promise(forward, "side information", ((rows, module.size),)), given
        case contracts.Encoder():
            h = given[0] if isinstance(given, tuple) else given
            yield Promise(forward, "what the latent takes", ((rows, sizes.params),)), h
        case contracts.Decoder():
            yield Promise(forward, "what the likelihood takes", ((rows, *sizes.output),)), given
        case contracts.Latent():
            code = given if isinstance(given, Code) else Code(given, given)  # which says what it is
            yield Promise(forward, "a code: Code(z, mean), of which z", ((rows, sizes.dim),)), code.z
            yield Promise(forward, "a code: Code(z, mean), of which the mean", ((rows, sizes.dim),)), code.mean
            for name, loss in code.losses.items():
                yield Promise(forward, f"the loss {name}", ((rows,), ())), loss
        case contracts.Task():
            target = given.target if isinstance(given, Batch) else given
            yield Promise(forward, "a batch, whose target", ((rows, *sizes.target),)), target
        case contracts.Regularizer():
            yield Promise(forward, "a penalty", ((rows,), ())), given
        case contracts.Objective():
            terms = given[0] if isinstance(given, tuple) and len(given) == 2 else None
            for name, term in terms.items() if isinstance(terms, dict) else [("terms", given)]:
                yield Promise(forward, f"terms and the pass: the term {name}", ((rows,), ())), term


def _probe_methods(module: nn.Module, path: str, out: Pass, model: contracts.Model, sizes: Sizes) -> None:
    """What is no `forward`: of a likelihood and of a prior."""
    rows, given = sizes.rows, []
    if isinstance(module, contracts.Likelihood):
        distortion = module.distortion(out.output, out.batch.targets, out.batch.mask)
        given.append((Promise("distortion", "-log p of each row", ((rows,),)), distortion))
        shape = tuple(out.batch.targets.shape[1:]) if module.density else tuple(module.mean(out.output).shape[1:])
        given.append((Promise("mean", "the picture", ((rows, *shape),)), module.mean(out.output)))
    elif isinstance(module, contracts.Prior):
        given.append((Promise("log_prob", "log p of each code", ((rows,),)), module.log_prob(out.code.mean, model)))
        given.append((Promise("sample", "new codes", ((ROWS, sizes.dim),)), module.sample(ROWS, model)))
    for promise, value in given:
        check_given(path, module, promise, value, sizes)


def check_given(path: str, part: object, promise: Promise, given: Any, sizes: Sizes) -> None:
    """Hold what a method of a part gave against its promise. Raises UsageError."""
    wanted = " or ".join(describe_shape(shape, sizes.rows, sizes.dim) for shape in promise.shapes)
    head, place = f"{path}: {'.'.join(read_name(type(part)))}", find_place(part, promise.method)
    expected = f"{promise.what} is {wanted}\n{place}"
    if not isinstance(given, Tensor):
        raise UsageError(f"{head}: `{promise.method}` returned {_describe(given)}; {expected}")
    if tuple(given.shape) not in promise.shapes:
        shape = describe_shape(given.shape, sizes.rows, sizes.dim)
        raise UsageError(f"{head}: `{promise.method}` returned {shape}; {expected}")
    if not bool(given.isfinite().all()):
        kind = "NaN" if bool(given.isnan().any()) else "infinity"
        count = int((~given.isfinite()).flatten(1).any(1).sum()) if given.dim() > 1 else int((~given.isfinite()).sum())
        rows = f" in {count} of {len(given)} rows" if given.dim() else ""
        raise UsageError(f"{head}: `{promise.method}` returned {kind}{rows}, before anything was trained\n{place}")


def find_place(part: object, method: str) -> str:
    """File and line of a method of a part's class: where to look."""
    try:
        function = inspect.unwrap(inspect.getattr_static(type(part), method))
        return f"{inspect.getsourcefile(function)}, line {inspect.getsourcelines(function)[1]}, in {method}"
    except (AttributeError, OSError, TypeError):
        return f"in {method}"


def _describe(given: Any) -> str:
    return "nothing: is there a return?" if given is None else f"{type(given).__name__}, no tensor"


def _measure(learner: Learner, batch: Shape) -> Sizes:
    model, row = learner.model, batch[1:]
    target = tuple(learner.task.target_shape(row))
    output = tuple(model.likelihood.output(target))
    return Sizes(batch[0], model.latent.dim, row, target, output, model.latent.params)


def _find_own(learner: Learner, parts: Mapping[str, str]) -> Iterator[tuple[nn.Module, str]]:
    """The modules of a learner that are parts of these names, with the path of each."""
    brought = parts.get("model", "").partition(".")[0]  # by a function that makes networks
    for module in learner.modules():
        home, name = read_name(type(module))
        if isinstance(module, contracts.Encoder | contracts.Decoder) and home.partition(".")[0] == brought:
            yield module, "model"
            continue
        for path, target in parts.items():
            package, _, last = target.rpartition(".")
            if name == last and (home == package or home.startswith(f"{package}.")):
                yield module, path
                break
