"""`model=yours`: which modules it takes, what it gives them, and what it says of those that do not fit."""

from __future__ import annotations

import pytest
import torch
from composing import composed
from torch import nn

from aeexp.errors import UsageError
from aeexp.models import LinearDecoder, LinearEncoder, yours
from aeexp.runs.config import check, make
from aeexp.tensors import describe_shape

SHAPE, PARAMS, DIM = (1, 4, 5), 6, 3


def build(encoder, decoder, context=0, told=None):
    return yours(SHAPE, PARAMS, DIM, context, None, told, encoder=encoder, decoder=decoder)


class Wide(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layer = nn.Linear(20, width)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Broken(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :PARAMS] / 0


class Told(nn.Module):
    """A decoder that names the side information."""

    def __init__(self, dim, output, context):
        super().__init__()
        self.layer, self.output = nn.Linear(dim + context, 20), output

    def forward(self, z, context):
        return self.layer(torch.cat([z, context], 1)).unflatten(1, self.output)


def test_constructors_get_the_sizes_that_they_name_and_forward_what_it_names():
    encoder, decoder = build(LinearEncoder, LinearDecoder)
    assert encoder(torch.zeros(2, *SHAPE)).shape == (2, PARAMS) and decoder(torch.zeros(2, DIM)).shape == (2, *SHAPE)
    assert decoder.reading_weight().shape == (20, DIM)
    _, told = build(LinearEncoder, Told, context=2, told=0)
    assert told(torch.zeros(2, DIM), torch.ones(2, 2)).shape == (2, *SHAPE)


def test_what_gives_other_shapes_is_told_by_a_few_rows():
    with pytest.raises(UsageError, match=r"^encoder gives \(B, 32\), expected \(B, 6\)$"):
        build(Wide(32), LinearDecoder)
    with pytest.raises(UsageError, match=r"^decoder gives \(B, 32\), expected \(B, 1, 4, 5\)$"):
        build(LinearEncoder, nn.Linear(DIM, 32))
    with pytest.raises(UsageError, match="^encoder gives numbers that are not finite"):
        build(Broken(), LinearDecoder)
    with pytest.raises(UsageError, match="^encoder.width=...: width must be given"):
        build(Wide, LinearDecoder)
    with pytest.raises(UsageError, match="^decoder: its forward takes no side information, of which there are 2"):
        build(LinearEncoder, LinearDecoder, context=2, told=0)


def test_sizes_that_happen_to_be_alike_keep_their_numbers():
    assert describe_shape((3, 3, 8, 8), 3, 8) == "(B, 3, 8, 8)" and describe_shape((3, 3), 3, 8) == "(B, 3)"
    assert describe_shape((8,), 3, 8) == "(D,)" and describe_shape((), 3) == "()" and describe_shape((4,), 3) == "(4,)"


def test_trying_leaves_averages_modes_and_generators_as_they_were():
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(20), nn.Dropout(0.5), nn.LazyLinear(PARAMS))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, _ = build(encoder, nn.Sequential(nn.Linear(DIM, 20), nn.Unflatten(1, SHAPE)))
    assert torch.equal(encoder[1].running_mean, torch.zeros(20)) and all(m.training for m in one.modules())
    assert torch.equal(before, torch.get_rng_state()) or encoder[3].in_features == 20


def test_a_network_of_torchvision_is_an_encoder_by_its_name():
    """Of one channel it would be wrapped in a class of one's own; colored pictures fit as they are."""
    cfg = composed(
        "dataset=colored_digits", "model=yours", "model.encoder._target_=torchvision.models.MobileNetV2",
        "+model.encoder.width_mult=0.25", "+model.encoder.num_classes=3",
    )  # fmt: skip
    check(cfg)
    encoder, decoder = make(cfg, "model")((3, 32, 32), 3, 3, 0)
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 3) and decoder(torch.rand(2, 3)).shape == (2, 3, 32, 32)
    cfg.model.encoder.num_classes = 32
    with pytest.raises(UsageError, match=r"encoder gives \(B, 32\), expected \(B, 3\)"):
        make(cfg, "model")((3, 32, 32), 3, 3, 0)


def test_a_function_is_a_network_where_it_says_so():
    cfg = composed("model=yours", "model.encoder._target_=torchvision.models.resnet18")  # -> ResNet
    check(cfg)
    with pytest.raises(UsageError, match="an encoder or decoder is a torch.nn.Module, or a function that says so"):
        check(composed("model=yours", "model.encoder._target_=torchvision.io.read_file"))
