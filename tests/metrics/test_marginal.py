"""metric=marginal: log p(x) with the label summed out, against the objective and against the same sum by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.conditions import Label
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian as GaussianLatent
from aeexp.latents.priors import Standard
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.marginal import Marginal
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner, average
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.objectives.bounds import bound, log_weights
from aeexp.objectives.semi_supervised import SemiSupervised
from aeexp.regularizers.kl import KL
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.types import Facts

CLASSES, FACTS = 3, Facts((6,), 3)


def run_of(weight: float = 1.0, rows: int = 40, labels=None, m2: bool = True) -> Run:
    torch.manual_seed(0)
    prior, condition = Standard(), Label()
    prior.adapt(2, (6,))
    condition.adapt(FACTS)
    latent = GaussianLatent(2, prior)
    encoder, decoder = mlp((6,), latent.params, 2, CLASSES, hidden_dims=[5], activation="tanh")
    model = Autoencoder(encoder, latent, decoder, Gaussian(), condition)
    parts = {"kl": KL(weight)}
    objective = Additive(Chain({}), parts)
    if m2:
        objective = SemiSupervised(Chain({}), parts, bound=Additive, hidden_dims=[4])
        objective.adapt(model, FACTS)
        objective.log_prior.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    x = np.random.default_rng(0).random((rows, 6)).astype(np.float32)
    y = np.arange(rows) % 3 if labels is None else labels
    splits = {name: Split(Rows(x, y)) for name in ("train", "val", "test")}
    return Run(Learner(Reconstruct(), model, objective), Data("r", splits, ("a", "b", "c")))


def test_the_elbo_is_what_m2_minimises_with_its_constant_and_the_kl_at_weight_1():
    run = run_of()
    values = Marginal(samples=4000)(run, "test")
    with torch.no_grad():  # the same bound, whose draws are few here: 500 of its means
        bounds = []
        for seed in range(500):
            torch.manual_seed(seed)
            bounds.append(run.learner.objective(run.model, run.learner.task(run.data["test"].batch(slice(0, 40))))[0])
        mean = torch.stack([terms["bound"] for terms in bounds]).mean(1)
    expected = -(float(mean.mean()) + run.model.likelihood.constant(6))
    error = float(mean.std()) / 500**0.5
    assert values["marginal/elbo"] == pytest.approx(expected, abs=5 * error) and error < 0.01 * abs(expected)
    other = run_of(weight=7.0)
    other.learner.load_state_dict({k: v for k, v in run.learner.state_dict().items() if "weight" != k[-6:]}, False)
    assert average(other.learner, other.data["test"])["bound"] > average(run.learner, run.data["test"])["bound"]


def test_nll_is_the_sum_over_labels_of_what_each_label_gives():
    run, samples = run_of(rows=8), 3000
    values = Marginal(samples=samples)(run, "test")
    batch = run.learner.task(run.data["test"].batch(slice(0, 8)))
    torch.manual_seed(1)
    with torch.no_grad():
        each = [bound(log_weights(run.model, batch._replace(y=torch.full((8,), c)), batch.x, samples)[0])
                for c in range(CLASSES)]  # fmt: skip
    joint = torch.stack(each, 1) + run.learner.objective.label_prior()
    expected = run.model.likelihood.constant(6) - float(torch.logsumexp(joint, 1).mean())
    # other draws: a log of 3,000 weights of variance about 1 errs by 0.02, and 8 rows average it
    assert values["marginal/nll"] == pytest.approx(expected, abs=0.05)
    assert values["marginal/nll"] < -values["marginal/elbo"] and values["marginal/nll_k"] == samples


def test_more_codes_give_a_lower_nll_and_no_label_is_read():
    run = run_of()
    assert Marginal(samples=200)(run, "test")["marginal/nll"] < Marginal(samples=1)(run, "test")["marginal/nll"]
    assert Marginal()(run_of(labels=np.full(40, -1)), "test") == Marginal()(run, "test")
    assert Marginal()(run, "test") == Marginal()(run, "test")


def test_it_is_left_out_where_the_label_is_given():
    assert Marginal()(run_of(m2=False), "test") == {}
