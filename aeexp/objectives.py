"""What is minimised: a dict of named terms, each (B,) or (). The loss is the sum of their means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from aeexp.bounds import bound, log_weights
from aeexp.errors import require
from aeexp.model import Autoencoder
from aeexp.types import Batch, Pass

Terms = dict[str, Tensor]
VALUES = 2**22  # of rows that are evaluated at a time


class Additive(nn.Module):
    """Distortion of the reconstruction of the corrupted input (Vincent et al. 2010), plus weighted penalties
    (Goodfellow et al. 2016, section 14.2).

    Noise acts in training mode only; everything else is the same in evaluation. `reconstruction_weight` 0 leaves the
    penalties alone: with regularizer=classifier a supervised network.

    Formula: reconstruction_weight × (-log p(x | z(noise(x)))) + Σ weight × penalty

    Look at: each term beside the loss (plot=curves): which one falls at the cost of which.
    """

    reconstruction_weight: Tensor

    def __init__(self, noise: nn.Module, regularizers: Mapping[str, nn.Module], *, reconstruction_weight: float = 1.0):
        super().__init__()
        words = f"reconstruction_weight={reconstruction_weight} must not be negative"
        require(reconstruction_weight >= 0, words)
        words = f"reconstruction_weight={reconstruction_weight} leaves nothing to learn: name a regularizer"
        require(reconstruction_weight > 0 or len(regularizers) > 0, f"{words}, as in regularizer=[classifier]")
        self.register_buffer("reconstruction_weight", torch.tensor(float(reconstruction_weight)))
        self.noise = noise
        self.regularizers = nn.ModuleDict(regularizers)

    def forward(self, model: Autoencoder, batch: Batch) -> tuple[Terms, Pass]:
        out = model(batch, self.corrupted(batch) if self.training else batch.x)
        reconstruction = model.likelihood.distortion(out.output, batch.target, batch.mask)
        terms = {"reconstruction": self.reconstruction_weight * reconstruction, **out.code.losses}
        for name, penalty in self.regularizers.items():
            terms[name] = penalty.weight * penalty(out, model)
        return terms, out

    def corrupted(self, batch: Batch) -> Tensor:
        """The input under noise; what follows the end of a sequence stays 0."""
        x = self.noise(batch.x)
        return x if batch.mask is None else x * batch.mask.unsqueeze(-1)


class ImportanceWeighted(nn.Module):
    """The negative bound of IWAE with `samples` codes a row, in nats without the likelihood's constant; 1 is the ELBO.

    The log-ratio of prior and posterior is that of the sample, never the closed form, which would take K out of it.
    `gradient`: standard (Burda et al. 2016), or doubly_reparameterized (Tucker et al. 2019), whose signal-to-noise
    ratio does not fall with K. Further regularizers act on the first of the codes.

    Formula: -log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x)

    Look at: the bound over K, beside the NLL of metric=generation; active units, of which it leaves more.
    """

    def __init__(
        self,
        noise: nn.Module,
        regularizers: Mapping[str, nn.Module],
        *,
        samples: int = 5,
        gradient: Literal["standard", "doubly_reparameterized"] = "standard",
    ):
        super().__init__()
        require(samples >= 1, f"samples={samples} must be at least 1")
        require("kl" not in regularizers, "samples: the bound contains the KL: leave kl out of the regularizers")
        self.corruption = Additive(noise, regularizers)
        self.samples = samples
        self.gradient = gradient

    @property
    def noise(self) -> nn.Module:
        return self.corruption.noise

    def check(self, model: Autoencoder) -> None:
        """Raise UsageError where this bound cannot be had of the model."""
        words = "samples are drawn codes, and this latent draws none: take latent=gaussian, or objective=additive"
        require(hasattr(model.latent, "prior"), words)
        require(
            self.samples == 1 or getattr(model.likelihood, "estimate", "fixed") != "optimal",
            f"samples={self.samples}: the mean squared error over all codes is not the best variance of this bound: "
            "take likelihood.estimate=learned",
        )
        require(
            self.gradient == "standard" or getattr(model.latent, "reparameterized", True),
            f"gradient={self.gradient} needs codes drawn from a density, which this latent relaxes: "
            "take objective.gradient=standard, or latent=gaussian or hyperspherical",
        )

    def forward(self, model: Autoencoder, batch: Batch) -> tuple[Terms, Pass]:
        x = self.corruption.corrupted(batch) if self.training else batch.x
        double = self.gradient == "doubly_reparameterized" and torch.is_grad_enabled()
        weights, _, out = log_weights(model, batch, x, self.samples, doubly=double)
        value = bound(weights)
        if double:
            surrogate = (weights.detach().softmax(0) * weights).sum(0)
            value = surrogate + (value - surrogate).detach()
        terms = {"bound": -value, **out.code.losses}
        for name, penalty in self.corruption.regularizers.items():
            terms[name] = penalty.weight * penalty(out, model)
        return terms, out


class Learner(nn.Module):
    """Task, model and objective as one module: one state, one `functional_call`, one `vmap` over a stack."""

    def __init__(self, task: nn.Module, model: Autoencoder, objective: nn.Module):
        super().__init__()
        self.task = task
        self.model = model
        self.objective = objective
        self._observers = [part for part in self.modules() if hasattr(part, "observe") and part is not self]
        self._surveyors = [part for part in self.modules() if hasattr(part, "before_step") and part is not self]
        self._readers = [part for part in self.modules() if hasattr(part, "readings") and part is not self]

    def forward(self, batch: Batch) -> tuple[Terms, Pass]:
        return self.objective(self.model, self.task(batch))

    def context(self, batch: Batch) -> Tensor | None:
        """(B, C) side information after training: where the objective finds labels itself, by those, never the true."""
        inferred = getattr(self.objective, "inferred", None)
        return self.model.condition(batch if inferred is None else inferred(batch))

    @torch.no_grad()
    def observe(self, out: Pass) -> None:
        """After a step: parts that keep averages beside the gradient take this pass in."""
        for part in self._observers:
            part.observe(out)

    @torch.no_grad()
    def before_step(self, split, step: int) -> None:
        """Parts that need the whole training set may look at it, in evaluation mode."""
        if not self._surveyors:
            return
        was_training = self.training
        self.eval()
        for part in self._surveyors:
            part.before_step(self.model, split, step)
        self.train(was_training)

    @torch.no_grad()
    def readings(self) -> dict[str, float]:
        """What parts want logged beside the terms and is none of them: one transfer from the device."""
        found = {name: value for part in self._readers for name, value in part.readings().items()}
        return dict(zip(found, torch.stack([v.float() for v in found.values()]).tolist(), strict=True)) if found else {}


def means(terms: Terms) -> Tensor:
    """(T,) mean of each term over the rows, in the dict's order; their sum is the loss."""
    return torch.stack([term.mean() for term in terms.values()])


def at_once(shape: Sequence[int]) -> int:
    """Rows in one forward pass without gradient: of large pictures fewer, whose maps take far more than they do."""
    return max(1, min(1024, VALUES // math.prod(shape)))


@torch.no_grad()
def average(learner: Learner, split, rows: int | None = None) -> dict[str, float]:
    """Loss and each of its terms over a whole split, in evaluation mode: the training objective without noise.

    Terms that draw (Hutchinson's directions) draw the same at every call, and leave the generators as they were.
    """
    was_training = learner.training
    learner.eval()
    sums, names = [], []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for batch in split.batches(rows or max(1, at_once(split.shape) // getattr(learner.objective, "copies", 1))):
            terms, _ = learner(batch)
            names = list(terms)
            sums.append(means(terms) * len(batch.x))
    learner.train(was_training)
    values = (torch.stack(sums).cpu().double().sum(0) / len(split)).tolist()
    return {"loss": sum(values), **dict(zip(names, values, strict=True))}
