"""Slerp: the laws of an arc."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.evaluation.paths import slerp

SEEDS = st.integers(0, 10_000)
SHARES = st.floats(0, 1)


def pair(seed: int, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.randn(2, 5, dim, generator=torch.Generator().manual_seed(seed))
    return made[0], made[1]


@given(SEEDS, SHARES)
def test_between_vectors_of_one_length_the_length_stays_and_the_angle_grows_evenly(seed, share):
    a, b = (3 * torch.nn.functional.normalize(z, dim=-1) for z in pair(seed))
    z = slerp(a, b, torch.tensor(share))
    # float32: a few ulp of 3, more where a and b are almost opposite (angle pi - 0.1 at worst in these draws)
    torch.testing.assert_close(z.norm(dim=-1), torch.full((5,), 3.0), rtol=1e-5, atol=0)

    def angle(u, v):
        u, v = u.double(), v.double()
        return 2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1))

    torch.testing.assert_close(angle(a, z), share * angle(a, b), rtol=1e-4, atol=1e-5)


@given(SEEDS)
def test_the_ends_are_the_codes_to_the_last_bit_and_the_way_back_is_the_way(seed):
    a, b = pair(seed)
    assert torch.equal(slerp(a, b, torch.tensor(0.0)), a) and torch.equal(slerp(a, b, torch.tensor(1.0)), b)
    share = torch.tensor(0.25)
    torch.testing.assert_close(slerp(a, b, share), slerp(b, a, 1 - share))


@given(SEEDS, SHARES, st.floats(0.1, 10))
def test_parallel_vectors_have_the_line(seed, share, times):
    a, _ = pair(seed)
    share = torch.tensor(share)
    torch.testing.assert_close(slerp(a, times * a, share), torch.lerp(a, times * a, share), rtol=1e-4, atol=1e-5)


def test_small_angles_are_stable():
    """The chord leaves the arc by at most w^2 / 8, so both agree to float32 for w up to 1e-3."""
    a = torch.tensor([[1.0, 0.0]])
    for angle in (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        b = torch.tensor([[math.cos(angle), math.sin(angle)]])
        z = slerp(a, b, torch.tensor(0.5))
        assert (z - torch.tensor([[math.cos(angle / 2), math.sin(angle / 2)]])).abs().max() < 2.5e-7, angle


def test_codes_without_a_direction_and_opposite_ones_give_finite_numbers():
    a = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    z = slerp(a, b, torch.tensor(0.5))
    torch.testing.assert_close(z, (a + b) / 2)
    assert torch.isfinite(z).all()


def test_a_stack_of_shares_is_that_of_each():
    a, b = pair(0)
    shares = torch.linspace(0, 1, 4)
    stacked = torch.vmap(slerp, in_dims=(None, None, 0))(a, b, shares)
    torch.testing.assert_close(stacked, torch.stack([slerp(a, b, share) for share in shares]))
