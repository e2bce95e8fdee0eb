"""Architectures: exact sizes, no pixel out of reach, rows that do not mix, weights that are tied for good."""

from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aeexp.errors import UsageError
from aeexp.models.nn.conv import conv, warn_of_checkerboard
from aeexp.models.nn.mlp import mlp

UPSAMPLES = ["transposed", "nearest", "bilinear", "subpixel"]
NETWORKS = {
    "mlp": lambda: mlp((2, 9, 6), 4, 4, 0, hidden_dims=[7, 5]),
    "tied": lambda: mlp((2, 9, 6), 4, 4, 0, hidden_dims=[7, 5], tied=True),
    **{u: lambda u=u: conv((2, 9, 6), 4, 4, 0, channels=[3, 4], upsample=u) for u in UPSAMPLES},
}
# In double: sums of at most some hundred products of size 1, 300 * 2^-53 = 3e-14.
DOUBLE = {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (6, 2), (6, 3)])
def test_every_picture_size_comes_back_and_no_pixel_is_out_of_reach(upsample, kernel, stride):
    for height in range(5, 34):
        width = 38 - height
        channels = [2] if min(height, width) < 9 else [2, 3]
        encoder, decoder = conv(
            (1, height, width), 3, 2, 0, channels=channels, kernel=kernel, stride=stride, upsample=upsample,
            activation="tanh",
        )  # fmt: skip
        x = torch.rand(1, 1, height, width, requires_grad=True)
        h = encoder(x)
        # tanh is never off: every pixel moves the code, and every pixel of the output differs between two codes
        assert (torch.autograd.grad(h.sum(), x)[0] != 0).all()
        output = decoder(torch.rand(2, 2))
        assert h.shape == (1, 3) and output.shape == (2, 1, height, width)
        assert (output[0] != output[1]).all()


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize("stride", [2, 3])
def test_windows_that_do_not_overlap_are_taken_only_where_they_fill_the_picture(upsample, stride):
    for height in range(5, 34):
        make = {"channels": [2], "kernel": stride, "stride": stride, "upsample": upsample}
        if height % stride == 0:
            encoder, decoder = conv((1, height, 2 * height), 3, 2, 0, **make)
            assert decoder(torch.rand(1, 2)).shape == (1, 1, height, 2 * height)
        else:
            with pytest.raises(UsageError, match=f"^kernel={stride} ") as error:
                conv((1, height, height), 3, 2, 0, **make)
            way_out = int(re.search(r"take kernel=(\d+)", str(error.value))[1])
            conv((1, height, height), 3, 2, 0, **{**make, "kernel": way_out})


def test_a_transposed_convolution_with_a_divisible_kernel_weighs_every_place_alike():
    _, decoder = conv((1, 24, 24), 3, 2, 0, channels=[1], kernel=4, stride=2)
    (layer,) = decoder.steps
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    inside = layer(torch.ones(1, 1, 12, 12))[0, 0, 4:-4, 4:-4]
    assert (inside == inside[0, 0]).all()
    # the reason for the rule: three does not go into two
    uneven = F.conv_transpose2d(torch.ones(1, 1, 12, 12), torch.ones(1, 1, 3, 3), stride=2)[0, 0, 4:-4, 4:-4]
    assert uneven.max() == 4 * uneven.min()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (5, 3), (7, 4)])
def test_a_kernel_that_the_stride_does_not_divide_is_told_once_with_one_that_does(kernel, stride, caplog):
    warn_of_checkerboard.cache_clear()
    sides = (1, 12 * stride, 12 * stride)
    for _ in range(2):
        encoder, decoder = conv(sides, 3, 2, 0, channels=[4], kernel=kernel, stride=stride)
    assert decoder(torch.zeros(1, 2)).shape == (1, *sides) and encoder(torch.zeros(1, *sides)).shape == (1, 3)
    (said,) = caplog.messages
    assert said.startswith(f"model.kernel={kernel} is not divisible by model.stride={stride}")
    assert "plot=checkerboard" in said and int(re.search(r"; model.kernel=(\d+)", said)[1]) % stride == 0
    caplog.clear()
    warn_of_checkerboard.cache_clear()
    conv(sides, 3, 2, 0, channels=[4], kernel=kernel, stride=stride, upsample="nearest")
    assert not caplog.messages, "interpolation reaches every pixel alike"


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((64,), {"channels": [4]}, r"^model=conv .*\(64,\).*model=mlp"),
        ((1, 8, 8), {"channels": [4, 4, 4, 4]}, r"^channels=\[4, 4, 4, 4\] .*8x8"),
        ((1, 8, 8), {"channels": []}, r"^channels=\[\]: "),
        ((1, 8, 8), {"channels": [4], "kernel": 1}, "^kernel=1 "),
    ],
)
def test_conv_refuses_what_it_cannot_build_and_names_the_key(shape, options, message):
    with pytest.raises(UsageError, match=message):
        conv(shape, 3, 2, 0, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_do_not_mix(name):
    encoder, decoder = (part.double() for part in NETWORKS[name]())
    for network, x in ((encoder, torch.randn(8, 2, 9, 6)), (decoder, torch.randn(8, 4))):
        x = x.double()
        y = network(x)
        order = torch.randperm(8)
        torch.testing.assert_close(network(x[order]), y[order], **DOUBLE)
        changed = x.clone()
        changed[3] += 1
        moved = (network(changed) - y).flatten(1).abs().amax(1)
        assert moved[3] > 1e-3
        assert moved[torch.arange(8) != 3].max() < 1e-12


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"])
def test_mlp_is_affine_maps_with_the_activation_between_and_none_at_the_ends(name):
    encoder, decoder = (part.double() for part in mlp((2, 3), 4, 2, 0, hidden_dims=[5], activation=name))
    between = getattr(torch, name, None) or getattr(F, name)
    for network, x in ((encoder, torch.randn(7, 2, 3)), (decoder, torch.randn(7, 2))):
        x = x.double()
        first, second = network.layers
        hidden = between(x.flatten(1) @ first.weight.T + first.bias)
        output = hidden @ second.weight.T + second.bias
        torch.testing.assert_close(network(x).flatten(1), output, **DOUBLE)


@pytest.mark.parametrize("name", ["mlp", *UPSAMPLES])
def test_the_context_reaches_every_number_of_code_and_picture(name):
    make = {"hidden_dims": [7]} if name == "mlp" else {"channels": [4, 5], "upsample": name}
    network = mlp if name == "mlp" else conv
    encoder, decoder = network((3, 13, 10), 6, 4, 2, activation="tanh", **make)
    context = torch.eye(2)
    for part, x in ((encoder, torch.rand(3, 13, 10)), (decoder, torch.rand(4))):
        y = part(x.expand(2, *x.shape), context)  # equal rows, other context
        assert (y[0] != y[1]).all()


# ---------------------------------------------------------------- tied weights


def test_tied_weights_are_transposes_and_stay_so_when_trained(build_learner):
    learner = build_learner((6,), 3, hidden_dims=[5, 4], tied=True)
    encoder, decoder = learner.model.encoder.layers, learner.model.decoder.layers
    before = [layer.weight.clone() for layer in encoder]
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(20, 6)
        optimizer.zero_grad()
        (learner.model.reconstruct(x) - x).square().sum().backward()
        optimizer.step()
    for layer, mirror, old in zip(encoder, reversed(decoder), before, strict=True):
        assert torch.equal(mirror.weight, layer.weight.T)
        assert not torch.equal(layer.weight, old)


def test_tied_layers_count_their_weight_once(build_learner):
    widths = [6, 5, 4, 3]
    weights = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    biases = sum(widths[1:]) + sum(widths[:-1])
    count = {
        tied: sum(p.numel() for p in build_learner((6,), 3, hidden_dims=[5, 4], tied=tied).parameters())
        for tied in (True, False)
    }
    assert count == {True: weights + biases, False: 2 * weights + biases}


def test_the_gradient_of_a_tied_weight_comes_from_both_of_its_uses(build_learner):
    tied = build_learner((6,), 3, hidden_dims=[5], activation="tanh", tied=True).double().model
    free = build_learner((6,), 3, hidden_dims=[5], activation="tanh").double().model
    with torch.no_grad():
        for part in ("encoder", "decoder"):
            for mine, theirs in zip(getattr(free, part).layers, getattr(tied, part).layers, strict=True):
                mine.weight.copy_(theirs.weight)
                mine.bias.copy_(theirs.bias)
    x = torch.randn(20, 6, dtype=torch.float64)
    for model in (tied, free):
        (model.reconstruct(x) - x).square().sum().backward()
    for i, layer in enumerate(tied.encoder.layers):
        up, down = free.encoder.layers[i].weight.grad, free.decoder.layers[-1 - i].weight.grad
        assert up.abs().max() > 0 and down.abs().max() > 0
        torch.testing.assert_close(layer.weight.grad, up + down.T, rtol=1e-10, atol=1e-11)


def test_ties_survive_a_move_to_another_precision_and_a_saved_state(build_learner):
    tied = build_learner((6,), 3, hidden_dims=[5], tied=True, seed=1).double()
    other = build_learner((6,), 3, hidden_dims=[5], tied=True, seed=2).double()
    other.load_state_dict(tied.state_dict())
    for model in (tied.model, other.model):
        for layer, mirror in zip(model.encoder.layers, reversed(model.decoder.layers), strict=True):
            assert mirror.weight.data_ptr() == layer.weight.data_ptr()
            assert math.prod(mirror.weight.stride()) == math.prod(layer.weight.stride())
    x = torch.randn(4, 6, dtype=torch.float64)
    assert torch.equal(tied.model.reconstruct(x), other.model.reconstruct(x))


@pytest.mark.parametrize(("params", "context"), [(6, 0), (3, 2)])
def test_tied_weights_are_refused_where_encoder_and_decoder_are_no_mirrors(params, context):
    with pytest.raises(UsageError, match="^tied=true .*model.tied=false"):
        mlp((6,), params, 3, context, hidden_dims=[5], tied=True)
