"""Runs against a baseline, seed by seed and fold by fold: the tests are scipy's, and few pairs are none."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import adjust, job, write_sweep, write_two
from scipy import stats

from aeexp.errors import UsageError
from aeexp.reports.comparison import collect
from aeexp.reports.grouping import NONE, Group
from aeexp.reports.pairing import _is_alike, find_partners
from aeexp.reports.records import Record
from aeexp.reports.statistics import paired_test
from aeexp.reports.tables import list_sentences
from aeexp.reports.text import console_text


def test_the_comparison_with_a_variant_is_scipys_paired_test_at_the_same_width(tmp_path):
    sweep = write_sweep(tmp_path)
    report = collect([tmp_path], "variant=undercomplete", ["reconstruction/mse"])
    values = sweep["reconstruction/mse"]
    tests = [stats.ttest_rel(values["sparse_l1", w], values["undercomplete", w]) for w in ("2", "8")]
    assert [one.group.columns["latent.dim"] for one in report.paired] == ["2", "8"]
    for one, made, adjusted in zip(report.paired, tests, adjust([t.pvalue for t in tests]), strict=True):
        interval = made.confidence_interval(0.95)
        assert one.test == "paired t-test" and one.pairs == 3
        assert one.against == "variant=undercomplete of the same latent.dim"
        assert one.p == pytest.approx(made.pvalue) and one.adjusted == pytest.approx(adjusted)
        assert one.difference - one.half == pytest.approx(interval.low)
        assert one.difference + one.half == pytest.approx(interval.high)


def test_fewer_than_three_pairs_are_no_test_and_say_so_once(tmp_path):
    report = collect([write_two(tmp_path, seeds=[0, 1])], "variant=a")
    assert [(one.test, one.p, one.pairs) for one in report.paired] == [(None, None, 2)] * 2
    assert not any(one.tested or one.ties for one in report.best)
    (line,) = [line for line in list_sentences(report) if "No test" in line]
    assert "variant=a" in line and "fewer than 3 pairs" in line
    assert "Difference to" not in console_text(report, 100)


def test_folds_are_paired_by_fold_and_their_test_is_corrected(tmp_path):
    for variant in "ab":
        for fold in range(5):
            words = (f"variant={variant}", "dataset/split=kfold", f"dataset.split.fold={fold}")
            more = {"data": {"fingerprint": f"f{fold}"}, "config": {"latent.dim": ord(variant)}}
            values = 1.0 + fold + (0.1 + 0.01 * fold**2) * (variant == "b")
            job(tmp_path / f"{variant}{fold}", *words, **more, reconstruction__mse=values)
    report = collect([tmp_path], "variant=a")
    assert len(report.groups) == 2 and report.protocol["folds"] == "0, 1, 2, 3, 4"
    (one,) = report.paired
    assert "Nadeau and Bengio" in one.test and one.pairs == 5
    differences = 0.1 + 0.01 * np.arange(5) ** 2
    error = np.sqrt((1 / 5 + 10 / 80) * differences.var(ddof=1))  # 10 test rows, 80 of training
    assert one.p == pytest.approx(2 * stats.t.sf(differences.mean() / error, 4))
    assert one.half == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert any("over folds" in note for note in report.notes)


def test_seeds_of_a_fold_are_averaged_before_the_corrected_test(tmp_path):
    """The correction is for as many values as there are folds: 25 of 5 folds and 5 seeds are 5."""
    rng, means = np.random.default_rng(0), []
    for fold in range(5):
        gains = rng.normal(size=5)
        means.append(gains.mean())
        for variant, seed in itertools.product("ab", range(5)):
            words = (f"variant={variant}", f"dataset.split.fold={fold}", f"seed={seed}")
            more = {"data": {"fingerprint": f"f{fold}"}, "config": {"latent.dim": ord(variant)}}
            job(tmp_path / f"{variant}{fold}{seed}", *words, **more, probe__linear=gains[seed] * (variant == "b"))
    report = collect([tmp_path], "variant=a")
    (one,) = report.paired
    assert one.pairs == 5 and one.p == pytest.approx(paired_test(means, 10 / 80).p)
    assert "Seeds of one split are averaged first." in console_text(report, 100)


def test_a_seed_of_the_split_that_follows_the_seed_is_another_split(tmp_path):
    for variant, seed in itertools.product("ab", range(3)):
        words = (f"variant={variant}", "dataset.split.seed=${seed}", f"seed={seed}")
        more = {"data": {"fingerprint": f"f{seed}"}, "config": {"latent.dim": ord(variant)}}
        job(tmp_path / f"{variant}{seed}", *words, **more, probe__linear=0.5 + 0.1 * seed**2 * (variant == "b"))
    report = collect([tmp_path], "variant=a")
    assert "Nadeau" in report.paired[0].test and any("over splits" in note for note in report.notes)


def test_an_encoder_that_was_told_the_label_is_not_held_against_one_that_was_not(tmp_path):
    config = {"condition._target_": "aeexp.conditions.Label"}
    for seed in range(4):
        base = {"raw": {"probe/linear": 0.9 + 0.01 * seed, "reconstruction/mse": 1.0}}
        values = {"probe__linear": 0.99, "reconstruction__mse": 2.0 + 0.1 * seed}
        job(tmp_path / str(seed), f"seed={seed}", config=config, baseline=base, **values)
    found = {one.key: one for one in collect([tmp_path], "raw").paired}
    assert found["probe/linear"].p is None and "tells the encoder the label" in found["probe/linear"].reason
    assert found["reconstruction/mse"].p < 0.05


@pytest.mark.parametrize("baseline", ["auto", "pca"])
def test_sentences_have_no_test_against_a_row_that_is_missing(tmp_path, baseline):
    write_two(tmp_path)
    if baseline == "auto":
        assert collect([tmp_path], baseline).paired == []
    else:
        with pytest.raises(UsageError, match="baseline=pca: no group has this"):
            collect([tmp_path], baseline)


VALUE = st.sampled_from(["1", "1.0", "2", NONE])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), VALUE, VALUE), min_size=1, max_size=9, unique=True))
def test_partners_are_those_that_are_found_by_looking_at_all(rows):
    groups = [
        Group(columns, [Record(Path(), columns, {}, {}, {}, {})])
        for columns in (dict(zip(("variant", "x", "y"), row, strict=True)) for row in rows)
    ]
    chosen, settings = [group for group in groups if group.columns["variant"] == "a"], {"variant": "a"}
    wanted = []
    for group in groups:
        alike = [other for other in chosen if other is not group and _is_alike(group, other, settings)]
        if group not in chosen and (len(alike) == 1 or len(chosen) == 1):
            wanted.append((group, (alike or chosen)[0]))
    if wanted:
        assert find_partners(groups, "variant=a", ["pca"]) == wanted
    else:
        with pytest.raises(UsageError, match="baseline=variant=a"):
            find_partners(groups, "variant=a", ["pca"])
