"""Labels as a latent variable that some rows reveal: M2 of Kingma et al. 2014 around any bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.conditions import Label
from aeexp.contracts import Examples, Model, Noise, Objective, Regularizer
from aeexp.errors import UsageError
from aeexp.models.nn.critic import Critic
from aeexp.ranges import Count, NonNegative
from aeexp.types import Batch, Facts, Pass


@final
class SemiSupervised(Objective):
    """M2 (Kingma et al. 2014, NeurIPS 27, equations 6 to 9), in nats without the likelihood's constant.

    `bound` is any objective of rows whose label is known: it is called once, with every row under every class. Its
    rows' terms, less log p(y), are L(x, y) of equation 6: what a labelled row counts in training. An unlabelled row
    counts U(x), the mean of L(x, y) over q(y|x) less the entropy of q(y|x) (equation 7). The loss is the paper's
    (equation 9) over the N rows: the mean of `bound` over all rows, plus `alpha` times the mean of -log q(y|x) over the
    n labelled ones, so that `alpha` 0.1 is the paper's 0.1 N however many labels there are. In a batch a labelled row
    counts N / n in `classification`, another 0; rows of trainer.labelled_batch_size change the variance of both terms,
    not their mean. Penalties of a whole batch are taken over all rows under all classes alike.

    q(y|x) is a fully connected network on the (corrupted) input, beside the encoder. In evaluation every row counts
    as unlabelled in `bound`, a bound on -log p(x) that reads no label; `classification` does, where there are any.
    `prior` of the classes: uniform, or the shares of the labelled training rows, one added to each count.

    Formula: labelled: L(x, y) - α N/n log q(y|x); unlabelled: Σ_y q(y|x) L(x, y) - H(q(y|x))

    Look at: classification/accuracy over dataset.labelled (plot=label_budget: a probe with as many labels).
    """

    predicts_label: ClassVar = True
    infers_labels: ClassVar = True
    alpha: Tensor
    log_prior: Tensor

    def __init__(
        self,
        noise: Noise,
        regularizers: Mapping[str, Regularizer],
        *,
        bound: Callable[..., Objective],
        hidden_dims: list[Count],
        alpha: NonNegative = 0.1,
        prior: Literal["uniform", "shares"] = "uniform",
    ):
        super().__init__()
        for name, part in regularizers.items():
            if part.predicts_label:
                raise UsageError(
                    f"{name} would learn the labels that M2 only tries: leave {name} out of the regularizers"
                )
        try:
            self.bound = bound(noise, regularizers)
        except UsageError as error:
            raise UsageError(f"bound.{error}") from error
        self.hidden_dims = list(hidden_dims)
        self.prior = prior
        self.register_buffer("alpha", torch.tensor(float(alpha)))

    @property
    def copies(self) -> int:
        """Rows that one row becomes."""
        return len(self.log_prior) * self.bound.copies

    @property
    def noise(self) -> Noise:
        """That of the bound."""
        return self.bound.noise

    def check(self, model: Model) -> None:
        """Raises UsageError on a model that is not given the label, and where the bound cannot be had of it."""
        if not isinstance(model.condition, Label):
            raise UsageError("semi_supervised gives encoder and decoder every label in turn: take condition=label")
        try:
            self.bound.check(model)
        except UsageError as error:
            raise UsageError(f"bound.{error}") from error

    def adapt(self, model: Model, facts: Facts) -> None:
        """The classifier q(y|x), and the prior of as many classes."""
        self.bound.adapt(model, facts)
        self.classifier = Critic(math.prod(facts.shape), self.hidden_dims, facts.classes)
        self.register_buffer("log_prior", torch.full((facts.classes,), -math.log(facts.classes)))

    def begin(self, model: Model, split: Examples) -> None:
        """The prior becomes the shares of the labels, if asked to."""
        if self.prior == "shares":
            labels = torch.empty(0, dtype=torch.int64) if split.y is None else split.y
            counts = torch.bincount(labels[labels >= 0], minlength=len(self.log_prior)) + 1
            self.log_prior.copy_((counts / counts.sum()).log())

    def forward(self, model: Model, batch: Batch) -> tuple[dict[str, Tensor], Pass]:
        """`bound` and `classification`, a value a row, and the bound's terms of a whole batch."""
        classes = len(self.log_prior)
        log_q = self._scores(self.corrupt(batch)).log_softmax(1)
        terms, out = self.bound(model, try_every_class(batch, classes))
        rows = reduce(torch.add, (term for term in terms.values() if term.dim() == 1)).unflatten(0, (classes, -1)).T
        known = batch.labels >= 0
        revealed = (known & self.training).unsqueeze(1)
        label = F.one_hot(batch.labels.clamp(min=0), classes).to(log_q)
        weights = torch.where(revealed, label, log_q.exp())
        log_weights = torch.where(revealed, torch.zeros_like(log_q), log_q)
        wrong = F.cross_entropy(log_q, batch.labels.clamp(min=0), reduction="none") * batch.label_weights.to(log_q)
        return {
            "bound": (weights * (rows + log_weights - self.log_prior)).sum(1),
            **{name: term for name, term in terms.items() if term.dim() == 0},
            "classification": self.alpha * wrong,
        }, out

    def label_prior(self) -> Tensor:
        """(classes,) log p(y)."""
        return self.log_prior

    def score_labels(self, out: Pass) -> Tensor:
        """(B, classes) log q(y|x), up to a constant of the row: the label itself is not read."""
        return self._scores(out.x)

    def infer_labels(self, batch: Batch) -> Batch:
        """The batch with each row's likeliest label by q(y|x) in place of its own: what a row without label gets."""
        return batch._replace(y=self._scores(batch.x).argmax(1))

    def _scores(self, x: Tensor) -> Tensor:
        return self.classifier(x.flatten(1))


def try_every_class(batch: Batch, classes: int) -> Batch:
    """(classes * B) rows: the batch with label 0, then the batch with label 1, ..."""
    labels = torch.arange(classes, device=batch.x.device).repeat_interleave(len(batch.x))
    return batch.change(lambda field: field.repeat(classes, *[1] * (field.dim() - 1)))._replace(y=labels)
