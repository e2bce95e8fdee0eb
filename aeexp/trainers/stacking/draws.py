"""What the runs of a stack draw: each has the numbers that it would draw alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from aeexp.tensors import randn_for_all

Draw = Callable[[torch.Generator], Tensor]


@final
class Draws(TorchFunctionMode):
    """Inside `torch.vmap` over runs, what draws random numbers draws them from each run's own generator.

    A `torch.Generator` gives what torch's own gives after the same seed. `runs` (K,) of the call that is vectorised
    names the generator of each run, `run` () is this run's. `used` says whether anything was drawn. A function that is
    not known here is left alone: it moves torch's own generator, by which `Untouched` knows it.
    """

    def __init__(self, generators: Sequence[torch.Generator], run: Tensor):
        super().__init__()
        self.generators = generators
        self.run = run
        self.used = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """torch's call for each of its functions."""
        kwargs = kwargs or {}
        make = KNOWN.get(func)
        draw = None if make is None or kwargs.get("generator") is not None else make(*args, **kwargs)
        if draw is None:
            return func(*args, **kwargs)
        self.used = True
        drawn = [draw(generator) for generator in self.generators]
        mine = drawn[0] if len(drawn) == 1 else torch.stack(drawn).index_select(0, self.run.reshape(1)).squeeze(0)
        return mine if func is not F.dropout else args[0] * mine


@final
class Untouched:
    """Whether torch's own generators were left alone since: what draws from them is no function of a run's seed."""

    def __init__(self, device: torch.device):
        self.device = device
        self.before = self._read()

    def _read(self) -> list[Tensor]:
        states = [torch.default_generator.get_state()]
        if self.device.type != "cpu":
            states.append(torch.get_device_module(self.device).get_rng_state())
        return states

    def holds(self) -> bool:
        """True where nothing was drawn."""
        return all(torch.equal(a, b) for a, b in zip(self.before, self._read(), strict=True))


def make_generators(seeds: Sequence[int], device: torch.device) -> list[torch.Generator]:
    """One for each seed, as torch's own stands after `manual_seed`."""
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


def adopt(generator: torch.Generator, device: torch.device) -> None:
    """torch's own generator of this device goes on as this one would."""
    state = generator.get_state()
    if device.type == "cpu":
        torch.default_generator.set_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state)


def _like(function: Callable[..., Tensor]) -> Callable[..., Draw | None]:
    def make(like: Tensor, *args: Any, **given: Any) -> Draw | None:
        kept = {"dtype": like.dtype, "device": like.device, **_plain(given)}
        shape = like.shape
        return lambda generator: function(*args, shape, generator=generator, **kept)

    return make


def _new(function: Callable[..., Tensor]) -> Callable[..., Draw | None]:
    def make(*args: Any, **given: Any) -> Draw | None:
        return lambda generator: function(*args, generator=generator, **_plain(given))

    return make


def _for_all(like: Tensor, *sizes: int) -> Draw | None:
    kept = {"dtype": like.dtype, "device": like.device}
    return lambda generator: torch.randn(*sizes, generator=generator, **kept)


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Draw | None:
    """The CPU's mask alone: a GPU draws in the kernel that multiplies by it."""
    if not training or p == 0 or p == 1 or inplace or x.device.type != "cpu":
        return None
    shape, kept = x.shape, {"dtype": x.dtype, "device": x.device}
    return lambda generator: torch.empty(shape, **kept).bernoulli_(1 - p, generator=generator).div_(1 - p)


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in ("generator", "requires_grad", "memory_format")}


KNOWN: dict[Any, Callable[..., Draw | None]] = {
    torch.rand_like: _like(torch.rand),
    torch.randn_like: _like(torch.randn),
    torch.rand: _new(torch.rand),
    torch.randn: _new(torch.randn),
    randn_for_all: _for_all,
    torch.randint: _new(torch.randint),
    torch.randperm: _new(torch.randperm),
    F.dropout: _dropout,
}
