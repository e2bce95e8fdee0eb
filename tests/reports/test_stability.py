"""Matched cosines of dictionaries, by themselves and as a number of the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from reported import job

from aeexp.reports.comparison import collect
from aeexp.reports.stability import KEY, match
from aeexp.reports.text import summary_csv
from aeexp.runs.folder import RunFolder


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


def write(folder, columns, *words):
    job(folder, *words, reconstruction__mse=1.0)
    np.savez(folder / "codes.npz", codes=np.zeros((3, 2), np.float32), dictionary=columns)


def test_seeds_are_compared_and_single_runs_are_not(tmp_path):
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(3, 5, 12)).astype(np.float32)
    for seed, one in enumerate(columns):
        write(tmp_path / str(seed), one, f"seed={seed}")
    report = collect([tmp_path])
    assert KEY in report.keys and KEY in report.criteria
    (group,) = report.groups
    for record, (mine, two, three) in zip(
        group.records, (columns, columns[[1, 0, 2]], columns[[2, 0, 1]]), strict=True
    ):
        assert record.value(KEY) == pytest.approx((match(mine, two) + match(mine, three)) / 2, abs=1e-6)
    assert KEY in summary_csv(report)
    assert KEY not in json.loads((tmp_path / "0" / "metrics.json").read_text())["test"]
    assert KEY not in collect([tmp_path / "0"]).keys


def test_columns_that_do_not_compare_or_are_none_give_no_number(tmp_path):
    for name, columns in {"0": np.ones((5, 12), np.float32), "1": np.ones((6, 12), np.float32)}.items():
        write(tmp_path / "widths" / name, columns, f"seed={name}")
    for name in ("0", "1"):
        write(tmp_path / "bad" / name, np.full((5, 12), np.nan, np.float32), f"seed={name}")
    assert KEY not in collect([tmp_path / "widths"]).keys and KEY not in collect([tmp_path / "bad"]).keys


def test_a_run_keeps_its_columns_with_its_codes(tmp_path):
    run_in(tmp_path, "variant=relu_sae", "latent.dim=20", "trainer.steps=2", "metric=none", "save_codes=true")
    columns = RunFolder(tmp_path).read_codes("dictionary")["dictionary"]
    assert columns.shape == (20, 64) and columns.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(columns, axis=1), 1, atol=1e-6)
