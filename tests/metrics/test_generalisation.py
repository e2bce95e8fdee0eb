"""The gap between rows that training saw and new ones: none on equal rows, exact on a model that knows one mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import baselines, measure
from aeexp.evaluation.run import Run
from aeexp.metrics.generalisation import Generalisation
from aeexp.metrics.latent import Latent
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.noises import Gaussian

METRICS = {"reconstruction": Reconstruction(), "generalisation": Generalisation(), "probe": Probe(), "latent": Latent()}


def pictures(rows: int, seed: int, level: float = 1.0) -> np.ndarray:
    return level * np.random.default_rng(seed).random((rows, 1, 8, 8), np.float32)


def test_equal_splits_have_no_gap(build_learner, as_data):
    run = Run(build_learner((1, 8, 8), 3), as_data(pictures(50, 0)))
    values = Generalisation()(run, "test")
    assert values.pop("generalisation/ratio_mse") == 1
    assert set(values) == {f"generalisation/gap_{k.split('/')[1]}" for k in Reconstruction()(run, "test")}
    assert set(values.values()) == {0.0}


def test_the_gap_is_test_minus_train_in_the_unit_of_each_number(build_learner, as_data):
    run = Run(build_learner((1, 8, 8), 3), as_data(pictures(50, 0), pictures(30, 1), pictures(40, 2, 3.0)))
    for parameter in run.model.parameters():
        torch.nn.init.zeros_(parameter)
    # the output is 0 for all: the error is the sum of squares
    squares = {name: (x**2).sum() / len(x) for name, x in (("train", pictures(50, 0)), ("test", pictures(40, 2, 3.0)))}
    values = Generalisation()(run, "test")
    # float32: sums of 64 squares over some 50 rows
    assert values["generalisation/gap_mse"] == pytest.approx(squares["test"] - squares["train"], rel=1e-5)
    assert values["generalisation/ratio_mse"] == pytest.approx(squares["test"] / squares["train"], rel=1e-5)
    assert values["generalisation/gap_psnr"] < 0 < values["generalisation/gap_nats"]
    assert abs(Generalisation()(run, "val")["generalisation/gap_mse"]) < 0.1 * squares["train"]


def test_the_training_rows_are_measured_without_noise_and_by_marked_metrics_alone(build_learner, as_data):
    data = as_data(pictures(50, 0))
    run = Run(build_learner((1, 8, 8), 3, noises={"g": Gaussian(5.0)}), data)
    values = measure(run, METRICS, "train")
    assert {key.split("/")[0] for key in values} == {"loss", "reconstruction"}
    test = measure(run, METRICS, "test")
    assert values == {key: test[key] for key in values}  # the rows are the same


def test_pca_has_a_gap_of_its_own(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 6), digit_data)
    row = baselines(run, METRICS)["pca"]
    train = measure(run.pca(), METRICS, "train")["reconstruction/mse"]
    assert row["generalisation/gap_mse"] == pytest.approx(row["reconstruction/mse"] - train)
    assert row["generalisation/ratio_mse"] > 1  # it minimises the training error


def test_of_rows_beyond_memory_a_sample_is_measured(build_learner, as_data, monkeypatch):
    run = Run(build_learner((1, 8, 8), 3), as_data(pictures(50, 0)))
    part = Split(Rows(pictures(7, 5)))
    monkeypatch.setattr(run.data, "_samples", {"train": part, "test": part})
    few = Run(run.learner, Data("few", dict.fromkeys(("train", "val", "test"), part)))
    for key in ("loss", "reconstruction/mse", "reconstruction/nats"):  # psnr knows the limits of all splits
        assert measure(run, METRICS, "train")[key] == measure(few, METRICS, "train")[key]
    assert len(run.all_rows("test")) == 50, "the test split is measured as a whole"


def test_where_the_test_split_holds_anomalies_there_is_no_gap_to_speak_of(build_learner, as_data):
    data = as_data(pictures(50, 0), y=np.arange(50) % 2, classes=("a", "b"))
    data.normal = (0,)
    assert Generalisation()(Run(build_learner((1, 8, 8), 3), data), "test") == {}
