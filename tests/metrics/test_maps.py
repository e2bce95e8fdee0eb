"""Trustworthiness and continuity: 1 for the identity, about 1/2 by chance, each the other's mirror."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.errors import UsageError
from aeexp.evaluation.run import Run
from aeexp.metrics.maps import Maps
from aeexp.models.learner import Learner
from aeexp.models.pca import identity, linear
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.tasks.reconstruct import Reconstruct


def as_run(x: np.ndarray, model=None) -> Run:
    data = Data("rows", {name: Split(Rows(x.astype(np.float32))) for name in ("train", "val", "test")}, ())
    return Run(Learner(Reconstruct(), model or identity(data.shape), Additive(Chain({}), {})), data)


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_the_identity_keeps_all_neighbours():
    values = Maps(maps=["pca"])(as_run(rows(200, 2)), "test")
    assert values == {"maps/trustworthiness_code_input": 1.0, "maps/continuity_code_input": 1.0}


def test_a_flat_sheet_in_space_is_unrolled_by_pca_without_a_fault():
    flat = rows(200, 2) @ np.linalg.qr(rows(5, 5, 1))[0][:2]
    values = Maps(maps=["pca"])(as_run(flat), "test")
    # float32 input, double maps: near ties may change places
    assert values == pytest.approx({key: 1.0 for key in values}, abs=1e-4) and len(values) == 6


@pytest.mark.parametrize("k", [1, 5, 20])
def test_a_map_of_chance_is_a_half_and_the_two_are_mirrored(k):
    """A neighbour in a map of chance has each rank r of n - 1 alike: the mean of max(r - k, 0) is
    (n - 1 - k)(n - k) / 2(n - 1), and 1 - 2 / (2n - 3k - 1) of it tends to 1/2."""
    n, metric = 120, Maps(maps=["pca"], neighbours=k)
    pairs = [metric.measure_map(rows(n, 3, seed), rows(n, 2, seed + 100), "m") for seed in range(10)]
    found = [value for pair in pairs for value in pair.values()]
    expected = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1))
    assert expected == pytest.approx(0.5, abs=0.08)
    # nk ranks, nearly independent, of relative sd 2 / sqrt(12), in 20 values
    assert np.mean(found) == pytest.approx(expected, abs=5 * 0.58 / np.sqrt(n * k * 20))
    turned = metric.measure_map(rows(n, 2, 100), rows(n, 3, 0), "m")
    assert turned == {"maps/trustworthiness_m": pairs[0]["maps/continuity_m"],
                      "maps/continuity_m": pairs[0]["maps/trustworthiness_m"]}  # fmt: skip


@torch.no_grad()
def test_gluing_costs_trust_and_tearing_costs_continuity():
    x = np.linspace(-1, 1, 201)[:, None]
    fold = linear(torch.Size([1]), 1)
    fold.encoder.forward = lambda v, context=None, mask=None: v.abs()  # two ends on one place
    values = Maps(maps=["pca"])(as_run(x, fold), "test")
    assert values["maps/trustworthiness_code_input"] < values["maps/continuity_code_input"]
    fold.encoder.forward = lambda v, context=None, mask=None: v + 10 * (v > 0)
    torn = Maps(maps=["pca"])(as_run(x, fold), "test")
    assert torn["maps/continuity_code_input"] < 1 and torn["maps/trustworthiness_code_input"] < 1


def test_every_map_is_held_against_both_spaces_and_raw_input_too():
    run, metric = as_run(rows(60, 4)), Maps(maps=["pca", "tsne"], rows=40)
    values = metric(run, "test")
    names = ["code_input", "pca_input", "pca_code", "tsne_input", "tsne_code"]
    assert set(values) == {f"maps/{what}_{name}" for what in ("trustworthiness", "continuity") for name in names}
    # the code is the input
    assert values["maps/trustworthiness_tsne_input"] == values["maps/trustworthiness_tsne_code"] > 0.6
    assert metric(run, "test") == values and metric(run.raw(), "test") == values


def test_few_rows_and_codes_without_spread_have_no_map():
    assert Maps(maps=["pca"])(as_run(rows(10, 3)), "test") == {}
    constant = Maps(maps=["tsne"])(as_run(np.ones((50, 3))), "test")
    assert all("tsne" not in key for key in constant)


def test_a_bad_number_is_refused():
    for keys, message in ((dict(rows=10), "^rows=10 must be more than"),):
        with pytest.raises(UsageError, match=message):
            Maps(maps=["pca"], **keys)
