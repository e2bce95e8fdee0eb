"""plot=checkerboard: a pattern of known frequency is found where it is, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.conditions import Unconditional
from aeexp.evaluation.run import Run
from aeexp.latents.deterministic import Deterministic
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.models.nn.conv import conv
from aeexp.models.pca import identity
from aeexp.noises import Chain
from aeexp.objectives.additive import Additive
from aeexp.plots.checkerboard import (
    Checkerboard,
    enlargements,
    excess,
    frequencies,
    pattern_frequencies,
    peak,
    power,
    radial,
    reconstruct,
)
from aeexp.tasks.reconstruct import Reconstruct


def pictures(side: int = 16, n: int = 64, channels: int = 1) -> torch.Tensor:
    """White noise: the same power at every frequency."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(n, channels, side, side)).astype(np.float32))


def board(side: int, period: int) -> torch.Tensor:
    """1 on every `period`-th row and column."""
    lines = (torch.arange(side) % period == 0).float()
    return torch.outer(lines, lines)


def test_data_against_itself_is_1_at_every_period():
    spectrum = power(pictures())
    assert excess(spectrum, spectrum, 2) == 1 and excess(spectrum, spectrum, 4) == 1


@given(period=st.sampled_from([2, 4]), side=st.sampled_from([16, 28, 32]), size=st.floats(0.3, 3))
def test_a_synthetic_checkerboard_gives_a_peak_at_its_own_frequencies(period, side, size):
    x = pictures(side)
    plain, painted = power(x), power(x + size * board(side, period))
    # A board of height h puts |h sum(w) / p^2|^2 / sum(w^2) on each of its frequencies, for the window w: Hann's sums
    # over a plane are (N/2)^2, and (3N/8)^2 of the squares.
    theory = size**2 * (side**4 / 16) / period**4 / (9 * side**2 / 64)
    at = pattern_frequencies(plain.shape, period)
    # Of 64 rows the noise of power 1 has a standard deviation of 1/8, and twice the product of both at most sqrt(2) / 8
    # of sqrt(theory) more.
    np.testing.assert_allclose(painted[at].mean(), 1 + theory, atol=5 * (1 + 1.5 * theory**0.5) / 8)
    if theory > 6:  # 7 over 1 in each of them, whatever the noise (5 / 8)
        assert excess(painted, plain, period) > 2


def test_power_of_white_noise_is_its_variance_and_its_radial_mean_is_flat():
    spectrum = power(pictures(16, 400, 3))
    # 1200 pictures: a power has the standard deviation of its mean, 1/sqrt(1200) = 0.029, five of them; those next
    # to 0 lose what the mean takes, and are left out
    away, means = radial(spectrum)
    np.testing.assert_allclose(means[1:], 1, atol=0.15)
    assert away[0] == pytest.approx(1 / 16) and away[-1] == pytest.approx(0.5 * 2**0.5, abs=1 / 32)


def test_marked_frequencies_are_the_multiples_of_one_over_the_period_but_0():
    at = pattern_frequencies((8, 12), 4)
    up, across = frequencies(8), frequencies(12)
    places = {(float(up[i]), float(across[j])) for i, j in np.argwhere(at)}
    multiples = (-0.5, -0.25, 0.0, 0.25)
    assert places == {(a, b) for a in multiples for b in multiples} - {(0.0, 0.0)}


def test_a_blurred_picture_has_no_checkerboard():
    """All high frequencies are weaker, those of the pattern no more than their neighbours."""
    x = pictures(32, 200)
    line = torch.tensor([1.0, 4.0, 1.0]) / 6
    blurred = torch.nn.functional.conv2d(x, torch.outer(line, line)[None, None], padding=1)
    # The filter's gain at w is (4 + 2 cos w) / 6: power 0.111 at 1/2 and 0.129 two steps of 1/32 beside it, so 0.86 on
    # one axis and 0.74 at the corner. Of 200 rows an error of 1/sqrt(200) = 0.07 at each of 3 frequencies, 5 times.
    assert 0.5 < excess(power(blurred), power(x), 2) < 1.2
    assert power(blurred)[pattern_frequencies((32, 32), 2)].mean() < 0.2


def upsampled(data, upsample: str, channels=(8, 8), stride=2) -> Run:
    torch.manual_seed(0)
    encoder, decoder = conv(data.shape, 4, 4, 0, channels=list(channels), upsample=upsample, stride=stride)
    model = Autoencoder(encoder, Deterministic(4), decoder, Gaussian(), Unconditional())
    return Run(Learner(Reconstruct(), model, Additive(Chain({}), {})), data)


@torch.no_grad()
def test_untrained_transposed_convolutions_paint_one_and_bilinear_steps_leave_a_gap(as_data):
    data = as_data(pictures(32).numpy())
    batch = data["test"].batch(slice(0, 64))
    ratios = {}
    for name in ("transposed", "bilinear"):
        run = upsampled(data, name)
        ratios[name] = excess(power(reconstruct(run, batch)), power(batch.x), 2)
    assert ratios["transposed"] > 3 and ratios["bilinear"] < 0.5


def test_steps_are_the_strides_of_the_encoder(as_data, build_learner):
    data = as_data(pictures(32).numpy())
    assert enlargements(upsampled(data, "nearest").model) == [2, 2]
    assert enlargements(upsampled(data, "nearest", (4,), stride=4).model) == [4]
    assert enlargements(build_learner((1, 32, 32)).model) == []


@pytest.mark.parametrize("channels", [1, 3])
def test_the_figure_says_how_far_the_pattern_stands_out(as_data, channels):
    data = as_data(pictures(16, channels=channels).numpy())
    run = upsampled(data, "transposed")
    run.untrained = run.model
    figure = Checkerboard()(run)["checkerboard"]
    figure.canvas.draw()
    title = figure.get_suptitle()
    assert "period 2" in title and "this model" in title and "before training" in title
    with torch.no_grad():
        batch = data["test"].batch(slice(0, 64))
        expected = excess(power(reconstruct(run, batch)), power(batch.x), 2)
    assert float(title.split("this model ")[1].split(",")[0]) == pytest.approx(expected, rel=0.06)
    lines = next(axes for axes in figure.axes if len(axes.lines) > 4).get_legend_handles_labels()[1]
    assert lines[:4] == ["data", "this model", run.describe_pca(), "before training"]


def test_a_perfect_copy_has_the_datas_spectrum(as_data):
    data = as_data(pictures(16).numpy())
    run = Run(Learner(Reconstruct(), identity(data.shape), Additive(Chain({}), {})), data)
    batch = data["test"].batch(slice(0, 64))
    with torch.no_grad():
        np.testing.assert_allclose(power(reconstruct(run, batch)), power(batch.x), rtol=1e-6)


def test_a_constant_picture_has_no_power_and_no_peak():
    spectrum = power(torch.full((2, 1, 8, 8), 0.3))
    assert spectrum.max() < 1e-12 and np.isfinite(peak(spectrum, 2))


def test_what_has_no_frequencies_is_left_out_with_a_word(as_data, build_learner, caplog):
    caplog.set_level("INFO")
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    assert Checkerboard()(Run(build_learner((6,)), as_data(rows))) == {}
    assert "plot=checkerboard left out" in caplog.text
