"""What each kind of part must offer, and what it may: hooks that a part leaves alone do nothing.

Abstract classes; a concrete class is final and inherits from one of these alone. Metrics and plots, which see a whole
run, have theirs in `aeexp.evaluation.contracts`, trainers and trackers in `aeexp.trainers.contracts`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol, final

import torch
from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.ranges import NonNegative
from aeexp.types import ALL, Batch, Code, Facts, Pass, Share, Terms

Space = Literal["real", "sphere", "onehot"]


class Examples(Protocol):
    """The rows of a split as training and evaluation read them, wherever they lie."""

    @property
    def shape(self) -> torch.Size:
        """Of one row."""
        ...

    @property
    def device(self) -> torch.device:
        """Where batches come."""
        ...

    @property
    def y(self) -> Tensor | None:
        """(N,) labels, -1 where unknown."""
        ...

    def __len__(self) -> int: ...

    def batches(self, size: int, share: Share = ALL) -> Iterator[Batch]:
        """All rows in their order, `size` at a time; of each batch the rows of one process's share are read."""
        ...

    def epoch(self, seed: int, epoch: int, size: int, start: int = 0, share: Share = ALL) -> Iterator[Batch]:
        """All rows once in the order of this epoch, from its batch `start` on; of each batch those of a share."""
        ...

    def sample(self, rows: int, seed: int = 0) -> Examples:
        """At most that many rows, drawn."""
        ...


class Posterior(Protocol):
    """q(z|x) of B rows: what bounds and priors ask of it."""

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, D), or (K, B, D)."""
        ...

    def log_prob(self, z: Tensor) -> Tensor:
        """(..., B) nats for codes (..., B, D), broadcast against the rows."""
        ...

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, D) as `sample`, and (K, B) their `log_prob`: at once, where that is dear by itself."""
        ...

    def detach(self) -> Posterior:
        """Without gradient to its parameters."""
        ...

    def pick(self, index: Tensor) -> Posterior:
        """Those of these rows."""
        ...


class Part(nn.Module, ABC):
    """A module that may look at training; all hooks are called without gradient."""

    predicts_label: ClassVar[bool] = False
    predicts_response: ClassVar[bool] = False
    unstackable: ClassVar[str] = ""  # why `torch.func.vmap` cannot run over a stack of models with this part
    mixes_rows: bool = False  # whether a term is made of a whole batch at some steps: no processes share batches then
    observing: bool = True  # False, of one whose `observe` does nothing as it is set: it is not called

    def begin(self, model: Model, split: Examples) -> None:
        """Called once, before the first step, in evaluation mode: begin as the training split suggests. Not called of a
        part whose weights are those of another run (`init.from`)."""

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """Called before each step, in evaluation mode: look at the training split, or at the step's number."""

    def observe(self, out: Pass) -> None:
        """Called after a step with its pass: take it into an average that is kept beside the gradient."""

    def readings(self) -> dict[str, Tensor]:
        """Named 0-d tensors that are logged where a line is, and are in no loss."""
        return {}

    def score_labels(self, out: Pass) -> Tensor:
        """(B, classes) log-probabilities of the labels, up to a constant of the row, of parts with `predicts_label`."""
        raise TypeError(f"{type(self).__name__} predicts no label")

    def predict_response(self, out: Pass) -> Tensor:
        """(B,) the number to predict, in the units of the data, of parts with `predicts_response`."""
        raise TypeError(f"{type(self).__name__} predicts no number")


@final
class Moves(NamedTuple):
    """What a traversal varies of a code: blocks of units, and the values that each can take."""

    width: int = 1  # neighbouring units that move as one
    kind: str = "unit"  # what such a block is called
    values: Tensor | None = None  # (S, width), the same for every block; None: each unit over its own range
    names: tuple[str, ...] = ()  # of the values
    caption: str = ""  # what the values are


@final
class Capacity(NamedTuple):
    """What a code can hold of a row, and so what PCA may spend on one to be like for like with it."""

    width: int  # real numbers, or components to choose from
    active: int | None = None  # of them that a row keeps, the largest; None: all
    shared: bool = False  # True: that many on average, rows that are hard to explain more
    bits: int | None = None  # in place of real numbers


@final
class Alphabet(NamedTuple):
    """Of a code that is a row of tokens."""

    tokens: int  # of a row, in their order
    values: int  # that each can take, from 0 on


class Encoder(nn.Module, ABC):
    """Rows (B, *shape) to the numbers (B, params) that the latent takes."""

    unstackable: ClassVar[str] = ""

    @abstractmethod
    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, tuple[Tensor, ...]]:
        """Side information `context` (B, C); `mask` (B, T) says which steps are real. Maps that go round the code may
        stand behind the numbers, from the largest to the smallest."""

    def see_part(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        """Of an encoder that sees a part of each row in training: the numbers as in training, its part drawn by torch's
        generator, and which values it saw (B, *shape) bool. None of one that sees all."""
        return None

    def writing_layer(self) -> nn.Linear | None:
        """The last linear layer, of an encoder whose numbers come out of one."""
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        return layers[-1] if layers else None


class Decoder(nn.Module, ABC):
    """Codes (B, D) to the parameters of the likelihood (B, *output)."""

    unstackable: ClassVar[str] = ""
    autoregressive: ClassVar[bool] = False  # whether each step is predicted from those before it

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """From the code alone, and the maps that went round it."""

    def force(self, z: Tensor, context: Tensor | None, target: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Given the true past (B, T, F): what the likelihood of a sequence is measured by (teacher forcing)."""
        return self(z, context, skips)

    def run_free(self, z: Tensor, context: Tensor | None, skips: tuple[Tensor, ...], likelihood: Likelihood) -> Tensor:
        """From the code alone, with what was given so far, as the likelihood's mean, for the past."""
        return self(z, context, skips)

    def reading_weight(self) -> Tensor:
        """(H, D + C) weights by which the first layer reads code and context."""
        return next(layer.weight for layer in self.modules() if isinstance(layer, nn.Linear))


class Noise(Part):
    """Corrupts the encoder's input, in training only: (B, *shape) to the same shape."""

    level: ClassVar[str] = ""  # name of the 0-d buffer that says how much: 0 is the identity
    highest: ClassVar[float] = 1.0  # level

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) the rows, corrupted."""

    def corrupt(self, batch: Batch) -> Tensor:
        """The input under noise; what follows the end of a sequence stays 0."""
        x = self(batch.x)
        return x if batch.mask is None else x * batch.mask.unsqueeze(-1)

    def at(self, level: float) -> Noise:
        """The same noise at another level. Raises UsageError where that is none."""
        if not self.level:
            raise UsageError(f"{type(self).__name__} has no level that could be set to {level}")
        if not 0 <= level <= self.highest:
            bounds = "not be negative" if self.highest == math.inf else f"lie from 0 to {self.highest:g}"
            raise UsageError(f"{self.level}={level} must {bounds}")
        noise = copy.deepcopy(self)
        noise.get_buffer(self.level).fill_(level)
        return noise

    def on_range(self, low: float, high: float) -> Noise:
        """The same noise for data from `low` to `high`."""
        return self


class Condition(Part):
    """Side information (B, size) that the decoder gets beside the code, and the encoder beside the picture.

    Where `encoder` is False the encoder is not told: a code then hangs on the picture alone.
    """

    size: int = 0
    encoder: bool = True
    reads_label: ClassVar[bool] = False
    reads_attribute: ClassVar[bool] = False

    def adapt(self, facts: Facts) -> None:
        """Called once, when the data is known; `size` is the width of the context from then on."""

    @property
    def told(self) -> int:
        """Width of what the encoder gets of it."""
        return self.size if self.encoder else 0

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor | None:
        """(B, size), or None where there is no side information."""


class Task(Part):
    """Says what the output is compared with, in training and in evaluation."""

    masks: ClassVar[bool] = False  # whether the output is a class for each pixel, and no picture of the data
    levels: int | None = None  # how many values a target takes, once that is known

    def adapt(self, facts: Facts) -> None:
        """Called once, when the data is known. Raises UsageError where the task cannot be had of them."""

    def check(self, likelihood: Likelihood) -> None:
        """Raises UsageError where the likelihood does not speak of such targets."""

    def target_shape(self, row: tuple[int, ...]) -> tuple[int, ...]:
        """Of the target of a row of that shape."""
        return row

    @abstractmethod
    def forward(self, batch: Batch) -> Batch:
        """The batch with its target, and with x as the encoder gets it."""

    def picture(self, likelihood: Likelihood, output: Tensor) -> Tensor:
        """(B, *target) what is shown of the output."""
        return likelihood.mean(output)

    @abstractmethod
    def error(self, likelihood: Likelihood, output: Tensor, batch: Batch) -> Tensor:
        """(B,) how far the output is from the target of a batch that went through the task."""


class Prior(Part):
    """p(z): what a stochastic code is held against, and what new codes are drawn from."""

    spaces: ClassVar[tuple[Space, ...]] = ("real",)

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Called once, when the widths of code, rows and side information are known."""

    @abstractmethod
    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""

    def kl(self, posterior: Posterior, z: Tensor, model: Model) -> Tensor:
        """(B, G) nats by unit or group in closed form where there is one; else (B, 1) from the sample z."""
        return (posterior.log_prob(z) - self.log_prob(z, model)).unsqueeze(-1)

    @abstractmethod
    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes."""


class Family(Part):
    """The posteriors that a code drawn about the encoder's output may have: what it reads, and how it draws."""

    params: int = 0  # numbers of the encoder for a row, once the width is known
    by_unit: ClassVar[bool] = False  # whether each unit has a density by itself, as units that are independent have

    @abstractmethod
    def adapt(self, dim: int) -> None:
        """Called once, when the width of the code is known; `params` is what it reads from then on."""

    @abstractmethod
    def forward(self, h: Tensor) -> tuple[Posterior, Tensor]:
        """The posterior of what the encoder gave, (B, params), and its middle (B, D), which draws nothing."""


class Latent(Part):
    """Turns the encoder's output (B, params) into a code (B, dim) whose units lie in `range`.

    A stochastic one has a prior. Raises UsageError for a width below 1, and for a prior over another space.
    """

    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    space: ClassVar[Space] = "real"
    constrained: ClassVar[bool] = False  # whether there are vectors that are no codes
    reparameterized: ClassVar[bool] = True  # whether draws of training are of the law whose log_prob is in the bound
    path: ClassVar[str] = ""  # name of the way from code to code where it is neither line nor arc (`between`)
    terms: ClassVar[tuple[str, ...]] = ()  # names of `Code.losses`, which a loss cannot do without
    unit_variance: float = 1.0  # of each unit under the uniform law of a bounded space
    by_unit: bool = True  # whether the posterior of a real code has a density of each unit by itself
    prior: Prior | None

    def __init__(self, dim: int, params: int | None = None, prior: Prior | None = None):
        super().__init__()
        self.dim = dim
        self.params = dim if params is None else params
        self.prior = prior
        if prior is not None and self.space not in prior.spaces:
            raise UsageError(_law_elsewhere(self.space, prior))

    @abstractmethod
    def forward(self, h: Tensor) -> Code:
        """The code of what the encoder gave, (B, params)."""

    def project(self, z: Tensor) -> Tensor:
        """(..., D) the codes nearest to made-up ones."""
        return z

    def between(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        """(..., D) on the way from codes a to codes b."""
        return torch.lerp(a, b, share)

    def moves(self, codes: Tensor, steps: int) -> Moves:
        """What a traversal varies, given training codes (N, D) and about how many values it shows."""
        return Moves()

    def capacity(self) -> Capacity:
        """What its code holds: as many real numbers as units, where it does not say otherwise."""
        return Capacity(self.dim)

    def alphabet(self) -> Alphabet | None:
        """Of a code that is a row of tokens, which stand in its posterior's `entries` (B, T); None of any other."""
        return None

    def spell(self, tokens: Tensor) -> Tensor:
        """(B, D) the codes of tokens (B, T), of a latent with an alphabet."""
        raise TypeError(f"{type(self).__name__} has no tokens")

    def find_dead(self) -> Tensor | None:
        """(D,) bool: units that have been 0 for long in training; None where nobody counts."""
        return None

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """How much of the latent's own means, such as a codebook, these passes use."""
        return {}

    def uniform(self, n: int, like: Tensor) -> Tensor:
        """(n, D) draws of the uniform law over a bounded space."""
        raise TypeError(f"{type(self).__name__} has no uniform law")

    def uniform_log_prob(self, z: Tensor) -> Tensor:
        """(..., B) nats of codes (..., B, D) under the uniform law over a bounded space."""
        raise TypeError(f"{type(self).__name__} has no uniform law")


class Likelihood(Part):
    """p(target | output); every method sums over features and keeps the rows.

    `distortion` is -log p in nats per example without the part that no parameter moves, so that a Gaussian's loss reads
    as squared error; `distortion + constant` is the proper -log p.
    """

    density: ClassVar[bool]  # True: a density over real values; False: a probability of `levels` values from 0 to 1
    identity_link: ClassVar[bool] = False  # True: the output is the mean itself, so that PCA can share this likelihood
    levels: int = 0
    uses_batch: bool = False  # whether a parameter is estimated from the batch itself
    counts: ClassVar[bool] = False  # whether it is a probability of all whole numbers from 0 on
    sized: bool = False  # whether it is told the sum of a row, of which it explains the shares

    @abstractmethod
    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats; steps of a sequence beyond the mask (B, T) do not count."""

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """(B, *shape) the picture."""

    def mode(self, output: Tensor) -> Tensor:
        """(B, *shape) the most probable of the `levels`."""
        raise TypeError(f"{type(self).__name__} is a density: it has no most probable value")

    def restore(self, output: Tensor, target: Tensor) -> Tensor:
        """(B, *shape) as `mean`, of rows that are known: by what it is told of them, such as their sum."""
        return self.mean(output)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """(B, *shape) drawn values; of rows that are known by what it is told of them."""
        raise TypeError(f"{type(self).__name__} is no law that values could be drawn from")

    def adapt(self, levels: int | None, shape: tuple[int, ...] = ()) -> None:
        """Called once, before anything is built, with the shape of a target, and how many values it takes, where the
        task knows that."""

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what the decoder must give for a row."""
        return shape

    def constant(self, features: int | Tensor) -> float | Tensor:
        """Nats of so many features that no parameter moves."""
        return 0.0 * features

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values it cannot explain; `step` is that of data stored as integers."""

    def fit(self, passes: Iterable[Pass]) -> None:
        """Without training: bring what is estimated to what these passes say."""


class Model(nn.Module, ABC):
    """An autoencoder as its parts see it."""

    encoder: Encoder
    latent: Latent
    decoder: Decoder
    likelihood: Likelihood
    condition: Condition
    masks: bool = False  # whether it decodes a class for each pixel, which has no mean

    @abstractmethod
    def encode(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Code:
        """Of rows (B, *shape)."""

    @abstractmethod
    def parameters_of(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Parameters of the likelihood given the code alone, and the maps that went round it."""

    @abstractmethod
    def explain(self, z: Tensor, context: Tensor | None, batch: Batch, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Parameters of p(target | z) for the likelihood."""

    @abstractmethod
    def forward(self, batch: Batch, x: Tensor | None = None) -> Pass:
        """One pass; `x` is the corrupted input, if there is one."""


class Regularizer(Part):
    """A penalty on a forward pass, (B,) or (), before its weight: the objective multiplies by it.

    The weight is a buffer.
    """

    weight: Tensor
    holds_against_prior: bool = False  # whether it holds all codes together against N(0, I) or the latent's prior

    def __init__(self, weight: NonNegative):
        super().__init__()
        self.register_buffer("weight", torch.tensor(float(weight)))

    @abstractmethod
    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) or (): the penalty on a pass, without its weight."""

    def scale(self) -> Tensor:
        """() what the penalty is multiplied by at this step: the weight, or as much of it as acts already."""
        return self.weight

    def lesson(self, out: Pass, model: Model) -> Tensor | None:
        """(B,) what a critic minimises that is trained in the same backward pass; no gradient reaches the codes."""
        return None

    def term(self, out: Pass, model: Model) -> Tensor:
        """(B,) or (): the weighted penalty.

        A critic learns at full rate whatever the weight, and its lesson has no value in the loss: one that the critic
        wins is no better loss of the model.
        """
        value = self.scale() * self(out, model)
        lesson = self.lesson(out, model)
        return value if lesson is None else value + (lesson - lesson.detach())

    def check(self, model: Model) -> None:
        """Raises UsageError where it cannot act on this model."""

    def adapt(self, model: Model, facts: Facts) -> None:
        """Called once, when model and data are known."""

    def at(self, weight: float) -> Regularizer:
        """The same penalty with another weight."""
        penalty = copy.deepcopy(self)
        penalty.weight.fill_(weight)
        return penalty


class Objective(Part):
    """What is minimised: a dict of named terms, each (B,) or (); the loss is the sum of their means."""

    infers_labels: ClassVar[bool] = False

    @property
    @abstractmethod
    def noise(self) -> Noise:
        """What corrupts the encoder's input in training."""

    def corrupt(self, batch: Batch) -> Tensor:
        """(B, *shape) what the encoder sees: the input, under noise in training."""
        return self.noise.corrupt(batch) if self.training else batch.x

    @property
    def copies(self) -> int:
        """Rows that one row becomes."""
        return 1

    @abstractmethod
    def forward(self, model: Model, batch: Batch) -> tuple[Terms, Pass]:
        """The terms of a batch that went through the task, and the pass that they were measured on."""

    def read_terms(self, model: Model, out: Pass) -> Terms | None:
        """What `forward` gives in evaluation mode, told from a pass that decodes the mean code where that is what the
        decoder gets; None where the pass does not say it."""
        return None

    def check(self, model: Model) -> None:
        """Raises UsageError where it cannot be had of the model."""

    def adapt(self, model: Model, facts: Facts) -> None:
        """Called once, when model and data are known."""

    def label_prior(self) -> Tensor | None:
        """(classes,) log p(y), of an objective under which the label is a latent variable; None else."""
        return None

    def infer_labels(self, batch: Batch) -> Batch:
        """After training: the batch with labels that the objective finds itself, so that no true one reaches a code."""
        return batch


def _law_elsewhere(space: Space, prior: Prior) -> str:
    where, other = {
        "real": ("all real vectors", "standard"),
        "sphere": ("the unit sphere", "uniform"),
        "onehot": ("groups of one-hot units", "uniform"),
    }[space]
    return (
        f"prior={type(prior).__name__.lower()} is no law over the codes of this latent, which are {where}: "
        f"take latent/prior={other} or latent/prior=vamp"
    )
