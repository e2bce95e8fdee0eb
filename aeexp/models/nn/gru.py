"""Recurrent encoder and decoder for sequences (B, T, F) of any lengths. nn.GRU has no vmap rule: no stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from aeexp import contracts
from aeexp.contracts import Likelihood
from aeexp.errors import UsageError
from aeexp.ranges import Count, Depth

NO_STACKS = "nn.GRU has no vmap rule"


@final
class Encoder(contracts.Encoder):
    """The last state of each direction, then one linear layer to (B, outputs). Steps beyond the mask change nothing.

    Rows are turned around within their own length, so that both directions meet the padding after the last real step.
    This trains twice as fast on the CPU as packed sequences, and its Jacobian can be differentiated again.
    """

    unstackable: ClassVar = NO_STACKS

    def __init__(self, inputs: int, hidden: int, layers: int, bidirectional: bool, outputs: int):
        super().__init__()
        width = 2 * hidden if bidirectional else hidden
        widths = [inputs] + [width] * (layers - 1)
        self.forwards = nn.ModuleList(nn.GRU(n, hidden, batch_first=True) for n in widths)
        self.backwards = nn.ModuleList(nn.GRU(n, hidden, batch_first=True) for n in widths if bidirectional)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, T, F) to (B, outputs)."""
        # cuDNN's backward pass has no derivative and wants training mode: Jacobians go without it
        cudnn = nullcontext() if not (x.is_cuda and x.requires_grad) else torch.backends.cudnn.flags(enabled=False)
        with cudnn:
            return self.head(self.summary(_join_side(x, context), mask))

    def summary(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, hidden) or (B, 2 hidden) last states."""
        time = torch.arange(x.shape[1], device=x.device)
        length = time.new_full((x.shape[0], 1), len(time)) if mask is None else mask.sum(1, keepdim=True)
        turn = torch.where(time < length, length - 1 - time, time)  # its own inverse
        last = (length - 1).clamp(min=0)
        ends: list[Tensor] = []
        for i, forward in enumerate(self.forwards):
            states = [forward(x)[0]]
            ends = [_pick_steps(states[0], last)[:, 0]]
            if self.backwards:
                turned = self.backwards[i](_pick_steps(x, turn))[0]
                states.append(_pick_steps(turned, turn))
                ends.append(states[1][:, 0])
            x = torch.cat(states, 2)
        return torch.cat(ends, 1)


@final
class Recurrence(nn.Module):
    """A GRU whose first state comes from the code, and one linear layer from each state to a step's parameters."""

    def __init__(self, code: int, inputs: int, hidden: int, layers: int, outputs: int):
        super().__init__()
        self.stem = nn.Linear(code, layers * hidden)
        self.gru = nn.GRU(inputs, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def state(self, z: Tensor) -> Tensor:
        """(layers, B, hidden) before the first step."""
        return torch.tanh(self.stem(z)).unflatten(1, (self.gru.num_layers, -1)).transpose(0, 1).contiguous()

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, inputs) and the state before them to (B, T, outputs) and the state behind."""
        states, state = self.gru(inputs, state)
        return self.head(states), state


@final
class Decoder(contracts.Decoder):
    """The code as first state and as input of every step: (B, D) and context to (B, T, outputs) in one go."""

    unstackable: ClassVar = NO_STACKS

    def __init__(self, steps: int, code: int, hidden: int, layers: int, outputs: int):
        super().__init__()
        self.steps = steps
        self.recurrence = Recurrence(code, code, hidden, layers, outputs)

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, D) to (B, T, outputs)."""
        z = z if context is None else torch.cat([z, context], 1)
        inputs = z.unsqueeze(1).expand(-1, self.steps, -1)
        return self.recurrence(inputs, self.recurrence.state(z))[0]


@final
class Autoregressive(contracts.Decoder):
    """p(x_t | x_<t, z): each step also sees the one before it (Bowman et al. 2016); the first sees a learned one.

    `force` takes the past from the data. From a code alone the past is the likelihood's mean of what was given so far.
    """

    unstackable: ClassVar = NO_STACKS
    autoregressive: ClassVar = True

    def __init__(self, steps: int, features: int, code: int, hidden: int, layers: int, outputs: int):
        super().__init__()
        self.steps = steps
        self.start = nn.Parameter(torch.zeros(features))
        self.recurrence = Recurrence(code, code + features, hidden, layers, outputs)

    def force(self, z: Tensor, context: Tensor | None, target: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, T, outputs), of which step t depends on the steps of `target` (B, T, F) before it alone."""
        z = z if context is None else torch.cat([z, context], 1)
        first = self.start.expand(target.shape[0], 1, -1)
        past = torch.cat([first, target[:, :-1]], 1)
        return self.recurrence(_join_side(past, z), self.recurrence.state(z))[0]

    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """What was given so far is taken for the past as it is: for a likelihood whose mean is the output."""
        return self._unroll(z, context, lambda output: output)

    def run_free(self, z: Tensor, context: Tensor | None, skips: tuple[Tensor, ...], likelihood: Likelihood) -> Tensor:
        """The past is the likelihood's mean of what was given so far."""
        return self._unroll(z, context, likelihood.mean)

    def _unroll(self, z: Tensor, context: Tensor | None, feedback: Callable[[Tensor], Tensor]) -> Tensor:
        z = z if context is None else torch.cat([z, context], 1)
        state, past, outputs = self.recurrence.state(z), self.start.expand(z.shape[0], 1, -1), []
        for _ in range(self.steps):
            output, state = self.recurrence(_join_side(past, z), state)
            past = feedback(output)
            outputs.append(output)
        return torch.cat(outputs, 1)


def gru(
    shape: Sequence[int],
    params: int,
    dim: int,
    context: int,
    output: Sequence[int] | None = None,
    told: int | None = None,
    *,
    hidden: Count = 128,
    layers: Depth = 1,
    bidirectional: bool = True,
    teacher_forcing: bool = False,
) -> tuple[Encoder, Decoder | Autoregressive]:
    """Encoder to `params` numbers and decoder from `dim` for sequences (T, F); the decoder always gives T steps.

    `bidirectional` is the encoder's; `teacher_forcing` makes the decoder autoregressive.
    """
    if len(shape) != 2:
        raise UsageError(
            f"model=gru needs sequences (steps, features), but a row of this dataset has shape {tuple(shape)}: "
            "take dataset=sine_waves, dataset.offsets or dataset.sequences of dataset=npz, or model=mlp"
        )
    (steps, features), output = shape, tuple(shape if output is None else output)
    if len(output) != 2 or output[0] != steps:
        raise UsageError(
            f"model=gru gives numbers for each of {steps} steps, but this likelihood wants them in shape {output}: "
            "take likelihood=gaussian or likelihood=bernoulli"
        )
    encoder = Encoder(features + (context if told is None else told), hidden, layers, bidirectional, params)
    if teacher_forcing:
        decoder = Autoregressive(steps, features, dim + context, hidden, layers, output[1])
    else:
        decoder = Decoder(steps, dim + context, hidden, layers, output[1])
    _initialise(encoder, decoder)
    return encoder, decoder


@torch.no_grad()
def _initialise(*networks: nn.Module) -> None:
    """Gate by gate, so that the three gates of one matrix do not count as one wide layer; states turn, not shrink."""
    for network in networks:
        for name, parameter in network.named_parameters():
            if parameter.dim() < 2:
                nn.init.zeros_(parameter)
            elif ".weight_" in name:
                fill = nn.init.orthogonal_ if ".weight_hh" in name else nn.init.xavier_uniform_
                for gate in parameter.chunk(3):
                    fill(gate)
            else:
                nn.init.xavier_uniform_(parameter)


def _join_side(x: Tensor, side: Tensor | None) -> Tensor:
    """Sequences (B, T, F) with `side` (B, C) at every step."""
    return x if side is None else torch.cat([x, side.unsqueeze(1).expand(-1, x.shape[1], -1)], 2)


def _pick_steps(x: Tensor, steps: Tensor) -> Tensor:
    """(B, N, F): of each row of (B, T, F) the steps (B, N)."""
    return x.gather(1, steps.unsqueeze(2).expand(-1, -1, x.shape[2]))
