"""What goes round the code of a U-Net, and of SegNet."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aeexp.models.nn.unet import Unpool, unet
from aeexp.models.precision import run_in


def test_unpooling_puts_each_number_where_it_was_pooled_from():
    layer = Unpool(2, 2, (4, 5), (8, 11))
    torch.nn.init.dirac_(layer.convolution.weight)
    torch.nn.init.zeros_(layer.convolution.bias)
    x = torch.rand(3, 2, 8, 11)
    pooled, places = F.max_pool2d_with_indices(x, 2)
    expected = F.max_unpool2d(pooled, places, 2, output_size=(8, 11))
    torch.testing.assert_close(layer(pooled, places), expected)
    alone = layer(pooled)
    torch.testing.assert_close(alone[:, :, ::2, ::2][:, :, :4, :5], pooled)
    assert torch.isclose(alone.sum(), pooled.sum())


def test_segnet_is_told_places_alone_and_reads_them():
    encoder, decoder = unet((1, 9, 12), 4, 4, 0, (3, 9, 12), channels=[4, 6, 8], convolutions=1, skips="indices")
    x = torch.randn(2, 1, 9, 12)
    h, skips = encoder(x)
    assert [tuple(part.shape) for part in skips] == [(2, 4, 4, 6), (2, 6, 2, 3)]
    assert all(part.dtype == torch.int64 for part in skips)
    output = decoder(h, None, skips)
    assert output.shape == (2, 3, 9, 12) and not torch.allclose(output, decoder(h))
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in (*encoder.parameters(), *decoder.parameters()))


@pytest.mark.parametrize("skips", ["maps", "indices"])
def test_what_goes_round_the_code_may_come_of_short_numbers(skips):
    encoder, decoder = unet((1, 9, 12), 4, 4, 0, channels=[4, 6, 8], convolutions=1, skips=skips)
    h, parts = run_in(torch.bfloat16, encoder, torch.randn(2, 1, 9, 12))
    output = run_in(torch.bfloat16, decoder, h, None, parts)
    assert output.dtype == h.dtype == torch.float32 and output.isfinite().all()
    assert all(part.dtype == (torch.float32 if skips == "maps" else torch.int64) for part in parts)
