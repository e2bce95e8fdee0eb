"""Data sets that need no files: what their formulas promise, and that a seed means the same rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from composing import CONF
from hydra.utils import get_object
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from aeexp.datasets.core.records import Source
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.sets import bundled, generated, painted, planar
from aeexp.datasets.sets.sprites import FACTORS, SHAPES, sprites
from aeexp.errors import UsageError

SETS = [
    "iris", "wine", "breast_cancer", "diabetes", "swiss_roll", "s_curve", "sine_waves", "sprites", "colored_digits",
    "textured_digits", "weak_attribute", "xor", "spiral", "rings",
]  # fmt: skip


def source(load, **keys) -> Source:
    """What the loader found, before it is split."""
    return load.load(**keys)


def same(a: Source, b: Source) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(a.rows, b.rows, strict=True) if left is not None)


@pytest.mark.parametrize("option", SETS)
def test_the_yaml_holds_the_loaders_own_defaults_and_the_rows_can_be_split(option):
    node = OmegaConf.to_container(OmegaConf.load(CONF / "dataset" / f"{option}.yaml"))
    load = get_object(node["_target_"])
    own = {key: value for key, value in node.items() if key not in ("_target_", "defaults", "name", "standardise")}
    assert same(source(load, **own), source(load)) and node["name"] == option
    rows = source(load).rows
    fields = [field for field in rows if field is not None]
    assert len({len(field) for field in fields}) == 1 and rows.x.dtype in (np.uint8, np.float32)
    data = load(name=option, split=Fractions([8, 1, 1]), standardise=node.get("standardise", False))
    if node.get("standardise"):
        # a float32 sum of a standardised column of at most 569 rows: error below 569 * 2^-24 * 10 < 1e-3
        x = data["train"].batch(slice(None)).x.double()
        assert x.mean(0).abs().max() < 1e-3 and (x.std(0, unbiased=False) - 1).abs().max() < 1e-3


# ---------------------------------------------------------------- measurements


@pytest.mark.parametrize(
    ("load", "shape", "counts", "first"),
    [  # rows, class counts and the first row as the UCI repository prints them
        (bundled.iris, (150, 4), {"setosa": 50, "versicolor": 50, "virginica": 50}, [5.1, 3.5, 1.4, 0.2]),
        (bundled.wine, (178, 13), {"class_0": 59, "class_1": 71, "class_2": 48}, [14.23, 1.71, 2.43, 15.6]),
        (bundled.breast_cancer, (569, 30), {"malignant": 212, "benign": 357}, [17.99, 10.38, 122.8, 1001.0]),
    ],
)
def test_measurements_are_the_published_ones(load, shape, counts, first):
    result = source(load)
    assert result.rows.x.shape == shape
    assert dict(zip(result.classes, np.bincount(result.rows.y).tolist(), strict=True)) == counts
    np.testing.assert_array_equal(result.rows.x[0, :4], np.float32(first))


def test_diabetes_is_raw_and_its_progression_a_number_to_predict():
    result = source(bundled.diabetes)
    assert result.rows.x.shape == (442, 10) and result.rows.y is None and result.classes == ()
    np.testing.assert_array_equal(result.rows.x[0, :4], np.float32([59, 2, 32.1, 101]))
    assert result.response == "progression" and result.rows.response.dtype == np.float32
    assert (result.rows.response[0], result.rows.response.min(), result.rows.response.max()) == (151, 25, 346)


# ---------------------------------------------------------------- sheets


def swiss(t: np.ndarray) -> list[np.ndarray]:
    return [t * np.cos(t), t * np.sin(t)]


def bent(t: np.ndarray) -> list[np.ndarray]:
    return [np.sin(t), np.sign(t) * (np.cos(t) - 1)]


@pytest.mark.parametrize(
    ("load", "curve", "ends"),
    [(generated.swiss_roll, swiss, (1.5, 4.5)), (generated.s_curve, bent, (-1.5, 1.5))],
)
def test_points_lie_on_the_sheet_where_their_position_says(load, curve, ends):
    n = 3000
    rows = source(load, n=n).rows
    t = rows.s.astype(np.float64)
    low, high = (end * math.pi for end in ends)
    assert rows.y is None and rows.x.shape == (n, 3)
    assert low - 1e-6 <= t.min() and t.max() <= high + 1e-6  # float32 of numbers below 16: error below 2^-21
    # t is off by 2^-21 and moves a point by at most (1 + t) < 16 times that; x itself is off by as much again
    np.testing.assert_allclose(rows.x[:, [0, 2]].T, curve(t), atol=17 * 2**-21)
    assert np.abs(np.sort(t) - np.linspace(low, high, n)).max() < 3 / math.sqrt(n) * (high - low)  # DKW: 2 e^-18
    noisy = source(load, n=n, noise=0.3).rows
    residual = noisy.x[:, [0, 2]].T - curve(noisy.s.astype(np.float64))
    assert residual.std() == pytest.approx(0.3, rel=5 / math.sqrt(4 * n))  # 2n normals: s.e. of sd is sd / sqrt(4n)


# ---------------------------------------------------------------- points in the plane


@given(st.integers(0, 99))
def test_corners_are_the_bits_and_the_class_is_whether_they_differ(seed):
    rows = source(planar.xor, n=401, noise=0.0, seed=seed).rows
    np.testing.assert_array_equal(rows.y, rows.x[:, 0] != rows.x[:, 1])
    np.testing.assert_array_equal(rows.s, 2 * rows.x[:, 0] + rows.x[:, 1])
    assert np.ptp(np.bincount(rows.s)) <= 1
    # the best line through the plane is right in three corners of four
    directions = np.stack([np.cos(angle := np.linspace(0, np.pi, 60)), np.sin(angle)])
    scores = np.concatenate([rows.x @ directions + offset for offset in np.linspace(-1.5, 1.5, 61)], 1)
    right = ((scores > 0) == rows.y[:, None].astype(bool)).mean(0)
    assert 0.74 < np.maximum(right, 1 - right).max() < 0.76


@given(st.integers(0, 99), st.floats(0.5, 2))
def test_a_spiral_is_even_in_length(seed, turns):
    rows = source(planar.spiral, n=4000, turns=turns, noise=0.0, seed=seed).rows
    angle = np.linspace(0, 2 * np.pi * turns, 20001)
    curve = (0.2 + 0.8 * np.linspace(0, 1, len(angle)))[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    length = np.concatenate([[0], np.linalg.norm(np.diff(curve, axis=0), axis=1).cumsum()])
    wanted = [np.interp(rows.s * length[-1], length, side) for side in curve.T]
    # two polygons of a curve of length below 13 and radius above 0.2: chords of 13 / 4096 are off by 1e-5 at most
    np.testing.assert_allclose(rows.x.T, wanted, atol=2e-5)
    assert np.abs(np.sort(rows.s) - np.linspace(0, 1, 4000)).max() < 3 / math.sqrt(4000)  # DKW: 2 e^-18


@given(st.integers(0, 99))
def test_rings_are_told_apart_by_the_radius(seed):
    rows = source(planar.rings, n=301, noise=0.0, seed=seed).rows
    np.testing.assert_allclose(np.linalg.norm(rows.x, axis=1), np.where(rows.y, 1.0, 0.4), rtol=1e-6)
    np.testing.assert_allclose(np.arctan2(*rows.x.T[::-1]) % (2 * np.pi), rows.s, atol=1e-5)


# ---------------------------------------------------------------- a table


@given(st.integers(0, 99), st.floats(0, 1))
def test_the_attribute_shifts_two_columns_and_the_odds_of_two_answers_alone(seed, strength):
    n = 3000
    rows = source(generated.weak_attribute, n=n, strength=strength, seed=seed).rows
    assert rows.x.shape == (n, 13) and set(np.unique(rows.y)) == set(np.unique(rows.s)) == {0, 1}
    numbers, first, second, third = np.split(rows.x, [2, 6, 10], axis=1)
    assert all((answer.sum(1) == 1).all() and set(np.unique(answer)) == {0, 1} for answer in (first, second, third))
    np.testing.assert_allclose(numbers.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(0), 1, atol=1e-5)
    # five standard errors of a difference of two means of 1,000 and 2,000 values of at most variance 1
    error = 5 * math.sqrt(1 / 900 + 1 / 1900)
    moved = rows.x[rows.s == 1].mean(0) - rows.x[rows.s == 0].mean(0)
    assert np.abs(moved[[1, 2, 3, 4, 5]]).max() < error
    share = (third * [1, 0, 0]).sum(1)[rows.s == 1].mean()
    odds = math.exp(strength) / (math.exp(strength) + 2)
    assert share == pytest.approx(odds, abs=5 * 0.5 / math.sqrt(900))
    # the label is the cluster's oddness but for one row of ten
    wrong = (rows.y != first.argmax(1) % 2).mean()
    assert wrong == pytest.approx(0.1, abs=5 * 0.3 / math.sqrt(n))


# ---------------------------------------------------------------- waves


@given(st.integers(3, 12), st.integers(0, 12), st.integers(0, 99), st.data())
def test_a_wave_is_the_sine_of_its_factors_and_zero_beyond_its_length(low, more, seed, data):
    frequencies = data.draw(st.integers(1, (low - 1) // 2))
    keys = dict(n=50, min_length=low, max_length=low + more, frequencies=frequencies, seed=seed)
    result = source(generated.sine_waves, noise=0.0, **keys)
    x, y, s, _, _, lengths, _ = result.rows
    assert x.shape == (50, low + more, 1) and x.dtype == np.float32
    assert lengths.min() >= low and lengths.max() <= low + more and lengths.dtype == np.int64
    frequency, phase, amplitude = s.astype(np.float64).T[:, :, None]
    np.testing.assert_allclose(frequency[:, 0] * low, y + 1, rtol=2**-23)  # one float32 rounding
    assert len(result.classes) == frequencies and y.max() < frequencies
    step = np.arange(low + more)
    inside = step < lengths[:, None]
    # phase off by 2^-22 (below 8), 2 pi f t below 76 off by 76 * 2^-24: together below 1e-5
    wave = amplitude * np.sin(2 * math.pi * frequency * step + phase)
    np.testing.assert_allclose(x[:, :, 0], np.where(inside, wave, 0), atol=1e-5)
    loud = source(generated.sine_waves, noise=2.0, **keys).rows
    assert np.abs(loud.x).max() <= 1 and not loud.x[:, :, 0][step >= loud.lengths[:, None]].any()


def test_every_length_and_class_is_equally_probable_and_noise_has_its_size():
    n = 20000
    quiet, noisy = (source(generated.sine_waves, n=n, noise=noise).rows for noise in (0.0, 0.02))
    for counts in (np.bincount(quiet.lengths)[24:], np.bincount(quiet.y)):
        expected = n / len(counts)
        freedom = len(counts) - 1
        # chi-squared: mean k, variance 2k; six deviations above the mean
        assert ((counts - expected) ** 2 / expected).sum() < freedom + 6 * math.sqrt(2 * freedom)
    assert len(np.bincount(quiet.lengths)[24:]) == 25
    # where the wave stays 10 deviations inside [-1, 1] nothing is cut; sd of at least 100,000 normals within 5 s.e.
    calm = (np.arange(48) < quiet.lengths[:, None]) & (np.abs(quiet.x[:, :, 0]) < 0.8)
    residual = (noisy.x - quiet.x)[:, :, 0][calm]
    assert len(residual) > 100_000
    assert residual.std() == pytest.approx(0.02, rel=5 / math.sqrt(2 * 100_000))


# ---------------------------------------------------------------- sprites


@pytest.fixture(scope="module")
def figures() -> Source:
    return source(sprites)


def grid(result: Source, *counts: int) -> np.ndarray:
    """Pictures (shape, scale, orientation, x, y, H, W)."""
    return result.rows.x.reshape(3, *counts, *result.rows.x.shape[-2:])


def test_sprites_are_the_whole_grid_of_factors_once_and_no_two_pictures_are_the_same(figures):
    x, y, s = figures.rows[:3]
    assert x.shape == (6144, 1, 32, 32) and set(np.unique(x)) == {0, 1} and figures.scale == 1
    assert len(np.unique(x.reshape(6144, -1), axis=0)) == 6144
    assert len(np.unique(s, axis=0)) == 6144 and s.min(0).tolist() == [0] * 5 and s.max(0).tolist() == [2, 3, 7, 7, 7]
    assert np.array_equal(y, s[:, 0]) and s.dtype == np.float32
    assert figures.attributes == FACTORS and figures.classes == SHAPES


@pytest.mark.parametrize(
    ("scales", "orientations", "positions", "size"), [(4, 8, 8, 32), (4, 8, 5, 64), (2, 2, 3, 16), (1, 1, 1, 20)]
)
def test_a_place_moves_the_picture_by_whole_pixels_and_changes_nothing_else(scales, orientations, positions, size):
    result = source(sprites, scales=scales, orientations=orientations, positions=positions, size=size)
    x = grid(result, scales, orientations, positions, positions)
    area = x.sum((-1, -2), dtype=int)
    assert (area == area[..., :1, :1]).all()  # nothing is cut off at the frame
    if positions == 1:
        return
    right = np.argwhere(x[0, 0, 0, 1, 0])[0, 1] - np.argwhere(x[0, 0, 0, 0, 0])[0, 1]
    assert right >= 1
    for axis, moved in ((3, -1), (4, -2)):  # x: columns; y: rows, downwards
        before, after = (x.take(range(k, positions - 1 + k), axis) for k in (0, 1))
        assert np.array_equal(np.roll(before, right, moved), after)  # what leaves the frame would come in opposite
        centre = [(part.sum(-2 if moved == -1 else -1) * np.arange(size)).sum(-1) for part in (before, after)]
        assert (centre[1] > centre[0]).all()  # and does not: the centre of mass goes the same way


def test_scale_makes_larger_and_orientation_turns_counter_clockwise(figures):
    x = grid(figures, 4, 8, 8, 8)[:, :, :, 4, 4]
    area = x.sum((-1, -2), dtype=int)
    assert (np.diff(area, axis=1) > 0).all()
    # area of radius R: square 2 R^2, ellipse pi/2 R^2, heart (1 + pi/4) / 0.89181^2 R^2, here R = 9. A pixel is
    # wrong only if the edge (at most 2 pi R = 57 long) crosses it, and about evenly in both directions: 5 %
    for shape, share in enumerate((2, math.pi / 2, (1 + math.pi / 4) / 0.89181**2)):
        assert area[shape, 3].mean() == pytest.approx(share * 81, rel=0.05)
    ellipses = x[1, 3]
    rows, columns = np.mgrid[15.5:-16.5:-1, -15.5:16.5]
    for orientation, ellipse in enumerate(ellipses):
        up, right = (axis[ellipse > 0] - axis[ellipse > 0].mean() for axis in (rows, columns))
        angle = math.atan2(2 * (up * right).mean(), (right**2 - up**2).mean()) / 2  # of the longer axis
        # the orientation's own step is 11.25 degrees: a third of it tells neighbours apart
        assert abs(angle - orientation * math.pi / 16) < math.pi / 48
    hearts = x[2, :, 0]
    for heart in hearts:
        columns = heart[:, heart.any(0)]
        assert np.array_equal(columns, columns[:, ::-1])  # upright: left and right alike
        widths = heart.sum(1)[heart.any(1)]
        assert widths[-1] <= 2 < widths[: len(widths) // 2].max()  # on its tip


def test_factors_that_the_pixels_cannot_tell_apart_are_refused():
    with pytest.raises(UsageError, match=r"^size=16: .*orientations=40.*take fewer, or a larger size"):
        source(sprites, size=16, orientations=40)
    with pytest.raises(UsageError, match=r"^positions=16: a figure of size=32 has 15 places"):
        source(sprites, positions=16)
    assert len(source(sprites, positions=15, scales=1).rows.x) == 3 * 8 * 225


# ---------------------------------------------------------------- painted digits

N = 1797


@pytest.mark.parametrize("colors", [2, 3, 8])
@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9, 1.0])
def test_the_share_of_matching_colours_is_what_strength_says(strength, colors):
    result = source(painted.colored_digits, strength=strength, colors=colors)
    y, s = result.rows.y, result.rows.s
    p = strength + (1 - strength) / colors
    bound = 5 * math.sqrt(p * (1 - p) / N)  # five deviations of a binomial share
    assert abs((s == y % colors).mean() - p) <= bound
    assert s.dtype == np.int64 and set(s) == set(range(colors)) and result.attributes == ("color",)


@pytest.mark.parametrize("colors", [2, 8])
def test_without_strength_colour_and_label_share_no_information(colors):
    rows = source(painted.colored_digits, strength=0.0, colors=colors).rows
    joint = np.zeros((10, colors))
    np.add.at(joint, (rows.y, rows.s), 1 / N)
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    information = (joint * np.log(joint / product)).sum()  # nats; every cell holds rows
    freedom = 9 * (colors - 1)
    # 2 N I is chi-squared with that many degrees of freedom: six deviations above its mean
    assert 0 <= information < (freedom + 6 * math.sqrt(2 * freedom)) / (2 * N)


@given(st.integers(2, 8), st.integers(8, 24), st.integers(0, 9))
def test_each_digit_is_in_the_colour_that_s_names_and_its_grey_is_the_digits(colors, size, seed):
    result = source(painted.colored_digits, colors=colors, size=size, seed=seed)
    x, s = result.rows.x.astype(np.float64), result.rows.s
    inks = x.sum((2, 3))
    palette = painted.PALETTE / np.linalg.norm(painted.PALETTE, axis=1, keepdims=True)
    assert np.array_equal((inks @ palette.T).argmax(1), s)  # the nearest direction in the space of colours
    grey, _ = painted._draw_digits(size, 0)
    assert np.abs(x.max(1) - 255 * grey).max() <= 0.5 + 1e-9  # every colour has a full channel; bytes are rounded


def test_colours_are_clearly_different():
    distance = np.abs(painted.PALETTE[:, None] - painted.PALETTE[None]).max(-1)
    assert distance[~np.eye(8, dtype=bool)].min() >= 127  # half of the range in some channel


@pytest.mark.parametrize("size", [8, 16, 32])
def test_the_mask_is_the_digit(size):
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    rows = source(painted.textured_digits, size=size).rows
    images = load_digits().images
    factor = size / 8
    # a second implementation; weights are multiples of 1/8 and grey levels whole: both are exact
    enlarged = zoom(images, (1, factor, factor), order=1, mode="nearest", grid_mode=True)
    assert np.array_equal(rows.target, enlarged > 8)
    assert rows.target.dtype == np.uint8 and rows.target.shape == (N, size, size) and rows.x.shape == (N, 3, size, size)
    share = rows.target.mean((1, 2))
    assert 0.05 < share.min() and share.max() < 0.6


def test_textures_differ_and_overlap_but_the_digit_is_brighter():
    from sklearn.metrics import roc_auc_score

    rows = source(painted.textured_digits).rows
    x, mask = rows.x, rows.target.astype(bool)
    assert len(np.unique(x.reshape(N, -1), axis=0)) == N
    outside = ~mask[:-1] & ~mask[1:]
    for channel in range(3):
        a, b = (part[:, channel][outside].astype(float) for part in (x[:-1], x[1:]))
        assert np.abs(a - b).mean() > 20  # backgrounds of neighbouring rows: 8 % of the range and more
    grey = x.astype(float).mean(1)
    inside, behind = ((grey * part).sum((1, 2)) / part.sum((1, 2)) for part in (mask, ~mask))
    assert (inside - behind > 25).mean() > 0.98  # a person sees the digit: a tenth of the range brighter
    pixel = roc_auc_score(mask.ravel(), grey.ravel())
    # one pixel's brightness tells something and not all; AUC 1 would be a mask by threshold
    assert 0.8 < pixel < 0.99
    for picture, shape in zip(grey[:50], mask[:50], strict=True):  # stripes: a texture is no flat paint
        assert picture[shape].std() > 4 and picture[~shape].std() > 4


# ---------------------------------------------------------------- seeds and mistakes

SEEDED = [
    generated.swiss_roll, generated.s_curve, generated.sine_waves, painted.colored_digits, painted.textured_digits,
    planar.xor, planar.spiral, planar.rings,
]  # fmt: skip


@pytest.mark.parametrize("load", SEEDED, ids=lambda load: load.__name__)
def test_a_seed_is_the_same_rows_and_another_seed_others(load):
    assert same(source(load, seed=3), source(load, seed=3))
    assert not np.array_equal(source(load, seed=3).rows.x, source(load, seed=4).rows.x)


@pytest.mark.parametrize(
    ("load", "keys", "message"),
    [
        (generated.s_curve, {"n": 10**12}, r"^n=1000000000000: that makes"),
        (generated.sine_waves, {"max_length": 10**9}, r"^n=2000: that makes"),
        (generated.sine_waves, {"max_length": 23}, r"^max_length=23 must not be below min_length=24"),
        (generated.sine_waves, {"frequencies": 12}, r"^frequencies=12 must lie between 1 and 11"),
    ],
)
def test_a_value_out_of_range_is_refused_with_key_and_way_out(load, keys, message):
    with pytest.raises(UsageError, match=message) as caught:
        source(load, **keys)
    assert str(caught.value).count("\n") <= 1
