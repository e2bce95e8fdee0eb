"""Precision, layout and compilation change how a step is computed, and nothing that it means."""

from __future__ import annotations

import pytest
import torch
from composing import composed, run_in
from training import SGD

from aeexp.errors import UsageError
from aeexp.models.learner import average
from aeexp.reference.options import list_groups, read_option
from aeexp.runs.build import build_seeded
from aeexp.runs.config import make
from aeexp.trainers.arithmetic import Arithmetic, describe_gain, use_precision
from aeexp.trainers.joint import Joint
from aeexp.trainers.step import take_step

CPU = torch.device("cpu")
HALF_UNIT = 2.0**-9  # of bfloat16, which has 8 bits of mantissa, the first one hidden


def built(*words):
    cfg = composed("dataset.limit=60", *words)
    data = make(cfg, "dataset").place(CPU)
    return build_seeded(cfg, data), data


def unused() -> None:
    raise AssertionError("only what is compiled needs an example")


@pytest.mark.parametrize("option", [name for name in list_groups()["model"] if name != "yours"])
def test_any_model_takes_a_step_in_bfloat16_whose_terms_are_float32(option):
    words = [*read_option("model", option).requires, f"model={option}"]
    learner, data = built(*words)
    batch = next(iter(data["train"].epoch(0, 0, 16)))
    plain = learner.train()(batch)[0]
    with Arithmetic("bf16").prepare(learner, CPU, unused, 1) as forward:
        _, out = learner.train()(batch)
        names, terms = take_step(learner, torch.optim.SGD(learner.parameters(), lr=1e-3), [batch], 0, forward)
    assert terms.dtype == out.output.dtype == out.code.z.dtype == torch.float32
    assert all(parameter.dtype == torch.float32 for parameter in learner.parameters())
    wanted = torch.stack([term.mean() for term in plain.values()])
    # each layer's output is rounded once: up to 20 of them, of values whose errors add up at most
    assert torch.allclose(terms, wanted, rtol=40 * HALF_UNIT, atol=40 * HALF_UNIT), names


def test_products_are_rounded_in_training_and_in_nothing_else(build_learner, toy):
    learner, batch = build_learner((6,), 4), toy["train"].batch(slice(0, 8))
    exact = {mode: learner.train(mode)(batch)[1].output for mode in (True, False)}
    with use_precision(learner, "bf16", CPU):
        assert not torch.equal(learner.train()(batch)[1].output, exact[True])
        assert torch.equal(learner.eval()(batch)[1].output, exact[False])
    assert torch.equal(learner.train()(batch)[1].output, exact[True])


def test_the_switch_of_products_is_put_back_whatever_happens(build_learner):
    before = torch.get_float32_matmul_precision()
    with pytest.raises(KeyboardInterrupt), use_precision(build_learner((6,)), "medium", CPU):
        assert torch.get_float32_matmul_precision() == "medium"
        raise KeyboardInterrupt
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("precision", ["float32", "medium", "bf16"])
def test_the_best_state_is_chosen_by_float32(precision, run, toy):
    done = run(precision, Joint(steps=14, batch_size=8, precision=precision), SGD)
    val = [row["loss"] for row in done.progress.history if row["split"] == "val"]
    assert average(done.learner, toy["val"])["loss"] == min(val)


def test_pictures_in_another_layout_make_the_same_run(tmp_path):
    words = ["variant=conv", "dataset.limit=60", "trainer.steps=4", "metric=reconstruction"]
    losses = [run_in(tmp_path / each, *words, f"trainer.channels_last={each}") for each in ("false", "true")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # four steps of float32 sums in another order


def test_weights_lie_as_ever_after_a_run_with_channels_last():
    learner, _ = built("variant=conv")
    with Arithmetic(channels_last=True).prepare(learner, CPU, unused, 1):
        assert any(not p.is_contiguous() for p in learner.parameters())
    assert all(p.is_contiguous() for p in learner.parameters())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of what its compiler imports
def test_a_compiled_run_is_the_plain_one(tmp_path, caplog):
    words = ["variant=vae", "noise=masking", "dataset.limit=60", "trainer.steps=6", "metric=reconstruction"]
    with caplog.at_level("INFO"):
        losses = [run_in(tmp_path / each, *words, f"trainer.compile={each}") for each in ("false", "true")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # six steps of float32 sums in another order
    assert "compiled in" in caplog.text


def test_a_machine_without_a_compiler_is_told(monkeypatch, build_learner, toy):
    def broken(function, **_):
        def call(batch):
            raise RuntimeError("No working C++ compiler found\nand much more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    batch = toy["train"].batch(slice(0, 8))
    with (
        pytest.raises(
            UsageError, match=r"^trainer.compile=true: .*No working C\+\+ compiler found\): take trainer.comp"
        ),
        Arithmetic(compiled=True).prepare(build_learner((6,)), CPU, lambda: batch, 10),
    ):
        pass


def test_what_compiling_costs_and_gives_is_said():
    assert "pays after 5,000 steps, and this run has 10,000" in describe_gain(10.0, 0.004, 0.002, 10_000)
    assert describe_gain(10.0, 0.004, 0.002, 1_000).endswith("trainer.compile=false is faster")
    assert "no gain" in describe_gain(10.0, 0.002, 0.002, 1_000)
