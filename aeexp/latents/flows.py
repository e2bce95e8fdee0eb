"""Invertible maps between codes whose log-determinant is known: what flows of posteriors, of priors and of samplers are
made of. Plain functions of tensors, so that a stack of models can be trained at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

NEAR = 2.0  # of the gate before its sigmoid, at the start: 0.88, so that a new layer is nearly the identity
NARROW = 0.1  # of the last layer's usual weights, at the start
HALVINGS = 40  # of the bracket in which a planar map's inverse lies: beyond float32


class Transform(nn.Module, ABC):
    """An invertible map of codes (..., D), given side information (..., C) that broadcasts against them, or none."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(..., D) the image, and (...) the log of the absolute determinant of its Jacobian."""

    @abstractmethod
    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(..., D) what has this image, and (...) the log-determinant of the way there: of the inverse."""


@final
class Autoregressive(Transform):
    """y_i = g_i x_i + (1 - g_i) m_i, gate g and shift m of the units before i (Kingma et al. 2016, equation 14).

    Gates and shifts of all units come from one masked network (MADE, Germain et al. 2015): one pass forward, one for
    each unit back. `reverse` goes through the units from the last to the first.
    """

    reads: Tensor
    mixes: Tensor
    writes: Tensor

    def __init__(self, dim: int, hidden: int, context: int = 0, *, reverse: bool = False):
        super().__init__()
        self.dim = dim
        places = torch.arange(dim)
        degree = dim - 1 - places if reverse else places  # how many units stand before one
        # (hidden,) the place of the last unit that each hidden one may see; of -1 it sees side information alone
        seen = torch.arange(hidden) % dim - 1
        self.degree: Tensor
        self.register_buffer("degree", degree, persistent=False)
        self.register_buffer("reads", (seen[:, None] >= degree).float(), persistent=False)
        self.register_buffer("mixes", (seen[:, None] >= seen).float(), persistent=False)
        self.register_buffer("writes", (degree[:, None] > seen).float().repeat(2, 1), persistent=False)
        self.first = nn.Linear(dim, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 2 * dim)
        self.told = nn.Linear(context, hidden, bias=False) if context else None
        with torch.no_grad():
            self.last.weight.mul_(NARROW)
            self.last.bias.copy_(torch.cat([torch.zeros(dim), torch.full((dim,), NEAR)]))

    def find_shift_and_gate(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., D) each: what unit i is moved to, and log(g / (1 - g)) of how much of it stays."""
        h = F.linear(x, self.first.weight * self.reads, self.first.bias)
        if self.told is not None and context is not None:
            h = h + self.told(context)
        h = F.elu(F.linear(F.elu(h), self.second.weight * self.mixes, self.second.bias))
        shift, gate = F.linear(h, self.last.weight * self.writes, self.last.bias).chunk(2, -1)
        return shift, gate

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """All units at once."""
        shift, gate = self.find_shift_and_gate(x, context)
        share = torch.sigmoid(gate)
        return share * x + (1 - share) * shift, F.logsigmoid(gate).sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Unit by unit: each needs those before it."""
        x, log_det = torch.zeros_like(y), torch.zeros_like(y[..., 0])
        for step in range(self.dim):
            shift, gate = self.find_shift_and_gate(x, context)
            share = torch.sigmoid(gate)
            now = self.degree == step
            x = torch.where(now, (y - (1 - share) * shift) / share, x)
            log_det = log_det - torch.where(now, F.logsigmoid(gate), torch.zeros_like(gate)).sum(-1)
        return x, log_det


@final
class Coupling(Transform):
    """Half of the units stay, and scale and shift of the others are a network's of them (RealNVP, Dinh et al. 2017).

    One pass either way. `reverse` swaps the halves. The log-scale lies between -2 and 2.
    """

    stays: Tensor

    def __init__(self, dim: int, hidden: int, context: int = 0, *, reverse: bool = False):
        super().__init__()
        # every second unit: neighbours are often alike. Of a single unit none stays: a learned scale and shift
        stays = torch.arange(dim) % 2 == (1 if reverse else 0)
        self.register_buffer("stays", (stays & torch.tensor(dim > 1)).float(), persistent=False)
        self.first = nn.Linear(dim + context, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 2 * dim)
        with torch.no_grad():
            self.last.weight.mul_(NARROW)
            self.last.bias.zero_()

    def find_scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., D) each, 0 of the units that stay."""
        if context is not None:
            kept = torch.cat([kept, context.expand(*kept.shape[:-1], context.shape[-1])], -1)
        h = F.silu(self.second(F.silu(self.first(kept))))
        scale, shift = self.last(h).chunk(2, -1)
        moved = 1 - self.stays
        return 2 * torch.tanh(scale / 2) * moved, shift * moved

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scaled, then shifted."""
        scale, shift = self.find_scale_and_shift(x * self.stays, context)
        return x * scale.exp() + shift, scale.sum(-1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Shifted back, then scaled back."""
        scale, shift = self.find_scale_and_shift(y * self.stays, context)
        return (y - shift) * (-scale).exp(), -scale.sum(-1)


@final
class Chain(Transform):
    """One map after the other."""

    def __init__(self, parts: Sequence[Transform]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """From the first on."""
        total = torch.zeros_like(x[..., 0])
        for part in self.parts:
            x, log_det = part(x, context)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """From the last back."""
        total = torch.zeros_like(y[..., 0])
        for part in reversed(list(self.parts)):
            assert isinstance(part, Transform)
            y, log_det = part.inverse(y, context)
            total = total + log_det
        return y, total


@final
class Planar(Transform):
    """y = x + u tanh(w·x + b), `layers` times (Rezende and Mohamed 2015, equation 10), with u bent so that an inverse
    exists (appendix A.1). It has no parameters: u, w and b of each layer are the side information (..., `width`)."""

    def __init__(self, dim: int, layers: int):
        super().__init__()
        self.dim = dim
        self.layers = layers
        self.width = layers * (2 * dim + 1)

    def read(self, context: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Of each layer û and w (..., D), b (...), and w·û (...), which is above -1."""
        found = []
        for part in context.chunk(self.layers, -1):
            u, w, b = part[..., : self.dim], part[..., self.dim : -1], part[..., -1]
            inner = (w * u).sum(-1)
            square = w.square().sum(-1).clamp(min=1e-6)
            u = u + ((F.softplus(inner) - 1 - inner) / square).unsqueeze(-1) * w
            found.append((u, w, b, (w * u).sum(-1)))
        return found

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Layer by layer."""
        assert context is not None, "a planar map is what the side information says"
        total = torch.zeros_like(x[..., 0])
        for u, w, b, inner in self.read(context):
            slope = torch.tanh((w * x).sum(-1) + b)
            x, total = x + u * slope.unsqueeze(-1), total + _log_slope(inner, slope)
        return x, total

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of the last layer first: a = w·x solves a + (w·û) tanh(a + b) = w·y, whose left side rises with a."""
        assert context is not None, "a planar map is what the side information says"
        total = torch.zeros_like(y[..., 0])
        for u, w, b, inner in reversed(self.read(context)):
            slope = torch.tanh(_solve((w * y).sum(-1), inner, b) + b)
            y, total = y - u * slope.unsqueeze(-1), total - _log_slope(inner, slope)
        return y, total


def _solve(goal: Tensor, inner: Tensor, b: Tensor) -> Tensor:
    """The a with a + inner tanh(a + b) = goal, for inner above -1."""
    with torch.no_grad():
        low, high = goal - inner.abs(), goal + inner.abs()
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = middle + inner * torch.tanh(middle + b) > goal
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        middle = (low + high) / 2
        rise = 1 + inner * (1 - torch.tanh(middle + b).square())
    # a step of Newton's moves nothing, and has the gradient of the solution
    return middle - (middle + inner * torch.tanh(middle + b) - goal) / rise


def _log_slope(inner: Tensor, slope: Tensor) -> Tensor:
    return torch.log((1 + inner * (1 - slope.square())).clamp(min=1e-12))


def make_chain(kind: str, dim: int, layers: int, hidden: int, context: int = 0) -> Chain:
    """So many layers of `coupling` or `autoregressive` maps, every second one in reverse order."""
    make = Coupling if kind == "coupling" else Autoregressive
    return Chain([make(dim, hidden, context, reverse=bool(layer % 2)) for layer in range(layers)])


@final
class Frozen(nn.Module):
    """A map and its inverse whose parameters get no gradient: the side information and the codes do."""

    def __init__(self, flow: Transform):
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: Tensor | None, back: bool) -> tuple[Tensor, Tensor]:
        """The image, or what has this image."""
        return self.flow.inverse(x, context) if back else self.flow(x, context)

    def go(self, x: Tensor, context: Tensor | None, back: bool) -> tuple[Tensor, Tensor]:
        """`forward`, by values of the parameters."""
        values = {name: value.detach() for name, value in self.named_parameters()}
        return functional_call(self, values, (x, context, back))
