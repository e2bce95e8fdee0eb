"""The run folder: what a user, TensorBoard and the next command read."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from composing import composed, run_in
from omegaconf import OmegaConf

import aeexp
from aeexp.errors import UsageError
from aeexp.runs.config import check
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import run_id
from aeexp.runs.status import Taken

BUDGET = ["trainer.epochs=3", "noise=masking", "regularizer=l1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One complete run with figures."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("run")
    run_in(path, *BUDGET, "plot=default", "save_codes=true")
    return path


@pytest.fixture(scope="module")
def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_the_folder_is_complete(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    names = ("reconstructions", "samples", "scatter", "interpolation", "traversals", "filters_encoder",
             "filters_decoder", "curves")  # fmt: skip
    figures = {f"figures/{name}.png" for name in names}
    wanted = {"status.json", "history.csv", "metrics.json", "codes.npz", "checkpoints/best.pt", "checkpoints/last.pt"}
    assert wanted | figures <= files
    assert any(name.startswith("tensorboard/undercomplete/events") for name in files)
    assert not [name for name in files if name.endswith(".tmp")]


def test_status_says_finished_with_versions_and_identity(folder):
    status = json.loads((folder / "status.json").read_text())
    assert status["status"] == "finished" and status["exit_code"] == 0
    assert status["step"] == 36
    assert {"python", "torch", "numpy"} <= status["versions"].keys()
    assert status["run_id"] == torch.load(folder / "checkpoints/best.pt", weights_only=True)["run_id"]


def test_metrics_have_the_contract_s_keys_and_a_baseline_with_the_same(metrics):
    assert metrics["monitor"] == "val/loss"
    assert metrics["best"] == pytest.approx(metrics["val"]["loss"], rel=1e-6)
    keys = {"loss", "loss/reconstruction", "loss/l1", "reconstruction/mse", "reconstruction/psnr",
            "reconstruction/nats", "probe/linear", "probe/knn", "latent/effective_rank"}  # fmt: skip
    assert keys <= metrics["test"].keys() == metrics["val"].keys()
    assert metrics["baseline"]["pca"].keys() == metrics["test"].keys() - {"loss/l1"}
    assert set(metrics["baseline"]["raw"]) == {"probe/linear", "probe/knn"}
    assert metrics["data"]["rows"] == {"train": 1437, "val": 180, "test": 180}
    assert metrics["data"]["limits"] == [0.0, 1.0]
    assert metrics["timing"]["total_seconds"] >= metrics["timing"]["fit_seconds"] > 0


def test_timing_says_where_the_seconds_went_and_counts_none_twice(metrics):
    timing = metrics["timing"]
    stages = timing["stages"]
    assert {
        "data",
        "build",
        "fit",
        "files",
        "tensorboard",
        "baselines",
        "metric/probe",
        "plot/scatter",
    } <= stages.keys()
    assert {f"plot/{name}" for name in ("reconstructions", "scatter", "samples", "curves")} <= stages.keys()
    assert min(stages.values()) >= 0 and 0 < sum(stages.values()) <= timing["total_seconds"]


def test_the_loss_is_the_sum_of_its_terms(metrics):
    for split in ("val", "test", "train"):
        parts = [value for key, value in metrics[split].items() if key.startswith("loss/")]
        assert metrics[split]["loss"] == pytest.approx(sum(parts), rel=1e-6)
        # likelihood=gaussian at variance 0.5: the reconstruction term is the squared error
        assert metrics[split]["loss/reconstruction"] == pytest.approx(metrics[split]["reconstruction/mse"], rel=1e-5)


def test_history_has_one_row_an_evaluation(folder, metrics):
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows[:6]] == ["12", "12", "24", "24", "36", "36"]
    assert [row["split"] for row in rows[:6]] == ["train", "val"] * 3
    assert [row["split"] for row in rows[6:]] == ["val", "test"]
    assert float(rows[-1]["reconstruction/mse"]) == pytest.approx(metrics["test"]["reconstruction/mse"])
    best = min(float(row["loss"]) for row in rows if row["split"] == "val")
    assert best == pytest.approx(metrics["best"])


def test_the_training_rows_are_measured_at_the_best_state_as_the_others_are(folder, metrics, digit_data):
    x = digit_data["train"].batch(slice(0, None)).x
    with torch.no_grad():
        error = float((aeexp.load(folder).reconstruct(x) - x).square().flatten(1).sum(1).mean())
    assert metrics["train"]["reconstruction/mse"] == pytest.approx(error, rel=1e-5)
    heads = {key.split("/")[0] for key in metrics["train"]}
    assert heads == {"loss", "reconstruction"}, "no probe is scored on the rows that it learnt from"
    gap = metrics["test"]["reconstruction/mse"] - error
    assert metrics["test"]["generalisation/gap_mse"] == pytest.approx(gap, abs=2e-5 * error)


def test_load_gives_the_trained_model_back(folder, metrics, digit_data):
    model = aeexp.load(folder)
    test = digit_data["test"].batch(slice(0, None))
    with torch.no_grad():
        error = (model.reconstruct(test.x) - test.x).square().flatten(1).sum(1).mean()
        codes = model.encode(test.x).mean
        assert torch.equal(model.decode(codes), model.reconstruct(test.x))
    assert float(error) == pytest.approx(metrics["test"]["reconstruction/mse"], rel=1e-5)
    assert not model.training
    with np.load(folder / "codes.npz") as saved:
        np.testing.assert_allclose(saved["codes"], codes.numpy(), atol=1e-5)
        assert (saved["labels"] == test.y.numpy()).all()
        assert (saved["ids"] == digit_data["test"].ids).all()


def test_samples_follow_the_codes_of_the_training_split(folder, digit_data):
    model = aeexp.load(folder)
    with torch.no_grad():
        codes = model.encode(digit_data["train"].batch(slice(0, None)).x).mean
    torch.testing.assert_close(model.code_mean, codes.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.code_scale @ model.code_scale.T, torch.cov(codes.T), rtol=1e-3, atol=1e-5)
    assert model.sample(5).shape == (5, 1, 8, 8)


def test_a_best_state_that_is_lost_is_told_with_the_way_to_the_last_one(folder, tmp_path):
    with pytest.raises(UsageError, match="no such checkpoint"):
        aeexp.load(tmp_path / "nowhere")
    shutil.copytree(folder / "checkpoints", tmp_path / "run/checkpoints")
    best, last = (tmp_path / f"run/checkpoints/{name}.pt" for name in ("best", "last"))
    for harm in (lambda: best.write_bytes(best.read_bytes()[:-50]), best.unlink):
        harm()
        with pytest.raises(UsageError) as error:
            aeexp.load(tmp_path / "run")
        first, way = str(error.value).splitlines()
        assert first.startswith(f"{best}") and f"aeexp.load('{tmp_path / 'run'}', checkpoint='last')" in way
    state = torch.load(last, weights_only=True)["learner"]
    model = aeexp.load(tmp_path / "run", checkpoint="last")
    assert all(torch.equal(value, state[f"model.{name}"]) for name, value in model.state_dict().items())


def test_a_try_that_left_nothing_whole_is_begun_anew(tmp_path, caplog):
    run_in(tmp_path / "whole", *BUDGET)
    shutil.copytree(tmp_path / "whole/checkpoints", tmp_path / "cut/checkpoints")
    for name in ("best.pt", "last.pt"):
        path = tmp_path / "cut/checkpoints" / name
        path.write_bytes(path.read_bytes()[:1000])
    status = json.loads((tmp_path / "whole/status.json").read_text()) | {"status": "interrupted"}
    (tmp_path / "cut/status.json").write_text(json.dumps(status))
    run_in(tmp_path / "cut", *BUDGET)
    assert "begins anew" in caplog.text
    one, two = (torch.load(tmp_path / name / "checkpoints/best.pt", weights_only=True) for name in ("whole", "cut"))
    assert all(torch.equal(one["learner"][key], two["learner"][key]) for key in one["learner"])


@pytest.mark.parametrize(("words", "seconds"), [
    ([], 10.0), (["trainer.checkpoint_seconds=0.5"], 0.5),
    (["variant=stacked_denoising", "trainer.finetune.checkpoint_seconds=7"], 7.0), (["variant=pca"], 10.0),
])  # fmt: skip
def test_how_often_a_state_is_written_is_a_key(words, seconds, tmp_path, monkeypatch):
    from aeexp.trainers.checkpoint import Store

    seen = []

    def save(self, state, *, now=False):
        seen.append(self.every_seconds)
        raise MemoryError("that will do")

    monkeypatch.setattr(Store, "save", save)
    with pytest.raises(MemoryError):
        run_in(tmp_path, "dataset.limit=100", *words)
    assert seen == [seconds]


def test_a_negative_interval_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^trainer\.checkpoint_seconds=-1\.0 should be"):
        run_in(tmp_path, "trainer.checkpoint_seconds=-1.0")


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    """Cut off in its second epoch, after which the same command with resume= goes on."""
    from aeexp.trainers import joint

    whole, cut, rest = tmp_path / "whole", tmp_path / "cut", tmp_path / "rest"
    run_in(whole, *BUDGET)
    step, seen = joint.take_step, []

    def dies_at_step_17(*arguments):
        seen.append(1)
        if len(seen) == 17:
            raise MemoryError("killed")
        return step(*arguments)

    monkeypatch.setattr("aeexp.trainers.checkpoint.Store.save.__kwdefaults__", {"now": True})
    monkeypatch.setattr(joint, "take_step", dies_at_step_17)
    with pytest.raises(MemoryError):
        run_in(cut, *BUDGET)
    monkeypatch.setattr(joint, "take_step", step)
    run_in(rest, *BUDGET, f"resume={cut}")
    one, two = (torch.load(path / "checkpoints/best.pt", weights_only=True) for path in (whole, rest))
    assert all(torch.equal(one["learner"][key], two["learner"][key]) for key in one["learner"])
    assert (whole / "history.csv").read_text() == (rest / "history.csv").read_text()
    with pytest.raises(UsageError, match="another configuration"):
        run_in(tmp_path / "other", *BUDGET, "seed=1", f"resume={cut}")


def test_a_run_s_identity_is_its_whole_configuration():
    def identity(*overrides):
        cfg = composed(*overrides)
        check(cfg)
        return run_id(OmegaConf.to_container(cfg))

    same = identity("latent.dim=3")
    assert same == identity("latent.dim=3", "resume=elsewhere")
    others = [identity("latent.dim=3", extra) for extra in ("seed=1", "noise=masking", "dataset.split.seed=1")]
    assert len({same, *others}) == 4


def test_a_figure_that_fails_takes_no_number_along_and_is_all_that_is_made_up_for(tmp_path, monkeypatch, caplog):
    from aeexp.plots.samples import Samples
    from aeexp.trainers import joint

    def broken(self, run):
        raise ZeroDivisionError("no such luck")

    words = ["trainer.epochs=1", "plot=[samples,curves,filters]"]
    drawn = Samples.__call__
    monkeypatch.setattr(Samples, "__call__", broken)
    with pytest.raises(Undrawn, match=r"^plot=samples failed: ZeroDivisionError: no such luck\n.*draws again$"):
        run_in(tmp_path, *words)
    assert "Traceback" in caplog.text
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert (tmp_path / "figures/filters_encoder.png").is_file(), "the other figures are drawn"
    assert json.loads((tmp_path / "status.json").read_text())["status"] != "finished"
    weights = aeexp.load(tmp_path).state_dict()
    numbers["evaluations"] = [{"metric": "what aeexp-evaluate added meanwhile"}]
    (tmp_path / "metrics.json").write_text(json.dumps(numbers))

    monkeypatch.setattr(Samples, "__call__", drawn)
    monkeypatch.setattr(joint, "take_step", broken)  # nothing is trained again
    run_in(tmp_path, *words)
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert {**again, "timing": None} == {**numbers, "timing": None}
    assert all(torch.equal(value, weights[key]) for key, value in aeexp.load(tmp_path).state_dict().items())
    assert (tmp_path / "figures/samples.png").is_file()
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "finished"


def test_numbers_of_a_run_that_was_taken_over_while_it_was_measured_are_not_written(tmp_path, monkeypatch):
    from aeexp.runs import run

    held, measure = tmp_path / "checkpoints" / ".held", run.evaluate

    def evaluate(*given):
        held.write_text(json.dumps({"machine": "another", "host": "there", "pid": 1, "token": "theirs"}))
        return measure(*given)

    monkeypatch.setattr(run, "evaluate", evaluate)
    with pytest.raises(Taken, match="was taken over by another process"):
        run_in(tmp_path, "trainer.epochs=1", "metric=none")
    assert not (tmp_path / "metrics.json").exists() and held.is_file()


def test_unlabelled_data_leaves_probes_out_and_draws_all_the_same(tmp_path, caplog):
    rows = np.random.default_rng(0).random((60, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    caplog.set_level("INFO")
    run_in(tmp_path / "run", "dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", "trainer.epochs=2", "plot=default")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert not [key for key in metrics["test"] if key.startswith("probe/")]
    assert caplog.text.count("probes and colours are left out") == 1
    assert (tmp_path / "run/figures/scatter.png").stat().st_size > 1000


def test_pca_variant_equals_its_baseline(tmp_path):
    run_in(tmp_path, "variant=pca")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    # the same closed form twice
    assert metrics["test"]["reconstruction/mse"] == pytest.approx(metrics["baseline"]["pca"]["reconstruction/mse"])


def test_bernoulli_has_no_nats_beside_pca(tmp_path):
    run_in(tmp_path, "likelihood=bernoulli", "trainer.epochs=1")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "reconstruction/cross_entropy" in metrics["test"]  # on grey pixels it is no likelihood
    words = ("reconstruction/nats", "reconstruction/cross", "reconstruction/bits", "loss")
    assert not [key for key in metrics["baseline"]["pca"] if key.startswith(words)]
    assert "reconstruction/mse" in metrics["baseline"]["pca"]


def test_pictures_taller_than_wide_get_square_sprites(tmp_path):
    rows = np.random.default_rng(0).random((60, 11, 7)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    words = ["dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", "trainer.epochs=1", "plot=interpolation"]
    run_in(tmp_path / "run", *words)
    assert (tmp_path / "run/metrics.json").exists()


@pytest.mark.parametrize("rows", [3, 5])
def test_a_handful_of_rows_runs_to_the_end_with_all_metrics_and_figures(rows, tmp_path):
    np.savez(tmp_path / "few.npz", x=np.random.default_rng(0).random((rows, 4)), y=np.arange(rows) % 2)
    run_in(tmp_path / "run", "dataset=npz", f"dataset.path={tmp_path / 'few.npz'}", "plot=default", "trainer.epochs=2")
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    path, words = tmp_path / "rows.npz", ["dataset=npz", f"dataset.path={tmp_path / 'rows.npz'}", "trainer.epochs=1"]
    for seed in (0, 1):
        np.savez(path, x=np.random.default_rng(seed).random((60, 6)))
        if seed == 0:
            run_in(tmp_path / "run", *words)
    (tmp_path / "run" / "metrics.json").unlink()  # as if it had been cut off
    with pytest.raises(UsageError, match="the data has changed since"):
        run_in(tmp_path / "run", *words)


def test_the_summary_tells_minus_log_p_and_its_codes_where_it_was_measured(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.feature_net.STEPS", 20)
    caplog.set_level("INFO")
    words = ["variant=vae", "metric=generation", "metric.generation.samples=7", "metric.frechet.rows=20"]
    run_in(tmp_path / "grey", *words, "trainer.epochs=1")
    assert "no -log p: cross_entropy_bound (7 codes), nats" in caplog.text
    caplog.clear()
    run_in(tmp_path / "bits", *words, "trainer.epochs=1", "dataset.binarise=fixed")
    assert "-log p: nll_fixed (7 codes), nats" in caplog.text
    test = json.loads((tmp_path / "bits" / "metrics.json").read_text())["test"]
    assert test["generation/elbo_fixed"] <= -test["generation/nll_fixed"]
    assert any(key.startswith("generation/frechet_prior_n20_v1-") for key in test)
