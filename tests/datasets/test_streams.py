"""The order of a stream: every row once, of each lane its share in every batch, and the same batches for any number of
processes, of which each reads its own rows alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.marking import BLOCK, mark_apart
from aeexp.datasets.core.order import Order, apportion, deal
from aeexp.datasets.core.records import Rows, StoredArray, StreamedArray
from aeexp.datasets.core.row_set import RowSet
from aeexp.datasets.core.split import Split, choose_some
from aeexp.datasets.core.splits import Fractions, draw_places
from aeexp.datasets.core.stream import Stream
from aeexp.types import Share

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda counts: sum(counts) > 0)


class Numbers:
    """Shards whose rows are their own numbers, in blocks of three or one by one; tells what was read."""

    def __init__(self, counts, one_by_one=False):
        self.counts, self.shape, self.dtype = list(counts), (1,), np.dtype(np.float32)
        self.one_by_one = one_by_one
        self.read_rows: list[int] = []
        self.opened: set[int] = set()

    def read(self, shard, places):
        assert (np.diff(places) > 0).all() and 0 <= places[0] and places[-1] < self.counts[shard]
        self.opened.add(shard)
        numbers = sum(self.counts[:shard]) + places.astype(np.float32)[:, None]
        for start in range(0, len(numbers), 1 if self.one_by_one else 3):
            block = numbers[start] if self.one_by_one else numbers[start : start + 3]
            self.read_rows += block.ravel().astype(int).tolist()
            yield block


def stream(counts, chosen=None, **keys) -> Stream:
    rows = Rows(StreamedArray(Numbers(counts, **keys), "s"), np.arange(sum(counts)))
    return Stream(rows if chosen is None else rows.take(chosen))


@given(COUNTS, st.integers(1, 30), st.integers(1, 60), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_any_number_of_processes_share_the_batches_of_one(counts, size, buffer, processes, seed, one_by_one):
    """The same rows in an epoch, none twice, none left out; a row is read by one process alone."""
    chosen = np.flatnonzero(np.random.default_rng(seed).random(sum(counts)) < 0.8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeexp.datasets.core.stream.BUFFER", buffer)
        for go in (lambda split, share: split.epoch(seed, 1, size, share=share),
                   lambda split, share: split.batches(size, share)):  # fmt: skip
            whole = list(go(stream(counts, chosen), Share()))
            splits = [stream(counts, chosen, one_by_one=one_by_one) for _ in range(processes)]
            parts = [list(go(split, Share(rank, processes))) for rank, split in enumerate(splits)]
            assert all(len(part) == len(whole) for part in parts)
            for number, batch in enumerate(whole):
                counted = [Share(rank, processes).find(len(batch.x)) for rank in range(processes)]
                several = [part[number] for part, (first, last) in zip(parts, counted, strict=True) if last > first]
                assert all(part[number].rows == len(batch.x) for part in parts)
                for name in ("x", "y", "ids"):
                    joined = torch.cat([getattr(each, name) for each in several])
                    assert torch.equal(joined, getattr(batch, name))
            read = [row for split in splits for row in split.x.shards.read_rows]
            few = sum(len(batch.x) < processes for batch in whole) * processes  # whose rows that count nothing are read
            assert set(read) == set(chosen.tolist()) and len(read) - len(chosen) <= few


def test_processes_read_other_shards():
    """Eight lanes of as many rows, four for each of two: no shard is opened by both."""
    splits = [stream([50] * 32) for _ in range(2)]
    for rank, split in enumerate(splits):
        rows = sum(len(batch.x) for batch in split.epoch(0, 0, 16, share=Share(rank, 2)))
        assert rows == 800
    one, other = (split.x.shards.opened for split in splits)
    assert not one & other and len(one) == len(other) == 16


@given(COUNTS, st.integers(1, 30), st.integers(1, 60), st.integers(1, 3), st.integers(0, 40))
def test_a_share_that_goes_on_is_the_rest_of_it(counts, size, buffer, processes, start):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeexp.datasets.core.stream.BUFFER", buffer)
        for rank in range(processes):
            share = Share(rank, processes)
            whole = list(stream(counts).epoch(3, 2, size, share=share))
            rest = list(stream(counts).epoch(3, 2, size, start, share))
            assert len(rest) == max(0, len(whole) - start)
            assert all(torch.equal(a.x, b.x) for a, b in zip(rest, whole[start:], strict=True))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(sum), st.integers(1, 300))
def test_parts_take_of_each_what_it_has_left(rows, size):
    table = apportion(np.array(rows), size)
    assert table.sum(0).tolist() == rows and (table >= 0).all()
    assert set(table.sum(1)[:-1]) <= {size} and 0 < table.sum(1)[-1] <= size
    left = np.array(rows) - np.cumsum(table, 0) + table
    exact = left * table.sum(1, keepdims=True) / left.sum(1, keepdims=True)
    assert (abs(table - exact) < 1).all()  # rounded up or down


@given(COUNTS, st.integers(1, 40), st.integers(1, 60))
def test_a_batch_has_of_every_lane_its_share(counts, size, buffer):
    buffer = max(1, buffer // size) * size
    counts = np.array(counts)
    order = Order(counts, deal(counts, np.arange(len(counts)), 4), buffer, size, Share(), [0])
    for at in range(len(order)):
        batch, own = order._batches(order.parts[at].tobytes())
        assert own.all()
        ends = np.cumsum(order.parts[at])
        for lane, (end, rows) in enumerate(zip(ends, order.parts[at], strict=True)):
            share = np.bincount(batch[end - rows : end], minlength=batch.max() + 1)
            exact = np.bincount(batch) * rows / len(batch)
            # rows of a lane lie at equal distances: of an interval it has its share to within one, here of two ends
            assert (abs(share - exact) <= 2).all(), lane


def test_shards_are_dealt_to_the_lane_that_has_the_fewest_rows():
    lanes = deal(np.array([9, 1, 0, 1, 1, 5]), np.array([0, 1, 2, 3, 4, 5]), 2)
    assert [lane.tolist() for lane in lanes] == [[0], [1, 3, 4, 5]]


@given(COUNTS, st.data())
def test_a_set_of_rows_is_what_an_index_is(counts, data):
    index = np.arange(sum(counts))
    rows = RowSet(np.cumsum(counts))
    for _ in range(3):
        mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index))), bool)
        taken, same = rows.take(mask), rows.take(np.flatnonzero(mask))
        index = index[mask]
        assert taken.numbers().tolist() == same.numbers().tolist() == index.tolist() and len(taken) == len(index)
        within = [taken.find(shard) + taken.begins[shard] for shard in range(len(counts))]
        assert np.concatenate(within).tolist() == index.tolist() and [len(each) for each in within] == list(
            taken.counts
        )
        assert taken.to_bytes() == same.to_bytes()
        rows = taken


def test_a_set_of_rows_takes_a_bit_a_row_and_ascending_places_alone():
    rows = RowSet(np.array([1_000_000])).take(np.arange(1_000_000) % 3 == 0)
    assert rows.bits is not None and rows.bits.nbytes == 125_000
    with pytest.raises(ValueError, match="must ascend"):
        rows.take(np.array([3, 2]))


@given(st.integers(0, 2**31), st.floats(0, 1), st.booleans())
def test_many_rows_are_drawn_block_by_block(seed, share, labelled):
    count = 3 * BLOCK + 17
    strata = np.random.default_rng(seed).choice(np.array([-1, 0, 1, 1], np.int8), count) if labelled else None
    size = round(count * share)
    rest, drawn = mark_apart(count, size, seed, strata, lambda counts: np.floor(counts * share).astype(np.int64))
    assert (rest ^ drawn).all()
    if strata is None:
        assert drawn.sum() == size
    else:
        for label in (-1, 0, 1):
            of_it = strata == label
            assert drawn[of_it].sum() == int(of_it.sum() * share)


def test_every_row_is_drawn_as_often_as_any_other_also_of_many(monkeypatch):
    monkeypatch.setattr("aeexp.datasets.core.marking.BLOCK", 4)
    n, size, draws = 10, 3, 3000
    hits = sum(mark_apart(n, size, seed, None, lambda counts: counts)[1].astype(int) for seed in range(draws))
    p = size / n
    assert (abs(hits - draws * p) < 5 * np.sqrt(draws * p * (1 - p))).all()


def test_very_many_rows_are_split_alike_wherever_they_lie(monkeypatch):
    for module in ("split", "splits"):
        monkeypatch.setattr(f"aeexp.datasets.core.{module}.MANY", 100)
    from aeexp.datasets.core.records import Source

    y = (np.arange(500) % 3).astype(np.int8)
    assert draw_places(y, 500, 50, 0)[1].dtype == bool
    split = Fractions([8, 1, 1])
    x = np.arange(500, dtype=np.float32)[:, None]
    kinds = [
        Rows(each, y, ids=np.arange(500)) for each in (x, StoredArray(x, "x"), StreamedArray(Numbers([499, 1]), "s"))
    ]
    parts = [split(Source(rows)) for rows in kinds]
    for name, size in (("train", 400), ("val", 50), ("test", 50)):
        one, *others = (each[name].x if isinstance(each[name].x, np.ndarray) else each[name].x.read() for each in parts)
        assert len(one) == size and all(np.array_equal(one, other) for other in others)
        assert abs(np.bincount(parts[0][name].y) / size - 1 / 3).max() < 1 / size
    some = choose_some(500, 20, 0)
    assert len(set(some.tolist())) == 20 and (np.diff(some) > 0).all() and len(choose_some(500, 900, 0)) == 500


@pytest.mark.parametrize("kind", [lambda x: x, lambda x: StoredArray(x, "x.npy")])
def test_a_process_reads_no_rows_of_a_memory_map_but_its_own(kind):
    x = np.arange(50, dtype=np.float32)[:, None]
    split = Split(Rows(kind(x), ids=np.arange(50)))
    for go in (lambda share: split.epoch(0, 3, 7, 2, share), lambda share: split.batches(7, share)):
        parts = zip(go(Share()), go(Share(0, 2)), go(Share(1, 2)), strict=True)
        for whole, one, other in parts:
            assert torch.equal(torch.cat([one.x, other.x])[: len(whole.x)], whole.x)
            assert one.rows == other.rows == len(whole.x) and (
                len(whole.x) == 1 or len(one.x) + len(other.x) == one.rows
            )
