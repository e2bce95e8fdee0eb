"""What the named autoencoders promise, end to end on digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composing import composed, run_in
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

import aeexp


def test_beta_one_is_the_vae():
    ours, plain = composed("variant=beta_vae", "regularizer.kl.weight=1.0"), composed("variant=vae")
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(plain)
    assert composed("variant=beta_vae").regularizer.kl.weight > 1


def test_samples_of_a_conditional_vae_are_of_the_class_that_was_asked_for(tmp_path, digit_data):
    """Judged by a probe of real pixels, which reads 95 % of real test digits right."""
    run_in(tmp_path, "variant=cvae", "metric=none", "trainer.epochs=50")
    model = aeexp.load(tmp_path)
    asked = torch.arange(10).repeat_interleave(50)
    torch.manual_seed(0)
    drawn = model.sample(len(asked), torch.eye(10)[asked])
    train = digit_data["train"]
    probe = LogisticRegression(max_iter=1000).fit(train.x.flatten(1), train.y)
    seen = probe.predict(drawn.flatten(1).numpy())
    right = np.array([(seen[asked == label] == label).mean() for label in range(10)])
    assert right.mean() > 0.8 and (right > 0.5).all()
    # the same codes without their label, or with another, are another class
    torch.manual_seed(0)
    other = model.sample(len(asked), torch.eye(10)[(asked + 1) % 10])
    assert (probe.predict(other.flatten(1).numpy()) == asked.numpy()).mean() < 0.2


@pytest.mark.slow
def test_an_adversary_against_the_prior_brings_the_codes_near_it(tmp_path):
    """Distance of mean and covariance of the codes from those of N(0, I): less than half the plain code's."""
    spreads = {}
    for variant in ("undercomplete", "aae"):
        words = ["metric=none", "latent.dim=4", "trainer.epochs=60"]
        weight = ["regularizer.adversary.weight=1.0"] if variant == "aae" else []
        run_in(tmp_path / variant, f"variant={variant}", *words, *weight)
        model = aeexp.load(tmp_path / variant)
        covariance = model.code_scale @ model.code_scale.T
        spreads[variant] = float(model.code_mean.norm() + (covariance - torch.eye(4)).norm())
    assert 2 * spreads["aae"] < spreads["undercomplete"]
