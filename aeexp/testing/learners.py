"""What a learner keeps whatever its parts are. `build(seed)` gives one in training mode; each check raises
AssertionError with what is wrong and what to do."""

from __future__ import annotations

import copy
import functools
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from aeexp import schedulers
from aeexp.contracts import Decoder, Encoder, Likelihood, Part
from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.models.learner import Learner, means
from aeexp.testing.toy import stop_after
from aeexp.trainers.checkpoint import Store, check_weights, load
from aeexp.trainers.contracts import MakeOptimizer, MakeScheduler, Tracker, Trainer
from aeexp.trainers.joint import Joint
from aeexp.types import Batch

Build = Callable[[int], Learner]
FEW = 12  # rows of a batch
# float32: a vectorised product may add its terms in another order, and a step of Adam divides by a small root
CLOSE = 1e-4
ADAM: MakeOptimizer = functools.partial(torch.optim.Adam, lr=1e-3)


def require(holds: object, message: str) -> None:
    """Raises AssertionError."""
    if not holds:
        raise AssertionError(message)


def _few(data: Data) -> Batch:
    return next(iter(data["train"].batches(FEW)))


def check_steps(build: Build, data: Data) -> None:
    """Two steps leave terms of a shape that a loss can add, and parameters that are finite."""
    part = build(0)
    optimizer = torch.optim.Adam([p for p in part.parameters() if p.requires_grad], 1e-3)
    for step in range(2):
        part.before_step(data["train"], step)
        terms, out = part(_few(data))
        for name, term in terms.items():
            shape = tuple(term.shape)
            require(shape in ((), (len(term) if shape else 0,)), f"the term {name} is {shape}, not (B,) or ()")
        total = means(terms).sum()
        loss = float(total.detach())
        require(math.isfinite(loss), f"the loss is {loss} at step {step + 1}: is there a 0 that is divided by?")
        total.backward()
        broken = [name for name, p in part.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        require(not broken, f"the gradient of {', '.join(broken[:2])} is not finite: is it that of sqrt or log at 0?")
        optimizer.step()
        optimizer.zero_grad()
        part.observe(out)
    for name, value in part.state_dict().items():
        require(value.isfinite().all(), f"{name} is not finite after two steps")
    for name, value in part.readings().items():
        require(isinstance(value, float), f"the reading {name} is no number: `readings` gives 0-d tensors by name")


def check_purity(build: Build, data: Data) -> str:
    """The forward pass is a function of parameters, buffers and batch: a stack of models is the models one by one.

    Returns why this cannot be, where a part says so in `unstackable`.
    """
    parts = [build(seed) for seed in range(2)]
    batch = _few(data)
    for part in parts:
        part.before_step(data["train"], 0)
    torch.manual_seed(5)
    before = copy.deepcopy(parts[0].state_dict())
    first = means(parts[0](batch)[0])
    changed = [name for name, value in parts[0].state_dict().items() if not torch.equal(value, before[name])]
    if reason := next(filter(None, map(_read_reason, parts[0].modules())), ""):
        return reason
    require(
        not changed or all("running" in name or "num_batches" in name for name in changed),
        f"`forward` changes {', '.join(changed)}: what is kept beside the gradient is changed in `observe` alone",
    )
    if changed:
        return "batch normalisation keeps averages in its forward pass"
    parameters, buffers = stack_module_state(parts)
    skeleton = copy.deepcopy(parts[0]).to("meta")

    def terms(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return means(functional_call(skeleton, (parameters, buffers), (batch,))[0])

    torch.manual_seed(5)
    try:
        together = torch.vmap(terms, randomness="same")(parameters, buffers)
    except RuntimeError as error:
        way = "write it with tensor operations (no .item(), no if over values), or say why not in `unstackable`"
        raise AssertionError(f"torch.func.vmap cannot run over models with this part: {error}\n{way}") from error
    torch.manual_seed(5)
    second = means(parts[1](batch)[0])
    same = torch.allclose(together, torch.stack([first, second]), rtol=CLOSE, atol=CLOSE)
    why = "is a number that differs between them kept outside of parameters and buffers?"
    require(same, f"a stack of two models gives other terms than the models one by one: {why}")
    return ""


def _read_reason(part: torch.nn.Module) -> str:
    return part.unstackable if isinstance(part, Part | Encoder | Decoder) else ""


def check_sketch(build: Build) -> None:
    """Built without memory it has the same names, shapes and types: what a run folder's weights are checked by."""
    with torch.device("meta"):
        sketch = build(0)
    devices = {value.device.type for value in sketch.state_dict().values()}
    require(devices <= {"meta"}, "a constructor makes tensors on a device of its own choice: leave device= out")
    check_weights(sketch, build(0).state_dict())


def check_saving(build: Build, data: Data) -> None:
    """What was saved is what is loaded: nothing that the forward pass reads is missing in the state."""
    one, other = build(0), build(1)
    one.before_step(data["train"], 0)
    torch.save(one.state_dict(), buffer := io.BytesIO())
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    batch, values = _few(data), []
    for each in (one, other):
        torch.manual_seed(5)
        values.append(each.eval()(batch)[0])
    require(
        is_same(values[0], values[1]),
        "a model that was saved and loaded gives other terms: what `forward` reads must be a parameter or a buffer "
        "(self.register_buffer)",
    )


def check_resuming(
    build: Build, data: Data, folder: Path, *, trainer: Trainer | None = None, optimizer: MakeOptimizer = ADAM,
    scheduler: MakeScheduler = schedulers.constant,
) -> None:  # fmt: skip
    """A run that is stopped and taken up again has the bits of one that was not."""
    trainer = trainer or Joint(steps=5, batch_size=8, validate_every_steps=2, log_every_steps=1)

    def run(name: str, seed: int, stop: Callable[[], bool] = lambda: False) -> None:
        store = Store(folder / name, {"run_id": "toy"})
        if (folder / name / "last.pt").is_file():
            store.resume(folder / name)
        trainer.fit(build(seed), data, optimizer, scheduler, store, Tracker(), 0, stop)

    run("whole", 0)
    try:
        run("stopped", 0, stop_after(3))
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("`fit` goes on where `stop()` is true: it saves its state and raises KeyboardInterrupt")
    run("stopped", 9)  # other weights, which the checkpoint replaces
    way = "what changes in training is a parameter or a buffer, and randomness follows from torch's generator alone"
    same = is_same(read_states(folder / "stopped"), read_states(folder / "whole"))
    require(same, f"a resumed run has other bits: {way}")


@final
class Junk(Decoder):
    """A decoder that paints nonsense beyond the end."""

    def __init__(self, decoder: Decoder, mask: Tensor):
        super().__init__()
        self.decoder, self.mask = decoder, mask

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """From the code alone."""
        return self._paint(self.decoder(z, context, skips))

    def force(self, z: Tensor, context: Tensor | None, target: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Given the true past."""
        return self._paint(self.decoder.force(z, context, target, skips))

    def run_free(self, z: Tensor, context: Tensor | None, skips: tuple[Tensor, ...], likelihood: Likelihood) -> Tensor:
        """With what was given so far."""
        return self._paint(self.decoder.run_free(z, context, skips, likelihood))

    def reading_weight(self) -> Tensor:
        """The decoder's."""
        return self.decoder.reading_weight()

    def _paint(self, output: Tensor) -> Tensor:
        times = len(output) // len(self.mask)
        return torch.where(self.mask.repeat(times, 1)[..., None], output, torch.full_like(output, 3.0))


def check_ends(build: Build, data: Data) -> bool:
    """What follows the end of a sequence counts nowhere. False, of parts that are not for sequences."""
    try:
        part = build(0)
    except UsageError:
        return False
    part.before_step(data["train"], 0)
    batch = _few(data)
    if batch.mask is None:
        raise ValueError("these rows have no end: give sequences")
    torch.manual_seed(5)
    terms, out = part(batch)
    seen = out.batch.mask is not None and out.x[~out.batch.mask].any()
    require(not seen, "the encoder sees something beyond the end of a sequence, where the input is 0")
    junk = Junk(part.model.decoder, batch.mask)
    junk.autoregressive = part.model.decoder.autoregressive  # type: ignore[misc]  # of this one alone
    part.model.decoder = junk
    torch.manual_seed(5)
    painted, _ = part(batch)
    for name, term in terms.items():
        close = name in painted and torch.allclose(painted[name], term, rtol=1e-5, atol=1e-6)
        require(close, f"the term {name} counts what follows the end of a sequence: multiply by `out.batch.mask`")
    return True


def is_same(a: Any, b: Any) -> bool:
    """Equal bit for bit, through dicts and lists."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(is_same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def read_states(folder: Path) -> dict[str, Any]:
    """Both checkpoints of a run without the clock."""
    content = {name: load(folder / f"{name}.pt") for name in ("last", "best")}
    for saved in content.values():
        del saved["progress"]["seconds"]
    return content
