"""What a run says of itself at its end: still improving, or no better than the mean, with a way out."""

from __future__ import annotations

import logging

import pytest
from composing import run_in

from aeexp.runs.advice import advise
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.closed_form import ClosedForm
from aeexp.trainers.joint import Joint

NAMES = {"pca": "PCA, width 8"}


def progress(steps: int, best: int, split: str = "val", earlier: int = 0) -> Progress:
    past = [{"step": earlier, "split": "layer_1/val"}] if earlier else []
    return Progress(step=steps, best_step=best, history=[*past, *({"step": s, "split": split} for s in (best, steps))])


def numbers(own: float, mean: float = 6.64, pca: float | None = 2.40, train: float | None = None, **test) -> dict:
    key = "reconstruction/mse"
    baseline = {"mean": {key: mean}, **({} if pca is None else {"pca": {key: pca}})}
    return {"test": {key: own, **test}, "baseline": baseline, "baseline_names": NAMES, "train": {key: train or own}}


@pytest.mark.parametrize(
    ("measured", "trained", "expected"),
    [
        (numbers(6.54), progress(120, 100), "0.5 mean 6.64 PCA, width 8 2.4: trained 120 steps: trainer.steps=1000"),
        (numbers(6.9), progress(900, 100), "trained 900 steps: trainer.steps=3600"),
        (numbers(6.54, train=1.0), progress(5000, 100), "learned by heart (1)"),
        (numbers(6.54, **{"latent/kl": 0.02}), progress(5000, 100), "the code tells 0.02 nats: lower the weight"),
        (numbers(6.54, pca=6.5), progress(5000, 100), "PCA does no better: a wider code (latent.dim)"),
        (numbers(6.54, pca=None), progress(5000, 100), "another learning rate (optimizer.lr)"),
    ],
)
def test_a_run_that_hardly_beats_the_mean_says_so_in_one_line_with_a_way_out(measured, trained, expected):
    [line] = advise(measured, Joint(), trained)
    assert line.startswith(f"next to nothing was learned: test error {measured['test']['reconstruction/mse']:.4g}")
    assert "the mean of the training rows 6.64" in line and expected.split("PCA, width 8 2.4: ")[-1] in line
    assert "\n" not in line and len(line) < 220


def test_a_run_that_did_well_or_measured_no_error_says_nothing():
    assert advise(numbers(2.0), Joint(), progress(5000, 4000)) == []
    assert advise({"test": {}, "baseline": {}, "baseline_names": NAMES}, Joint(), progress(100, 50)) == []


def test_the_best_step_that_was_the_last_is_told_with_twice_the_steps():
    assert advise(numbers(2.0), Joint(), progress(600, 600)) == [
        "still improving: the best step was the last one, 600: trainer.steps=1200"
    ]
    single = Progress(step=9, best_step=9, history=[{"step": 9, "split": "val"}])
    assert advise(numbers(2.0), Joint(), single) == [], "a single validation is the best one of necessity"
    assert advise(numbers(2.0), ClosedForm(), progress(1, 1)) == []
    staged = Joint()
    staged.steps_key = "trainer.finetune.steps"
    [line] = advise(numbers(2.0), staged, progress(700, 700, earlier=500))
    assert line.endswith("700: trainer.finetune.steps=400")


def test_the_command_says_both_at_its_end(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        run_in(tmp_path / "run", "trainer.steps=4", "trainer.validate_every_steps=1", "metric=[reconstruction]",
               "plot=none", "optimizer.lr=1e-4")  # fmt: skip
    table, *lines = [record.getMessage() for record in caplog.records][-3:]
    assert "the mean" in table and lines[0] == "still improving: the best step was the last one, 4: trainer.steps=8"
    assert lines[1].startswith("next to nothing was learned: test error ") and lines[1].endswith("trainer.steps=1000")
