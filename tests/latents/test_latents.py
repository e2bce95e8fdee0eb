"""What each latent makes of the encoder's output."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call, vmap

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic, Sigmoid
from aeexp.latents.sparse import BatchTopK, TopK

nonzero = st.integers(-4, 4).filter(bool)  # few values: ties in nearly every row


@st.composite
def rows_and_k(draw):
    dim = draw(st.integers(1, 8))
    rows = draw(st.lists(st.lists(nonzero, min_size=dim, max_size=dim), min_size=1, max_size=5))
    return torch.tensor(rows, dtype=torch.float32), draw(st.integers(1, dim))


@given(rows_and_k())
def test_topk_keeps_exactly_k_units_also_with_ties_and_none_larger_is_dropped(case):
    h, k = case
    code = TopK(h.shape[1], k)(h)
    kept = code.z != 0
    assert (kept.sum(1) == k).all()
    assert torch.equal(code.z[kept], h[kept])
    smallest_kept = h.masked_fill(~kept, torch.inf).amin(1)
    largest_dropped = h.masked_fill(kept, -torch.inf).amax(1)
    assert (smallest_kept >= largest_dropped).all()
    assert torch.equal(code.mean, code.z)


@given(st.integers(1, 9), st.integers(0, 99))
def test_topk_of_all_units_is_the_identity(dim, seed):
    h = torch.randn(6, dim, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(TopK(dim, dim)(h).z, h)


def test_topk_passes_the_gradient_to_the_kept_units_only():
    h = torch.randn(20, 6, requires_grad=True)
    z = TopK(6, 2)(h).z
    z.sum().backward()
    assert torch.equal(h.grad, (z != 0).float())


@pytest.mark.parametrize("kind", [TopK, BatchTopK])
def test_runs_of_a_stack_with_a_k_of_their_own_keep_what_each_keeps_alone(kind):
    """Alone k is read and the largest are selected; in the stack they are sorted."""
    h = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))

    def keep(k):
        latent = kind(9, 1)
        return functional_call(latent, {"k": k}, (h,)).z

    stacked = vmap(keep)(torch.tensor([1, 4, 9]))
    for z, k in zip(stacked, (1, 4, 9), strict=True):
        assert torch.equal(z, kind(9, k)(h).z) and (z != 0).sum() == 7 * k


@pytest.mark.parametrize("k", [0, -1, 7])
def test_topk_refuses_a_k_that_the_code_cannot_have(k):
    with pytest.raises(UsageError, match=rf"^k={k} must lie between 1 and latent.dim=6"):
        TopK(6, k)


@given(st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=8))
def test_sigmoid_units_lie_in_their_range_and_know_their_input(values):
    h = torch.tensor([values], dtype=torch.float64)
    latent = Sigmoid(len(values))
    code = latent(h)
    low, high = latent.range
    assert ((code.z >= low) & (code.z <= high)).all()
    # expit by its definition, in the branch that does not overflow; both roundings are below 4 units of 2^-53
    expected = torch.where(h < 0, h.exp() / (1 + h.exp()), 1 / (1 + (-h).exp()))
    torch.testing.assert_close(code.z, expected, rtol=1e-14, atol=0)
    assert torch.equal(code.mean, code.z)


def test_deterministic_is_the_encoders_output_itself():
    h = torch.randn(5, 3)
    code = Deterministic(3)(h)
    assert code.z is h and code.mean is h and code.posterior is None and code.losses == {}
