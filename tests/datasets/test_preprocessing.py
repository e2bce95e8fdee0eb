"""Stored values to model values: fitted on training rows alone, the same draws for a row wherever it lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.preprocessing import Preprocessing, fit
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.splits import Fractions
from aeexp.errors import UsageError
from aeexp.randomness import uniform

EIGHT = Fractions([8, 1, 1])


def batches(x, mask=None, size=7):
    x = torch.from_numpy(x)
    return [(x[i : i + size], None if mask is None else mask[i : i + size]) for i in range(0, len(x), size)]


@given(n=st.integers(1, 40), features=st.integers(1, 5), seed=st.integers(0, 99), offset=st.sampled_from([0.0, 1e4]))
def test_standardise_and_unit_are_scikit_learns_scalers_batch_by_batch(n, features, seed, offset):
    x = np.random.default_rng(seed).normal(offset, 3, (n, features)).astype(np.float32)
    x[:, 0] = 2.5  # a constant feature
    for scale, standardise, scaler in ((1.0, True, StandardScaler()), ("unit", False, MinMaxScaler())):
        scale, shift = fit(batches(x), scale, standardise)
        ours = Preprocessing(scale, shift)(torch.from_numpy(x), torch.arange(n)).numpy()
        theirs = scaler.fit_transform(x.astype(np.float64))
        # x * scale and shift cancel: float32 keeps 2^-24 of their size, three roundings
        size = np.abs(x).max() * np.abs(scale.numpy()).max() + 1
        np.testing.assert_allclose(ours, theirs, atol=3 * 2**-24 * size)


def test_pictures_have_one_scale_a_channel_and_sequences_leave_padding_out():
    pictures = np.random.default_rng(0).normal(size=(30, 3, 4, 5)).astype(np.float32) * [[[[1]], [[10]], [[100]]]]
    scale, shift = fit(batches(pictures.astype(np.float32)), 1.0, True)
    values = Preprocessing(scale, shift)(torch.from_numpy(pictures).float(), torch.arange(30))
    assert scale.shape == (3, 1, 1)
    # means of 600 float32 values of size 1 to 4
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(values.std((0, 2, 3), correction=0), torch.ones(3), rtol=1e-5, atol=0)

    lengths = torch.tensor([1, 4, 2])
    mask = torch.arange(4) < lengths[:, None]
    steps = torch.randn(3, 4, 2) + 5
    padded = steps * mask[..., None]
    scale, shift = fit([(padded, mask)], 1.0, True)
    values = Preprocessing(scale, shift)(padded, torch.arange(3), mask=mask)
    torch.testing.assert_close(values[mask].mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    assert not values[~mask].any()  # padding is not shifted


def test_statistics_come_from_the_training_split_and_spare_features_that_are_no_numbers():
    x = np.random.default_rng(1).normal(3, 2, (100, 3)).astype(np.float32)
    x[:, 2] = np.arange(100) % 2
    data = assemble(Source(Rows(x), continuous=np.array([True, True, False])), name="p", split=EIGHT, standardise=True)
    train = torch.cat([batch.x for batch in data["train"].batches(50)])
    torch.testing.assert_close(train[:, :2].mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    assert set(train[:, 2].tolist()) == {0.0, 1.0}
    assert abs(float(torch.cat([batch.x for batch in data["test"].batches(50)])[:, 0].mean())) > 1e-3
    assert data.step is None


def test_draws_are_uniform_independent_and_a_rows_own():
    u = uniform(torch.arange(2000), 50, 3)
    n = u.numel()
    assert float(u.min()) >= 0 and float(u.max()) < 1
    # means of uniform numbers: five standard deviations; 50 bins: chi-square of 49 degrees, mean 49, sd 9.9
    assert abs(float(u.mean()) - 0.5) < 5 / np.sqrt(12 * n)
    counts = torch.histc(u, 50, 0, 1)
    assert float(((counts - n / 50) ** 2 / (n / 50)).sum()) < 49 + 5 * 9.9
    for a, b in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u, uniform(torch.arange(2000), 50, 4))):
        assert abs(np.corrcoef(a.flatten(), b.flatten())[0, 1]) < 5 / np.sqrt(a.numel())
    shuffled = torch.randperm(2000)
    assert torch.equal(uniform(shuffled, 50, 3), u[shuffled])  # whatever batch it comes in
    assert torch.isfinite(uniform(torch.arange(3), 4, 10**6)).all()  # a long run


def binary(mode, **keys):
    x = np.repeat(np.array([[0, 51, 128, 255]], np.uint8), 4000, 0)
    return assemble(Source(Rows(x), scale=1 / 255), name="p", split=EIGHT, binarise=mode, **keys)


def test_a_binarised_pixel_is_one_as_often_as_its_value_says():
    data = binary("fixed")
    x = data["train"].batch(slice(None)).x
    assert set(x.unique().tolist()) == {0.0, 1.0} and data.step == 1 and data.limits == (0.0, 1.0)
    assert not x[:, 0].any() and x[:, 3].all()
    for column, p in ((1, 51 / 255), (2, 128 / 255)):
        assert abs(float(x[:, column].mean()) - p) < 5 * np.sqrt(p * (1 - p) / len(x))


def test_fixed_is_the_same_in_every_epoch_and_per_epoch_is_not():
    for mode, same in (("fixed", True), ("per_epoch", False)):
        train = binary(mode)["train"]
        first, second = (train.batch(slice(0, 500), epoch).x for epoch in (1, 2))
        assert torch.equal(first, second) == same
        assert torch.equal(train.batch(slice(0, 500), 2).x, second)
        seen = [torch.cat([b.x.sum(0, keepdim=True) for b in train.epoch(0, epoch, 100)]).sum(0) for epoch in (0, 1)]
        assert torch.equal(*seen) == same
    none = binary("none")["train"].batch(slice(0, 1)).x
    torch.testing.assert_close(none, torch.tensor([[0, 51, 128, 255]]) / 255)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (dict(scale=0.0), "^scale=0.0 must be"),
        (dict(scale="unit", standardise=True), "^scale=unit: .* exclude each other: dataset.standardise=false"),
        (dict(standardise=True, binarise="fixed"), "^binarise=fixed .*set dataset.standardise=false"),
        (dict(scale=1.0, binarise="fixed"), "^binarise=fixed: the values are no probabilities but 0 to 255"),
    ],
)
def test_what_excludes_each_other_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        binary(**{"mode": "none", **keys}) if "binarise" not in keys else binary(keys.pop("binarise"), **keys)


def test_preprocessing_is_part_of_the_fingerprint():
    versions = [binary(mode) for mode in ("none", "fixed", "per_epoch")]
    versions += [binary("none", scale="unit"), binary("none", standardise=True)]
    assert len({data.fingerprint for data in versions}) == 5


@given(seed=st.integers(0, 200))
def test_the_unit_range_holds_for_all_rows_to_the_last_bit(seed):
    x = np.random.default_rng(seed).normal(0, 10.0 ** np.random.default_rng(seed).integers(-3, 4), (40, 3))
    data = assemble(Source(Rows(x.astype(np.float32))), name="p", split=EIGHT, scale="unit", binarise="fixed")
    plain = assemble(Source(Rows(x.astype(np.float32))), name="p", split=EIGHT, scale="unit")
    low, high = plain.limits
    assert low >= 0 and high <= 1  # rows beyond the training range too
    assert data.limits == (0.0, 1.0)
