"""Codes that are maps, and residual networks: what belongs to a place, and what a block changes."""

from __future__ import annotations

import re

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.latents.quantised import VQ
from aeexp.models.learner import means
from aeexp.models.nn.conv import conv
from aeexp.models.nn.heads import FromPlaces, ToPlaces
from aeexp.models.nn.resnet import Block, resnet
from aeexp.types import Batch

UPSAMPLES = ["transposed", "nearest", "bilinear", "subpixel"]
BOTH = {"conv": (conv, {}), "resnet": (resnet, {"blocks": 1})}


# ---------------------------------------------------------------- codes that are maps


@pytest.mark.parametrize("name", BOTH)
def test_a_pixel_moves_the_near_places_only_and_a_place_the_near_pixels_only(name):
    """A place is 4x4 pixels. One convolution sees a margin of 1 beside its stride, two of them 1 + 2 * 1; a block adds
    2 pixels of its map on each side, of 2 or 4 pixels of the picture."""
    network, options = BOTH[name]
    size, dim = 48, 2 * 12 * 12
    encoder, decoder = network(
        (1, size, size), dim, dim, 0, channels=[3, 3], spatial=True, activation="tanh", **options
    )
    for module in (*encoder.modules(), *decoder.modules()):
        if isinstance(module, Block):
            torch.nn.init.normal_(module.convolutions[1].weight)
    margin = 3 + (2 * 2 + 2 * 4 if name == "resnet" else 0)
    x = torch.rand(1, 1, size, size, requires_grad=True)
    places, z = encoder(x).view(144, 2), torch.rand(1, dim)
    for place in (0, 5, 66, 143):
        moved = torch.autograd.grad(places[place].sum(), x, retain_graph=True)[0][0, 0].nonzero()
        other = z.clone()
        other[0, 2 * place : 2 * place + 2] += 1  # the units of a place lie together
        changed = (decoder(other) != decoder(z))[0, 0].nonzero()
        for side, first in enumerate((4 * (place // 12), 4 * (place % 12))):
            assert moved[:, side].min() == max(0, first - margin)
            assert moved[:, side].max() == min(size - 1, first + 3 + margin)
            assert max(0, first - margin) <= changed[:, side].min() <= first
            assert first + 3 <= changed[:, side].max() <= min(size - 1, first + 3 + margin)


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_a_spatial_code_has_the_numbers_and_the_picture_the_size_that_was_asked_for(upsample):
    encoder, decoder = conv((2, 9, 13), 24, 12, 3, (4, 9, 13), channels=[5, 6], spatial=True, upsample=upsample)
    context = torch.eye(3)
    h = encoder(torch.rand(2, 9, 13).expand(3, -1, -1, -1), context)
    assert h.shape == (3, 24) and (h[0] != h[1]).any()
    assert decoder(torch.rand(3, 12), context).shape == (3, 4, 9, 13)


def test_mean_and_variance_of_a_unit_come_from_the_same_place():
    """Each half of a Gaussian's numbers is a whole map, in the order of the units."""
    head = ToPlaces((3, 2, 2), 16, 8)
    h = torch.rand(1, 12, requires_grad=True)
    latent = Gaussian(8, Standard())
    posterior = latent(head(h)).posterior
    for unit in range(8):
        for value in (posterior.mean[0, unit], posterior.log_var[0, unit]):
            moved = torch.autograd.grad(value, h, retain_graph=True)[0].view(3, 4).abs().sum(0).nonzero().flatten()
            assert moved.tolist() == [unit // 2]
    # and two halves of one layer, not the same one twice
    assert not torch.allclose(posterior.mean, posterior.log_var)


def test_the_heads_are_one_by_one_convolutions_with_the_context_as_planes():
    head, stem = ToPlaces((3, 4, 5), 40, 40), FromPlaces((6, 4, 5), 40, 2)
    h, z, context = torch.rand(7, 3, 4, 5), torch.rand(7, 40), torch.rand(7, 2)
    kernel = head.place.weight[:, :, None, None]
    theirs = torch.nn.functional.conv2d(h, kernel, head.place.bias)  # (7, 2, 4, 5)
    torch.testing.assert_close(head(h.flatten(1)), theirs.permute(0, 2, 3, 1).flatten(1))
    planes = torch.cat([z.view(7, 4, 5, 2).permute(0, 3, 1, 2), context[:, :, None, None].expand(7, 2, 4, 5)], 1)
    theirs = torch.nn.functional.conv2d(planes, stem.place.weight[:, :, None, None], stem.place.bias)
    torch.testing.assert_close(stem(torch.cat([z, context], 1)), theirs.flatten(1))


def test_a_codebook_vector_of_a_places_width_stands_for_one_place():
    encoder, _ = conv((1, 8, 8), 12, 12, 0, channels=[4, 4], spatial=True)
    h = encoder(torch.rand(5, 1, 8, 8))
    assert torch.equal(VQ(12, width=3)(h).posterior.before, h.view(5, 4, 3))


@pytest.mark.parametrize("name", BOTH)
def test_a_width_that_the_places_do_not_share_is_refused_with_one_that_works(name):
    network, _ = BOTH[name]
    with pytest.raises(UsageError, match=r"^spatial=true .*multiple of 49 \(7x7 places\), not 64") as error:
        network((1, 28, 28), 64, 64, 0, channels=[4, 4], spatial=True)
    dim = int(re.search(r"take latent\.dim=(\d+)", str(error.value))[1])
    assert dim == 98
    network((1, 28, 28), dim, dim, 0, channels=[4, 4], spatial=True)
    with pytest.raises(UsageError, match=r"^spatial=true .*takes 99 for latent\.dim=98: set model\.spatial=false"):
        network((1, 28, 28), 99, 98, 0, channels=[4, 4], spatial=True)


# ---------------------------------------------------------------- residual networks


@pytest.mark.parametrize("size", [(28, 28), (15, 17), (8, 8)])
@pytest.mark.parametrize("norm", ["none", "group"])
@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_a_residual_network_gives_the_size_that_was_asked_for(size, norm, upsample):
    encoder, decoder = resnet((3, *size), 10, 5, 2, (6, *size), channels=[4, 8], norm=norm, upsample=upsample)
    context = torch.rand(2, 2)
    assert encoder(torch.rand(2, 3, *size), context).shape == (2, 10)
    assert decoder(torch.rand(2, 5), context).shape == (2, 6, *size)


@pytest.mark.parametrize("spatial", [False, True])
@pytest.mark.parametrize("norm", ["none", "group"])
def test_the_rows_of_a_residual_network_do_not_mix(norm, spatial):
    made = resnet((2, 9, 6), 4, 4, 0, channels=[3, 8], norm=norm, spatial=spatial, activation="tanh")
    for network, x in zip(made, (torch.randn(8, 2, 9, 6), torch.randn(8, 4)), strict=True):
        network, x = network.double(), x.double()
        for module in network.modules():
            if isinstance(module, Block):
                torch.nn.init.normal_(module.convolutions[1].weight)
        y = network(x)
        changed = x.clone()
        changed[3] += torch.rand_like(x[3])
        moved = (network(changed) - y).flatten(1).abs().amax(1)
        # in double: sums of some hundred products of size 1
        assert moved[3] > 1e-3 and moved[torch.arange(8) != 3].max() < 1e-12


def test_at_the_start_a_deep_residual_network_is_the_one_without_blocks():
    x, z = torch.rand(4, 1, 8, 8), torch.rand(4, 3)
    shallow, deep = conv((1, 8, 8), 3, 3, 0, channels=[4, 4]), resnet((1, 8, 8), 3, 3, 0, channels=[4, 4], blocks=20)
    for small, large, rows in zip(shallow, deep, (x, z), strict=True):
        large.load_state_dict(small.state_dict(), strict=False)
        assert torch.equal(large(rows), small(rows))


@pytest.mark.parametrize("norm", ["none", "group"])
def test_two_steps_lower_the_loss_and_move_every_block(norm, build_learner):
    learner = build_learner((1, 8, 8), 4, network=resnet, channels=[4, 8], blocks=3, norm=norm)
    batch = Batch(torch.rand(40, 1, 8, 8))
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}
    optimizer, losses = torch.optim.Adam(learner.parameters(), lr=3e-3), []
    for _ in range(3):
        optimizer.zero_grad()
        loss = means(learner(batch)[0]).sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[2] < losses[1] < losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in learner.named_parameters())


def test_resnet_refuses_what_it_cannot_build_and_names_the_key():
    for shape, options, message in (
        ((64,), {}, r"^model=resnet needs pictures.*\(64,\).*model=mlp"),
        ((1, 8, 8), {"kernel": 1}, "^kernel=1 must be at least stride=2"),
    ):
        with pytest.raises(UsageError, match=message):
            resnet(shape, 3, 2, 0, channels=[4], **options)
