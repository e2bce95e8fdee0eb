"""plot=walk: the way is closed and leads through the test rows' own codes; the GIF holds what was drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aeexp.drawing.animation import Animation, encode_gif
from aeexp.drawing.canvas import COLOURS
from aeexp.evaluation.paths import tour
from aeexp.evaluation.run import Run
from aeexp.latents.bounded import Hyperspherical
from aeexp.latents.gaussian import Gaussian as Stochastic
from aeexp.latents.priors import Standard, Uniform
from aeexp.plots.walk import REST, Walk
from aeexp.runs.folder import RunFolder


@pytest.fixture
def run(digit_data, build_learner) -> Run:
    return Run(build_learner((1, 8, 8), 3), digit_data)


def way(run: Run, stops: int = 4, steps: int = 5):
    codes = torch.from_numpy(run.codes("test")[:stops])
    return codes, Walk(stops=stops, steps=steps).path(run, codes)


def test_the_way_is_closed_and_every_stop_is_a_rows_own_code(run):
    codes, (z, places) = way(run)
    assert z.shape == (20, 3)
    torch.testing.assert_close(z[::5], codes, rtol=0, atol=0)
    step = (codes[0] - codes[3]) / 5  # straight, and so the last step leads back to the first code
    torch.testing.assert_close(z[15:], codes[3] + torch.arange(5)[:, None] * step)
    assert [place.end for place in places[::5]] == [1, 2, 3, 0]


def test_under_a_normal_prior_and_on_the_sphere_the_way_is_an_arc(digit_data, build_learner):
    for latent in (Stochastic(3, Standard()), Hyperspherical(3, Uniform())):
        run = Run(build_learner((1, 8, 8), latent=latent), digit_data)
        unit = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
        z, _ = Walk(stops=4, steps=6).path(run, unit)
        # between codes of length 1 an arc stays at length 1 (float32: 1e-5), a line would not
        torch.testing.assert_close(z.norm(dim=1), torch.ones(24), rtol=0, atol=1e-5)
        turns = (z[:6] * z[1:7]).sum(1).arccos()
        torch.testing.assert_close(turns, turns[:1].expand(6), rtol=1e-3, atol=1e-3)


@given(st.integers(2, 12), st.integers(0, 1000))
def test_a_tour_visits_all_once_from_the_first_and_no_swap_shortens_it(count, seed):
    codes = np.random.default_rng(seed).normal(size=(count, 2))
    order = tour(codes)
    assert order[0] == 0 and sorted(order) == list(range(count))

    def length(order) -> float:
        return np.linalg.norm(codes[order] - codes[np.roll(order, -1)], axis=1).sum()

    assert length(order) <= length(np.arange(count)) + 1e-9
    for i in range(1, count):
        for j in range(i + 1, count):
            other = np.concatenate([order[:i], order[i : j + 1][::-1], order[j + 1 :]])
            assert length(order) <= length(other) + 1e-5


def test_frames_show_the_decoded_codes_and_stand_as_long_as_asked(run):
    animation = Walk(stops=3, steps=4, milliseconds=60)(run)["walk"]
    assert len(animation.frames) == 12
    assert list(animation.milliseconds) == [REST, 60, 60, 60] * 3
    assert {frame.shape for frame in animation.frames} == {(468, 864, 3)} and animation.frames[0].dtype == np.uint8
    second = Walk(stops=3, steps=4, milliseconds=60)(run)["walk"]
    assert all(np.array_equal(a, b) for a, b in zip(animation.frames, second.frames, strict=True))


def test_the_picture_in_a_frame_is_the_decoded_code(run):
    walk = Walk(stops=2, steps=2)
    animation = walk(run)["walk"]
    labels = run.labels("test")
    first = np.flatnonzero(labels == labels.min())[0]  # the first test row of the first class
    with torch.no_grad():
        picture = run.model.decode(torch.from_numpy(run.codes("test")[first])[None])[0, 0].numpy()
    # eight tiles over the left board; its middle pixels in grey as they are in [0, 1]
    left, right, top = 41, 359, 89
    side = (right - left) / 8
    for row, column in ((0, 0), (3, 5), (7, 7)):
        spot = animation.frames[0][int(top + side * (row + 0.5)), int(left + side * (column + 0.5))]
        assert spot == pytest.approx(255 * np.clip(picture[row, column], 0, 1), abs=1)


@pytest.mark.parametrize("shape", [(4,), (3, 6, 6), (9, 3), (9, 1)])
def test_vectors_colours_and_sequences_walk_too(shape, as_data, build_learner):
    rows = np.random.default_rng(0).uniform(0, 1, (30, *shape)).astype(np.float32)
    for dim in (1, 2, 4):
        animation = Walk(stops=3, steps=2)(Run(build_learner(shape, dim), as_data(rows)))["walk"]
        assert len(animation.frames) == 6 and any(
            (animation.frames[0] != frame).any() for frame in animation.frames[1:]
        )


def test_what_has_no_way_is_left_out_with_a_word(digit_data, as_data, build_learner, caplog):
    caplog.set_level("INFO")
    one = np.random.default_rng(0).uniform(0, 1, (1, 4)).astype(np.float32)
    assert Walk()(Run(build_learner((4,), 2), as_data(one))) == {}
    assert "one test row is no way" in caplog.text
    learner = build_learner((1, 8, 8), 3)
    run = Run(learner, digit_data)
    forward = run.forward
    run.forward = lambda batch: forward(batch)._replace(context=torch.zeros(len(batch.x), 10))
    assert Walk()(run) == {}
    assert "between two side informations there is no way" in caplog.text


def test_a_gif_loops_keeps_its_times_and_its_white(tmp_path):
    frames = [np.full((20, 30, 3), 255, np.uint8) for _ in range(3)]
    for i, frame in enumerate(frames):
        frame[5:10, 5 * i : 5 * i + 5] = (0, 114, 178)
    with Image.open(io.BytesIO(encode_gif(Animation(frames, [600, 80, 120])))) as image:
        assert image.n_frames == 3 and image.info["loop"] == 0
        for i, (frame, time) in enumerate(zip(frames, (600, 80, 120), strict=True)):
            image.seek(i)
            assert image.info["duration"] == time
            # two colours of 256: the palette has both, to a step of its 8 bits
            np.testing.assert_allclose(np.asarray(image.convert("RGB"), int), frame, atol=4)
            assert (np.asarray(image.convert("RGB"))[0, 0] == 255).all()


def test_the_few_pixels_of_a_dot_keep_their_colour_beside_many_greys_and_the_paper_is_white():
    frame = np.full((256, 256, 3), 255, np.uint8)
    frame[:, :128] = np.arange(256)[:, None, None]  # all greys, 128 pixels each
    dots = np.array([int(c[i : i + 2], 16) for c in COLOURS for i in (1, 3, 5)], np.uint8).reshape(-1, 3)
    frame[40, 140:150] = dots
    with Image.open(io.BytesIO(encode_gif(Animation([frame] * 2, [80, 80])))) as image:
        pixels = np.asarray(image.convert("RGB"), int)
    np.testing.assert_allclose(pixels[40, 140:150], dots, atol=5)  # a palette of 8 bits, and greys 4 apart
    assert (pixels[60:, 130:] == 255).all()
    np.testing.assert_allclose(pixels[:, :128], frame[:, :128], atol=6)


def test_a_run_leaves_the_same_gif_in_its_folder_and_in_tensorboard(tmp_path):
    overrides = ["variant=vae", "latent.dim=2", "trainer.steps=4", "metric=none", "plot=[walk]", "plot.walk.stops=3"]
    run_in(tmp_path, *overrides, "plot.walk.steps=2")
    encoded = (tmp_path / "figures" / "walk.gif").read_bytes()
    assert encoded[:6] == b"GIF89a" and len(encoded) < 1_000_000
    events = EventAccumulator(str(RunFolder(tmp_path).find_events("run")), {"images": 0}).Reload()
    [image] = events.Images("figures/walk")
    assert image.encoded_image_string == encoded and (image.width, image.height) == (864, 468)
