"""What is measured on which split, and what stands beside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from measured import as_run, values_of
from torch import nn

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows
from aeexp.datasets.core.split import Split
from aeexp.evaluation.protocol import baselines, describe_baselines, measure
from aeexp.evaluation.run import Run
from aeexp.latents.binary import Binary
from aeexp.latents.deterministic import Deterministic
from aeexp.latents.quantised import VQ
from aeexp.latents.sparse import BatchTopK, TopK
from aeexp.likelihoods.bernoulli import Bernoulli
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.latent import Latent
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.models.pca import identity, pca
from aeexp.noises import Masking
from aeexp.regularizers.code import L1
from aeexp.runs.folder import RunFolder
from aeexp.runs.measuring import measure_run
from aeexp.runs.results import format_table
from aeexp.types import Code

METRICS = {"reconstruction": Reconstruction(), "probe": Probe(rows=300), "latent": Latent(jacobian_rows=32)}


def test_measuring_gives_the_loss_its_terms_and_every_metric(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 5, noises={"m": Masking(0.5)}, regularizers={"l1": L1(0.1)}), digit_data)
    values = measure(run, METRICS, "val")
    assert values["loss"] == pytest.approx(values["loss/reconstruction"] + values["loss/l1"])
    assert values["loss/reconstruction"] == pytest.approx(values["reconstruction/mse"], rel=1e-5)  # variance 1/2
    codes = np.abs(run.codes("val")).sum(1).mean()
    assert values["loss/l1"] == pytest.approx(0.1 * codes, rel=1e-5)
    assert {key.split("/")[0] for key in values} == {"loss", "reconstruction", "probe", "latent"}
    assert measure(run, METRICS, "val") == values  # without noise, and nothing was trained


def test_the_baseline_is_pca_of_the_training_rows_with_the_same_width_and_the_raw_input(build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), 6), digit_data)
    rows = baselines(run, METRICS)
    assert list(rows) == ["pca", "raw", "mean"] and set(rows["pca"]) == set(measure(run, METRICS, "test"))
    best = as_run(pca(digit_data["train"], 6), digit_data)
    assert rows["pca"] == pytest.approx(measure(best, METRICS, "test"), rel=1e-6)
    assert np.array_equal(run.pca().codes("test"), best.codes("test"))
    assert set(rows["raw"]) == {"probe/linear", "probe/knn"}
    assert rows["raw"] == METRICS["probe"](as_run(identity(digit_data.shape), digit_data), "test")
    assert rows["raw"]["probe/linear"] > rows["pca"]["probe/linear"] > 0.5  # ten classes, 64 pixels against 6 numbers


def test_the_baseline_shares_the_models_density_and_keeps_silent_where_it_has_none(build_learner, digit_data):
    metrics = {"reconstruction": Reconstruction()}
    wide = baselines(Run(build_learner((1, 8, 8), 6, likelihood=Gaussian(2.0)), digit_data), metrics)["pca"]
    x = wide["reconstruction/mse"]
    assert wide["reconstruction/nats"] == pytest.approx(x / 4 + 32 * math.log(4 * math.pi), rel=1e-6)
    bits = baselines(Run(build_learner((1, 8, 8), 6, likelihood=Bernoulli()), digit_data), metrics)["pca"]
    assert set(bits) == {f"reconstruction/{name}" for name in ("mse", "psnr", "ssim", "mse_per_feature")}
    assert bits["reconstruction/mse"] == pytest.approx(x, rel=1e-6)


def test_codes_are_those_of_the_whole_split_in_order_and_computed_once(digit_data, monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.run.choose_batch_size", lambda shape: 50)
    run = as_run(identity(digit_data.shape), digit_data)
    codes = run.codes("test")
    assert np.array_equal(codes, values_of(digit_data, "test").reshape(180, 64).astype(np.float32))
    assert run.codes("test") is codes
    assert np.array_equal(run.labels("test"), digit_data["test"].y.numpy())


def test_a_run_sees_the_learner_in_evaluation_mode(build_learner, digit_data):
    learner = build_learner((1, 8, 8), 5, noises={"m": Masking(1.0)}).train()
    assert Run(learner, digit_data).codes("test").std() > 0 and not learner.training


def test_the_probe_reads_the_mean_code_and_not_the_sample(build_learner, digit_data):
    class Shaken(nn.Module):
        dim = params = 4
        range = (-math.inf, math.inf)

        def forward(self, h):
            return Code(z=h + 100 * torch.randn_like(h), mean=h)

    run = Run(build_learner((1, 8, 8), latent=Shaken()), digit_data)
    x = torch.from_numpy(values_of(digit_data, "test")).float()
    assert np.array_equal(run.codes("test"), run.model.encoder(x).detach().numpy())


@pytest.mark.parametrize(
    ("latent", "name"),
    [
        (TopK(64, 4), "PCA, 4 of 64 components a row"),
        (BatchTopK(80, 4), "PCA, 4 of 64 components a row on average"),
        (Binary(dim=24), "PCA in 24 bits"),
        (VQ(32, codes=64, width=8), "PCA in 24 bits"),
        (Deterministic(6), "PCA, width 6"),
    ],
    ids=["topk", "batch_topk", "binary", "vq", "deterministic"],
)
def test_a_code_stands_beside_pca_that_can_say_as_much(latent, name, build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), latent=latent), digit_data)
    pca, mean = (baselines(run, {"r": Reconstruction()})[row]["reconstruction/mse"] for row in ("pca", "mean"))
    assert describe_baselines(run, ["pca", "mean"]) == {"pca": name, "mean": "the mean"}
    assert 0.1 < pca < mean, "not the 0 of as many components as pixels"
    x, y = (values_of(digit_data, split).reshape(-1, 64) for split in ("train", "test"))
    assert mean == pytest.approx(np.square(y - x.mean(0)).sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("latent", [Deterministic(64), Deterministic(100), TopK(64, 64)])
def test_pca_that_makes_no_error_is_no_baseline_and_the_words_say_so(latent, build_learner, digit_data):
    run = Run(build_learner((1, 8, 8), latent=latent), digit_data)
    assert run.pca() is None and "pca" not in baselines(run, METRICS)
    expected = f"none: PCA, width {latent.dim} makes no error on rows of 64 values"
    assert describe_baselines(run, []) == {"pca": expected}
    grid = format_table(table_of(run), RunFolder("outputs/x"))
    assert f"PCA: {expected}" in grid and "the mean" in grid


def test_pca_of_sequences_is_that_of_their_real_steps(build_learner, as_data):
    generator, steps = np.random.default_rng(0), 6
    lengths = generator.integers(2, steps + 1, 90)
    x = 1 + generator.normal(size=(90, 2)) @ generator.normal(size=(2, steps))
    x = (x * (np.arange(steps) < lengths[:, None])).astype(np.float32)[:, :, None]
    data = Data("ends", {name: Split(Rows(x, lengths=lengths)) for name in ("train", "val", "test")}, ())
    run = Run(build_learner((steps, 1), 2), data)
    rows = baselines(run, {"r": Reconstruction()})
    assert run.describe_pca() == "masked PCA, width 2"
    assert rows["pca"]["reconstruction/mse"] < 0.01 * rows["mean"]["reconstruction/mse"]


def table_of(run: Run) -> dict:
    numbers = measure_run(run, {"r": Reconstruction()}, ("val", "test"), losses=True)
    place = {"monitor": "val/loss", "best": 1.0, "best_step": 1, "best_epoch": 1, "data": {"name": "digits"}}
    return {**numbers, **place, "timing": {"fit_seconds": 1.0, "samples_per_second": 1.0, "total_seconds": 1.0}}
