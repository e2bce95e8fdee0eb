"""Holes: of the stated size and shape, drawn anew in training, a row's own in evaluation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.errors import UsageError
from aeexp.tasks.inpaint import Inpaint
from aeexp.types import Batch

SHAPES = ("block", "half", "random")
ROWS = {"vector": (11,), "picture": (2, 9, 6), "sequence": (12, 3)}


def batch(shape, rows=40, ids=None, mask=None) -> Batch:
    x = torch.rand(rows, *shape, generator=torch.Generator().manual_seed(0)) + 1
    return Batch(x if mask is None else x * mask.unsqueeze(-1), ids=ids, mask=mask)


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_the_target_is_whole_and_x_differs_from_it_in_the_hole_alone(kind, shape, training):
    given = batch(ROWS[kind], ids=torch.arange(40))
    out = Inpaint(shape, fill=-3.0).train(training)(given)
    assert torch.equal(out.target, given.x) and out.hole.shape == given.x.shape and out.hole.dtype == torch.bool
    assert (out.x[out.hole] == -3).all() and torch.equal(out.x[~out.hole], given.x[~out.hole])
    holes = out.hole.flatten(1)
    assert holes.any(1).all() and not holes.all(1).any() and len(holes.unique(dim=0)) > 1
    if kind == "picture":
        assert (out.hole == out.hole[:, :1]).all()
    if kind == "sequence":
        assert (out.hole == out.hole[..., :1]).all()


@given(shape=st.sampled_from(SHAPES), kind=st.sampled_from(sorted(ROWS)), seed=st.integers(0, 999))
def test_in_evaluation_a_hole_follows_from_the_row_in_every_batch_order_and_place(shape, kind, seed):
    ids = torch.randperm(1_000_000, generator=torch.Generator().manual_seed(seed))[:30]
    task, x = Inpaint(shape).eval(), batch(ROWS[kind], 30).x
    holes = task(Batch(x, ids=ids)).hole
    order = torch.randperm(30)
    assert torch.equal(task(Batch(x[order], ids=ids[order])).hole, holes[order])
    assert torch.equal(task(Batch(x[:1], ids=ids[:1])).hole, holes[:1])
    other = x[order] * 2  # it does not follow from the values
    assert torch.equal(task(Batch(other, ids=ids)).hole, holes)
    torch.rand(7)  # nor from the generator
    before = torch.get_rng_state()
    assert torch.equal(task(Batch(x, ids=ids)).hole, holes)
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_without_numbers_draw_by_their_place():
    task, x = Inpaint("random").eval(), batch((1, 8, 8)).x
    assert torch.equal(task(Batch(x)).hole, task(Batch(x, ids=torch.arange(40))).hole)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_training_every_step_draws_from_torchs_generator(shape):
    task, given = Inpaint(shape).train(), batch((1, 8, 8), ids=torch.arange(40))
    torch.manual_seed(3)
    first, second = task(given).hole, task(given).hole
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(task(given).hole, first)


@given(
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    size=st.floats(0.05, 0.95),
    kind=st.sampled_from(["picture", "vector", "sequence"]),
)
def test_a_random_hole_has_exactly_the_stated_share_of_places(height, width, size, kind):
    shape, places = {
        "picture": ((1, height, width), height * width),
        "vector": ((width,), width),
        "sequence": ((height, 2), height),
    }[kind]
    # a product halfway between two integers may round either way, in float32 and in double
    size = size if abs(size * places % 1 - 0.5) > 1e-3 else 0.5 / places + 1 / places
    out = Inpaint("random", size).eval()(batch(shape, 6))
    features = out.hole.flatten(1).sum(1)
    each = features.new_tensor(math.prod(shape) // places)
    assert (features == round(size * places) * each).all()


def test_a_block_is_one_rectangle_and_a_half_is_a_side():
    hole = Inpaint("block", 0.5).eval()(batch((1, 10, 6), 200)).hole[:, 0]
    assert (hole.flatten(1).sum(1) == 5 * 3).all()
    assert (hole.any(2).sum(1) == 5).all() and (hole.any(1).sum(1) == 3).all()  # as wide and high as it has pixels
    halves = Inpaint("half").eval()(batch((1, 5, 4), 400)).hole[:, 0]
    kinds, counts = halves.unique(dim=0, return_counts=True)
    top = torch.zeros(5, 4, dtype=torch.bool)
    top[:2] = True
    left = torch.zeros(5, 4, dtype=torch.bool)
    left[:, :2] = True
    for side in (top, top.flip(0), left, left.flip(1)):
        assert (kinds == side).all((1, 2)).any()
    # four kinds, each binomial with mean 100 and deviation 8.7: five deviations
    assert len(kinds) == 4 and (counts - 100).abs().max() < 44


def test_no_place_is_taken_more_often_than_another():
    """Smooth noise of one variance everywhere: at the border as in the middle."""
    hole = Inpaint("random", 0.25).eval()(batch((1, 16, 16), 4000)).hole[:, 0].float()
    # each place is binomial: 0.25 with deviation sqrt(0.1875 / 4000) = 0.0068. Sums of few draws at a corner are less
    # normal than those of many in the middle, which moves a quantile at 0.25 by some percent of it: 0.03.
    assert (hole.mean(0) - 0.25).abs().max() < 5 * 0.0068 + 0.03
    neighbours = (hole[:, 1:] * hole[:, :-1]).mean()
    assert neighbours > 2 * 0.25**2  # blots: independent pixels would be both taken in one of sixteen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_padding_is_no_hole_and_short_sequences_lose_their_own_share(shape, training):
    lengths = torch.tensor([12, 8, 4, 2])
    mask = torch.arange(12) < lengths[:, None]
    out = Inpaint(shape, None if shape == "half" else 0.5, fill=9.0).train(training)(batch((12, 3), 4, mask=mask))
    steps = out.hole[..., 0]
    assert not (steps & ~mask).any() and (out.x[~mask] == 0).all()
    assert steps.sum(1).tolist() == [6, 4, 2, 1]


def test_pictures_of_any_number_of_channels_and_odd_sides_have_holes():
    for row in ((3, 1, 7), (1, 33, 2), (1, 1), (1,), (1, 130, 130)):
        for shape in SHAPES:
            out = Inpaint(shape).eval()(batch(row, 2))
            assert out.hole.shape == out.x.shape


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shape": "half", "size": 0.3}, r"^size=0\.3: shape=half takes half of every row; leave task\.size=null"),
    ],
)
def test_a_mistake_is_named(keys, message):
    with pytest.raises(UsageError, match=message):
        Inpaint(**keys)


def test_size_and_fill_are_buffers_that_a_stack_varies():
    tasks = [Inpaint("block", size, fill).eval() for size, fill in ((0.25, 0.0), (0.5, -1.0), (0.75, -2.0))]
    stacked = {name: torch.stack([getattr(task, name) for task in tasks]) for name in ("size", "fill")}
    given = batch((1, 8, 8), ids=torch.arange(40))
    x = torch.vmap(lambda b: torch.func.functional_call(tasks[0], b, (given,)).x)(stacked)
    for task, ours in zip(tasks, x, strict=True):
        assert torch.equal(ours, task(given).x)
