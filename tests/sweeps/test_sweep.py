"""A multirun as a whole: cross-validation, repeated runs in one row, what is finished is not run again."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from commands import QUICK, aeexp
from composing import run_in
from omegaconf import OmegaConf
from reported import job
from scipy.stats import t

from aeexp.sweeps.callbacks import Summary, tabulate


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Five runs of one command, and what the command said."""
    where = tmp_path_factory.mktemp("folds")
    words = ["-m", "dataset/split=kfold", "dataset.split.fold=range(5)", "hydra.sweep.dir=cv", "save_codes=true",
             "trainer.epochs=1", "threads=1", "plot=none"]  # fmt: skip
    return where / "cv", aeexp(*words, cwd=where), words


def test_a_cross_validation_tests_every_row_once_in_disjoint_folds(folds):
    root, done, _ = folds
    assert done.returncode == 0, done.stderr
    tested = [np.load(root / str(fold) / "codes.npz")["ids"] for fold in range(5)]
    assert [len(ids) for ids in tested] == [360, 360, 359, 359, 359]
    assert sorted(np.concatenate(tested)) == list(range(1797))
    runs = [json.loads((root / str(fold) / "metrics.json").read_text()) for fold in range(5)]
    assert len({run["data"]["fingerprint"] for run in runs}) == 5
    for run in runs:
        assert sum(run["data"]["rows"].values()) == 1797


def test_five_folds_are_one_row_with_mean_and_interval(folds):
    root, done, _ = folds
    lines = [line for line in done.stdout.splitlines() if line.startswith("│ 5 ")]
    assert len(lines) == 1 and "over folds: their training rows overlap" in done.stdout
    runs = [json.loads((root / str(fold) / "metrics.json").read_text())["test"] for fold in range(5)]
    for key in ("loss", "probe/linear"):
        values = np.array([run[key] for run in runs])
        half = t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
        assert f" {values.mean():.4g} ± {half:.2g} " in lines[0]


def test_a_sweep_that_is_started_again_skips_what_is_finished_and_makes_up_for_what_is_not(folds):
    root, _, words = folds
    kept = {fold: (root / str(fold) / "metrics.json").read_text() for fold in range(5)}
    (root / "3" / "metrics.json").unlink()
    status = json.loads((root / "3" / "status.json").read_text())
    (root / "3" / "status.json").write_text(json.dumps({**status, "status": "interrupted"}))
    again = aeexp(*words, cwd=root.parent)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished already") == 4 and "5 of 5 runs finished" in again.stdout
    for fold, before in kept.items():
        after = json.loads((root / str(fold) / "metrics.json").read_text())
        assert after["test"] == json.loads(before)["test"]
        assert json.loads((root / str(fold) / "status.json").read_text())["status"] == "finished"


def test_a_finished_folder_is_not_overwritten_by_another_configuration(tmp_path):
    run_in(tmp_path / "one", *QUICK)
    before = {name: (tmp_path / "one" / name).read_bytes() for name in ("status.json", "metrics.json", "history.csv")}
    done = aeexp(*QUICK, "hydra.run.dir=one", "latent.dim=3", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"one holds a finished run of another configuration.*hydra.run.dir", done.stdout + done.stderr)
    assert before == {name: (tmp_path / "one" / name).read_bytes() for name in before}


def rows(text: str) -> list[list[str]]:
    """The cells of a table, its head first."""
    return [
        [cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines() if line[:1] in ("│", "┃")
    ]


def test_a_row_is_the_runs_that_differ_in_seed_or_fold_alone(tmp_path):
    for dim in (2, 4):
        for seed in (0, 1):
            job(tmp_path / f"{dim}{seed}", "a=1", f"latent.dim={dim}", f"seed={seed}", loss=float(seed + dim), x=1)
    job(tmp_path / "99", "a=1", "latent.dim=8", loss=1.25)
    text = tabulate(tmp_path)
    assert "a=1" in text.splitlines()[0]  # what all share is said once
    assert rows(text) == [
        ["latent.dim", "runs", "loss"],
        ["2", "2", "2.5 ± 6.4"],  # t(0.975, 1 degree) = 12.7, times 0.7071 / sqrt 2
        ["4", "2", "4.5 ± 6.4"],
        ["8", "1", "1.25 *"],
    ]


def test_details_are_no_columns_and_a_number_that_a_run_lacks_says_of_how_many_it_is(tmp_path):
    more = {"generation__nll_fixed": 90.0, "generation__nll_fixed_se": 1.0, "generation__nll_fixed_k": 5,
            "latent__kl": 3.0, "generation__nll_given_label_se": 1.0}  # fmt: skip
    for i, value in enumerate((0.5, None)):
        job(tmp_path / str(i), f"seed={i}", loss=1.0, probe__linear=value, **more)
    assert rows(tabulate(tmp_path)) == [
        ["", "", "probe/", "generation/"],
        ["runs", "loss", "linear", "nll_fixed"],
        ["2", "1 ± 0", "0.5 (of 1)", "90 ± 0"],
    ]


def test_swept_protocols_are_a_table_without_a_verdict(tmp_path):
    for i, name in enumerate(("none", "fixed")):
        job(tmp_path / str(i), f"dataset.binarise={name}", data={"fingerprint": name}, loss=float(i))
    text = tabulate(tmp_path)
    assert [row[0] for row in rows(text)] == ["dataset.binarise", "none", "fixed"]
    assert "*" not in text and "Nothing is ranked: unlike protocols: dataset.binarise=none" in text


def test_no_finished_run_is_no_tabulate(tmp_path):
    assert tabulate(tmp_path) == ""
    job(tmp_path / "0", status="failed", message="broke")
    assert tabulate(tmp_path) == ""


@pytest.mark.parametrize("message", [None, "", "no memory was left"])
def test_the_summary_has_a_word_on_each_job_that_did_not_finish(message, tmp_path, caplog):
    caplog.set_level("INFO")
    place = tmp_path / "0"
    (place / "checkpoints").mkdir(parents=True)
    (place / "status.json").write_text(json.dumps({"status": "interrupted", "message": message, "exit_code": 130}))
    with pytest.raises(SystemExit, match="130"):
        Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert f"0 interrupted: {message or 'the same command goes on with it'}" in caplog.text
