"""Codes come of one pass over a split, and of a few rows of a baseline without the others."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.evaluation.encode import encode
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.metrics.latent import Latent
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.learner import average
from aeexp.regularizers import L1


def count_passes(run: Run, monkeypatch) -> dict[str, int]:
    """Rows that go through encoder and decoder of the run from now on."""
    rows = {"encoder": 0, "decoder": 0}
    for name in rows:
        part = getattr(run.model, name)

        def forward(x, *given, name=name, forward=part.forward):
            rows[name] += len(x)
            return forward(x, *given)

        monkeypatch.setattr(part, "forward", forward)
    return rows


def test_errors_and_codes_of_rows_that_were_measured_cost_no_further_pass(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), 4), digit_data)
    rows = count_passes(run, monkeypatch)
    Reconstruction()(run, "train")
    codes, errors = run.codes("train"), run.errors("train")
    assert rows == dict.fromkeys(rows, len(digit_data["train"]))
    alone = Run(build_learner((1, 8, 8), 4), digit_data)
    alone.learner.load_state_dict(run.learner.state_dict())
    assert np.array_equal(alone.codes("train"), codes) and np.array_equal(alone.errors("train"), errors)


def test_the_loss_of_rows_that_were_measured_costs_no_further_pass(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), 4), digit_data)
    rows = count_passes(run, monkeypatch)
    for _ in run.passes("test"):
        pass
    known = run.losses("test")
    assert rows["encoder"] == len(digit_data["test"])
    assert known == average(run.learner, digit_data["test"])  # the same batches, bit by bit


@pytest.mark.parametrize("case", ["drawn", "penalty"])
def test_a_loss_that_a_pass_does_not_say_is_computed(build_learner, digit_data, case):
    words = {"latent": Gaussian(3, prior=Standard())} if case == "drawn" else {"regularizers": {"l1": L1(0.1)}}
    run = Run(build_learner((1, 8, 8), **words), digit_data)
    list(run.passes("test"))
    assert run.losses("test") == average(run.learner, digit_data["test"])


def test_pca_is_told_the_loss_under_its_own_likelihood(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 4), digit_data)
    pca = run.pca()
    assert pca is not None
    assert pca.losses("test") == average(pca.learner, digit_data["test"])


def test_a_pass_that_ends_early_leaves_nothing(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 4), digit_data)
    next(run.passes("train"))
    assert len(run.codes("train")) == len(run.errors("train")) == len(digit_data["train"])


def test_codes_alone_are_had_without_the_decoder(build_learner, digit_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), latent=Gaussian(3, prior=Standard())), digit_data)
    rows = count_passes(run, monkeypatch)
    run.codes("test")
    run.rate("test")
    run.draws("test")
    Latent(jacobian_rows=5)(run, "test")
    assert not rows["decoder"] and rows["encoder"]


def test_of_a_baseline_the_rows_asked_for_are_computed_and_no_others(build_learner, digit_data, monkeypatch):
    learner = build_learner((1, 8, 8), 4)
    run = Run(learner, digit_data, untrained=build_learner((1, 8, 8), 4).model)
    untrained = run.random()
    assert untrained is not None
    rows = count_passes(untrained, monkeypatch)
    places = np.random.default_rng(0).permutation(len(digit_data["train"]))[:50]
    few = untrained.codes("train", places)
    assert rows["encoder"] == 50
    # of other rows in a batch sums may be taken in another order: 64 products below 1 in float32
    np.testing.assert_allclose(few, untrained.codes("train")[places], rtol=0, atol=64 * 2**-24)
    assert np.array_equal(run.codes("train", places), run.codes("train")[places])
    batch = digit_data["train"].batch(slice(0, 3))
    assert np.array_equal(encode(learner, batch).code.mean.detach().numpy(), run.forward(batch).code.mean.numpy())
