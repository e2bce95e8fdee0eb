"""regularizer=regressor: what a number adds, what its absence does not, and what it learns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.regularizers.regressor import Regressor
from aeexp.types import Batch, Code, Facts, Pass


def made(mean=3.0, deviation=2.0, hidden_dims=()) -> Regressor:
    torch.manual_seed(1)
    part = Regressor(1.0, list(hidden_dims))
    part.adapt(SimpleNamespace(latent=Deterministic(4)), Facts((6,), response=(mean, deviation)))
    return part


def passed(z, response) -> Pass:
    batch = Batch(torch.zeros(len(z), 6), response=response)
    return Pass(batch, batch.x, None, Code(z, z), batch.x)


def test_it_is_the_mean_squared_error_of_the_known_rows_in_variances():
    z, response = torch.rand(5, 4), torch.tensor([1.0, torch.nan, 5.0, 2.0, torch.nan])
    part, known = made(), ~response.isnan()
    out = passed(z, response)
    term = part(out, None)
    expected = ((part.predict_response(out) - response)[known] / 2).square().mean()
    torch.testing.assert_close(term.mean(), expected)  # float32, three rows
    assert not term[~known].any()


def test_rows_without_a_number_have_no_gradient():
    z = torch.rand(4, 4, requires_grad=True)
    made()(passed(z, torch.tensor([1.0, torch.nan, 2.0, torch.nan])), None).sum().backward()
    assert z.grad.isfinite().all() and not z.grad[[1, 3]].any() and z.grad[[0, 2]].any()


def test_it_does_not_depend_on_the_unit_of_the_number():
    z, response = torch.rand(5, 4), torch.randn(5)
    here = made(0.5, 2.0)(passed(z, response), None)
    there = made(50 + 7, 200.0)(passed(z, 100 * response + 7), None)
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)  # float32 after a shift


def test_it_needs_numbers():
    with pytest.raises(UsageError, match="take regularizer=classifier"):
        Regressor(1.0, []).adapt(SimpleNamespace(latent=Deterministic(4)), Facts((6,), 3))
    with pytest.raises(UsageError, match="dataset.target=price"):
        Regressor(1.0, []).adapt(SimpleNamespace(latent=Deterministic(4)), Facts((6,)))
