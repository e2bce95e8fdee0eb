"""aeexp-report: what it says is what the runs measured, and it does not say more than they can tell."""

from __future__ import annotations

import csv
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import aeexp
from reported import job
from scipy import stats

from aeexp.cli.report import main, split_keys
from aeexp.errors import UsageError
from aeexp.reports import comparison
from aeexp.reports.comparison import Unmixed, collect
from aeexp.reports.statistics import paired_test
from aeexp.reports.tables import sentences, shown
from aeexp.reports.text import console, markdown, summary_csv
from aeexp.runs.evaluations import add_evaluation
from aeexp.runs.folder import RunFolder

VARIANTS, WIDTHS, SEEDS = ("undercomplete", "sparse_l1"), (2, 8), (0, 1, 2)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """2 variants x 2 widths x 3 seeds by one command, and what the command said."""
    where = tmp_path_factory.mktemp("report")
    words = [f"variant={','.join(VARIANTS)}", f"latent.dim={','.join(map(str, WIDTHS))}",
             f"seed={','.join(map(str, SEEDS))}", "dataset.limit=300", "trainer.epochs=2", "model.hidden_dims=[16]",
             "metric=[reconstruction,probe]", "metric.probe.classifiers=[linear]",
             "threads=1", "plot=none"]  # fmt: skip
    done = aeexp("-m", *words, "hydra.sweep.dir=runs", cwd=where)
    assert done.returncode == 0, done.stderr
    return where / "runs", done.stdout


def numbers(root: Path, key: str) -> dict[tuple[str, str], list[float]]:
    """(variant, width) -> the number of each seed, straight from the folders, in the order of Hydra's jobs."""
    found: dict[tuple[str, str], list[float]] = {}
    jobs = iter(range(len(VARIANTS) * len(WIDTHS) * len(SEEDS)))
    for variant in VARIANTS:
        for width in WIDTHS:
            values = [json.loads((root / str(next(jobs)) / "metrics.json").read_text())["test"][key] for _ in SEEDS]
            found[variant, str(width)] = values
    return found


def test_means_and_intervals_are_those_of_metrics_json(swept):
    root, _ = swept
    report = collect([root])
    assert report.columns == ["variant", "latent.dim"]
    assert "dataset.limit=300" in report.common and "threads=1" not in report.common
    for key in ("loss", "reconstruction/mse", "probe/linear"):
        for group in report.groups:
            values = np.array(numbers(root, key)[tuple(group.columns.values())])
            made = group.estimate(key)
            assert made.mean == pytest.approx(values.mean()) and made.sd == pytest.approx(values.std(ddof=1))
            low, high = stats.t.interval(0.95, 2, values.mean(), values.std(ddof=1) / np.sqrt(3))
            assert made.half == pytest.approx((high - low) / 2) and made.runs == 3


def test_the_best_is_the_best_mean_and_ties_are_those_that_a_test_cannot_tell_apart(swept):
    root, _ = swept
    report = collect([root], criteria=["reconstruction/mse", "probe/linear"])
    for key, sign in (("reconstruction/mse", 1), ("probe/linear", -1)):
        values = numbers(root, key)
        one = next(best for best in report.best if best.key == key)
        first = min(values, key=lambda name: sign * np.mean(values[name]))
        assert tuple(one.group.columns.values()) == first and one.better == ("lower" if sign == 1 else "higher")
        rivals = [name for name in values if name != first]
        ps = [stats.ttest_rel(values[name], values[first]).pvalue for name in rivals]
        adjusted = stepwise(ps)
        expected = {name for name, p in zip(rivals, adjusted, strict=True) if not p < 0.05}
        assert {tuple(group.columns.values()) for group in one.ties} == expected


def stepwise(ps: list[float]) -> list[float]:
    """Holm's, from its definition: the i-th smallest of n counts n - i + 1 times, and never less than one before."""
    order = np.argsort(ps)
    steps = np.maximum.accumulate([min(1.0, (len(ps) - rank) * ps[i]) for rank, i in enumerate(order)])
    return [float(steps[list(order).index(i)]) for i in range(len(ps))]


def test_the_comparison_with_a_variant_is_scipys_paired_test_at_the_same_width(swept):
    root, _ = swept
    report = collect([root], "variant=undercomplete", ["reconstruction/mse"])
    values = numbers(root, "reconstruction/mse")
    tests = [stats.ttest_rel(values["sparse_l1", w], values["undercomplete", w]) for w in ("2", "8")]
    assert [one.group.columns["latent.dim"] for one in report.paired] == ["2", "8"]
    for one, made, adjusted in zip(report.paired, tests, stepwise([t.pvalue for t in tests]), strict=True):
        interval = made.confidence_interval(0.95)
        assert one.test == "paired t-test" and one.pairs == 3
        assert one.against == "variant=undercomplete of the same latent.dim"
        assert one.p == pytest.approx(made.pvalue) and one.adjusted == pytest.approx(adjusted)
        assert one.difference - one.half == pytest.approx(interval.low)
        assert one.difference + one.half == pytest.approx(interval.high)


def test_pca_is_that_of_each_runs_own_metrics(swept):
    root, _ = swept
    report = collect([root], "pca", ["reconstruction/mse"])
    assert len(report.paired) == 4
    for one in report.paired:
        nodes = [json.loads((record.folder / "metrics.json").read_text()) for record in one.group.records]
        pairs = [(node["test"]["reconstruction/mse"], node["baseline"]["pca"]["reconstruction/mse"]) for node in nodes]
        assert one.p == pytest.approx(stats.ttest_1samp([a - b for a, b in pairs], 0).pvalue)


def test_the_multirun_says_the_same_and_leaves_the_files(swept):
    root, said = swept
    report = collect([root], "auto")
    for key in report.criteria:
        for group in report.groups:
            assert shown(group.estimate(key)) in said
    assert "12 of 12 runs finished" in said and "training seeds on one split" in said
    assert {"summary.csv", "report.md", "report.html"} <= {path.name for path in root.iterdir()}
    assert (root / "report.md").read_text() == markdown(report)


def test_the_csv_holds_every_number_of_every_group(swept):
    root, _ = swept
    rows = list(csv.DictReader(summary_csv(collect([root])).splitlines()))
    assert [(row["variant"], row["latent.dim"], row["runs"]) for row in rows] == [
        (variant, str(width), "3") for variant in VARIANTS for width in WIDTHS
    ]
    for key in ("reconstruction/psnr", "probe/linear"):
        for row in rows:
            values = numbers(root, key)[row["variant"], row["latent.dim"]]
            assert float(row[f"{key} mean"]) == pytest.approx(np.mean(values)) and row[f"{key} n"] == "3"
            assert float(row[f"{key} sd"]) == pytest.approx(np.std(values, ddof=1))
    group = collect([root]).groups[0]
    for part in (("train",), ("val",), ("baseline", "pca")):
        key = "reconstruction/mse"
        assert float(rows[0][f"{'/'.join((*part, key))} mean"]) == group.estimate(key, *part).mean


def test_the_command_prints_fits_and_writes(swept, tmp_path, capsys, monkeypatch):
    root, _ = swept
    monkeypatch.setenv("COLUMNS", "100")
    main([str(root), "--output", str(tmp_path), "--sort", "reconstruction/mse", "--baseline", "raw"])
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines() if str(tmp_path) not in line) <= 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "summary.csv"]
    table = (tmp_path / "report.md").read_text()
    means = [float(row.split("|")[5].split("±")[0]) for row in re.findall(r"^\| (?:under|sparse).*$", table, re.M)[:4]]
    assert means == sorted(means)


def grid(root: Path, seeds=range(4)) -> Path:
    """a has the lower error and b the better probe, by far more than seeds spread."""
    rng = np.random.default_rng(0)
    for i, (variant, mse, accuracy) in enumerate((("a", 1.0, 0.5), ("b", 2.0, 0.9))):
        for seed in seeds:
            more = 0.1 * rng.random(2)
            values = {"reconstruction__mse": mse + more[0], "probe__linear": accuracy + 0.1 * more[1]}
            words = (f"variant={variant}", f"seed={seed}")
            job(root / str(10 * i + seed), *words, config={"latent.dim": i + 2}, **values)
    return root


def test_runs_in_any_order_and_from_several_folders_are_the_same_comparison(tmp_path):
    one = collect([grid(tmp_path / "x")], "variant=a")
    folders = sorted((tmp_path / "x").iterdir(), reverse=True)
    other = collect([*folders, tmp_path / "x"], "variant=a")
    assert {g.name: shown(g.estimate("probe/linear")) for g in one.groups} == {
        g.name: shown(g.estimate("probe/linear")) for g in other.groups
    }
    assert [b[1] for b in sorted((b.key, b.group.name) for b in one.best)] == [
        b[1] for b in sorted((b.key, b.group.name) for b in other.best)
    ]
    assert {p.key: pytest.approx(p.p) for p in one.paired} == {p.key: p.p for p in other.paired}
    assert sum(len(group.records) for group in other.groups) == 8, "each folder once, however often it was named"


def test_disagreement_is_told_where_the_seeds_can_tell_it(tmp_path):
    report = collect([grid(tmp_path / "far")])
    assert report.columns == ["variant"]  # nobody typed latent.dim, and variant tells all apart
    (sentence,) = report.disagreement
    assert "reconstruction/mse: variant=a" in sentence and "probe/linear: variant=b" in sentence
    assert sentence.endswith("the best reconstruction is not the best code.")
    (sentence,) = collect([grid(tmp_path / "single", seeds=[0])]).disagreement
    assert sentence.endswith("too few runs for a test.")
    near = {"a": ((1.0, 2.0, 3.0, 4.0), (0.5, 0.6, 0.7, 0.8)), "b": ((1.2, 1.8, 3.3, 3.9), (0.6, 0.5, 0.8, 0.75))}
    for variant, numbers in near.items():
        for seed, (mse, accuracy) in enumerate(zip(*numbers, strict=True)):
            words, config = (f"variant={variant}", f"seed={seed}"), {"latent.dim": ord(variant)}
            values = {"reconstruction__mse": mse, "probe__linear": accuracy}
            job(tmp_path / "near" / f"{variant}{seed}", *words, config=config, **values)
    (sentence,) = collect([tmp_path / "near"]).disagreement
    assert sentence.startswith("By their means the criteria name different groups") and "not told apart" in sentence


def test_fewer_than_three_pairs_are_no_test_and_say_so_once(tmp_path):
    report = collect([grid(tmp_path, seeds=[0, 1])], "variant=a")
    assert [(one.test, one.p, one.pairs) for one in report.paired] == [(None, None, 2)] * 2
    assert not any(one.tested or one.ties for one in report.best)
    (line,) = [line for line in sentences(report) if "No test" in line]
    assert "variant=a" in line and "fewer than 3 pairs" in line
    assert "Difference to" not in console(report, 100)


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
    assert "Seeds of one split are averaged first." in console(report, 100)


def test_a_seed_of_the_split_that_follows_the_seed_is_another_split(tmp_path):
    for variant, seed in itertools.product("ab", range(3)):
        words = (f"variant={variant}", "dataset.split.seed=${seed}", f"seed={seed}")
        more = {"data": {"fingerprint": f"f{seed}"}, "config": {"latent.dim": ord(variant)}}
        job(tmp_path / f"{variant}{seed}", *words, **more, probe__linear=0.5 + 0.1 * seed**2 * (variant == "b"))
    report = collect([tmp_path], "variant=a")
    assert "Nadeau" in report.paired[0].test and any("over splits" in note for note in report.notes)


def test_options_of_an_evaluation_are_held_against_those_of_the_other_runs(tmp_path):
    own = {"metric.clustering.clusters": 20, "latent.dim": 2}
    job(tmp_path / "0", "a=1", config=own, clustering__nmi=0.4)
    job(tmp_path / "1", "a=2", loss=1.0)
    entry = {"metric": "clustering", "options": {"clusters": 10}, "differs": "", "val": {}, "baseline": {}}
    add_evaluation(RunFolder(tmp_path / "1"), {**entry, "test": {"clustering/nmi": 0.5}})
    with pytest.raises(Unmixed, match=r"metric\.clustering\.clusters=20 .*, metric\.clustering\.clusters=10 "):
        collect([tmp_path])


def test_an_encoder_that_was_told_the_label_is_not_held_against_one_that_was_not(tmp_path):
    config = {"condition._target_": "aeexp.conditions.Label"}
    for seed in range(4):
        base = {"raw": {"probe/linear": 0.9 + 0.01 * seed, "reconstruction/mse": 1.0}}
        values = {"probe__linear": 0.99, "reconstruction__mse": 2.0 + 0.1 * seed}
        job(tmp_path / str(seed), f"seed={seed}", config=config, baseline=base, **values)
    found = {one.key: one for one in collect([tmp_path], "raw").paired}
    assert found["probe/linear"].p is None and "tells the encoder the label" in found["probe/linear"].reason
    assert found["reconstruction/mse"].p < 0.05


def test_too_few_pairs_are_no_tie(tmp_path):
    for variant, runs in (("a", 3), ("b", 3), ("c", 2)):
        for seed in range(runs):
            config = {"latent.dim": ord(variant)}
            words = (f"variant={variant}", f"seed={seed}")
            job(tmp_path / f"{variant}{seed}", *words, config=config, loss=ord(variant) + 0.1 * seed**2)
    (one,) = collect([tmp_path]).best
    assert one.group.name == "variant=a" and [group.name for group in one.untested] == ["variant=c"]
    assert one.tested and "variant=c" not in [group.name for group in one.ties]
    assert "with variant=c too few pairs for a test" in sentences(collect([tmp_path]))[0]


def test_keys_stand_between_commas_and_keep_their_options():
    words = "probe/linear_n10 [draws=9 kinds=[a,b]],loss retrieval/map [queries=20]"
    assert split_keys(words) == ["probe/linear_n10 [draws=9 kinds=[a,b]]", "loss", "retrieval/map [queries=20]"]


def test_a_failed_an_interrupted_and_a_broken_run_are_listed_with_their_last_line(tmp_path, capsys):
    grid(tmp_path / "good")
    job(tmp_path / "f", "seed=7", status="failed", message="Diverged: loss is nan\nmore")
    job(tmp_path / "i", "seed=8", status="interrupted")
    (tmp_path / "i" / "train.log").write_text("[2026-01-01 10:00:00,000][INFO] step 1\n[x][INFO] step 2/9  train 1\n\n")
    job(tmp_path / "m", "seed=9", loss=1.0)
    (tmp_path / "m" / "metrics.json").write_text('{"test": {')
    job(tmp_path / "n", "seed=10", loss=1.0)
    (tmp_path / "n" / ".hydra" / "config.yaml").unlink()
    job(tmp_path / "s", "seed=11", loss=1.0)
    (tmp_path / "s" / "status.json").unlink()
    job(tmp_path / "t", "seed=12", loss=1.0)
    (tmp_path / "t" / "metrics.json").write_text('{"test": {"loss": "low"}, "data": {}}')
    job(tmp_path / "y", "seed=13", loss=1.0)
    (tmp_path / "y" / ".hydra" / "overrides.yaml").write_text("- [")
    report = collect([tmp_path])
    words = {failure.folder.name: (failure.status, failure.message) for failure in report.failures}
    assert words["f"] == ("failed", "Diverged: loss is nan")
    assert words["i"] == ("interrupted", "step 2/9  train 1")
    assert words["n"] == ("unreadable", "config.yaml is missing")
    assert words["s"][1] == "status.json is missing"
    assert set(words) == set("fimnsty") and all(message for _, message in words.values())
    assert sum(len(group.records) for group in report.groups) == 8
    assert "7 runs without numbers" in console(report, 100) and "Diverged" in markdown(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"baseline": {"pca": {"loss": "low"}}}, "pca loss is 'low', no number"),
        ({"baseline": {"pca": "x"}}, "pca is no table"),
        ({"baseline": ["pca"]}, "baseline is no table"),
        ({"data": {"rows": [8, 1]}}, "rows is no table"),
        ({"train": [1]}, "train is no table"),
        ({"evaluations": [{}]}, "evaluations are not as aeexp-evaluate writes them"),
        ({"evaluations": 3}, "evaluations are not as"),
    ],
)
def test_a_metrics_json_of_another_make_is_listed_and_breaks_nothing(change, said, tmp_path):
    job(tmp_path / "0", "seed=0", loss=1.0)
    path = job(tmp_path / "1", "seed=1", loss=2.0) / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    report = collect([tmp_path])
    (failure,) = report.failures
    assert failure.status == "unreadable" and said in failure.message and "metrics.json" in failure.message
    assert "1 run without numbers" in console(report, 100)


def test_who_reads_the_first_line_alone_gets_all_files(tmp_path):
    grid(tmp_path)
    words = f"{sys.executable} -m aeexp.cli.report {tmp_path} | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "Broken" not in done.stderr, done.stderr
    assert all((tmp_path / name).is_file() for name in ("summary.csv", "report.md", "report.html"))


def test_a_folder_that_cannot_be_written_keeps_no_table_from_being_shown(tmp_path, capsys):
    grid(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "runs"), "--output", str(tmp_path / "file" / "out")])
    told = capsys.readouterr()
    assert stop.value.code == 1 and "test split" in told.out and "Error" in told.err and told.err.count("\n") == 1


def test_nothing_to_compare_is_told_with_an_exit_code(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for words, code, said in (
        ([str(tmp_path / "none")], 2, "is no folder"),
        ([str(tmp_path / "empty")], 2, "holds no run"),
        ([str(job(tmp_path / "f", status="failed", message="broke"))], 1, "no run is finished"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        told = capsys.readouterr()
        assert stop.value.code == code and said in told.err and "Traceback" not in told.err
    assert "broke" in told.out


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (["dataset.binarise=fixed"], {"data": {"fingerprint": "g"}}, "dataset.binarise=fixed"),
        (["dataset.standardise=true"], {"data": {"fingerprint": "g"}}, "dataset.standardise=true"),
        (["dataset.split.fractions=[6,2,2]"], {"data": {"fingerprint": "g"}}, "dataset.split.fractions=[6,2,2]"),
        (["dataset.name=mnist"], {"data": {"fingerprint": "g"}}, "dataset.name=mnist"),
        ([], {"data": {"fingerprint": "g"}}, "changed between runs (fingerprints f, g)"),
        (["metric.probe.rows=100"], {}, "metric.probe.rows=100"),
        ([], {"generation__nll_k": 50.0}, "generation/nll_k=50"),
        (["dataset.limit=50"], {"data": {"fingerprint": "g", "rows": {"train": 40, "val": 5, "test": 5}}}, "test rows"),
        (["dataset.split.seed=1"], {"data": {"fingerprint": "g"}}, "dataset.split.seed=1"),
    ],
)  # fmt: skip
def test_unlike_protocols_are_refused_with_key_values_and_a_way_out(tmp_path, words, more, said):
    first = {"generation__nll_k": 100.0} if "generation__nll_k" in more else {}
    job(tmp_path / "a", "latent.dim=2", loss=1.0, **first)
    job(tmp_path / "b", "latent.dim=3", *words, **{"loss": 2.0, **more})
    with pytest.raises(Unmixed) as refusal:
        collect([tmp_path])
    text = str(refusal.value)
    assert said in text and str(tmp_path / "b") in text or "fingerprints" in text
    assert "--mix" in text and len(text.splitlines()) == 2
    report = collect([tmp_path], mix=True)
    assert len(report.groups) == 2 and any("Mixed on request" in note for note in report.notes)


def test_what_a_sweep_may_change_is_one_protocol(tmp_path):
    job(tmp_path / "a", "dataset.labelled=10", loss=1.0, data={"fingerprint": "f"})
    job(tmp_path / "b", "dataset.labelled=100", loss=1.0, data={"fingerprint": "g"})
    job(tmp_path / "c", "dataset.limit=50", loss=1.0, data={"fingerprint": "h"})
    job(tmp_path / "d", "metric.probe.budgets=[10]", "threads=4", "latent.dim=3", loss=1.0)
    job(tmp_path / "e", "dataset.path=/elsewhere", "latent.dim=5", loss=1.0)
    report = collect([tmp_path])
    assert report.columns == ["dataset.labelled", "dataset.limit", "latent.dim"] and len(report.groups) == 5


def test_mixed_runs_are_never_one_mean(tmp_path):
    for i, rows in enumerate((100, 5000)):
        for seed in (0, 1):
            job(tmp_path / f"{i}{seed}", f"seed={seed}", f"metric.probe.rows={rows}", probe__linear=0.1 * i)
    report = collect([tmp_path], mix=True)
    assert report.columns == ["metric.probe.rows"]
    assert [group.estimate("probe/linear").mean for group in report.groups] == [0.0, 0.1]


def test_the_same_training_twice_is_no_second_sample(tmp_path):
    for name, ended, loss in (("old", "2026-01-01", 1.0), ("new", "2026-01-02", 3.0)):
        job(tmp_path / name, "seed=0", ended=ended, loss=loss)
    report = collect([tmp_path])
    assert report.groups[0].estimate("loss") == (3.0, 0.0, 1, 0.0)
    assert any(note.startswith("1 of 2 runs repeat") for note in report.notes)


def test_columns_are_words_as_typed_and_equal_values_are_equal(tmp_path):
    job(tmp_path / "0", "trainer.lr=1e-3", "latent.dim=2", loss=1.0, config={"trainer.lr": 0.001})
    job(tmp_path / "1", "trainer.lr=0.001", "latent.dim=2", "seed=1", loss=2.0)
    job(tmp_path / "2", "trainer.lr=0.01", loss=3.0)  # latent.dim is the configuration's
    job(tmp_path / "3", "noise=[masking]", "trainer.lr=0.01", loss=3.0, config={"noise": {"masking": {"p": 0.25}}})
    report = collect([tmp_path])
    assert report.columns == ["trainer.lr", "latent.dim", "noise"]
    assert [list(group.columns.values()) for group in report.groups] == [
        ["1e-3", "2", "none"], ["0.01", "16", "none"], ["0.01", "16", "masking"],
    ]  # fmt: skip
    assert len(report.groups[0].records) == 2


def test_a_difference_that_nobody_typed_is_a_column_only_where_nothing_else_tells(tmp_path):
    job(tmp_path / "0", loss=1.0, config={"trainer.patience": 3})
    job(tmp_path / "1", loss=1.0, config={"trainer.patience": 4})
    assert collect([tmp_path]).columns == ["trainer.patience"]


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
    grid(tmp_path)
    job(tmp_path / "20", "variant=c", "seed=0", config={"latent.dim": 9}, probe__linear=0.99)
    job(tmp_path / "21", "variant=c", "seed=1", config={"latent.dim": 9}, probe__linear=None)
    report = collect([tmp_path])
    best = next(one for one in report.best if one.key == "probe/linear")
    assert best.group.columns["variant"] == "b"
    assert "0.99 (of 1)" in console(report, 100)
    assert any(note.startswith("probe/linear ranks 2 of 3 groups") for note in report.notes)


def test_baselines_that_beat_the_best_are_named(tmp_path):
    for i in range(2):
        rows = {"pca": {"probe/linear": 0.6}, "raw": {"probe/linear": 0.967}}
        job(tmp_path / str(i), f"latent.dim={i}", baseline=rows, probe__linear=0.7 + 0.1 * i)
    (best,) = collect([tmp_path]).best
    assert best.beyond == ["raw input 0.967"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"criteria": ["probe/liner"]}, "metrics=probe/liner: no run measured it; did you mean probe/linear?"),
        ({"baseline": "variant=c"}, "baseline=variant=c: no group has this"),
        ({"baseline": "nonsense"}, "variant=a|b"),
    ],
)
def test_words_that_select_nothing_name_what_there_is(tmp_path, arguments, said):
    grid(tmp_path)
    with pytest.raises(UsageError) as error:
        collect([tmp_path], **arguments)
    assert said in str(error.value) and len(str(error.value).splitlines()) <= 2


def test_many_metrics_become_several_tables_that_fit(tmp_path):
    keys = [f"probe__linear_n{10**i}" for i in range(12)]
    for i in range(2):
        job(tmp_path / str(i), f"latent.dim={i}", **dict.fromkeys(keys, 0.123456))
    report = collect([tmp_path], criteria=[key.replace("__", "/") for key in keys])
    text = console(report, 80)
    assert max(map(len, text.splitlines())) <= 80 and text.count("latent.dim ") > 1
    assert all(f"linear_n{10**i} " in text for i in range(12))


def test_the_types_of_a_report_are_where_the_page_looks_for_them():
    assert set(comparison.Report._fields) >= {"roots", "groups", "columns", "common", "keys", "best", "disagreement",
                                              "paired", "failures", "protocol"}  # fmt: skip


@pytest.mark.parametrize("baseline", ["auto", "pca"])
def test_sentences_have_no_test_against_a_row_that_is_missing(tmp_path, baseline):
    grid(tmp_path)
    if baseline == "auto":
        assert collect([tmp_path], baseline).paired == []
    else:
        with pytest.raises(UsageError, match="baseline=pca: no group has this"):
            collect([tmp_path], baseline)
