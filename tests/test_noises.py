"""Corruptions: each does what its level says, to the input only, in training only.

Statistical bounds are five standard deviations of the counted quantity: a wrong verdict once in 1.7 million.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.noises import Block, Chain, Gaussian, Masking, SaltPepper
from aeexp.types import Batch

ROWS = torch.rand(2000, 100, generator=torch.Generator().manual_seed(0)) + 1  # in [1, 2): none is 0, low or high


@pytest.mark.parametrize("noise", [Gaussian(0), Masking(0), SaltPepper(0), Block(0), Chain({})])
@pytest.mark.parametrize("shape", [(50, 12), (50, 2, 5, 7)])
def test_at_level_zero_every_noise_is_the_identity_bit_for_bit(noise, shape):
    x = torch.randn(shape)
    assert torch.equal(noise(x).view(torch.int32), x.view(torch.int32))


@pytest.mark.parametrize("std", [0.1, 1.0, 3.0])
def test_gaussian_noise_has_mean_zero_and_the_stated_variance(std):
    n = ROWS.numel()
    added = (Gaussian(std)(ROWS) - ROWS).double()
    assert abs(added.mean()) < 5 * std / math.sqrt(n)
    # the variance of n normal numbers has standard deviation std^2 sqrt(2/n); float32 rounding adds 1e-7
    assert abs(added.square().mean() - std**2) < 5 * std**2 * math.sqrt(2 / n)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_masking_zeroes_the_stated_fraction_and_leaves_the_rest_alone(p):
    masked = Masking(p)(ROWS)
    hit = masked == 0
    n = ROWS.numel()
    assert abs(int(hit.sum()) - n * p) < 5 * math.sqrt(n * p * (1 - p))  # binomial
    assert torch.equal(masked[~hit], ROWS[~hit])


def test_masking_with_probability_one_leaves_nothing():
    assert not Masking(1.0)(ROWS).any()


@pytest.mark.parametrize(("p", "low", "high"), [(0.2, 0.0, 1.0), (0.7, -1.0, 5.0), (1.0, 0.0, 1.0)])
def test_salt_and_pepper_hits_the_stated_fraction_half_with_low_and_half_with_high(p, low, high):
    x = ROWS + 2  # in [3, 4)
    noisy = SaltPepper(p, low, high)(x)
    pepper, salt = noisy == low, noisy == high
    hits, n = int((pepper | salt).sum()), x.numel()
    assert abs(hits - n * p) <= 5 * math.sqrt(n * p * (1 - p))  # binomial; nothing else at p = 1
    assert abs(int(salt.sum()) - hits / 2) < 5 * math.sqrt(hits / 4)  # a fair coin for each hit
    assert torch.equal(noisy[~(pepper | salt)], x[~(pepper | salt)])


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.integers(1, 3),
    size=st.floats(0, 1, allow_subnormal=False),
    seed=st.integers(0, 1000),
)
def test_block_zeroes_one_rectangle_of_the_stated_size_in_all_channels(height, width, channels, size, seed):
    for length in (height, width):
        # a product halfway between two integers may round either way, in float32 and in double
        size = size if abs(size * length % 1 - 0.5) > 1e-4 else 0.25 / 12
    torch.manual_seed(seed)
    x = torch.rand(20, channels, height, width) + 1
    hole = Block(size)(x) == 0
    assert torch.equal(Block(0.0)(x), x)
    assert (hole == hole[:, :1]).all()
    high, wide = round(size * height), round(size * width)
    for plane in hole[:, 0]:
        rows, columns = plane.any(1).nonzero().flatten(), plane.any(0).nonzero().flatten()
        assert int(plane.sum()) == high * wide
        if high * wide:
            # as many zeros as the smallest rectangle around them has places: it is full
            assert rows[-1] - rows[0] + 1 == high and columns[-1] - columns[0] + 1 == wide


@pytest.mark.parametrize("shape", [(1, 6, 9), (2, 7, 5)])
def test_block_starts_at_every_place_where_it_fits_equally_often(shape):
    _, height, width = shape
    size = 0.4
    places = (height - round(size * height) + 1, width - round(size * width) + 1)
    total = math.prod(places)
    n = 400 * total
    hole = (Block(size)(torch.ones(n, *shape)) == 0)[:, 0]
    top, left = hole.any(2).int().argmax(1), hole.any(1).int().argmax(1)
    counts = torch.bincount(top * places[1] + left, minlength=total).double()
    assert len(counts) == total  # no start beyond the last that fits
    # A start that never occurs has probability (1 - 1/total)^n = e^-400. Pearson's statistic has mean total - 1
    # and variance 2 (total - 1); its upper tail is heavier than normal: 7 deviations for about one in a million.
    pearson = ((counts - n / total) ** 2 / (n / total)).sum()
    assert pearson < total - 1 + 7 * math.sqrt(2 * (total - 1))


def test_block_takes_neighbouring_features_of_a_vector_anywhere():
    gone = Block(0.3)(torch.ones(500, 10)) == 0
    starts = gone.int().argmax(1)
    assert (gone.sum(1) == 3).all()
    assert all(gone[i, s : s + 3].all() for i, s in enumerate(starts))
    assert set(starts.tolist()) == set(range(8))  # one missing: 8 (7/8)^500 = 1e-28


def test_a_block_of_size_one_leaves_nothing():
    assert not Block(1.0)(torch.ones(5, 1, 4, 6)).any()


def test_a_chain_applies_its_noises_in_their_order():
    blank, bright = Masking(1.0), SaltPepper(1.0, low=3.0, high=4.0)
    assert not Chain({"bright": bright, "blank": blank})(ROWS).any()
    assert Chain({"blank": blank, "bright": bright})(ROWS).min() == 3


@pytest.mark.parametrize("noise", [Gaussian(0.5), Masking(0.5), SaltPepper(0.5), Block(0.5)])
def test_noise_acts_in_training_only_on_the_input_only(noise, build_learner):
    learner = build_learner((1, 6, 6), noises={"n": noise})
    clean = torch.rand(64, 1, 6, 6) + 1
    batch = Batch(clean.clone())
    learner.eval()
    terms, out = learner(batch)
    assert torch.equal(out.x, clean)
    assert torch.equal(terms["reconstruction"], (out.output - clean).square().flatten(1).sum(1))

    learner.train()
    terms, out = learner(batch)
    assert (out.x != clean).flatten(1).any(1).float().mean() > 0.9  # nearly every row; a row stays with p < 0.5^36
    assert torch.equal(out.code.z, learner.model.encode(out.x).z)  # what the encoder saw is corrupted
    assert torch.equal(batch.x, clean) and torch.equal(out.batch.target, clean)  # what it must give back is not
    assert torch.equal(terms["reconstruction"], (out.output - clean).square().flatten(1).sum(1))


def test_an_interval_without_width_is_refused_in_words_that_begin_with_key_and_value():
    with pytest.raises(UsageError, match="^low=1.0 "):
        SaltPepper(0.1, low=1.0, high=0.0)
