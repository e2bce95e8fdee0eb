"""Runs of several stages: counted through, taken up bit for bit in any of them, and measured as a whole."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from composing import run_in
from interrupted import files_of, same, stops_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import FINE, LAYERS, layerwise

import aeexp
from aeexp import files
from aeexp.runs.folder import RunFolder
from aeexp.runs.tracking import Tracker
from aeexp.trainers.checkpoint import load
from aeexp.trainers.joint import Joint


def test_steps_run_on_through_the_stages_and_rows_name_them(run_layers):
    result = run_layers()
    rows = result.progress.history
    assert list(dict.fromkeys(row["split"] for row in rows)) == [
        *(f"layer_{k}/{split}" for k in (1, 2, 3) for split in ("train", "val")), "train", "val",
    ]  # fmt: skip
    steps = [row["step"] for row in rows if row["split"].endswith("val")]
    assert steps == [4, 8, 12, 16, 20, 24, 27, 30, 32]  # 4 steps an epoch; then every 3rd step of fine-tuning
    assert result.progress.step == 32 == result.track.total
    assert 24 < result.progress.best_step <= 32 and 1 <= result.progress.best_epoch <= 2
    assert result.progress.samples == 26 * 8
    best = min((row for row in rows if row["split"] == "val"), key=lambda row: row["loss"])
    assert (result.progress.best, result.progress.best_step) == (best["loss"], best["step"])


def test_tensorboard_keeps_the_stages_apart(run_layers, tmp_path):
    track = Tracker(RunFolder(tmp_path), {}, bar=False, on_step=lambda step: None)
    run_layers(track=track)
    track.close(True)
    shown = EventAccumulator(str(RunFolder(tmp_path).find_events("run"))).Reload()
    points = {tag: [e.step for e in shown.Scalars(tag)] for tag in shown.Tags()["scalars"] if tag.endswith("loss")}
    assert points["layer_1/val/loss"] == [4, 8] and points["layer_2/val/loss"] == [12, 16, 20]
    assert points["val/loss"] == [27, 30, 32] and min(points["train/loss"]) > 24


def test_a_run_stopped_in_any_stage_and_taken_up_again_ends_with_the_same_bits(run_layers, deep):
    whole = run_layers("whole")
    for step in (1, 3, 8, 9, 13, 20, 21, 24, 25, 29, 31, 32):  # layers end after 8, 20 and 24
        with pytest.raises(KeyboardInterrupt):
            run_layers(f"stopped-{step}", stop=stops_after(step))
        again = run_layers(f"stopped-{step}", learner=deep(seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert again.progress.history == whole.progress.history
        assert same(_files(again.folder), _files(whole.folder))


@pytest.mark.parametrize(("every_seconds", "finetune"), [
    pytest.param(0.0, Joint(**FINE), marks=pytest.mark.slow), (math.inf, Joint(**FINE)),
    pytest.param(0.0, None, marks=pytest.mark.slow),
])  # fmt: skip
def test_a_run_killed_at_any_word_to_the_tracker_ends_with_the_same_bits(
    every_seconds, finetune, run_layers, deep, quiet, killed
):
    trainer = layerwise(**{**LAYERS, "finetune": finetune})
    whole = run_layers("whole", trainer)
    for word in range(1, whole.track.words + 1, 1 if finetune is None else 2):
        with pytest.raises(killed):
            run_layers(f"{word}", trainer, track=quiet(dies=word), every_seconds=every_seconds)
        again = run_layers(f"{word}", trainer, learner=deep(seed=99))
        assert same(again.learner.state_dict(), whole.learner.state_dict())
        assert same(_files(again.folder), _files(whole.folder))


def test_a_run_killed_between_two_files_ends_with_the_same_bits(run_layers, deep, monkeypatch, killed):
    whole, write = run_layers("whole"), files.write
    for last in range(2, 40, 5):
        count = itertools.count(1)

        def cut(path, content, last=last, count=count):
            if next(count) == last:
                raise killed
            write(path, content)

        monkeypatch.setattr(files, "write", cut)
        try:
            run_layers(f"{last}", every_seconds=0.0)
        except killed:
            monkeypatch.setattr(files, "write", write)
            again = run_layers(f"{last}", learner=deep(seed=99))
            assert same(again.learner.state_dict(), whole.learner.state_dict())
            assert same(_files(again.folder), _files(whole.folder))
    monkeypatch.setattr(files, "write", write)


@pytest.mark.parametrize("step", [4, 9, 20])
@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_a_run_goes_on_from_the_state_that_is_left_with_the_same_bits(name, step, run_layers, deep):
    whole = run_layers("whole", learner=deep())
    with pytest.raises(KeyboardInterrupt):
        run_layers("cut", learner=deep(), stop=stops_after(step))
    lost = whole.folder.parent / "cut" / name
    lost.write_bytes(lost.read_bytes()[:-1])
    again = run_layers("cut", learner=deep())
    assert same(again.learner.state_dict(), whole.learner.state_dict())
    assert same(_files(again.folder), _files(whole.folder))


def _files(folder) -> dict:
    content = files_of(folder)
    for saved in content.values():
        del saved["stage"]["past"]["seconds"]
    return content


def test_the_best_state_of_fine_tuning_is_kept_and_loaded(tmp_path):
    words = ["variant=stacked_denoising", "model.hidden_dims=[32,16]", "latent.dim=8", "trainer.pretrain_epochs=2",
             "trainer.finetune.epochs=2", "plot=curves"]  # fmt: skip
    run_in(tmp_path, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    saved = load(tmp_path / "checkpoints" / "best.pt")
    assert metrics["monitor"] == "val/loss" and metrics["best_step"] == 72 + saved["progress"]["best_step"]
    weights = aeexp.load(tmp_path).encoder.layers[1].weight
    assert torch.equal(weights, saved["learner"]["model.encoder.layers.1.weight"])
    assert {p.stem for p in (tmp_path / "figures").glob("*.png")} == {"curves", "curves_layers"}


def test_pre_trained_only(tmp_path):
    words = ["variant=stacked", "model.hidden_dims=[32,16]", "latent.dim=8", "trainer.pretrain_epochs=1"]
    best = run_in(tmp_path, *words, "trainer.finetune=null")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["best"] == best == pytest.approx(metrics["val"]["loss"], rel=1e-6)
    assert metrics["best_step"] == 36 and metrics["monitor"] == "val/loss"


def test_a_classifier_on_top_learns_from_labels_in_fine_tuning_alone(tmp_path):
    words = ["variant=stacked_denoising", "regularizer=classifier", "objective.reconstruction_weight=0",
             "metric=classification", "trainer.pretrain_epochs=3", "trainer.finetune.epochs=8"]  # fmt: skip
    run_in(tmp_path, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    # a linear probe of the pixels reads 96 % of these digits: a trained network is not far below
    assert metrics["test"]["classification/accuracy"] > 0.85
