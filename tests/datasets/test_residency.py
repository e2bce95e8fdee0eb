"""Wherever rows lie - device, host, disk, shards - a run sees the same rows; memory and order are what is promised."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core import data as placing
from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.records import Rows, Source, StoredArray, StreamedArray
from aeexp.datasets.core.splits import Fractions, KFold, Official
from aeexp.datasets.core.stream import Stream
from aeexp.errors import UsageError

CPU = torch.device("cpu")
X = np.random.default_rng(0).integers(0, 256, (300, 5), dtype=np.uint8)
Y = np.arange(300) % 3


class Cut:
    """Shards in memory that count what was read of them."""

    def __init__(self, x, counts):
        self.x, self.counts, self.shape, self.dtype = x, list(counts), x.shape[1:], x.dtype
        self.read_rows = 0

    def read(self, shard, places):
        start = sum(self.counts[:shard])
        assert (np.diff(places) > 0).all() and places[-1] < self.counts[shard]
        for place in places:
            self.read_rows += 1
            yield self.x[start + place]


def source(kind, x=X, y=Y, counts=(100, 0, 30, 170)) -> Source:
    stored = {"memory": x, "disk": StoredArray(x, "x.npy"), "stream": StreamedArray(Cut(x, counts), "shards")}[kind]
    return Source(Rows(stored, y, y * 10), scale=1 / 255, classes=("a", "b", "c"))


def data(kind, residency="auto", split=None, **keys):
    result = assemble(source(kind), name="p", split=split or Fractions([8, 1, 1]), residency=residency, **keys)
    return result.place(CPU)


KINDS = [("memory", "device"), ("memory", "host"), ("disk", "device"), ("disk", "host"), ("disk", "disk"),
         ("stream", "device"), ("stream", "host"), ("stream", "stream")]  # fmt: skip


@pytest.mark.parametrize(("kind", "residency"), KINDS)
@pytest.mark.parametrize(
    "keys",
    [{}, {"limit": 100}, {"classes": ["a", 2]}, {"labelled": 30}, {"binarise": "fixed"}, {"standardise": True}],
)
def test_the_same_rows_labels_and_values_wherever_they_lie(kind, residency, keys):
    ours, plain = data(kind, residency, **keys), data("memory", "device", **keys)
    assert ours.residency == residency
    assert ours.shape == plain.shape and ours.classes == plain.classes and ours.limits == plain.limits
    for name, split in ours.splits.items():
        assert len(split) == len(plain[name]) and np.array_equal(split.ids, plain[name].ids)
        for one, other in zip(split.batches(32), plain[name].batches(32), strict=True):
            assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y) and torch.equal(one.s, other.s)


@pytest.mark.parametrize(("kind", "residency"), KINDS)
def test_an_epoch_is_every_row_once_in_an_order_of_its_own(kind, residency):
    train = data(kind, residency)["train"]

    def seen(seed, epoch, start=0):
        return torch.cat([batch.x for batch in train.epoch(seed, epoch, 32, start)])

    whole = torch.cat([batch.x for batch in train.batches(50)])
    key = torch.tensor([256.0**i for i in range(5)], dtype=torch.float64)
    first = seen(0, 0)
    assert torch.equal((first.double() @ key).sort().values, (whole.double() @ key).sort().values)
    orders = [seen(seed, epoch) for seed in range(2) for epoch in range(2)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations([whole, *orders], 2))
    assert torch.equal(seen(0, 0), first)


@pytest.mark.parametrize(("kind", "residency"), KINDS)
@pytest.mark.parametrize("buffer", [8192, 64])
def test_an_epoch_that_goes_on_is_the_rest_of_the_undisturbed_one(kind, residency, buffer, monkeypatch):
    monkeypatch.setattr("aeexp.datasets.core.stream.BUFFER", buffer)
    train = data(kind, residency)["train"]
    whole = list(train.epoch(3, 7, 16))
    for start in (0, 1, 4, 5, len(whole) - 1):
        rest = list(train.epoch(3, 7, 16, start))
        assert len(rest) == len(whole) - start
        assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(rest, whole[start:], strict=True))


def test_a_stream_that_goes_on_does_not_read_what_lies_behind(monkeypatch):
    monkeypatch.setattr("aeexp.datasets.core.stream.BUFFER", 64)
    result = data("stream", "stream")
    shards = result["train"].x.shards
    shards.read_rows = 0
    next(result["train"].epoch(0, 0, 16, 8))  # batch 8 lies in the third buffer of 64 rows
    assert shards.read_rows <= 128  # that buffer and the one that is read ahead


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda c: sum(c) >= 20),
    size=st.integers(1, 30),
    buffer=st.integers(1, 60),
    seed=st.integers(0, 5),
)
def test_any_shards_any_batch_any_buffer(counts, size, buffer, seed):
    n = sum(counts)
    stream = Stream(Rows(StreamedArray(Cut(np.arange(n, dtype=np.float32)[:, None], counts), "s"), np.arange(n)))
    part = Stream(stream.rows.take(np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)))
    if len(part) == 0:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aeexp.datasets.core.stream.BUFFER", buffer)
        batches = list(part.epoch(seed, 1, size))
    assert [len(b.x) for b in batches[:-1]] == [size] * (len(batches) - 1) and 1 <= len(batches[-1].x) <= size
    assert all(torch.equal(b.x[:, 0].long(), b.y) for b in batches)  # labels go with their rows
    assert sorted(torch.cat([b.y for b in batches]).tolist()) == sorted(part.x.index)


def test_a_shuffled_stream_mixes_rows_and_shards():
    n = 4000
    stream = Stream(Rows(StreamedArray(Cut(np.arange(n, dtype=np.float32)[:, None], [400] * 10), "s")))
    order = torch.cat([b.x for b in stream.epoch(0, 0, 50)]).flatten().numpy()
    # a permutation of n: rank correlation has standard deviation 1/sqrt(n)
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 5 / np.sqrt(n)
    # a batch of 50 drawn rows has a mean within five deviations of that of all; of lanes that take turns, far nearer
    assert (abs(order.reshape(-1, 50).mean(1) - order.mean()) < 5 * n / np.sqrt(12 * 50)).all()


@pytest.mark.parametrize("kind", ["disk", "stream"])
def test_what_wants_all_rows_gets_a_bounded_sample_of_the_same_rows(kind, monkeypatch):
    monkeypatch.setattr(placing, "SAMPLE", 50)
    result = data(kind, kind)
    sample = result.sample("train")
    assert len(sample) == 50 and isinstance(sample.rows.x, np.ndarray) and result.sample("train") is sample
    assert set(sample.ids) <= set(result["train"].ids) and len(set(sample.ids)) == 50
    assert np.array_equal(sample.rows.x, X[sample.ids]) and np.array_equal(sample.y, Y[sample.ids])
    assert len(result.sample("val")) == len(result["val"])
    assert len(data("memory", "device").sample("train")) == 240


@pytest.mark.parametrize(
    ("kind", "residency"), [("memory", "disk"), ("memory", "stream"), ("disk", "stream"), ("stream", "disk")]
)
def test_a_place_where_the_rows_cannot_lie_is_refused(kind, residency):
    with pytest.raises(UsageError, match=rf"^dataset.residency={residency}: the rows of p can lie on device or host"):
        data(kind, residency)


@pytest.mark.parametrize(
    ("kind", "free", "chosen"),
    [
        ("memory", 10**9, "device"),
        ("disk", 10**9, "device"),
        ("disk", 2000, "disk"),
        ("stream", 2000, "stream"),
        ("memory", 2000, "host"),
    ],  # fmt: skip
)
def test_auto_chooses_by_size_and_says_so(kind, free, chosen, monkeypatch):
    monkeypatch.setattr(placing, "_measure_free", lambda device: free)  # 1,500 bytes of rows
    result = data(kind)
    assert result.residency == chosen
    places = {"device": "on the device", "host": "in host memory", "disk": "on disk", "stream": "streamed"}
    assert result.describe_placement() == f"1.5 kB {places[chosen]}"


def test_the_fingerprint_knows_rows_beyond_memory_by_their_numbers_and_a_sample():
    assert data("disk").fingerprint == data("disk", "disk").fingerprint
    other = [assemble(source("disk", x), name="p", split=Fractions([8, 1, 1])).fingerprint for x in (X, X[::-1].copy())]
    assert len({data("disk", split=KFold(5, fold)).fingerprint for fold in range(5)} | set(other)) == 7


def test_nan_beyond_memory_is_refused_when_it_is_read_with_path_and_row():
    x = np.ones((50, 2), np.float32)
    x[33, 1] = np.nan
    with pytest.raises(UsageError, match=r"^dataset.path=x.npy: row 33 holds NaN.*mend it"):
        list(data_of(StoredArray(x, "x.npy")))
    with pytest.raises(UsageError, match=r"^dataset.path=s: row 33 holds NaN"):
        list(data_of(StreamedArray(Cut(x, [20, 30]), "s")))


def data_of(x):
    result = assemble(Source(Rows(x)), name="p", split=Fractions([8, 1, 1]), residency="auto")
    for split in result.splits.values():
        yield from split.batches(10)


def test_a_shard_that_lost_rows_since_it_was_counted_is_told():
    class Short(Cut):
        def read(self, shard, places):
            yield from itertools.islice(super().read(shard, places), 3)

    stream = Stream(Rows(StreamedArray(Short(X, [300]), "shards")))
    with pytest.raises(UsageError, match="shard 0 holds other rows than when it was counted"):
        list(stream.batches(10))


def test_official_streams_keep_their_test_shards_apart():
    whole = source("stream")._replace(test=source("stream", X[:90] ^ 1, Y[:90], (40, 50)).rows)
    ours = assemble(whole, name="p", split=Official(0.2)).place(CPU)
    assert {name: len(split) for name, split in ours.splits.items()} == {"train": 240, "val": 60, "test": 90}
    assert np.array_equal(torch.cat([b.x for b in ours["test"].batches(7)]).numpy(), (X[:90] ^ 1) * np.float32(1 / 255))
