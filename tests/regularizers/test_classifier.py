"""regularizer=classifier: what a label adds, what its absence does not, and what it learns."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from composing import run_in

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.regularizers.classifier import Classifier
from aeexp.types import Batch, Facts


def made(weight=1.0, classes=3, hidden_dims=()) -> Classifier:
    torch.manual_seed(1)
    part = Classifier(weight, list(hidden_dims))
    part.adapt(SimpleNamespace(latent=Deterministic(4)), Facts((6,), classes))
    return part


@pytest.fixture
def learner(build_learner):
    return lambda weight=1.0, **options: build_learner((6,), 4, regularizers={"classifier": made(weight)}, **options)


def gradients(learner, batch):
    terms, _ = learner(batch)
    return torch.autograd.grad(terms["classifier"].mean(), list(learner.parameters()), allow_unused=True)


def test_it_is_the_mean_cross_entropy_of_the_labelled_rows(learner):
    x, y = torch.rand(5, 6), torch.tensor([0, -1, 2, 1, -1])
    terms, out = learner()(Batch(x, y))
    known = y >= 0
    expected = F.cross_entropy(learner().objective.regularizers["classifier"].head(out.code.z[known]), y[known])
    torch.testing.assert_close(terms["classifier"].mean(), expected)  # float32, three rows
    assert not terms["classifier"][~known].any()


def test_rows_without_a_label_have_no_gradient_and_change_nothing(learner):
    part, y = made(), torch.tensor([0, -1, 2, -1])
    z = torch.rand(4, 4, requires_grad=True)
    value = part(SimpleNamespace(batch=Batch(z, y), code=SimpleNamespace(z=z)), None)
    (gradient,) = torch.autograd.grad(value.mean(), z)
    assert not gradient[y < 0].any() and gradient[y >= 0].any(1).all()
    x, more = torch.rand(4, 6), torch.rand(3, 6)
    few = gradients(learner(), Batch(x, torch.tensor([0, 1, 2, 1])))
    many = gradients(learner(), Batch(torch.cat([x, more]), torch.tensor([0, 1, 2, 1, -1, -1, -1])))
    for a, b in zip(few, many, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)  # sums of 4 or 7 rows, of which 3 are 0


def test_a_batch_without_labels_counts_nothing(learner):
    batch = Batch(torch.rand(4, 6), torch.full((4,), -1))
    assert not learner()(batch)[0]["classifier"].any()
    assert not any(g is not None and g.any() for g in gradients(learner(), batch))


def test_the_weight_scales_value_and_gradient(learner):
    batch = Batch(torch.rand(4, 6), torch.tensor([0, 1, 2, -1]))
    for light, heavy in zip(gradients(learner(0.5), batch), gradients(learner(2.0), batch), strict=True):
        assert (light is None) == (heavy is None)
        assert light is None or torch.equal(heavy, 4 * light)  # powers of two: exact
    assert not learner(0.0)(batch)[0]["classifier"].any()


def test_without_reconstruction_it_is_the_supervised_network(learner):
    """The decoder has no gradient at all; encoder and head have that of the cross-entropy."""
    part = learner()
    part.objective = Additive(Chain({}), {"classifier": made()}, reconstruction_weight=0.0)
    batch = Batch(torch.rand(4, 6), torch.tensor([0, 1, 2, 0]))
    terms, out = part(batch)
    loss = sum(term.mean() for term in terms.values())
    names = [name for name, _ in part.named_parameters()]
    values = dict(zip(names, torch.autograd.grad(loss, list(part.parameters())), strict=True))
    assert not any(values[name].any() for name in names if "decoder" in name)
    torch.testing.assert_close(
        loss, F.cross_entropy(part.objective.regularizers["classifier"].head(out.code.z), batch.y)
    )
    assert all(values[name].any() for name in names if "encoder" in name or "head" in name)


@pytest.fixture
def separable(tmp_path):
    """Two clouds of 20 features, 12 standard deviations apart."""
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = generator.normal(size=(200, 20)) + 2.7 * np.where(y, 1, -1)[:, None]
    np.savez(tmp_path / "rows.npz", x=x.astype(np.float32), y=y)
    return ["dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", "metric=[classification]", "trainer.epochs=15",
            "model.hidden_dims=[]", "latent.dim=2", "optimizer.lr=0.01"]  # fmt: skip


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_classes_far_apart_are_told_without_a_mistake(weight, separable, tmp_path):
    run_in(tmp_path / "run", "variant=multitask", f"objective.reconstruction_weight={weight}", *separable)
    test = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    assert test["classification/accuracy"] == 1.0
    assert test["classification/nats"] < 0.1
    assert (test["loss/reconstruction"] == 0) == (weight == 0)


@pytest.mark.parametrize("labels", ["none", "y"])
def test_data_without_classes_are_refused(labels, tmp_path):
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((30, 6)), y=np.zeros(30, int))
    data = ["dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", f"dataset.y={labels}"]
    words = r"^regularizer\.classifier: classifier needs labelled data with at least 2 classes.*or drop classifier"
    with pytest.raises(UsageError, match=words):
        run_in(tmp_path / "run", "regularizer=classifier", *data)
