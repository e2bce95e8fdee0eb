"""Noise on codes: what a channel carries, and the error that linear decoders make of it, in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drawn import perceptron, run_of
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.evaluation.code_noise import find_deviation, send
from aeexp.metrics.code_noise import CodeNoise
from aeexp.plots import code_noise as drawn


@given(st.floats(0.01, 20))
def test_the_noise_leaves_a_gaussian_channel_so_many_bits(bits):
    assert 0.5 * math.log2(1 + find_deviation(bits) ** -2) == pytest.approx(bits, rel=1e-9)


def test_pcas_error_grows_by_the_noise_of_its_units(digit_data):
    """Columns of PCA's decoder have length 1: the squared error is that without noise, and the noise's squares."""
    pca = run_of(digit_data, perceptron(digit_data, 8)).pca()
    clean, variance = pca.errors("test").mean(), pca.codes("train").var(0).sum()
    for bits in (0.5, 1, 2, 4):
        errors, _ = send(pca, digit_data["test"], bits, 0)
        added = variance * find_deviation(bits) ** 2
        # mean over 180 rows of sums of 8 squares and of products with the clean error
        assert errors.mean() == pytest.approx(clean + added, abs=float(5 * errors.std() / math.sqrt(len(errors))))


def test_more_bits_are_no_worse_and_many_are_the_code_itself(digit_data):
    run = run_of(digit_data, perceptron(digit_data, 4)).pca()
    values = CodeNoise(bits=[1, 2, 3, 6, 20])(run, "test")
    errors = [values[f"code_noise/mse_{bits}"] for bits in (1, 2, 3, 6, 20)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(run.errors("test").mean(), rel=1e-5)
    assert values["code_noise/linear_20"] > values["code_noise/linear_1"]
    again, _ = send(run, digit_data["test"], 2.0, 0)
    np.testing.assert_array_equal(again, send(run, digit_data["test"], 2.0, 0)[0])


def test_no_bits_and_one_point_are_refused():
    with pytest.raises(UsageError, match=r"^bits=\[\]"):
        CodeNoise(bits=[])
    with pytest.raises(UsageError, match="a curve needs at least 2"):
        drawn.CodeNoise(bits=[2, 2])
