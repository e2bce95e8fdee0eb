"""A loss that is no number ends the run in words, and leaves a state to go on from."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from training import ADAM, SGD

from aeexp import schedulers
from aeexp.trainers.checkpoint import load
from aeexp.trainers.joint import Joint
from aeexp.trainers.window import Diverged


def poisoned_after(step, learner, bad):
    """A `stop` that never stops, and ruins one weight after that step."""
    count = itertools.count(1)

    def poison() -> bool:
        if next(count) == step:
            with torch.no_grad():
                learner.model.decoder.layers[0].weight[0, 0] = bad
        return False

    return poison


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("step", range(1, 13))
def test_divergence_names_the_first_step_whose_loss_is_not_finite(step, bad, run, build_learner):
    learner = build_learner((6,), 4)
    trainer = Joint(steps=14, batch_size=8, validate_every_steps=6, log_every_steps=4)
    with pytest.raises(Diverged, match=f"^the loss became (nan|inf) at step {step + 1}$"):
        run("run", trainer, SGD, learner=learner, stop=poisoned_after(step, learner, bad))


@pytest.mark.parametrize("step", range(1, 15))
def test_a_step_that_ruins_the_weights_is_not_saved(step, run, build_learner, tmp_path):
    """The loss of that step is finite still: it was taken before the weights moved."""
    trainer = Joint(steps=14, batch_size=8, validate_every_steps=6, log_every_steps=4)

    def ruinous(parameters):
        optimizer, count = SGD(parameters), itertools.count(1)

        def ruin(*_):
            if next(count) == step:
                with torch.no_grad():
                    optimizer.param_groups[0]["params"][0][0, 0] = math.nan

        optimizer.register_step_post_hook(ruin)
        return optimizer

    validated = step % 6 == 0 or step == 14
    word = (
        f"^the validation loss became nan at step {step}$" if validated else f"^the loss became nan at step {step + 1}$"
    )
    with pytest.raises(Diverged, match=word):
        run("run", trainer, ruinous, learner=build_learner((6,), 4), every_seconds=0.0)
    saved = load(tmp_path / "run" / "last.pt")
    assert all(tensor.isfinite().all() for tensor in saved["learner"].values())
    assert saved["progress"]["step"] == max(s for s in (0, 4, 6, 8, 12) if s < step)


@pytest.mark.parametrize("optimizer", [SGD.func, ADAM.func])
def test_a_rate_that_is_far_too_high_diverges_and_leaves_a_file_to_go_on_from(optimizer, run, tmp_path):
    trainer = Joint(steps=200, batch_size=8, log_every_steps=1)
    with pytest.raises(Diverged, match=r"^the (validation )?loss became (nan|inf) at step \d+$"):
        run("run", trainer, functools.partial(optimizer, lr=1e20), schedulers.constant, every_seconds=0.0)
    saved = load(tmp_path / "run" / "last.pt")
    assert all(tensor.isfinite().all() for tensor in saved["learner"].values())
    with pytest.raises(Diverged):  # goes on from there, to the same end
        run("run", trainer, functools.partial(optimizer, lr=1e20), schedulers.constant, every_seconds=0.0)
