"""How a training step is computed: in which precision, in which memory format, compiled or not.

None of it changes what is minimised. Losses, likelihoods, optimizer and evaluation stay in float32.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from aeexp.errors import UsageError
from aeexp.models.learner import Learner, means
from aeexp.types import Batch, Pass

log = logging.getLogger(__name__)

Precision = Literal["float32", "medium", "bf16"]
Forward = Callable[[Batch], tuple[list[str], Tensor, Pass]]  # names and means (T,) of the terms, and the pass
TURNS = 7  # of a timing


class Arithmetic(NamedTuple):
    """How a run computes its steps."""

    precision: Precision = "float32"
    compiled: bool = False
    channels_last: bool = False

    @contextmanager
    def prepare(
        self, learner: Learner, device: torch.device, example: Callable[[], Batch], steps: int
    ) -> Iterator[Forward]:
        """The forward pass of a step while the context lasts; `example` gives a batch of the run, of `steps` steps."""
        with use_precision(learner, self.precision, device), use_layout(learner, self.channels_last) as lay:
            forward = compile_forward(learner, lay(example()), steps) if self.compiled else forward_of(learner)
            yield (lambda batch: forward(lay(batch))) if self.channels_last else forward


@contextmanager
def use_precision(learner: Learner, precision: Precision, device: torch.device) -> Iterator[None]:
    """In a step, encoder and decoder compute by `precision`; afterwards everything is as it was.

    bf16 is autocast: products of matrices in bfloat16, whose range is float32's, so that no gradient has to be scaled.
    medium, and bf16 where the device has no autocast, let float32 products be as short inside
    (`torch.set_float32_matmul_precision`).
    """
    matmul = torch.get_float32_matmul_precision()
    casts = precision == "bf16" and torch.amp.is_autocast_available(device.type)
    if precision != "float32" and not casts:
        torch.set_float32_matmul_precision("medium")
    if casts:
        learner.model.reduced = torch.bfloat16
    try:
        yield
    finally:
        if casts:
            learner.model.reduced = None
        torch.set_float32_matmul_precision(matmul)


@contextmanager
def use_layout(learner: Learner, channels_last: bool) -> Iterator[Callable[[Batch], Batch]]:
    """With `channels_last` the weights of convolutions lie channel by channel innermost, and so do the pictures that
    go through the function given; afterwards as before."""
    if not channels_last:
        yield lambda batch: batch
        return
    _lay_weights(learner, torch.channels_last)
    try:
        yield lambda batch: batch.change(lambda field: _lay(field, torch.channels_last))
    finally:
        _lay_weights(learner, torch.contiguous_format)


@torch.no_grad()
def _lay_weights(learner: Learner, layout: torch.memory_format) -> None:
    for parameter in learner.parameters():
        parameter.data = _lay(parameter.data, layout)


def _lay(field: Tensor, layout: torch.memory_format) -> Tensor:
    return field.contiguous(memory_format=layout) if field.dim() == 4 else field


def forward_of(learner: Learner) -> Forward:
    """What a step differentiates."""

    def forward(batch: Batch) -> tuple[list[str], Tensor, Pass]:
        terms, out = learner(batch)
        return list(terms), means(terms, batch.weight), out

    return forward


def compile_forward(learner: Learner, batch: Batch, steps: int) -> Forward:
    """What a step differentiates, by `torch.compile`, with the draws of the plain pass.

    Made and timed on one batch, beside the plain one: a log line says after how many steps that pays. Raises UsageError
    where this machine cannot compile.
    """
    learner.train()
    plain = forward_of(learner)
    compiled = torch.compile(plain, options={"fallback_random": True})
    try:
        seconds = _time(compiled, batch, learner)
    except RuntimeError as error:  # of a compiler that is not there, in its own many words
        why = str(error).strip().splitlines()[0]
        raise UsageError(
            f"trainer.compile=true: this model cannot be compiled here ({why}): take trainer.compile=false"
        ) from error
    before, after = (
        statistics.median(_time(forward, batch, learner) for _ in range(TURNS)) for forward in (plain, compiled)
    )
    log.info(describe_gain(seconds, before, after, steps))
    return compiled


def describe_gain(seconds: float, before: float, after: float, steps: int) -> str:
    """What compiling costs and gives, and whether a run of so many steps gets it back."""
    text = f"compiled in {seconds:.1f} s; a step's passes {before * 1e3:.2f} -> {after * 1e3:.2f} ms: "
    if after >= before:
        return f"{text}no gain here, take trainer.compile=false"
    pays = seconds / (before - after)
    return f"{text}pays after {pays:,.0f} steps, and this run has {steps:,}" + (
        "" if pays <= steps else ": trainer.compile=false is faster"
    )


def _time(forward: Forward, batch: Batch, learner: Learner) -> float:
    """Seconds of one pass there and back; parameters stay, and gradients are dropped."""
    began = time.perf_counter()
    with torch.random.fork_rng():
        forward(batch)[1].sum().backward()
    if batch.x.is_cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    learner.zero_grad(set_to_none=True)
    return seconds
