"""UDR (Duan et al. 2020) of codes, by themselves and as a number of the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from composing import run_in
from reported import job
from scipy.linalg import hadamard

from aeexp.reports.comparison import collect
from aeexp.reports.udr import LASSO, SPEARMAN, compare, correlate, regress
from aeexp.runs.folder import RunFolder

FACTORS = hadamard(64)[:, 1:6].astype(np.float64)  # (64, 5) balanced and exactly uncorrelated


def test_units_in_another_order_and_at_other_signs_and_scales_agree():
    other = FACTORS[:, [2, 0, 4, 1, 3]] * [3.0, -1.0, 0.1, -7.0, 1.0] + 5.0
    assert compare(correlate(FACTORS, other)) == pytest.approx(1)
    # by the Lasso r = soft(1, 0.1) = 0.9 for a unit that is told without a mistake: r²/r
    assert compare(regress(FACTORS, other)) == pytest.approx(0.9)


def test_units_that_each_hold_two_factors_are_told_from_factors():
    a, b = FACTORS.T[:2]
    mixed = np.stack([a + b, a - b], 1)
    # each size is 1/√2, so r²/Σ = (1/2) / √2; the Lasso's weights are 1/√2 - 0.1 each, and r²/Σ half of one
    assert compare(correlate(FACTORS[:, :2], mixed)) == pytest.approx(1 / (2 * np.sqrt(2)))
    assert compare(regress(FACTORS[:, :2], mixed)) == pytest.approx((1 / np.sqrt(2) - 0.1) / 2)


def test_a_unit_without_partner_and_a_model_without_units_count_nothing():
    # the third unit of one model is unknown to the other: 4 of 5 units have a partner
    assert compare(correlate(FACTORS[:, :3], FACTORS[:, :2])) == pytest.approx(4 / 5)
    assert compare(correlate(FACTORS, FACTORS[:, :0])) == compare(regress(FACTORS, FACTORS[:, :0])) == 0


def write(folder, units, rate, *words, **more):
    job(folder, *words, reconstruction__mse=1.0)
    arrays = {"codes": np.asarray(units, np.float32), "ids": np.arange(len(units)), "kl": np.asarray(rate)}
    np.savez(folder / "codes.npz", **{**arrays, **more})


def test_each_run_gets_the_median_of_its_scores_with_the_others_by_informative_units_alone(tmp_path):
    chance = np.random.default_rng(0).normal(size=(64, 1))  # of a unit that says nothing
    mixed = np.stack([FACTORS[:, 0] + FACTORS[:, 1], FACTORS[:, 0] - FACTORS[:, 1]], 1)
    told = {0: FACTORS[:, :2], 1: -FACTORS[:, :2], 2: FACTORS[:, [1, 0]], 3: mixed}
    for seed, units in told.items():
        write(tmp_path / str(seed), np.hstack([units, chance]), [2.0, 1.0, 0.009], f"seed={seed}")
    report = collect([tmp_path])
    (group,) = report.groups
    assert LASSO in report.criteria and SPEARMAN in report.keys and SPEARMAN not in report.criteria
    assert [record.value(SPEARMAN) for record in group.records] == pytest.approx([1, 1, 1, 1 / (2 * np.sqrt(2))])
    assert group.records[0].value(LASSO) == pytest.approx(0.9)
    assert SPEARMAN not in json.loads((tmp_path / "0" / "metrics.json").read_text())["test"]


@pytest.mark.parametrize(
    "more",
    [{"ids": np.arange(64)[::-1]}, {"kl": np.ones(1)}, {"codes": np.full((64, 5), np.nan, np.float32)},
     {"codes": np.zeros(64, np.float32)}],
    ids=["other rows", "no KL of units", "NaN", "no table"],
)  # fmt: skip
def test_codes_that_do_not_compare_or_are_none_give_no_number(tmp_path, more):
    write(tmp_path / "0", FACTORS, np.ones(5), "seed=0")
    write(tmp_path / "1", FACTORS, np.ones(5), "seed=1", **more)
    assert LASSO not in collect([tmp_path]).keys


def test_a_vae_keeps_the_kl_of_its_units_with_its_codes_and_others_have_none(tmp_path):
    words = ("latent.dim=3", "trainer.steps=2", "metric=none", "save_codes=true")
    run_in(tmp_path / "vae", "variant=vae", *words)
    run_in(tmp_path / "plain", "variant=undercomplete", *words)
    kl = RunFolder(tmp_path / "vae").read_codes("kl")["kl"]
    assert kl.shape == (3,) and (kl >= 0).all()
    assert RunFolder(tmp_path / "plain").read_codes("kl") == {}
