"""Which group is best, which the runs cannot tell from it, and where criteria disagree."""

from __future__ import annotations

import numpy as np
import pytest
from reported import adjust, job, write_sweep, write_two
from scipy import stats

from aeexp.reports.comparison import collect
from aeexp.reports.tables import list_sentences
from aeexp.reports.text import console_text


def test_the_best_is_the_best_mean_and_ties_are_those_that_a_test_cannot_tell_apart(tmp_path):
    sweep = write_sweep(tmp_path)
    report = collect([tmp_path], criteria=["reconstruction/mse", "probe/linear"])
    for key, sign in (("reconstruction/mse", 1), ("probe/linear", -1)):
        values = sweep[key]
        one = next(best for best in report.best if best.key == key)
        first = min(values, key=lambda name: sign * np.mean(values[name]))
        assert tuple(one.group.columns.values()) == first and one.better == ("lower" if sign == 1 else "higher")
        rivals = [name for name in values if name != first]
        ps = [stats.ttest_rel(values[name], values[first]).pvalue for name in rivals]
        adjusted = adjust(ps)
        expected = {name for name, p in zip(rivals, adjusted, strict=True) if not p < 0.05}
        assert {tuple(group.columns.values()) for group in one.ties} == expected


def test_disagreement_is_told_where_the_seeds_can_tell_it(tmp_path):
    report = collect([write_two(tmp_path / "far")])
    assert report.columns == ["variant"]  # nobody typed latent.dim, and variant tells all apart
    (sentence,) = report.disagreement
    assert "reconstruction/mse: variant=a" in sentence and "probe/linear: variant=b" in sentence
    assert sentence.endswith("the best reconstruction is not the best code.")
    (sentence,) = collect([write_two(tmp_path / "single", seeds=[0])]).disagreement
    assert sentence.endswith("too few runs for a test.")
    near = {"a": ((1.0, 2.0, 3.0, 4.0), (0.5, 0.6, 0.7, 0.8)), "b": ((1.2, 1.8, 3.3, 3.9), (0.6, 0.5, 0.8, 0.75))}
    for variant, numbers in near.items():
        for seed, (mse, accuracy) in enumerate(zip(*numbers, strict=True)):
            words, config = (f"variant={variant}", f"seed={seed}"), {"latent.dim": ord(variant)}
            values = {"reconstruction__mse": mse, "probe__linear": accuracy}
            job(tmp_path / "near" / f"{variant}{seed}", *words, config=config, **values)
    (sentence,) = collect([tmp_path / "near"]).disagreement
    assert sentence.startswith("By their means the criteria name different groups") and "not told apart" in sentence


def test_too_few_pairs_are_no_tie(tmp_path):
    for variant, runs in (("a", 3), ("b", 3), ("c", 2)):
        for seed in range(runs):
            config = {"latent.dim": ord(variant)}
            words = (f"variant={variant}", f"seed={seed}")
            job(tmp_path / f"{variant}{seed}", *words, config=config, loss=ord(variant) + 0.1 * seed**2)
    (one,) = collect([tmp_path]).best
    assert one.group.name == "variant=a" and [group.name for group in one.untested] == ["variant=c"]
    assert one.tested and "variant=c" not in [group.name for group in one.ties]
    assert "with variant=c too few pairs for a test" in list_sentences(collect([tmp_path]))[0]


@pytest.mark.parametrize(
    ("config", "loss", "nats", "probe"),
    [
        ({"likelihood._target_": "aeexp.likelihoods.Bernoulli"}, False, False, True),
        ({"regularizer.l1.weight": 0.1}, False, True, True),
        ({"condition._target_": "aeexp.conditions.Label"}, False, True, False),
        ({"trainer.epochs": 6}, True, True, True),
    ],
)
def test_numbers_of_unlike_things_are_not_ranked_and_the_report_goes_on(tmp_path, config, loss, nats, probe):
    for name, more in (("a", {}), ("b", config)):
        values = {"loss": 1.0, "reconstruction__nats": 2.0, "probe__linear": 0.5}
        job(tmp_path / name, f"variant={name}", config=more, **values)
    report = collect([tmp_path], criteria=["loss", "reconstruction/nats", "probe/linear"])
    ranked = {one.key for one in report.best}
    assert [key in ranked for key in ("loss", "reconstruction/nats", "probe/linear")] == [loss, nats, probe]
    assert sum("is not ranked" in note for note in report.notes) == 3 - sum((loss, nats, probe))


def test_a_number_that_one_run_lacks_is_shown_with_its_count_and_not_ranked(tmp_path):
    write_two(tmp_path)
    job(tmp_path / "20", "variant=c", "seed=0", config={"latent.dim": 9}, probe__linear=0.99)
    job(tmp_path / "21", "variant=c", "seed=1", config={"latent.dim": 9}, probe__linear=None)
    report = collect([tmp_path])
    best = next(one for one in report.best if one.key == "probe/linear")
    assert best.group.columns["variant"] == "b"
    assert "0.99 (of 1)" in console_text(report, 100)
    assert any(note.startswith("probe/linear ranks 2 of 3 groups") for note in report.notes)


def test_baselines_that_beat_the_best_are_named(tmp_path):
    for i in range(2):
        rows = {"pca": {"probe/linear": 0.6}, "raw": {"probe/linear": 0.967}}
        job(tmp_path / str(i), f"latent.dim={i}", baseline=rows, probe__linear=0.7 + 0.1 * i)
    (best,) = collect([tmp_path]).best
    assert best.beyond == ["raw input 0.967"]


def test_a_difference_that_seeds_can_tell_may_lie_within_the_interval_over_test_rows(tmp_path):
    """Six seeds of two models on the same 100 rows: seeds tell 0.90 from 0.92, another 100 rows would not."""
    for variant, accuracy in (("a", 0.92), ("b", 0.90), ("c", 0.70)):
        for seed in range(6):
            value = accuracy + 0.001 * (seed % 3) * (1 if variant == "a" else -1)
            intervals = {"test": {"probe/linear": [value - 0.05, value + 0.05]}}
            words, config = (f"variant={variant}", f"seed={seed}"), {"latent.dim": ord(variant)}
            folder = tmp_path / f"{variant}{seed}"
            job(folder, *words, config=config, intervals=intervals, probe__linear=value)
    report = collect([tmp_path])
    (best,) = report.best
    assert best.ties == [] and [group.name for group in best.blurred] == ["variant=b"]
    text = console_text(report, 160)
    assert "told apart from all others over runs; over test rows not told apart from variant=b" in " ".join(
        text.split()
    )
    assert "[0.05] ~" in text and "[over test rows]" in text and "~ not over test rows" in text


def test_without_intervals_nothing_is_said_of_rows(tmp_path):
    report = collect([write_two(tmp_path)])
    assert all(not best.blurred for best in report.best)
    assert "~" not in console_text(report, 160) and "over test rows" not in console_text(report, 160)


def test_of_single_runs_the_rows_speak_alone(tmp_path):
    for variant, accuracy in (("a", 0.92), ("b", 0.90)):
        intervals = {"test": {"probe/linear": [accuracy - 0.05, accuracy + 0.05]}}
        config = {"latent.dim": ord(variant)}
        job(tmp_path / variant, f"variant={variant}", config=config, intervals=intervals, probe__linear=accuracy)
    (best,) = collect([tmp_path]).best
    assert not best.tested and [group.name for group in best.blurred] == ["variant=b"]
