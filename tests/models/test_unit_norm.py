"""Columns of length 1: before training, after every step, in what is saved; and the gradient that leaves them so."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from aeexp.errors import UsageError
from aeexp.latents import Relu
from aeexp.models.nn.mlp import UnitColumns, mlp
from aeexp.testing import learners
from aeexp.testing.toy import make_pictures
from aeexp.trainers.step import take_step
from aeexp.types import Batch

# a sum of 6 squares, its root and a quotient: some 10 roundings of 2^-24
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.mark.parametrize(
    "optimizer",
    [functools.partial(torch.optim.SGD, lr=0.5, momentum=0.9), functools.partial(torch.optim.Adam, lr=0.3)],
)
def test_columns_have_length_1_after_every_step(build_learner, optimizer):
    learner = build_learner((6,), latent=Relu(9), hidden_dims=[], unit_norm=True)
    weight, stepper = learner.model.decoder.reading_weight(), optimizer(learner.parameters())
    start = weight.detach().clone()
    for step in range(5):
        torch.testing.assert_close(weight.detach().norm(dim=0), torch.ones(9), **CLOSE)
        take_step(learner, stepper, [Batch(torch.rand(8, 6))], step)
    assert float((weight.detach() - start).norm()) > 0.5  # they turned


def test_the_gradient_has_no_part_along_its_column():
    layer = UnitColumns(5, 2, 6)
    layer.start()
    layer(torch.randn(8, 7)).square().sum().backward()
    along = (layer.weight.grad * layer.weight.detach()).sum(0)
    scale = layer.weight.grad.norm(dim=0)
    assert bool((along[:5].abs() < 1e-5 * scale[:5]).all()) and bool((along[5:].abs() > 1e-3).all())


def test_it_is_a_linear_layer_otherwise():
    layer, plain = UnitColumns(5, 0, 6), nn.Linear(5, 6)
    plain.weight = nn.Parameter(nn.functional.normalize(layer.weight.detach(), dim=0))
    plain.bias = layer.bias
    x = torch.randn(4, 5)
    torch.testing.assert_close(layer(x), plain(x))


def test_a_run_of_unit_columns_goes_on_with_the_same_bits(build_learner, tmp_path):
    data = make_pictures()

    def build(seed):
        return build_learner(data.shape, latent=Relu(9), hidden_dims=[], unit_norm=True, seed=seed)

    learners.check_resuming(build, data, tmp_path)
    weight = learners.read_states(tmp_path / "whole")["best"]["learner"]["model.decoder.layers.0.weight"]
    torch.testing.assert_close(weight.norm(dim=0), torch.ones(9), **CLOSE)


def test_tied_weights_are_not_the_decoders_alone():
    with pytest.raises(UsageError, match=r"^unit_norm=true .*model\.tied=false"):
        mlp((6,), 4, 4, 0, hidden_dims=[], tied=True, unit_norm=True)
