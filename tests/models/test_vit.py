"""Patches, and what an encoder that sees some of them knows of the others."""

from __future__ import annotations

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.models.nn.vit import Patches, find_squares, vit

# float64 with some hundred products of numbers near 1
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def made(masked=0.75, params=64, dim=64, shape=(2, 8, 16), **options):
    torch.manual_seed(0)
    encoder, decoder = vit(shape, params, dim, 0, patch=4, width=8, heads=2, masked=masked, **options)
    return encoder.double(), decoder.double()


def test_patches_are_squares_row_by_row_and_join_to_the_picture():
    patches = Patches((2, 8, 12), 4)
    x = torch.randn(3, 2, 8, 12)
    cut = patches(x)
    assert cut.shape == (3, 6, 32)
    assert torch.equal(cut[:, 4], x[:, :, 4:8, 4:8].flatten(1))
    assert torch.equal(patches.join(cut), x)


def test_a_patch_is_as_near_to_the_one_below_as_to_the_one_beside():
    rows, columns = 5, 7
    places = find_squares(rows, columns, 64).double()
    far = torch.cdist(places, places).square().view(rows, columns, rows, columns)
    down, across = far[0, 0, :, 0], far[0, 0, 0, :]
    torch.testing.assert_close(down, across[:rows], rtol=1e-5, atol=1e-6)
    for r, c in ((0, 0), (2, 3), (4, 6)):
        apart = [[down[abs(i - r)] + across[abs(j - c)] for j in range(columns)] for i in range(rows)]
        torch.testing.assert_close(far[r, c], torch.tensor(apart, dtype=torch.float64), rtol=1e-5, atol=1e-5)
    assert across[1:].min() == across[1] > 0, "of all others the neighbour is the nearest"
    assert find_squares(1, 1, 6).shape == (1, 6) and find_squares(2, 3, 2).shape == (6, 2)


def test_what_the_encoder_gives_does_not_depend_on_hidden_patches_and_of_them_it_gives_nothing():
    encoder, _ = made()
    x = torch.randn(5, 2, 8, 16, dtype=torch.float64)

    def code(rows):
        torch.manual_seed(7)  # the same patches are hidden
        return encoder(rows).unflatten(1, (8, 8))

    first = code(x)
    hidden = (first == 0).all(-1)
    assert (hidden.sum(1) == 6).all() and len(hidden.unique(dim=0)) > 1, "two of eight are seen, other ones of each row"
    patches = encoder.patches(x)
    changed = torch.where(hidden.unsqueeze(-1), patches + 5.0, patches)
    torch.testing.assert_close(code(encoder.patches.join(changed)), first, rtol=0, atol=0)
    seen = torch.where(hidden.unsqueeze(-1), patches, patches + 5.0)
    assert not torch.equal(code(encoder.patches.join(seen)), first)


def test_in_evaluation_every_patch_is_seen():
    encoder, _ = made()
    encoder.eval()
    x = torch.randn(2, 2, 8, 16, dtype=torch.float64)
    code = encoder(x)
    assert torch.equal(code, encoder(x)) and (code.unflatten(1, (8, 8)) != 0).any(-1).all()
    whole, _ = made(masked=0.0)
    torch.testing.assert_close(whole(x), code, **CLOSE)


def test_a_hidden_patch_is_a_token_for_the_decoder_and_a_mean_beside_a_variance_is_a_part_of_its_own():
    encoder, decoder = made(params=128)
    z = torch.randn(2, 8, 8, dtype=torch.float64)
    z[:, 3] = 0
    before = decoder(z.flatten(1))
    decoder.unseen.data.normal_()
    moved = decoder(z.flatten(1))
    assert before.shape == (2, 2, 8, 16) and not torch.allclose(before, moved)
    z[:, 3] = 1
    seen = decoder(z.flatten(1))
    decoder.unseen.data.normal_()
    assert torch.equal(decoder(z.flatten(1)), seen), "where all are seen no token stands"
    encoder.eval()
    x = torch.randn(2, 2, 8, 16, dtype=torch.float64)
    mean, log_var = encoder(x).chunk(2, -1)
    encoder.head.weight.data[8:] = 0
    encoder.head.bias.data[8:] = 0.5
    again, other = encoder(x).chunk(2, -1)
    assert torch.equal(again, mean) and (other == 0.5).all() and not torch.equal(log_var, other)


@pytest.mark.parametrize(
    ("shape", "dim", "message"),
    [
        ((8,), 8, "^model=vit needs pictures"),
        ((1, 10, 10), 8, "^patch=4 does not divide pictures of 10x10: take model.patch=2"),
        ((1, 8, 8), 10, "^patch=4 makes 4 patches, which share the units: take latent.dim=12"),
    ],
)
def test_what_does_not_fit_is_refused(shape, dim, message):
    with pytest.raises(UsageError, match=message):
        vit(shape, dim, dim, 0)
    with pytest.raises(UsageError, match="^model=vit needs a latent that takes equally many"):
        vit((1, 8, 8), 9, 8, 0)
