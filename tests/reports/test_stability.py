"""Matched cosines of dictionaries, by themselves and as a number of the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.reports.comparison import collect
from aeexp.reports.stability import KEY, match
from aeexp.reports.text import summary_csv


@given(st.integers(1, 8), st.integers(0, 99))
def test_a_dictionary_in_another_order_and_at_other_lengths_is_the_same(units, seed):
    generator = np.random.default_rng(seed)
    one = generator.normal(size=(units, 12))
    other = one[generator.permutation(units)] * generator.uniform(0.1, 3, (units, 1))
    assert match(one, other) == pytest.approx(1, abs=1e-9)
    assert match(one, -one) <= 1 and match(one, np.zeros_like(one)) == 0
    assert match(one, other) == pytest.approx(match(other, one))


def test_the_pairing_is_the_best_one():
    a, b = np.eye(2), np.array([[0.8, 0.6], [1.0, 0.0]])
    assert match(a, b) == pytest.approx((0.6 + 1.0) / 2)  # not 0.8 and 0


def test_seeds_are_compared_and_single_runs_are_not(tmp_path):
    words = ("variant=relu_sae", "latent.dim=20", "trainer.steps=5", "metric=latent", "save_codes=true")
    for seed in (0, 1):
        run_in(tmp_path / str(seed), *words, f"seed={seed}")
    arrays = [np.load(tmp_path / str(seed) / "codes.npz")["dictionary"] for seed in (0, 1)]
    assert arrays[0].shape == (20, 64) and arrays[0].dtype == np.float32
    report = collect([tmp_path])
    assert KEY in report.keys and KEY in report.criteria
    (group,) = report.groups
    for record in group.records:
        assert record.value(KEY) == pytest.approx(match(*arrays), abs=1e-6)
    assert KEY in summary_csv(report)
    assert KEY not in json.loads((tmp_path / "0" / "metrics.json").read_text())["test"]
    assert KEY not in collect([tmp_path / "0"]).keys
