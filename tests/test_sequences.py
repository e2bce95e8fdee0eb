"""Sequences of different lengths: what follows the end of one counts nowhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aeexp.contracts import Decoder
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import measure
from aeexp.evaluation.run import Run
from aeexp.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.likelihoods.laplace import Laplace
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.learner import average
from aeexp.noises import Gaussian as GaussianNoise
from aeexp.noises import Masking, SaltPepper
from aeexp.plots.interpolation import Interpolation
from aeexp.plots.reconstructions import Reconstructions

T, F = 7, 3
LENGTHS = np.array([7, 1, 4, 3, 6, 2, 5, 7] * 4)
RNG = np.random.default_rng(0)
STEPS = RNG.random((len(LENGTHS), T, F)).astype(np.float32)
MASK = np.arange(T) < LENGTHS[:, None]


def sequences(features=F, junk=0.0, preprocessing=None) -> Data:
    """Padding is `junk`, which a loader never leaves."""
    x = np.where(MASK[..., None], STEPS[..., :features], np.float32(junk))
    split = Split(Rows(x, np.arange(len(x)) % 2, lengths=LENGTHS), preprocessing)
    return Data("sequences", {name: split for name in ("train", "val", "test")}, ("a", "b"))


def test_a_batch_has_the_mask_of_its_rows_and_nothing_beyond_it():
    split = sequences(junk=9.0)["train"]
    batch = split.batch(torch.tensor([3, 0, 1]))
    assert batch.mask.sum(1).tolist() == [3, 7, 1] and batch.x.shape == (3, T, F)
    assert not batch.x[~batch.mask].any()
    assert np.array_equal(batch.x[batch.mask].numpy(), STEPS[[3, 0, 1]][MASK[[3, 0, 1]]])
    shifted = sequences(preprocessing=Preprocessing(2.0, 1.0))["train"].batch(slice(0, 4))
    assert not shifted.x[~shifted.mask].any() and (shifted.x[shifted.mask] >= 1).all()


MASKED = [Gaussian(), Gaussian(0.3, "learned"), Gaussian(0.3, "optimal").eval(), Laplace(), Bernoulli(),
          ContinuousBernoulli()]  # fmt: skip


@pytest.mark.parametrize("likelihood", MASKED)
def test_a_masked_distortion_is_that_of_the_steps_before_the_end(likelihood):
    output, target = torch.randn(len(LENGTHS), T, F), torch.from_numpy(STEPS)
    masked = likelihood.distortion(output, target, torch.from_numpy(MASK))
    for row, length in enumerate(LENGTHS):
        alone = likelihood.distortion(output[row : row + 1, :length], target[row : row + 1, :length])
        torch.testing.assert_close(masked[row : row + 1], alone)
    garbage = torch.where(torch.from_numpy(MASK)[..., None], output, torch.tensor(1e6))
    assert torch.equal(likelihood.distortion(garbage, target, torch.from_numpy(MASK)), masked)


def test_loss_and_metrics_do_not_see_the_padding(build_learner):
    class Junk(Decoder):
        """A decoder that paints nonsense beyond the end."""

        def __init__(self, decoder):
            super().__init__()
            self.decoder = decoder

        def forward(self, z, context=None, skips=()):
            x = self.decoder(z, context)
            return torch.where(self.mask[..., None], x, torch.full_like(x, 50.0))

    data = sequences()
    learner = build_learner((T, F))
    metrics = {"reconstruction": Reconstruction()}
    plain = measure(Run(learner, data), metrics, "test")
    learner.model.decoder = Junk(learner.model.decoder)
    learner.model.decoder.mask = torch.from_numpy(MASK)
    assert measure(Run(learner, data), metrics, "test") == plain
    assert average(learner, data["test"])["loss"] == plain["loss"] == pytest.approx(plain["reconstruction/mse"])
    # per feature: over the steps that are there, not over T
    assert plain["reconstruction/mse_per_feature"] == pytest.approx(plain["reconstruction/mse"] / (F * LENGTHS.mean()))
    # Gaussian of variance 1/2: nats = squared error + half a log of pi for each real feature
    constant = 0.5 * math.log(math.pi) * F * LENGTHS.mean()
    assert plain["reconstruction/nats"] == pytest.approx(plain["reconstruction/mse"] + constant, rel=1e-5)
    assert np.isfinite(Run(learner, data).errors("test")).all()
    assert Run(learner, data).errors("test").mean() == pytest.approx(plain["reconstruction/mse"])


@pytest.mark.parametrize("noise", [GaussianNoise(1.0), SaltPepper(0.9), Masking(0.5)])
def test_noise_does_not_reach_beyond_the_end(noise, build_learner):
    learner = build_learner((T, F), noises={"noise": noise}).train()
    batch = sequences()["train"].batch(slice(None))
    _, out = learner(batch)
    assert not out.x[~batch.mask].any()
    assert not torch.equal(out.x, batch.x)


def test_the_gradient_of_what_follows_the_end_is_zero(build_learner):
    learner = build_learner((T, F))
    batch = sequences()["train"].batch(slice(1, 2))  # one step long
    terms, _ = learner(batch)
    terms["reconstruction"].sum().backward()
    bias = learner.model.decoder.layers[0].bias.grad.view(T, F)
    assert bias[0].all() and not bias[1:].any()


@pytest.mark.parametrize("features", [1, 3])
def test_figures_of_sequences_have_time_from_left_to_right(features, build_learner):
    run = Run(build_learner((T, features)), sequences(features))
    figures = {**Reconstructions(examples=4)(run), **Interpolation(pairs=2, steps=3)(run)}
    images = [image for axes in figures["interpolation"].axes for image in axes.images]
    if features == 1:
        assert not images  # lines
        return
    rows = Reconstructions(examples=4).reconstruct(run)
    assert len(images) == 2 * 3, "for each of two pairs what lies between, and both ends"
    shown = np.asarray(images[1].get_array())  # the first example, features upwards
    assert shown.shape == (F, T)
    first = rows.mask[0]
    assert np.array_equal(shown[:F, first], rows.target[0].T[::-1][:, first]) and np.isnan(shown[:F, ~first]).all()


def test_noise_block_covers_a_span_of_time(build_learner):
    from aeexp.noises import Block

    x = torch.ones(50, 10, 4)
    hidden = Block(0.3)(x)
    gone = ~hidden.bool()
    assert (gone.all(2) == gone.any(2)).all()  # whole steps
    assert (gone.any(2).sum(1) == 3).all()
    for row in gone.any(2):
        places = row.nonzero().flatten()
        assert int(places[-1] - places[0]) == 2
