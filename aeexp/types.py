"""The records that pass between the parts, and what a part must offer."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """One mini-batch, or a whole split. An absent field is None; an unlabelled row has y == -1."""

    x: Tensor  # (B, *shape) float32
    y: Tensor | None = None  # (B,) int64 label
    s: Tensor | None = None  # (B,) or (B, F) attributes or ground-truth factors
    target: Tensor | None = None  # (B, *shape) what the output is compared with; set by the task
    mask: Tensor | None = None  # (B, T) which steps of a padded sequence are real
    ids: Tensor | None = None  # (B,) row numbers in the source: what a row draws for itself follows from them
    hole: Tensor | None = None  # (B, *shape) bool: what the task took away from x


def sum_features(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B,) sum over the features of each row; steps of a sequence (B, T, F) that `mask` (B, T) leaves out count 0."""
    return (values if mask is None else values * mask.unsqueeze(-1)).flatten(1).sum(1)


class Facts(NamedTuple):
    """What a model must know of its data before it is built."""

    shape: tuple[int, ...]  # of one row
    classes: int = 0
    codes: int = 0  # values of an attribute that is a number from 0 on, (B,)
    columns: int = 0  # of attributes that are quantities, (B, F)
    target: tuple[int, ...] = ()  # of the target that a row comes with, such as a mask (H, W)
    values: tuple[int, ...] = ()  # that those targets take, where they are whole numbers; at most 1000


class Code(NamedTuple):
    """What a latent makes of the encoder's output."""

    z: Tensor  # (B, D) what the decoder gets
    mean: Tensor  # (B, D) what probes and plots see: deterministic
    posterior: Any = None  # q(z|x), if the latent is stochastic; quantised.Nearest is the one-hot one of vq
    losses: dict[str, Tensor] = {}  # terms that nothing can replace (VQ commitment), each (B,) or ()
    skips: tuple[Tensor, ...] = ()  # (B, C, H, W) maps that go round the code from encoder to decoder (unet)


class Pass(NamedTuple):
    """Everything that one forward pass produced; penalties read it, none changes it."""

    batch: Batch
    x: Tensor  # (B, *shape) what the encoder saw: corrupted in training
    context: Tensor | None  # (B, C) side information for encoder and decoder
    code: Code
    output: Tensor  # (B, *shape) parameters of the likelihood, as the decoder gave them


class Latent(Protocol):
    """Turns the encoder's output (B, params) into a code (B, dim) whose units lie in `range`.

    A stochastic one also has `prior` and, where its codes do not fill R^dim, `space`. Where not every vector is a code
    it has ``project(z)``: the nearest code, and may have ``between(a, b, share)``: codes on the way between two. A
    bounded space has a uniform law: ``uniform(n, like)``, which draws (n, dim), ``uniform_log_prob(z)`` and
    `unit_variance`, that of each unit.
    """

    dim: int
    params: int
    range: tuple[float, float]

    def __call__(self, h: Tensor) -> Code: ...


class Likelihood(Protocol):
    """p(target | output); every method sums over features and keeps the rows."""

    density: bool  # True: a density over real values; False: a probability of `levels` values from 0 to 1
    identity_link: bool  # True: the output is the mean itself, so that PCA can share this likelihood

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) -log p without its constant; steps of a sequence beyond the mask (B, T) do not count."""
        ...

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]: ...  # of what the decoder must give for a row

    def constant(self, features: int | Tensor) -> float | Tensor: ...  # nats that no parameter moves

    def mean(self, output: Tensor) -> Tensor: ...  # the picture

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values it cannot explain; `step` is that of data stored as integers."""
        ...


class Regularizer(Protocol):
    """A penalty on a forward pass, (B,) or (). The objective multiplies by `weight`, a 0-d buffer.

    Optional: ``sized(model, facts: Facts)``, called once when model and data are known; and, of any part, called by the
    training loop without gradient, ``before_step(model, split, step)`` with the training split, ``observe(out: Pass)``
    after the step, and ``readings()``, named 0-d tensors, where a line is logged.
    """

    weight: Tensor

    def __call__(self, out: Pass, model: Any) -> Tensor: ...

    def check(self, model: Any) -> None: ...  # raises UsageError where it cannot act on this model


Terms = dict[str, Tensor]
