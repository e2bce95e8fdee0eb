"""The autoencoder that knows its rows by heart: no error on them, a number for a code, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.models.nn.memoriser import memoriser


def learn(x: np.ndarray, room: int | None = None):
    encoder, decoder = memoriser(x.shape[1:], 1, 1, 0, rows=room or len(x))
    encoder.learn(Split(Rows(x)))
    return encoder, decoder


def draw(n: int, seed: int, shape=(2, 3)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


@torch.no_grad()
@given(st.integers(2, 5000), st.integers(0, 99), st.integers(0, 50))
def test_each_row_comes_back_and_codes_are_even_steps_of_variance_1(n, seed, spare):
    x = draw(n, seed, (3,))
    encoder, decoder = learn(x, n + spare)
    z = encoder(torch.from_numpy(x))
    assert torch.equal(decoder(z), torch.from_numpy(x))
    assert z.shape == (n, 1)
    # sums of n float32 numbers below 2
    assert float(z.mean()) == pytest.approx(0, abs=1e-4) and float(z.var(correction=0)) == pytest.approx(1, rel=1e-4)
    steps = z.sort(0).values.diff(dim=0)
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-2, atol=1e-6)


@torch.no_grad()
def test_another_row_becomes_its_nearest_one_and_any_code_is_some_row():
    x = draw(50, 0)
    encoder, decoder = learn(x)
    other = torch.from_numpy(draw(20, 1))
    nearest = torch.cdist(other.flatten(1), torch.from_numpy(x).flatten(1)).argmin(1)
    assert torch.equal(decoder(encoder(other)), torch.from_numpy(x)[nearest])
    far = decoder(torch.tensor([[-1e6], [1e6], [0.0]]))
    assert torch.equal(far[0], torch.from_numpy(x)[0]) and torch.equal(far[1], torch.from_numpy(x)[-1])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dim": 2}, "^latent.dim=2: model=memoriser writes"),
        ({"params": 2}, "model=memoriser writes"),
        ({"context": 3}, "take condition=none"),
        ({"output": (4, 2)}, "take likelihood=gaussian"),
    ],
)
def test_what_it_cannot_be_is_refused_with_a_way_out(keys, message):
    with pytest.raises(UsageError, match=message):
        memoriser(**{"shape": (4,), "params": 1, "dim": 1, "context": 0, **keys})


def test_too_little_room_is_told_with_the_key():
    with pytest.raises(UsageError, match="^model.rows=9 must not be below the 10 training rows"):
        learn(draw(10, 0), 9)


def test_a_run_has_no_error_on_training_rows_and_codes_that_say_nothing(digit_data, tmp_path):
    run_in(tmp_path, "variant=memoriser", "dataset=digits", "metric=[reconstruction,generalisation,probe,code_noise]")
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    test = metrics["test"]
    train, rows = (torch.cat([each.x for each in digit_data[part].batches(999)]) for part in ("train", "test"))
    mean = float((rows - train.mean(0)).square().flatten(1).sum(1).mean())
    assert test["reconstruction/mse"] == pytest.approx(test["generalisation/gap_mse"], rel=1e-6)  # 0 on training rows
    assert test["probe/linear"] < 0.25 < metrics["baseline"]["raw"]["probe/linear"] - 0.5
    # four bits leave some 90 rows that a number may mean: no better than a row by chance, twice the mean row's error
    assert test["code_noise/mse_4"] > 1.5 * mean
    assert test["code_noise/mse_16"] == pytest.approx(test["reconstruction/mse"], rel=0.05)
