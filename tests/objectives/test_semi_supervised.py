"""M2: the enumerated bound against brute force, known labels against a CVAE with a classifier, and no label leaks."""

from __future__ import annotations

import functools
import json
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from composing import composed, run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.conditions import Label
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Deterministic
from aeexp.latents.gaussian import Gaussian as GaussianLatent
from aeexp.latents.priors import Standard
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.classification import Classification
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner, average, means
from aeexp.models.nn.mlp import mlp
from aeexp.noises import Chain, Masking
from aeexp.objectives.additive import Additive
from aeexp.objectives.iwae import ImportanceWeighted
from aeexp.objectives.semi_supervised import SemiSupervised, try_every_class
from aeexp.regularizers.code import L1
from aeexp.regularizers.decoder import DecoderL2
from aeexp.regularizers.kl import KL
from aeexp.runs import build
from aeexp.runs.config import check
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.trainers.labelled import Labelled
from aeexp.types import Batch, Facts

CLASSES, FACTS = 3, Facts((6,), 3)


def learner(latent=None, bound=Additive, regularizers=None, noises=None, seed=0, **options) -> Learner:
    """M2 in float64 on rows of 6 features and 3 classes."""
    torch.manual_seed(seed)
    latent, condition = latent or Deterministic(2), Label()
    condition.adapt(FACTS)
    encoder, decoder = mlp((6,), latent.params, latent.dim, CLASSES, hidden_dims=[5], activation="tanh")
    model = Autoencoder(encoder, latent, decoder, Gaussian(), condition)
    options = {"hidden_dims": [4], "alpha": 0.75, **options}
    objective = SemiSupervised(Chain(noises or {}), regularizers or {}, bound=bound, **options)
    objective.check(model)
    objective.adapt(model, FACTS)
    return Learner(Reconstruct(), model, objective).double()


def drawn(dim=2) -> GaussianLatent:
    prior = Standard()
    prior.adapt(dim, (6,))
    return GaussianLatent(dim, prior)


def rows(labels, seed=1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(len(labels), 6, generator=generator, dtype=torch.float64)
    return Batch(x, torch.tensor(labels))


def joint(made: Learner, batch: Batch, label: int) -> torch.Tensor:
    """(B,) L(x, y) of equation 6 at one label for all rows, one call of the bound for each."""
    batch = made.task(batch._replace(y=torch.full_like(batch.y, label)))
    terms, _ = made.objective.bound(made.model, batch)
    return sum(terms.values()) - made.objective.log_prior[label]


def gradients(value, made):
    return torch.autograd.grad(value, list(made.parameters()), allow_unused=True)


def close(ours, theirs):
    # float64; stacked products add in another order: some hundred terms of size 1
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def roughly(ours, theirs):
    """A buffer that was float32: 2^-24 of 1."""
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


# ---------------------------------------------------------------- laws


def test_with_every_label_known_it_is_a_conditional_autoencoder_and_a_classifier():
    made = learner(regularizers={"l1": L1(0.25)}).train()
    batch = rows([0, 2, 1, 1, 0])
    terms, _ = made(batch)
    plain = Additive(Chain({}), {"l1": L1(0.25)}).double()(made.model, made.task(batch))[0]
    close(terms["bound"], sum(plain.values()) - made.objective.log_prior[0])
    assert float(made.objective.log_prior[0]) == pytest.approx(-math.log(CLASSES))
    scores = made.objective.classifier(batch.x)
    close(terms["classification"], 0.75 * F.cross_entropy(scores, batch.y, reduction="none"))
    for ours, theirs in zip(
        gradients(means(terms).sum(), made),
        gradients(means(plain).sum() + 0.75 * F.cross_entropy(scores, batch.y), made),
        strict=True,
    ):
        close(ours, theirs)


def test_unlabelled_rows_count_the_mean_over_q_less_its_entropy_in_value_and_gradient():
    """Equation 7 by brute force: one pass for each class."""
    made = learner(regularizers={"l1": L1(0.25)}).train()
    batch = rows([-1, -1, 2, -1])
    terms, _ = made(batch)
    q = made.objective.classifier(batch.x).softmax(1)
    values = torch.stack([joint(made, batch, label) for label in range(CLASSES)], 1)
    expected = (q * values).sum(1) + (q * q.log()).sum(1)
    expected = torch.where(batch.y >= 0, values[:, 2], expected)
    close(terms["bound"], expected)
    for ours, theirs in zip(gradients(terms["bound"].sum(), made), gradients(expected.sum(), made), strict=True):
        close(ours, theirs)


@given(st.lists(st.floats(-3, 3), min_size=CLASSES, max_size=CLASSES), st.integers(0, 100))
def test_the_bound_is_the_log_sum_over_classes_where_q_is_the_posterior_and_above_it_elsewhere(shift, seed):
    made, batch = learner(seed=seed).eval(), rows([-1], seed)
    with torch.no_grad():
        values = torch.stack([joint(made, batch, label) for label in range(CLASSES)], 1)
        last = made.objective.classifier.layers[-1]
        last.weight.zero_()
        last.bias.copy_(-values[0])
        exact = -torch.logsumexp(-values, 1)
        close(made(batch)[0]["bound"], exact)
        last.bias.add_(torch.tensor(shift))
        assert made(batch)[0]["bound"] >= exact - 1e-10


def test_around_the_importance_weighted_bound_of_one_code_it_is_the_additive_one_in_the_mean():
    one = functools.partial(ImportanceWeighted, samples=1)
    added = learner(drawn(), regularizers={"kl": KL()})
    weighted = learner(drawn(), one)
    weighted.load_state_dict(added.state_dict(), strict=False)
    count = 4000
    batch = Batch(rows([-1, 1]).x.repeat(count, 1), torch.tensor([-1, 1]).repeat(count))
    with torch.no_grad():
        values = [each.train()(batch)[0]["bound"].view(count, 2) for each in (added, weighted)]
    error = sum(v.var(0) / count for v in values).sqrt()
    assert ((values[0].mean(0) - values[1].mean(0)).abs() < 4 * error).all()
    assert (error < 0.1 * values[0].mean(0)).all()  # the test would see a tenth


def test_more_codes_a_row_tighten_the_bound():
    few, many = (learner(drawn(), functools.partial(ImportanceWeighted, samples=k)) for k in (1, 30))
    many.load_state_dict(few.state_dict())
    batch = Batch(rows([-1]).x.repeat(500, 1), torch.full((500,), -1))
    with torch.no_grad():
        assert many(batch)[0]["bound"].mean() < few(batch)[0]["bound"].mean()


def test_a_batch_without_labels_has_no_cross_entropy_and_alpha_scales_it():
    with torch.no_grad():
        assert not learner()(rows([-1, -1]))[0]["classification"].any()
        light, heavy = (learner(alpha=a)(rows([0, -1, 2]))[0]["classification"] for a in (0.5, 2.0))
    assert (light > 0).tolist() == [True, False, True]
    close(heavy, 4 * light)


LABELS = np.array([2, -1, -1, 0, -1, -1, -1, 1, -1, -1, -1, -1])  # 3 of 12


def papers_objective(made: Learner, split: Split) -> torch.Tensor:
    """Equations 6 to 9 over all rows, divided by their number, with the weight alpha N."""
    batch = whole(split)
    q = made.objective.classifier(batch.x).softmax(1)
    values = torch.stack([joint(made, batch, label) for label in range(CLASSES)], 1)
    bounds = (q * values).sum(1) + (q * q.log()).sum(1)
    known = batch.y >= 0
    bounds[known] = values[known, batch.y[known]]
    return bounds.mean() + made.objective.alpha * F.cross_entropy(q[known].log(), batch.y[known])


def whole(split: Split, index=slice(0, 12)) -> Batch:
    batch = split.batch(index)
    return batch._replace(x=batch.x.double())


@pytest.mark.parametrize("size", [1, 3, 4, 12])
@pytest.mark.parametrize("more", [0, 1, 2, 5])
def test_over_all_batches_the_loss_is_the_papers_whatever_the_batch_and_the_labelled_rows_added(size, more):
    """Every batch of an epoch beside every draw of labelled rows: their mean, in value and gradient."""
    made = learner(regularizers={"l1": L1(0.25)}).train()
    split = Split(Rows(np.random.default_rng(0).random((12, 6)).astype(np.float32), LABELS))
    labelled = Labelled(split, more, 0) if more else None
    losses = []
    for start in range(0, 12, size):
        for number in range(3):  # 3 numbers use up whole rounds: each labelled row comes as often as another
            batch = split.batch(slice(start, start + size))
            batch = batch if labelled is None else labelled.join(batch, number, 0)
            terms, _ = made(batch._replace(x=batch.x.double()))
            losses.append(means(terms, batch.weight).sum())
    ours, theirs = torch.stack(losses).mean(), papers_objective(made, split)
    roughly(ours, theirs)  # weights are float32
    for one, other in zip(gradients(ours, made), gradients(theirs, made), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_a_mean_over_the_labelled_rows_is_exact_in_evaluation_however_they_are_spread():
    made = learner().eval().float()
    split = Split(Rows(np.random.default_rng(0).random((12, 6)).astype(np.float32), LABELS))
    scores = made.objective.classifier(split.x)[LABELS >= 0].detach()
    expected = 0.75 * F.cross_entropy(scores, split.y[LABELS >= 0])
    for size in (1, 5, 12):
        assert average(made, split, size)["classification"] == pytest.approx(float(expected), rel=1e-5)


def test_a_penalty_of_the_whole_batch_counts_once():
    terms, _ = learner(regularizers={"l2": DecoderL2(0.1)})(rows([-1, 2]))
    plain, _ = learner()(rows([-1, 2]))
    assert terms["l2"].dim() == 0 < terms["l2"]
    close(terms["bound"], plain["bound"])


def test_the_prior_of_the_classes_is_their_share_of_the_labels():
    made = learner(prior="shares")
    split = Split(Rows(np.zeros((8, 6), np.float32), np.array([0, 0, 0, 0, 2, -1, -1, -1])))
    made.before_step(split, 0)
    expected = torch.tensor([5 / 8, 1 / 8, 2 / 8], dtype=torch.float64)  # one added to each count of 4, 0, 1
    roughly(made.objective.log_prior.exp(), expected)
    made.before_step(Split(Rows(np.zeros((2, 6), np.float32), np.array([1, 1]))), 1)
    roughly(made.objective.log_prior.exp(), expected)  # learnt once, kept in the state
    uniform = learner()
    uniform.before_step(split, 0)
    roughly(uniform.objective.log_prior.exp(), torch.full((3,), 1 / 3, dtype=torch.float64))


def test_noise_acts_in_training_on_every_copy_and_on_the_classifier():
    made, batch = learner(noises={"masking": Masking(0.5)}), rows([-1] * 4)
    assert made.objective.noise is made.objective.bound.noise
    seen = made.train()(batch)[1].x
    assert (seen == 0).any() and not torch.equal(seen[:4], seen[4:8])
    assert torch.equal(made.eval()(batch)[1].x, batch.x.repeat(CLASSES, 1))


def test_every_field_is_repeated_class_after_class():
    batch = Batch(torch.rand(2, 1, 3), torch.tensor([0, -1]), ids=torch.tensor([7, 9]))
    stacked = try_every_class(batch, 3)
    assert stacked.y.tolist() == [0, 0, 1, 1, 2, 2] and stacked.ids.tolist() == [7, 9] * 3
    assert torch.equal(stacked.x, batch.x.repeat(3, 1, 1)) and stacked.mask is None


# ---------------------------------------------------------------- no label leaks


def test_in_evaluation_no_label_reaches_the_bound_the_scores_the_codes_or_the_output():
    made = learner().eval().float()
    x = rows([0] * 30).x.float().numpy()
    runs = [
        Run(made, Data("r", {n: Split(Rows(x, y)) for n in ("train", "val", "test")}, ("a", "b", "c")))
        for y in (np.arange(30) % 3, (np.arange(30) + 1) % 3, np.full(30, -1))
    ]
    bounds = [made(run.data["test"].batch(slice(0, 30)))[0]["bound"] for run in runs]
    outs = [next(run.passes("test")) for run in runs]
    for bound, out, run in zip(bounds[1:], outs[1:], runs[1:], strict=True):
        assert torch.equal(bound, bounds[0])
        assert torch.equal(out.output, outs[0].output)
        assert torch.equal(made.objective.score_labels(out), made.objective.score_labels(outs[0]))
        assert np.array_equal(run.codes("test"), runs[0].codes("test"))
    assert torch.equal(outs[0].context.argmax(1), made.objective.classifier(outs[0].x).argmax(1))
    # what is measured against is the true label all the same
    assert torch.equal(outs[1].batch.y, runs[1].data["test"].y)
    accuracies = [Classification()(run, "test")["classification/accuracy"] for run in runs[:2]]
    assert accuracies[0] != accuracies[1]


def test_a_conditional_model_without_it_has_codes_that_hold_the_label():
    """What `inferred` is there for: the encoder of a plain CVAE is told the label that a probe then reads."""
    made = learner().float()
    made.objective = Additive(Chain({}), {})
    x = rows([0] * 9).x.float().numpy()
    codes = [
        Run(made, Data("r", {n: Split(Rows(x, np.full(9, y))) for n in ("train", "val", "test")}, ("a", "b", "c")))
        .codes("test") for y in (0, 1)
    ]  # fmt: skip
    assert not np.allclose(*codes)


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["condition=none"], r"^objective: semi_supervised gives encoder and decoder every.*take condition=label"),
        (["regularizer=[kl,classifier]"], r"^objective: classifier would learn.*leave classifier out"),
        (["objective.alpha=-1"], r"^objective\.alpha=-1 should be a number of at least 0"),
        (["objective.prior=equal"], r"^objective\.prior='equal' should be one of uniform, shares"),
        (
            ["objective.hidden_dims=[0]"],
            r"^objective\.hidden_dims=\[0\] should be a list of whole numbers of at least 1",
        ),
        (["objective/bound=iwae"], r"^objective: bound\.samples: the bound contains the KL"),
        (
            ["objective/bound=iwae", "regularizer=none", "objective.bound.samples=0"],
            r"^objective\.bound\.samples=0 should be a whole number of at least 1",
        ),
        (
            ["objective/bound=iwae", "regularizer=none", "latent=deterministic"],
            r"^objective: bound\.samples are drawn codes.*take latent=gaussian",
        ),
        (["objective.bound.misspelt=1"], r"misspelt"),
    ],
)
def test_a_mistake_is_told_with_key_value_and_way_out(overrides, message):
    overrides = [f"+{o}" if "misspelt" in o else o for o in overrides]
    with pytest.raises(UsageError) as caught:
        cfg = composed("variant=semi_supervised", *overrides)
        check(cfg)
        build.build_learner(cfg, Facts((1, 8, 8), 10))
    assert re.search(message, str(caught.value)), caught.value


def test_data_without_classes_are_refused(tmp_path):
    np.savez(tmp_path / "plain.npz", x=np.random.default_rng(0).random((30, 6)))
    data = ["dataset=npz", f"dataset.path={tmp_path / 'plain.npz'}"]
    with pytest.raises(UsageError, match=r"condition=label needs labelled data"):
        run_in(tmp_path / "run", "variant=semi_supervised", *data)


def test_four_labels_and_many_rows_beat_four_labels_alone(tmp_path):
    """Two classes 6.3 apart at a standard deviation of 1.5 lie 2.1 of them from the border: 98 % can be had."""
    generator = np.random.default_rng(0)
    y = np.arange(600) % 2
    x = generator.normal(size=(600, 20)) * 1.5
    x[:, :10] += np.where(y, 1.0, -1.0)[:, None]
    np.savez(tmp_path / "rows.npz", x=x.astype(np.float32), y=y)
    shared = ["dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", "dataset.labelled=4", "trainer.steps=160",
              "likelihood=gaussian", "metric=[classification]", "trainer.labelled_batch_size=4",
              "objective.hidden_dims=[]", "model.hidden_dims=[]", "latent.dim=2", "optimizer.lr=0.01"]  # fmt: skip
    accuracy = {}
    for name, words in {"m2": [], "alone": ["dataset.unlabelled=drop", "trainer.validate_every_epochs=10"]}.items():
        run_in(tmp_path / name, "variant=semi_supervised", *shared, *words)
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        accuracy[name] = metrics["test"]["classification/accuracy"]
        assert metrics["monitor"] == "val/bound"
    assert accuracy["m2"] > 0.9 and accuracy["alone"] < accuracy["m2"]
