"""Transformers: padding changes nothing, the past is the past, and a step does not see the next."""

from __future__ import annotations

import pytest
import torch

from aeexp.errors import UsageError
from aeexp.likelihoods.categorical import Categorical
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.nn.attention import find_places
from aeexp.models.nn.transformer import Causal, transformer

T, F, DIM = 6, 2, 3
MASK = torch.arange(T) < torch.tensor([6, 1, 4])[:, None]
# float64 with some hundred products of numbers near 1 in another order
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def made(shape=(T, F), output=None, context=0, **options):
    torch.manual_seed(0)
    encoder, decoder = transformer(shape, 4, DIM, context, output, width=8, heads=2, **options)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        parameter.data += 0.1 * torch.randn_like(parameter)
    return encoder.double(), decoder.double()


def rows(features=F) -> torch.Tensor:
    return torch.randn(3, T, features, dtype=torch.float64) * MASK.unsqueeze(-1)


def test_what_follows_the_end_changes_no_code_and_without_a_mask_all_steps_count():
    encoder, _ = made()
    x = rows()
    junk = torch.where(MASK.unsqueeze(-1), x, 9.0)
    torch.testing.assert_close(encoder(junk, None, MASK), encoder(x, None, MASK), **CLOSE)
    short = encoder(x[1:2, :1], None, None)
    torch.testing.assert_close(encoder(x[1:2], None, MASK[1:2]), short, **CLOSE)
    everything = torch.ones_like(MASK)
    torch.testing.assert_close(encoder(x, None, everything), encoder(x), **CLOSE)


def test_a_step_of_the_causal_decoder_sees_the_steps_before_it_alone():
    _, decoder = made(context=2)
    z, context, target = (torch.randn(3, *sizes, dtype=torch.float64) for sizes in ((DIM,), (2,), (T, F)))
    output = decoder.force(z, context, target)
    for step in range(T):
        other = target.clone()
        other[:, step] += 1
        moved = (decoder.force(z, context, other) - output).abs().amax((0, 2)) > 1e-9
        assert moved.tolist() == [False] * (step + 1) + [True] * (T - step - 1)
    assert (decoder.force(z + 1, context, target) != output).all() and (
        decoder.force(z, -context, target) != output
    ).all()


def test_running_free_is_being_forced_by_what_was_given_so_far():
    _, decoder = made()
    z = torch.randn(3, DIM, dtype=torch.float64)
    free = decoder.run_free(z, None, (), Gaussian())
    torch.testing.assert_close(decoder.force(z, None, free), free, **CLOSE)
    torch.testing.assert_close(decoder(z), free, **CLOSE)


def test_tokens_are_told_apart_and_fed_back_as_the_likeliest():
    likelihood = Categorical(5)
    encoder, decoder = made((T, 1), (T, 5), tokens=5)
    x = torch.randint(0, 5, (3, T, 1)).double() / 4
    assert isinstance(decoder, Causal) and encoder(x).shape == (3, 4)
    # a table: the value of a token is a name, not a size
    rows = encoder.embedding(torch.arange(5).double().unsqueeze(1) / 4)
    torch.testing.assert_close(rows, encoder.embedding.layer.weight.T + encoder.embedding.layer.bias, **CLOSE)
    z = torch.randn(3, DIM, dtype=torch.float64)
    free = decoder.run_free(z, None, (), likelihood)
    assert free.shape == (3, T, 5)
    torch.testing.assert_close(decoder.force(z, None, likelihood.mode(free)), free, **CLOSE)


def test_all_steps_at_once_know_where_they_stand():
    _, decoder = made(causal=False)
    output = decoder(torch.randn(2, DIM, dtype=torch.float64))
    assert output.shape == (2, T, F) and len(output[0, :, 0].unique()) == T and not decoder.autoregressive
    places = find_places(50, 7)
    assert places.shape == (50, 7) and len(places.unique(dim=0)) == 50


@pytest.mark.parametrize(
    ("shape", "output", "options", "message"),
    [
        ((5,), None, {}, "^model=transformer needs sequences"),
        ((5, 2), (7,), {}, "^model=transformer gives numbers for each of 5 steps"),
        ((5, 2), None, {"tokens": 3}, "^tokens=3: a step of this dataset has 2 numbers"),
        ((5, 2), None, {"width": 10, "heads": 4}, "^width=10 must be a multiple of heads=4: take model.width=12"),
    ],
)
def test_what_does_not_fit_is_refused(shape, output, options, message):
    with pytest.raises(UsageError, match=message):
        transformer(shape, 4, DIM, 0, output, **options)
