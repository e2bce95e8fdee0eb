"""sweep.png and tradeoff.png of a multirun: what is drawn is what the runs measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from declared import declare
from scipy.stats import t

from aeexp.reports import sweep_figures as figures
from aeexp.reports.statistics import estimate
from aeexp.reports.swept import find_swept_number, parse_number, read_sweep
from aeexp.reports.tables import format_estimate as worded

FAIR = ("fairness/leakage_balanced_forest", "fairness/accuracy_forest")


def job(root: Path, name: int, overrides, status="finished", baseline=None, val=None, train=None, **test) -> None:
    folder = root / str(name)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    words = dict(word.split("=", 1) for word in overrides)
    (folder / ".hydra" / "config.yaml").write_text(json.dumps(words))
    (folder / ".hydra" / "hydra.yaml").write_text("")
    (folder / "status.json").write_text(json.dumps({"status": status, "message": "", "exit_code": 0}))
    node = {
        "test": test,
        "val": val or {},
        "train": train or {},
        "baseline": baseline or {},
        "data": {"name": "digits"},
        "numbers": declare(test),
    }
    if status == "finished":
        (folder / "metrics.json").write_text(json.dumps(node))


def fair(root: Path, weights=(0, 10, 100, 1000), seeds=(0, 1, 2), more=((),)) -> Path:
    rng = np.random.default_rng(0)
    names = ("loss", "reconstruction/mse", "fairness/leakage_linear", *FAIR, "fairness/parity_gap_forest")
    place = 0
    for extra in more:
        for i, weight in enumerate(weights):
            for seed in seeds:
                leak = 0.9 - 0.1 * i + 0.02 * rng.random() + 0.05 * len(extra)
                values = dict(zip(names, (100 + i, 5 + i, leak, leak, leak - 0.05, 0.1), strict=True))
                base = {"pca": {**values, FAIR[0]: 0.95, "loss": 90}, "raw": {FAIR[0]: 1.0, FAIR[1]: 0.9}}
                words = ["variant=fair_vae", f"w={weight}", *extra, f"seed={seed}", "threads=1"]
                job(root, place, words, baseline=base, val={"loss": 99 + i}, **values)
                place += 1
    return root


def lines(axes) -> dict[str, np.ndarray]:
    """Label -> (N, 2) of what is drawn."""
    named = {c.get_label(): np.array(c.lines[0].get_xydata()) for c in axes.containers}
    return named | {line.get_label(): np.array(line.get_xydata()) for line in axes.lines if line.get_label()[0] != "_"}


def test_a_point_is_the_mean_over_seeds_and_a_bar_students_interval(tmp_path):
    found = read_sweep(fair(tmp_path))
    assert found.name == "w" and found.lines == [""] and [p.at for p in found.points] == [0, 10, 100, 1000]
    assert found.common == ["variant=fair_vae"]
    runs = [json.loads((tmp_path / str(i) / "metrics.json").read_text())["test"][FAIR[0]] for i in range(3)]
    first = found.points[0].estimate(FAIR[0])
    assert first.mean == pytest.approx(np.mean(runs)) and first.runs == 3
    assert first.half == pytest.approx(t.ppf(0.975, 2) * np.std(runs, ddof=1) / np.sqrt(3))
    assert worded(estimate(runs)) == f"{first.mean:.4g} ± {first.half:.2g}"  # the table says the same
    axes = figures.draw_curves(found, [FAIR[0]]).axes[0]
    np.testing.assert_allclose(lines(axes)["this model, test split"][0], (0, first.mean))
    np.testing.assert_allclose(lines(axes)["PCA of the same width"], [(w, 0.95) for w in (0, 10, 100, 1000)])
    np.testing.assert_allclose(lines(axes)["raw input"][:, 1], 1.0)
    assert axes.get_xscale() == "symlog" and axes.get_xlabel() == "w"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "10", "100", "1000"]


def test_capacity_shows_train_validation_test_and_pca_on_one_plot(tmp_path):
    errors = {4: (5, 6, 7), 16: (2, 3, 4), 64: (1, 4, 5)}  # width: train, validation, test
    for i, (width, (train, val, test)) in enumerate(errors.items()):
        key = "reconstruction/mse"
        more = dict(baseline={"pca": {key: 3.0}}, val={key: val}, train={key: train}, **{key: test})
        job(tmp_path, i, [f"model.hidden_dims=[{width}]"], **more)
    found = read_sweep(tmp_path)
    assert found.name == "model.hidden_dims"
    axes = figures.draw_curves(found, ["reconstruction/mse"]).axes[0]
    assert axes.get_xlabel() == "model.hidden_dims (units of all layers)" and axes.get_xscale() == "log"
    shown = lines(axes)
    names = ("training split", "validation split", "this model, test split")
    for i, name in enumerate(names):
        np.testing.assert_allclose(shown[name], [(width, row[i]) for width, row in errors.items()])
    np.testing.assert_allclose(shown["PCA of the same width"], [(4, 3), (16, 3), (64, 3)])
    assert list(shown["lowest validation error"][:, 0]) == [16, 16]  # beyond it the net only fits the training
    assert len({line.get_linestyle() for line in axes.lines}) >= 4


@pytest.mark.parametrize(
    ("key", "values", "numbers"),
    [
        ("model.hidden_dims", ("[8]", "[64]"), [8, 64]),
        ("model.hidden_dims", ("[64]", "[64,32]"), [64, 96]),
        ("model.hidden_dims", ("[64,32]", "[32,64]"), None),  # two nets and one number
        ("model.hidden_dims", ("[]", "[8]"), None),
        ("dataset.classes", ("[1,2]", "[3,4]"), None),
        ("trainer.noise", ("[0.1]", "0.2"), [0.1, 0.2]),
    ],
)
def test_a_list_of_layers_counts_by_its_units(key, values, numbers):
    assert find_swept_number([{key: value} for value in values]) == (key if numbers else None)
    assert numbers is None or [parse_number(value, key) for value in values] == numbers


@pytest.mark.parametrize(
    ("values", "scale"),
    [((2, 4, 8), "linear"), ((2, 4, 32), "log"), ((0, 0.5, 1), "linear"), ((-1, 1, 100), "linear"), ((0, 5), "linear"),
     ((1e-4, 1e-2), "log"), ((0, 1e-3, 1), "symlog")],
)  # fmt: skip
def test_the_axis_is_logarithmic_where_values_spread_over_decades(values, scale, tmp_path):
    for i, value in enumerate(values):
        job(tmp_path, i, [f"a={value}"], loss=1.0 + i)
    assert figures.draw_curves(read_sweep(tmp_path), ["loss"]).axes[0].get_xscale() == scale


def test_what_else_was_swept_is_a_line_and_a_baseline_that_differs_is_drawn_for_each(tmp_path):
    for i, (variant, dim) in enumerate((v, d) for v in ("vae", "rae_l2") for d in (2, 8, 32)):
        base = {"pca": {"loss": float(dim)}, "raw": {"loss": 1.0 if variant == "vae" else 2.0}}
        job(tmp_path, i, [f"variant={variant}", f"latent.dim={dim}"], baseline=base, loss=i + 1.0)
    found = read_sweep(tmp_path)
    assert found.name == "latent.dim" and found.lines == ["variant=vae", "variant=rae_l2"]
    axes = figures.draw_curves(found, ["loss"]).axes[0]
    shown = lines(axes)
    np.testing.assert_allclose(shown["variant=rae_l2"], [(2, 4), (8, 5), (32, 6)])
    np.testing.assert_allclose(shown["PCA of the same width"], [(2, 2), (8, 8), (32, 32)])  # one: it is the same
    raw = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert sorted(raw) == [1, 2]


def test_failed_jobs_missing_keys_and_no_numbers_leave_gaps_and_break_nothing(tmp_path):
    job(tmp_path, 0, ["a=1", "seed=0"], loss=1.0, x=None)
    job(tmp_path, 1, ["a=1", "seed=1"], loss=None)
    job(tmp_path, 2, ["a=2", "seed=0"], status="failed")
    job(tmp_path, 3, ["a=3", "seed=0"], loss=3.0, x=5.0)
    found = read_sweep(tmp_path)
    assert [(p.at, len(p.group.records)) for p in found.points] == [(1, 2), (3, 1)]
    axes = figures.draw_curves(found, ["loss", "x"]).axes
    np.testing.assert_allclose(lines(axes[0])["this model, test split"], [(1, 1), (3, 3)])
    np.testing.assert_allclose(lines(axes[1])["this model, test split"], [(3, 5)])
    figures.write_sweep_figures(tmp_path)
    assert (tmp_path / "sweep.png").stat().st_size > 5_000 and not (tmp_path / "tradeoff.png").exists()


@pytest.mark.parametrize(
    "runs",
    [[], [["a=1"]], [["a=1", "seed=0"], ["a=1", "seed=1"]], [["a=x"], ["a=y"]], [["a=1"], ["a=null"]], [["a=1"], []]],
)
def test_where_no_number_was_swept_nothing_is_drawn(runs, tmp_path):
    for i, words in enumerate(runs):
        job(tmp_path, i, words, loss=1.0)
    figures.write_sweep_figures(tmp_path)
    assert not (tmp_path / "sweep.png").exists()


def test_the_panels_are_a_few_of_each_metric_or_those_asked_for(caplog):
    keys = ["loss", "loss/kl", "reconstruction/mse", "reconstruction/psnr", "probe/linear", "probe/knn",
            "latent/active_units", "retrieval/map", "retrieval/precision", "anomaly/auroc", "generation/nll",
            "generation/nll_se"]  # fmt: skip
    chosen = figures.choose_panels(keys)
    assert chosen == ["loss", "reconstruction/mse", "probe/linear", "retrieval/map", "anomaly/auroc", "generation/nll"]
    assert figures.choose_panels(keys, ["probe/knn", "probe/liner", "loss"]) == ["probe/knn", "loss"]
    assert "probe/liner is left out of sweep.png; did you mean probe/linear?" in caplog.text
    assert len(figures.choose_panels([f"m{i}/x" for i in range(9)])) == 6


def test_the_tradeoff_is_a_point_a_value_with_both_baselines(tmp_path):
    root = fair(tmp_path, more=((), ("regularizer=[kl,adversary]",)))
    found = read_sweep(root)
    axes = figures.draw_tradeoff(found, *FAIR).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == FAIR
    assert [text.get_text() for text in axes.texts] == ["0", "10", "100", "1000"] * 2
    point = found.points[0]
    np.testing.assert_allclose(lines(axes)["regularizer=none"][0], [point.estimate(key).mean for key in FAIR])
    np.testing.assert_allclose(lines(axes)["raw input"], [(1.0, 0.9)])
    figures.write_sweep_figures(root, tradeoff=["loss", "reconstruction/mse"])
    assert (root / "tradeoff.png").stat().st_size > 5_000


def test_a_tradeoff_of_what_no_run_measured_is_told(tmp_path, caplog):
    figures.write_sweep_figures(fair(tmp_path, seeds=(0,)), tradeoff=["loss", "other"])
    assert "tradeoff=[loss,other] wants two keys that were measured" in caplog.text
    assert not (tmp_path / "tradeoff.png").exists() and (tmp_path / "sweep.png").exists()


def test_numbers_are_what_hydra_takes_for_numbers():
    assert [parse_number(text) for text in ("1e-3", "-2", "+3.5", "1_000", "nan", "true", "[1]", " 1")] == [
        1e-3, -2.0, 3.5, None, None, None, 1.0, None,
    ]  # fmt: skip
    assert estimate([]) is None and estimate([2.0]) == (2.0, 0.0, 1, 0.0, None)
