"""Numbers to predict: what probes and heads say of them, at codes whose answer is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from composing import composed, run_in
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import as_run

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.drawing.naming import row_names
from aeexp.errors import UsageError
from aeexp.evaluation.classifiers import Held
from aeexp.evaluation.regressors import fit_regressor, measure_answers
from aeexp.evaluation.run import Run
from aeexp.metrics.clustering import Clustering
from aeexp.metrics.probe import Probe
from aeexp.models.pca import identity
from aeexp.plots.activations import Activations
from aeexp.plots.label_budget import LabelBudget
from aeexp.plots.scatter import Scatter
from aeexp.runs.config import make
from aeexp.runs.loading import LoadedRun
from aeexp.trainers.labelled import Labelled

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(300, 4)).astype(np.float32)
SLOPE = np.array([3.0, -2.0, 0.5, 0.0], np.float32)


def numbered(codes: np.ndarray, numbers: np.ndarray) -> Run:
    """Codes that are read as they are, in three splits of the same rows."""
    rows = Rows(codes.astype(np.float32), response=numbers.astype(np.float32))
    data = Data("numbers", {name: Split(rows) for name in ("train", "val", "test")}, response="price")
    return as_run(identity(torch.Size([codes.shape[1]])), data)


def test_a_number_that_is_linear_in_the_code_is_read_by_ridge_regression():
    values = Probe()(numbered(CODES, 100 + CODES @ SLOPE), "test")
    assert values.keys() == {f"probe/{kind}_{what}" for kind in ("ridge", "knn") for what in ("r2", "rmse", "mae")}
    # the smallest penalty takes 1e-5 of the slope, or a few of them where units are scaled: R² is off by its square
    assert values["probe/ridge_r2"] > 1 - 1e-6 and values["probe/ridge_rmse"] < 1e-3 * (CODES @ SLOPE).std()
    assert 0.5 < values["probe/knn_r2"] < 1


def test_constant_codes_say_the_mean():
    values = Probe()(numbered(np.full((300, 2), 0.7), RNG.normal(size=300)), "test")
    assert values["probe/ridge_r2"] == pytest.approx(0, abs=1e-6)  # fitted on the same rows: float32 numbers


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3), seed=st.integers(0, 50))
def test_the_numbers_are_those_of_scikit_learn_and_r2_has_no_unit(scale, offset, seed):
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(seed)
    truth = rng.normal(size=40)
    answers = truth + rng.normal(size=40)
    values = measure_answers(truth, answers)
    assert values["r2"] == pytest.approx(r2_score(truth, answers))
    assert values["rmse"] == pytest.approx(root_mean_squared_error(truth, answers))
    assert values["mae"] == pytest.approx(mean_absolute_error(truth, answers))
    moved = measure_answers(scale * truth + offset, scale * answers + offset)
    # float64: sums of squares of numbers up to 1e6 of their deviation lose 1e-16 * 1e12 of it
    assert moved["r2"] == pytest.approx(values["r2"], abs=1e-3)
    assert moved["rmse"] == pytest.approx(scale * values["rmse"], rel=1e-6)
    assert all(value.low <= value <= value.high for value in values.values())


def test_intervals_hold_the_truth_as_often_as_they_say():
    # answers are the truth but for noise of a quarter of its variance: R² of the population is 0.75
    inside = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=150)
        answers = truth + 0.5 * rng.normal(size=150)
        value = measure_answers(truth, answers)["r2"]
        inside.append(value.low <= 0.75 <= value.high)
    # 95 of 100 are meant, the bootstrap of 150 rows has a little fewer: 4 deviations of a binomial of 0.93
    assert np.mean(inside) > 0.93 - 4 * math.sqrt(0.93 * 0.07 / 100)


def test_numbers_without_variance_have_no_r2():
    values = measure_answers(np.full(9, 2.0), np.arange(9.0))
    assert math.isnan(values["r2"]) and values["mae"] > 0


def test_held_rows_choose_and_other_rows_do_not():
    noise = np.random.default_rng(1).normal(size=(60, 200))
    truth = noise[:, 0]
    weak = fit_regressor("ridge", noise, truth, held=Held(noise, truth))  # rows that are known by heart
    other = np.random.default_rng(2).normal(size=(60, 200))
    strong = fit_regressor("ridge", noise, truth, held=Held(other, np.zeros(60)))  # only the mean is right
    assert weak.steps[-1][1].alpha < strong.steps[-1][1].alpha


def test_rows_whose_number_is_unknown_teach_and_count_nothing():
    numbers = CODES @ SLOPE
    holes = numbers.copy()
    holes[::3] = np.nan
    kept = np.isfinite(holes)
    values, fewer = Probe()(numbered(CODES, holes), "test"), Probe()(numbered(CODES[kept], numbers[kept]), "test")
    assert values == pytest.approx(fewer, abs=1e-5)


def test_budgets_and_support_vector_machines_of_numbers():
    run = numbered(CODES, CODES @ SLOPE + RNG.normal(size=300))
    values = Probe(classifiers=["linear", "svm_rbf"], budgets=[10, 100], draws=2)(run, "test")
    assert values["probe/ridge_r2_n10"] < values["probe/ridge_r2_n100"] < 1
    assert not [key for key in values if "svm" in key]


def test_metrics_of_classes_say_nothing_of_numbers():
    assert Clustering()(numbered(CODES, CODES @ SLOPE), "test") == {}


def test_figures_are_coloured_by_the_number():
    numbers = CODES @ SLOPE
    numbers[5] = np.nan
    run = numbered(CODES, numbers)
    figure = Scatter(maps=["pca"])(run)["scatter"]
    assert "price" in [axes.get_ylabel() for axes in figure.axes]  # of the colour bar
    dots = [each for axes in figure.axes for each in axes.collections if len(each.get_offsets()) > 1]
    assert len(dots[-1].get_array()) == 299 and np.isfinite(dots[-1].get_array()).all()
    heat = Activations()(run)["activations_by_class"]
    assert "test rows by price" in heat.axes[0].get_ylabel()
    assert row_names(run, "test")[5] == "" and row_names(run, "test")[6] != ""
    figure = LabelBudget(budgets=[10, 50], draws=2)(run)["label_budget"]
    assert "R²" in figure.axes[0].get_ylabel()


# ---------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diabetes") / "run"
    run_in(folder, "dataset=diabetes", "regularizer=regressor", "trainer.steps=200", "latent.dim=3", "plot=scatter",
           "dataset.labelled=200", "save_codes=true")  # fmt: skip
    return folder


def test_a_run_measures_probes_and_head_beside_raw_input_and_pca(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["data"]["target"] == "progression" and metrics["data"]["labelled"]["train"] == 200
    keys = {f"probe/{kind}_{what}" for kind in ("ridge", "knn") for what in ("r2", "rmse", "mae")}
    assert keys <= metrics["test"].keys()
    assert all(keys <= metrics["baseline"][row].keys() for row in ("raw", "pca", "random"))
    assert keys <= metrics["intervals"]["test"].keys() and "regression/r2" in metrics["train"]
    # 2,400 is about the variance of 442 progressions (77²): an R² of 0.3 leaves an error of 64
    assert 0 < metrics["test"]["regression/r2"] < 0.8 and 40 < metrics["test"]["regression/rmse"] < 80


def test_a_loaded_run_predicts_what_it_did(trained):
    from aeexp.evaluation.regressors import predict_responses

    run = LoadedRun(trained, "cpu")
    answers = predict_responses(Run(run.learner, run.load_data()), "test")
    assert answers is not None
    metrics = json.loads((trained / "metrics.json").read_text())
    expected = metrics["test"]["regression/rmse"]
    assert measure_answers(*answers)["rmse"] == pytest.approx(expected, rel=1e-4)  # float32 in other batches


def test_codes_keep_the_target_and_can_be_trained_on(trained, tmp_path, capsys):
    from aeexp.cli.encode import main

    main([str(trained), "--output", str(tmp_path / "codes.npz"), "--device", "cpu"])
    assert "dataset.target=target_train" in capsys.readouterr().out
    with np.load(tmp_path / "codes.npz") as codes:
        assert np.isfinite(codes["target_train"]).sum() == 200 and np.isfinite(codes["target_test"]).all()
    data = make(composed("dataset=npz", f"dataset.path={tmp_path / 'codes.npz'}", "dataset/split=official"), "dataset")
    assert data.has_response and data.response == "target"
    assert np.isfinite(data["train"].rows.response).sum() == 200
    with np.load(trained / "codes.npz") as codes:
        assert len(codes["target"]) == len(codes["codes"])


def test_rows_with_a_number_stand_beside_every_batch():
    cfg = composed("dataset=diabetes", "dataset.labelled=40")
    split = make(cfg, "dataset")["train"]
    more = Labelled(split, 8, 0)
    batch = more.join(split.batch(slice(0, 32)), 0, 0)
    known = ~batch.responses.isnan()
    assert len(batch.x) == 40 and known[32:].all() and not known[:32].all()
    assert batch.weight[known].unique().numel() == 1 and (batch.weight[known][0] < batch.weight[~known][0]).item()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["regularizer=classifier"], "numbers: take regularizer=regressor"),
        (["condition=label"], "condition=label needs classes, and the labels of these data are numbers"),
        (["regularizer=adversary", "regularizer.adversary.against=label"], "labels of these data are numbers"),
        (["dataset.classes=[1]"], "chooses by class, and the labels are numbers (progression)"),
        (["dataset.normal_classes=[1]"], "chooses by class, and the labels are numbers (progression)"),
        (["dataset.split.stratify=always"], "no labels that are classes"),
    ],
)
def test_what_needs_classes_says_so_before_training(tmp_path, words, expected):
    with pytest.raises(UsageError) as error:
        run_in(tmp_path / "run", "dataset=diabetes", "metric=none", "plot=none", *words)
    assert expected in str(error.value) and len(str(error.value).splitlines()) <= 2
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_a_metric_of_classes_is_told_before_training(tmp_path, caplog):
    with caplog.at_level("WARNING"):
        run_in(tmp_path / "run", "dataset=diabetes", "metric=clustering", "plot=none", "trainer.steps=1")
    assert "metric=clustering needs classes, and the labels of diabetes are numbers" in caplog.text


def test_a_regressor_needs_numbers(tmp_path):
    with pytest.raises(UsageError, match="take regularizer=classifier"):
        run_in(tmp_path / "run", "regularizer=regressor", "metric=none", "plot=none")


# ---------------------------------------------------------------- data


def split(rows: Rows, **keys) -> Data:
    return assemble(Source(rows, response="price"), name="d", split=Fractions([6, 2, 2]), **keys)


def test_numbers_are_hidden_and_dropped_as_classes_are():
    rows = Rows(CODES, response=CODES[:, 0])
    data = split(rows, labelled=20)
    assert np.isfinite(data["train"].rows.response).sum() == 20 and data.has_response
    batch = data["train"].batch(slice(0, 180))
    assert batch.label_weights.mean().item() == pytest.approx(1)  # N / n on n of N rows
    assert len(split(rows, labelled=20, unlabelled="drop")["train"]) == 20
    assert split(rows).fingerprint != split(Rows(CODES, response=CODES[:, 1])).fingerprint
    mean, deviation = split(rows).facts.response
    known = split(rows)["train"].rows.response
    assert mean == pytest.approx(known.mean(), abs=1e-6) and deviation == pytest.approx(known.std(), rel=1e-6)


def test_rows_have_classes_or_numbers():
    with pytest.raises(UsageError, match="labels are classes or numbers: leave one out"):
        split(Rows(CODES, np.zeros(300, np.int64), response=CODES[:, 0]))


def test_tables_and_arrays_name_their_target(tmp_path):
    lines = "\n".join(f"{a},{'uv'[a % 2]},{1000 * a + 0.5 if a != 3 else ''}" for a in range(30))
    (tmp_path / "houses.csv").write_text(f"rooms,kind,price\n{lines}\n")
    data = make(composed("dataset=csv", f"dataset.path={tmp_path / 'houses.csv'}", "dataset.target=price"), "dataset")
    assert data.response == "price" and data.shape == (3,) and not data.is_labelled
    known = np.concatenate([part.rows.response for part in data.splits.values()])
    assert np.isnan(known).sum() == 1 and np.nanmax(known) == 29000.5
    np.savez(tmp_path / "a.npz", x=CODES, target=CODES[:, :1])
    np.save(tmp_path / "x.npy", CODES)
    np.save(tmp_path / "price.npy", CODES[:, 0])
    files = ["dataset=npy", f"dataset.path={tmp_path / 'x.npy'}", f"dataset.target={tmp_path / 'price.npy'}"]
    for words in (["dataset=npz", f"dataset.path={tmp_path / 'a.npz'}"], files):
        data = make(composed(*words), "dataset")
        assert data.has_response and data.response in ("target", "price") and data.facts.target == ()


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("a,price\n1,2\n3,dear\n", {"target": "price"}, "'dear' (path="),
        ("a,price\n1,\n3,\n", {"target": "price"}, "no value in any row"),
        ("a,price\n1,2\n", {"target": "prise"}, "has no column 'prise'; did you mean 'price'?"),
        ("a,price\n1,2\n", {"target": "price", "label": "price"}, "named also in label"),
    ],
)
def test_a_target_that_is_none_is_told(tmp_path, text, keys, expected):
    from aeexp.datasets.formats.csv import csv

    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError) as error:
        csv.load(str(tmp_path / "t.csv"), **keys)
    assert expected in str(error.value)
