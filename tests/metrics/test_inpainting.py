"""What fills a hole, and its error: laws of the fills, and the same rows for model and baselines."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from aeexp.conditions import Unconditional
from aeexp.contracts import Decoder, Encoder
from aeexp.drawing import canvas
from aeexp.evaluation import fills
from aeexp.evaluation.protocol import baselines, measure
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.inpainting import Inpainting
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.plots import inpainting as drawn
from aeexp.plots.reconstructions import Reconstructions
from aeexp.tasks.inpaint import Inpaint
from aeexp.tasks.reconstruct import Reconstruct
from aeexp.types import Batch


class Given(nn.Module):
    """A decoder that knows the answer: the code is the whole row's number in `answers`, whatever the hole."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def forward(self, x, context=None, mask=None):
        return self.answers[: len(x)]


def run_of(data, task, *, answers=None) -> Run:
    width = int(np.prod(data.shape))
    encoder = nn.Flatten() if answers is None else Given(answers.flatten(1))
    decoder = nn.Unflatten(1, tuple(data.shape))
    model = Autoencoder(_Reading(encoder), Deterministic(width), _Writing(decoder), Gaussian(), Unconditional())
    return Run(Learner(task, model, Additive(Chain({}), {})), data)


class _Reading(Encoder):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, context=None, mask=None):
        return self.inner(x)


class _Writing(Decoder):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, z, context=None, skips=()):
        return self.inner(z)


def rows(n=60, shape=(1, 6, 6), seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype(np.float32)


@pytest.mark.parametrize("shape", ["block", "half", "random"])
def test_a_perfect_output_has_no_error_and_zeros_have_that_of_what_was_there(as_data, shape):
    x = rows()
    data = as_data(x)
    perfect = Inpainting()(run_of(data, Inpaint(shape), answers=torch.from_numpy(x)), "test")
    assert perfect["inpainting/mse"] == perfect["inpainting/mse_per_feature"] == 0 and perfect["inpainting/psnr"] > 100
    echo = run_of(data, Inpaint(shape))  # gives back what it saw: 0 in the hole
    found = Inpainting()(echo, "test")
    batch = echo.learner.task(data["test"].batch(slice(0, 60)))
    inside = (batch.target**2 * batch.hole).flatten(1).sum(1)
    # float32 sums of some 18 squares below 1
    assert found["inpainting/mse"] == pytest.approx(float(inside.mean()), rel=1e-5)
    assert found["inpainting/mse_per_feature"] == pytest.approx(float(inside.sum() / batch.hole.sum()), rel=1e-5)
    assert found == Inpainting()(run_of(data, Inpaint(shape)).raw(), "test")  # the raw row is such an echo


def test_the_mean_is_right_about_rows_that_are_all_alike_and_a_neighbour_about_rows_it_has_seen(as_data):
    alike = np.broadcast_to(rows(1), (40, 1, 6, 6)).copy()
    found = Inpainting().baselines(run_of(as_data(alike), Inpaint("block")), "test")
    # the mean is one of doubles, rounded to float32: 18 squares of 2^-24
    assert found["mean_fill"]["inpainting/mse"] < 1e-12 and found["nearest_neighbour"]["inpainting/mse"] == 0
    known = Inpainting().baselines(run_of(as_data(rows()), Inpaint("half")), "test")
    assert known["nearest_neighbour"]["inpainting/mse"] == 0 < known["mean_fill"]["inpainting/mse"]


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_the_product_of_matrices_finds_the_neighbour_that_a_search_finds(as_data, seed):
    data = as_data(rows(50, (1, 4, 5), seed), None, rows(12, (1, 4, 5), seed + 5000))
    run = run_of(data, Inpaint("random", 0.4))
    batch = fills.make_holes(run, "test", 100)
    train = data["train"].x.double()
    known = ~batch.hole
    wanted = []
    for x, seen, hole in zip(batch.target, known, batch.hole, strict=True):
        nearest = ((train - x) ** 2 * seen).flatten(1).sum(1).argmin()
        wanted.append(torch.where(hole, train[nearest].float(), x))
    assert torch.equal(fills.fill_by_neighbour(run, batch, 5000), torch.stack(wanted))


def test_rows_beyond_one_chunk_are_compared_as_well(as_data, monkeypatch):
    run = run_of(as_data(rows()), Inpaint("block"))
    batch = fills.make_holes(run, "test", 60)
    whole = fills.fill_by_neighbour(run, batch, 60)
    monkeypatch.setattr(fills, "CHUNK", 7 * 36)
    assert torch.equal(fills.fill_by_neighbour(run, batch, 60), whole)


def test_model_and_baselines_are_measured_on_the_same_rows_with_the_same_holes(as_data, build_learner):
    data = as_data(rows(300))
    learner = build_learner((1, 6, 6))
    learner.task = Inpaint("random")
    run, metric = Run(learner, data), Inpainting(rows=50)
    mine, theirs = fills.make_holes(run, "test", 50), fills.make_holes(run.pca(), "test", 50)
    assert len(mine.x) == 50 and torch.equal(mine.ids, theirs.ids) and torch.equal(mine.hole, theirs.hole)
    whole = learner.eval().task(data["test"].batch(slice(0, 300)))
    assert torch.equal(whole.hole[mine.ids], mine.hole)
    found = baselines(run, {"inpainting": metric})
    assert {name for name, row in found.items() if "inpainting/mse" in row} == {"pca", "mean_fill", "nearest_neighbour"}
    assert "inpainting/mse" in measure(run, {"inpainting": metric}, "val")


def test_it_is_left_out_where_the_task_makes_no_hole(as_data):
    run = run_of(as_data(rows()), Reconstruct())
    assert Inpainting()(run, "test") == {} == Inpainting().baselines(run, "test") == drawn.Inpainting()(run)


def test_the_mean_of_padded_sequences_is_over_steps_that_there_are():
    from aeexp.datasets.core.data import Data
    from aeexp.datasets.core.records import Rows
    from aeexp.datasets.core.split import Split

    x = rows(20, (8, 1))
    lengths = np.tile([8, 4], 10)
    x[np.arange(8) >= lengths[:, None]] = 0
    data = Data("toy", {name: Split(Rows(x, ids=np.arange(20), lengths=lengths)) for name in ("train", "val", "test")})
    run = run_of(data, Inpaint("block"))
    batch = fills.make_holes(run, "test", 20)
    filled = fills.fill_by_mean(run, batch)
    wanted = torch.tensor(np.concatenate([x[:, :4].mean(0), x[::2, 4:].mean(0)]))
    assert batch.hole.any()
    torch.testing.assert_close(filled, torch.where(batch.hole, wanted, batch.target))
    assert not fills.fill_by_neighbour(run, batch, 20)[~batch.mask].any()
    save(drawn.Inpainting(examples=3)(run)["inpainting"])


def save(figure) -> None:
    figure.savefig(io.BytesIO(), format="png")


def test_tiles_show_whole_holed_and_filled_rows_and_the_hole_in_a_colour(as_data):
    x = rows(5)
    run = run_of(as_data(x), Inpaint("block"), answers=torch.from_numpy(x))
    figure = drawn.Inpainting(examples=5)(run)["inpainting"]
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["whole", "with hole", "model", "PCA, width 36", "mean fill", "nearest neighbour"]
    assert len(axes.images) == 6 and [text.get_text() for text in axes.texts[:5]] == [canvas.format_number(0.0)] * 5
    save(figure)
    hole = np.zeros((1, 1, 4, 4), bool)
    hole[..., :2] = True
    shown = drawn.mark_hole(np.zeros((1, 1, 4, 4), np.float32) - 1, hole, (-1.0, 1.0))
    assert shown.shape == (1, 3, 4, 4) and (shown[..., 2:] == -1).all()
    grey = shown[0, :, 0, 0]
    assert grey.max() - grey.min() > 0.5  # no grey at all


@pytest.mark.parametrize(
    ("shape", "hole"), [((3, 6, 5), "random"), ((12,), "block"), ((40,), "random"), ((9, 1), "half")]
)
def test_every_kind_of_row_has_its_figure(as_data, shape, hole):
    run = run_of(as_data(rows(12, shape)), Inpaint(hole))
    save(drawn.Inpainting(examples=4)(run)["inpainting"])


def test_reconstructions_show_the_hole_and_several_features_a_step_are_left_out(as_data, caplog):
    run = run_of(as_data(rows(12, (1, 6, 6))), Inpaint("block"))
    seen = Reconstructions(examples=4).reconstruct(run)
    assert (seen.corrupted != seen.target).any() and np.array_equal(seen.corrupted, seen.output)
    caplog.set_level("INFO")
    assert drawn.Inpainting()(run_of(as_data(rows(12, (9, 3))), Inpaint("block"))) == {}
    assert "plot=inpainting: left out, since the steps have 3 features" in caplog.text


@pytest.mark.parametrize("shape", ["block"])
def test_the_variant_beats_the_mean_on_digits(shape, tmp_path):
    """Some hundred steps: a model that fills with a grey mean would not."""
    run_in(tmp_path, "variant=inpainting", f"task.shape={shape}", "trainer.epochs=40", "metric=inpainting",
           "latent.dim=32")  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    error = {name: row["inpainting/mse"] for name, row in metrics["baseline"].items() if "inpainting/mse" in row}
    assert set(error) == {"pca", "mean_fill", "nearest_neighbour"}
    assert metrics["test"]["inpainting/mse"] < 0.8 * error["mean_fill"]


def test_hole_of_a_batch_is_none_without_the_task():
    assert Reconstruct()(Batch(torch.rand(2, 3))).hole is None
