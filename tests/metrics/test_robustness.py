"""Errors and probes under noise: clean at level 0, the noise's own energy on raw input, and nothing else is moved."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aeexp import noises
from aeexp.contracts import Noise
from aeexp.errors import UsageError
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.robustness import corrupt, level_in_training, set_level
from aeexp.evaluation.run import Run
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.priors import Standard
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction
from aeexp.metrics.robustness import Robustness
from aeexp.noises import Masking
from aeexp.plots import robustness as drawn
from aeexp.tasks.inpaint import Inpaint

QUICK = dict(levels=[0.3, 0, 0.1], rows=300)
PARTS = {  # at levels that count for nothing
    "gaussian": noises.Gaussian(0.2),
    "masking": noises.Masking(0.25),
    "salt_pepper": noises.SaltPepper(0.1),
    "block": noises.Block(0.3),
}


def metric(noise="gaussian", **options) -> Robustness:
    return Robustness(noise={noise: PARTS[noise]}, **options)


def plot(noise="gaussian", **options) -> drawn.Robustness:
    return drawn.Robustness(noise={noise: PARTS[noise]}, **options)


@pytest.fixture(scope="module")
def run(build_learner, digit_data) -> Run:
    return Run(build_learner((1, 8, 8), 6, noises={"m": Masking(0.25)}), digit_data)


@pytest.mark.parametrize("noise", list(PARTS))
def test_level_0_is_the_clean_row(run, noise):
    values = metric(noise=noise, **QUICK)(run, "test")
    assert list(values) == [
        f"robustness/{noise}_{n}_{level}" for n in ("mse", "linear") for level in ("0", "0.1", "0.3")
    ]
    assert values[f"robustness/{noise}_mse_0"] == pytest.approx(
        Reconstruction()(run, "test")["reconstruction/mse"], rel=1e-6
    )
    assert values[f"robustness/{noise}_linear_0"] == Probe(rows=300)(run, "test")["probe/linear"]


def test_the_error_of_the_corrupted_input_is_the_energy_of_the_noise(run, digit_data):
    x = digit_data["test"].batch(slice(0, None)).x.flatten(1).double()
    size = x.numel()
    # mean over rows of the sum over 64 features, and five standard errors of it
    gaussian = metric(noise="gaussian", levels=[0.5])(run.raw(), "test")["robustness/gaussian_mse_0.5"]
    assert gaussian == pytest.approx(64 * 0.25, abs=5 * 64 * 0.25 * math.sqrt(2 / size))
    masking = metric(noise="masking", levels=[0.5])(run.raw(), "test")["robustness/masking_mse_0.5"]
    energy = x.square().sum(1).mean()
    error = math.sqrt(float((x**4).sum()) * 0.25) / len(x)
    assert masking == pytest.approx(float(energy) / 2, abs=5 * error)
    assert metric(noise="masking", levels=[1])(run.raw(), "test")["robustness/masking_mse_1"] == pytest.approx(
        float(energy)
    )
    assert metric(noise="block", levels=[1])(run.raw(), "test")["robustness/block_mse_1"] == pytest.approx(
        float(energy)
    )
    ends = corrupt(run.raw(), "test", set_level(run, PARTS["salt_pepper"], 1.0), 0)[1]
    assert set(np.unique(ends)) == {0.0, 1.0} and ends.mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(size))


def test_a_linear_map_back_and_forth_loses_what_noise_lies_in_its_plane(run):
    """PCA's error under noise of variance s^2 is its clean one + dim s^2: the rest of the noise is projected away."""
    values = metric(levels=[0, 0.4])(run.pca(), "test")
    added = values["robustness/gaussian_mse_0.4"] - values["robustness/gaussian_mse_0"]
    residual = values["robustness/gaussian_mse_0"]
    # dim s^2 chi-squared over 180 rows, and the product of residual (orthogonal to the plane: none) with the noise
    assert residual > 0 and added == pytest.approx(6 * 0.16, abs=5 * 0.16 * math.sqrt(2 * 6 / 180))


def test_draws_are_the_same_for_all_levels_models_and_calls_and_leave_the_generator_alone(run, digit_data):
    state = torch.random.get_rng_state()
    one, other = (corrupt(run.raw(), "test", set_level(run, PARTS["gaussian"], level), 0)[1] for level in (0.1, 0.2))
    clean = run.raw().codes("test")
    # float32 numbers below 2: differences are good to 2^-23
    np.testing.assert_allclose(2 * (one - clean), other - clean, atol=4 * 2**-23)
    assert torch.equal(state, torch.random.get_rng_state())
    again = Run(run.learner, digit_data)
    assert metric(**QUICK)(again, "test") == metric(**QUICK)(run, "test")
    assert metric(seed=1, **QUICK)(run, "test") != metric(**QUICK)(run, "test")
    codes = again.codes("test").copy()
    metric(**QUICK)(again, "test")
    assert np.array_equal(again.codes("test"), codes) and np.array_equal(
        Run(run.learner, digit_data).codes("test"), codes
    )


class Recorded(Noise):
    """Gaussian noise that keeps what it gave."""

    def __init__(self, std):
        super().__init__()
        self.add = noises.Gaussian(std)
        self.rows = []

    def forward(self, x):
        self.rows.append(self.add(x))
        return self.rows[-1]


def test_noise_is_the_same_beyond_the_first_batch_of_a_latent_that_draws(build_learner, digit_data, monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.robustness.choose_batch_size", lambda shape: 32)
    seen = {}
    for name, latent in (("plain", None), ("vae", Gaussian(3, Standard()))):
        learner = build_learner((1, 8, 8), 3, **({"latent": latent} if latent else {}))
        noise = Recorded(0.3)
        corrupt(Run(learner, digit_data), "test", noise, 0)
        seen[name] = torch.cat(noise.rows)
    assert torch.equal(seen["plain"], seen["vae"]) and len(seen["vae"]) == 180


def test_the_target_is_clean_under_a_task_too(build_learner, as_data):
    x = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    learner = build_learner((1, 8, 8), 3)
    learner.task = Inpaint("half")
    run = Run(learner, as_data(x))
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    values = metric(levels=[0, 0.5])(run, "test")  # the output is 0: the error is the target's own energy
    energy = float(np.square(x).sum() / 40)
    assert values == pytest.approx(
        {"robustness/gaussian_mse_0": energy, "robustness/gaussian_mse_0.5": energy}, rel=1e-5
    )


def test_pca_and_the_corrupted_input_stand_beside_the_model(run):
    robustness = metric(**QUICK)
    rows = baselines(run, {"robustness": robustness})
    assert {k: v for k, v in rows["pca"].items() if k.startswith("robustness")} == robustness(run.pca(), "test")
    assert rows["raw"] == robustness(run.raw(), "test") and rows["raw"]["robustness/gaussian_mse_0"] == 0


def test_the_level_of_training_is_known(run):
    assert level_in_training(run, PARTS["masking"].at(0.5)) == 0.25
    assert level_in_training(run, PARTS["gaussian"]) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (dict(levels=[]), r"^levels=\[\]: name one"),
        (dict(levels=[-0.1]), r"^levels=\[-0\.1\] of noise=gaussian must not be negative"),
        (dict(noise="masking", levels=[0, 1.5]), r"^levels=\[0, 1\.5\] of noise=masking must lie from 0 to 1"),
    ],
)
def test_a_bad_number_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        metric(**keys)


def test_one_noise_is_varied_and_has_a_level():
    for noise, names in (({}, r"\[\]"), (PARTS, r"\['gaussian', 'masking', 'salt_pepper', 'block'\]")):
        with pytest.raises(UsageError, match=rf"^noise={names}: one noise is varied"):
            Robustness(noise=noise, levels=[0.1])
    with pytest.raises(UsageError, match=r"^noise=mine has no level"):
        Robustness(noise={"mine": Recorded(0.1)}, levels=[0.1])


def test_the_figure_draws_what_was_measured_and_marks_the_level_of_training(run):
    made = plot(noise="masking", **QUICK)(run)["robustness"]
    error, accuracy = made.axes
    lines = {line.get_label(): line for line in error.lines}
    assert list(lines) == ["this model", "PCA, width 6", "corrupted input", "in training: 0.25"]
    values = metric(noise="masking", **QUICK)(run, "test")
    assert list(lines["this model"].get_ydata()) == [
        values[f"robustness/masking_mse_{level}"] for level in ("0", "0.1", "0.3")
    ]
    assert list(accuracy.lines[0].get_ydata()) == [
        values[f"robustness/masking_linear_{level}"] for level in ("0", "0.1", "0.3")
    ]
    assert list(lines["in training: 0.25"].get_xdata()) == [0.25, 0.25]
    with pytest.raises(UsageError, match=r"^levels=\[0\.1\]: a curve needs at least 2"):
        plot(levels=[0.1])


def test_without_labels_the_error_is_drawn_alone(build_learner, as_data):
    run = Run(build_learner((1, 8, 8), 3), as_data(np.random.default_rng(0).random((40, 1, 8, 8), np.float32)))
    assert len(plot(**QUICK)(run)["robustness"].axes) == 1
