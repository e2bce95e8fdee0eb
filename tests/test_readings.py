"""Quantities that are logged beside the loss and are no term of it."""

from __future__ import annotations

import csv

import pytest
from composing import run_in
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aeexp.models.learner import Learner
from aeexp.regularizers.kl import KL
from aeexp.runs.folder import RunFolder

BUDGET = ["trainer.steps=6", "trainer.log_every_steps=2", "trainer.validate_every_steps=6", "metric=none",
          "dataset.limit=300"]  # fmt: skip
CASES = {
    "kl_weight": ["variant=annealed_vae", "regularizer.kl.warmup_steps=8"],
    "perplexity": ["variant=vq_vae"],
    "codes_used": ["variant=vq_vae", "latent.codebook=gradient"],
}


def history(folder) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


@pytest.mark.parametrize("name", CASES)
def test_a_reading_is_in_the_history_and_in_tensorboard_and_in_no_loss(name, tmp_path, monkeypatch):
    best = run_in(tmp_path / "with", *CASES[name], *BUDGET)
    train, val, *_ = rows = history(tmp_path / "with")
    assert (train["split"], val["split"]) == ("train", "val")
    shown = EventAccumulator(str(RunFolder(tmp_path / "with").find_events("run"))).Reload()
    points = {event.step: event.value for event in shown.Scalars(f"train/{name}")}
    assert list(points) == [2, 4, 6] and points[6] == pytest.approx(float(train[name]), rel=1e-6)
    assert not any(row[name] for row in rows if row["split"] != "train")
    assert f"val/{name}" not in shown.Tags()["scalars"]
    if name == "kl_weight":  # of the step that was taken: step / 8, counted from 0
        assert list(points.values()) == [1 / 8, 3 / 8, 5 / 8]

    monkeypatch.setattr(Learner, "readings", lambda self: {})
    assert run_in(tmp_path / "without", *CASES[name], *BUDGET) == best
    for one, other in zip(rows, history(tmp_path / "without"), strict=True):
        assert {key: value for key, value in one.items() if key in other} == other


def test_a_weight_that_does_not_move_is_no_reading():
    assert KL(4.0).readings() == {}


def test_readings_are_taken_where_a_line_is_logged_and_at_no_other_step(tmp_path, monkeypatch):
    calls, readings = [], Learner.readings
    monkeypatch.setattr(Learner, "readings", lambda self: calls.append(1) or readings(self))
    run_in(tmp_path, *CASES["perplexity"], *BUDGET)
    assert len(calls) == 3
