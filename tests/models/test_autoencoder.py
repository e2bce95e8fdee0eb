"""The one model class: pure passes, and samples that have the codes' mean and covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from composing import composed

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Sigmoid
from aeexp.latents.sparse import TopK
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.models.pca import identity
from aeexp.runs.build import build_learner as build_learner_of
from aeexp.types import Batch, Facts


def test_a_forward_pass_is_a_function_of_parameters_buffers_and_batch(build_learner):
    model = build_learner((6,), latent=TopK(4, 2), hidden_dims=[5]).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = Batch(torch.randn(7, 6))
    clean = batch.x.clone()
    first, second = model(batch), model(batch)
    assert torch.equal(first.output, second.output)
    assert torch.equal(batch.x, clean)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_pass_encodes_the_corrupted_input_and_decodes_its_code(build_learner):
    model = build_learner((6,), latent=Sigmoid(4)).model
    clean, corrupted = torch.randn(2, 7, 6)
    out = model(Batch(clean), corrupted)
    assert out.x is corrupted and out.batch.x is clean
    assert torch.equal(out.code.z, model.encode(corrupted).z)
    assert torch.equal(model.likelihood.mean(out.output), model.decode(out.code.z))
    assert not torch.equal(out.output, model(Batch(clean)).output)


def test_the_reconstruction_is_the_decoded_mean_in_the_units_of_the_data(build_learner):
    model = build_learner((6,), latent=Sigmoid(4), likelihood=Bernoulli()).model
    x = torch.rand(7, 6)
    picture = model.reconstruct(x)
    assert torch.equal(picture, torch.sigmoid(model.decoder(model.encode(x).mean)))
    assert torch.equal(picture, model.reconstruct(x))


def test_samples_have_the_mean_and_the_covariance_of_the_codes():
    model = identity(torch.Size([3]))  # the decoded code is the code
    mix = torch.tensor([[1.0, 0, 0], [0.5, 2, 0], [-1, 0.3, 0.1]])
    codes = torch.randn(400, 3) @ mix.T + torch.tensor([1.0, -2, 3])
    model.fit_codes(codes)
    covariance = np.cov(codes.double().numpy().T)
    fitted = (model.code_scale @ model.code_scale.T).double().numpy()
    np.testing.assert_allclose(fitted, covariance, rtol=0, atol=1e-5)  # float32 entries up to 2, sums of 3 products

    n = 200_000
    samples = model.sample(n).detach().double().numpy()
    sd = np.sqrt(np.diag(covariance))
    assert (abs(samples.mean(0) - codes.double().numpy().mean(0)) < 5 * sd / math.sqrt(n)).all()
    # Var of a sample covariance of normals: (s_ii s_jj + s_ij^2) / n
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / n)
    assert (abs(np.cov(samples.T) - covariance) < 5 * error).all()


def test_units_that_never_vary_stay_at_their_mean_in_every_sample():
    model = identity(torch.Size([3]))
    codes = torch.randn(50, 3)
    codes[:, 1] = 0.7
    model.fit_codes(codes)
    samples = model.sample(500)
    # an eigenvector of the varying units may carry 1e-7 of the third
    torch.testing.assert_close(samples[:, 1], torch.full((500,), 0.7), rtol=0, atol=1e-5)
    assert samples[:, 0].std() > 0.1


def test_one_code_is_enough_to_fit():
    model = identity(torch.Size([3]))
    model.fit_codes(torch.tensor([[1.0, 2.0, 3.0]]))
    assert torch.equal(model.sample(4), torch.tensor([[1.0, 2.0, 3.0]]).expand(4, 3))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_state_is_the_whole_model(build_learner, seed):
    trained = build_learner((6,), 4, hidden_dims=[5], seed=seed).model
    trained.fit_codes(torch.randn(20, 4))
    copy = build_learner((6,), 4, hidden_dims=[5], seed=9).model
    copy.load_state_dict(trained.state_dict())
    x = torch.randn(5, 6)
    assert torch.equal(copy.reconstruct(x), trained.reconstruct(x))
    torch.manual_seed(0)
    mine = copy.sample(3)
    torch.manual_seed(0)
    assert torch.equal(mine, trained.sample(3))


NETWORKS = {  # shape of a row, and the options of the smallest of its kind
    "mlp": ((3, 8, 8), ["model.hidden_dims=[7]"]),
    "conv": ((3, 8, 8), ["model.channels=[4,5]"]),
    "resnet": ((3, 8, 8), ["model.channels=[4,5]"]),
    "unet": ((3, 8, 8), ["model.channels=[4,5]"]),
    "gru": ((5, 2), ["model.hidden=6"]),
}


@pytest.mark.parametrize("condition", ["label", "attribute"])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_that_is_not_told_gives_codes_of_the_row_alone(name, condition):
    """The same rows under other side information: equal codes, other pictures. A told encoder gives other codes."""
    shape, words = NETWORKS[name]
    batch = Batch(torch.rand(4, *shape), torch.zeros(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    other = batch._replace(y=batch.labels + 1, s=batch.attributes + 1)
    cfg = composed(f"model={name}", *words, "latent.dim=3")
    for told in (True, False):
        torch.manual_seed(0)
        cfg.condition = {**composed(f"condition={condition}").condition, "encoder": told}
        model = build_learner_of(cfg, Facts(shape, 2, 2)).model.eval()
        first, second = model(batch), model(other)
        assert torch.equal(first.code.mean, second.code.mean) is not told
        assert not torch.equal(first.output, second.output)
        assert model.condition.told == (2 if told else 0)
    assert torch.equal(model.encode(batch.x).mean, first.code.mean)  # nobody needs to know the attribute of a new row
    with pytest.raises(UsageError, match="trained with side information"):
        model.decode(first.code.mean)
    sizes = []
    for chosen in ("none", "fair_attribute", "attribute"):
        cfg.condition = composed(f"condition={chosen}").condition
        encoder = build_learner_of(cfg, Facts(shape, 2, 2)).model.encoder
        sizes.append(sum(p.numel() for p in encoder.parameters()))
    none, fair, told = sizes
    assert none == fair < told
