"""Data as stored, batches in units, fingerprints, and the public sets on disk."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.preprocessing import Preprocessing
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions, Official
from aeexp.datasets.sets.bundled import digits, read_digits
from aeexp.errors import UsageError

EIGHT = Fractions([8, 1, 1])


def pictures(n=50, seed=0, shape=(1, 4, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# ---------------------------------------------------------------- splits on a device


def test_rows_lie_as_they_are_stored_and_a_batch_is_in_units():
    x = pictures()
    split = Split(Rows(x, np.arange(50), x[:, 0, 0, :2]), Preprocessing(1 / 255))
    assert split.x.dtype == torch.uint8 and split.x.data_ptr() == x.ctypes.data  # no copy, least of all as floats
    batch = split.batch(torch.tensor([7, 3, 3]))
    # one product of two float32 numbers: relative error 2^-24, and as much for 1/255 itself
    np.testing.assert_allclose(batch.x.numpy(), x[[7, 3, 3]] / 255, rtol=2**-22)
    assert batch.x.dtype == torch.float32
    assert batch.y.tolist() == [7, 3, 3]
    assert np.array_equal(batch.s.numpy(), x[[7, 3, 3], 0, 0, :2])
    assert batch.target is None and batch.mask is None


def test_values_without_a_scale_come_back_bit_for_bit():
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    assert np.array_equal(Split(Rows(x)).batch(slice(0, 9)).x.numpy(), x)


@given(n=st.integers(1, 60), size=st.integers(1, 70))
def test_batches_are_all_rows_once_in_their_order(n, size):
    split = Split(Rows(pictures(n), np.arange(n)))
    parts = list(split.batches(size))
    assert all(len(part.x) == size for part in parts[:-1]) and 1 <= len(parts[-1].x) <= size
    assert torch.cat([part.y for part in parts]).tolist() == list(range(n))


def test_limits_and_step_are_in_the_datas_units():
    data = assemble(Source(Rows(pictures() // 2), scale=1 / 255), name="p", split=EIGHT)
    x = np.concatenate([split.x.numpy() for split in data.splits.values()])
    assert data.limits == pytest.approx((x.min() / 255, x.max() / 255))
    assert data.step == 1 / 255
    real = assemble(Source(Rows(pictures().astype(np.float32))), name="p", split=EIGHT)
    assert real.step is None


# ---------------------------------------------------------------- assembly


def test_a_limit_keeps_that_many_rows_by_label_and_the_official_test_whole():
    rows = Rows(pictures(400), np.repeat(np.arange(4), [40, 80, 120, 160]))
    test = Rows(pictures(100, seed=1), np.arange(100) % 4)
    data = assemble(Source(rows, test), name="p", split=Official(0.1), limit=100)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 90, "val": 10, "test": 100}
    assert np.array_equal(data["test"].x.numpy(), test.x)
    kept = torch.cat([data["train"].y, data["val"].y]).bincount()
    assert abs(kept - torch.tensor([10, 20, 30, 40])).max() <= 1
    ids = np.concatenate([data["train"].ids, data["val"].ids])
    assert len(set(ids)) == 100  # numbers of the source, before the limit
    assert all(np.array_equal(data["train"].x[i].numpy(), rows.x[n]) for i, n in enumerate(data["train"].ids))


def test_a_limit_above_the_number_of_rows_changes_nothing(digit_data):
    assert digits(name="digits", split=EIGHT, limit=10**6).fingerprint == digit_data.fingerprint


def test_too_few_rows_are_refused():
    with pytest.raises(UsageError, match="2 rows are too few"):
        assemble(Source(Rows(pictures(2))), name="p", split=EIGHT)


def test_digits_are_those_of_scikit_learn_whether_read_by_it_or_beside_it(monkeypatch):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for find in (importlib.util.find_spec, lambda *given: None):  # the file is not where this version has it
        monkeypatch.setattr(importlib.util, "find_spec", find)
        pictures, labels = read_digits()
        assert np.array_equal(pictures, bunch.images) and np.array_equal(labels, bunch.target)
        assert (pictures.dtype, labels.dtype) == (np.uint8, np.int64)


def test_digits_are_the_1797_pictures_in_grey_levels_from_zero_to_one(digit_data):
    assert {name: len(split) for name, split in digit_data.splits.items()} == {"train": 1437, "val": 180, "test": 180}
    assert digit_data["train"].x.dtype == torch.uint8 and digit_data.shape == (1, 8, 8)
    assert digit_data.limits == (0.0, 1.0) and digit_data.step == 1 / 16
    levels = torch.cat([batch.x for batch in digit_data["train"].batches(500)]).unique() * 16
    assert levels.tolist() == list(range(17))
    assert digit_data.classes == tuple("0123456789") and digit_data.is_labelled


# ---------------------------------------------------------------- fingerprint


def build(x=None, y=None, seed=0, scale=1 / 255, name="p") -> Data:
    x = pictures() if x is None else x
    return assemble(Source(Rows(x, y), scale=scale), name=name, split=Fractions([8, 1, 1], seed))


def test_the_fingerprint_is_that_of_rows_and_splits_and_of_nothing_else():
    assert build().fingerprint == build().fingerprint == build(name="other").fingerprint
    assert build().fingerprint == build(x=np.asfortranarray(pictures())).fingerprint  # same rows, other layout


@given(row=st.integers(0, 49), pixel=st.integers(0, 15), change=st.integers(1, 255))
def test_a_single_pixel_changes_the_fingerprint(row, pixel, change):
    x = pictures()
    x.reshape(50, 16)[row, pixel] ^= np.uint8(change)
    assert build(x).fingerprint != build().fingerprint


def test_another_split_label_scale_or_type_changes_the_fingerprint():
    labels = np.arange(50) % 2
    prints = [
        build().fingerprint,
        build(seed=1).fingerprint,
        build(scale=1 / 256).fingerprint,
        build(x=pictures().astype(np.float32)).fingerprint,
        build(y=labels).fingerprint,
        build(y=1 - labels).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_a_data_set_is_labelled_where_every_split_has_a_label():
    rows = pictures()
    some, none = np.full(50, -1), np.full(50, -1)
    some[::3] = 1
    assert build(rows, some).is_labelled
    assert not build(rows, none).is_labelled
    assert not build(rows).is_labelled


# ---------------------------------------------------------------- classes and labels


def labelled_source(n=300, names=("3", "7", "9")) -> Source:
    return Source(Rows(pictures(n), np.arange(n) % len(names)), scale=1 / 255, classes=names)


@pytest.mark.parametrize(("classes", "kept"), [([7, 9], (1, 2)), (["9", "3"], (0, 2)), ([1], (1,)), ([0, 7], (0, 1))])
def test_classes_are_chosen_by_name_before_number_and_numbered_anew(classes, kept):
    source = labelled_source()
    data = assemble(source, name="p", split=EIGHT, classes=classes)
    assert data.classes == tuple(source.classes[number] for number in kept)
    for split in data.splits.values():
        assert [kept[y] for y in split.y.tolist()] == (split.ids % 3).tolist()
    assert sum(map(len, data.splits.values())) == 100 * len(kept)


@pytest.mark.parametrize("classes", [[5], ["cat"], [-1], []])
def test_a_class_that_is_not_there_is_refused_with_those_that_are(classes):
    with pytest.raises(UsageError, match=r"^classes=") as error:
        assemble(labelled_source(), name="p", split=EIGHT, classes=classes)
    assert not classes or "3, 7, 9" in str(error.value)
    with pytest.raises(UsageError, match="no labels to choose by"):
        assemble(Source(Rows(pictures())), name="p", split=EIGHT, classes=[1])


@pytest.mark.parametrize(("labelled", "count"), [(30, 30), (0.1, 24), (1, 1), (1.0, 240), (240, 240), (2, 2)])
def test_labels_are_hidden_in_the_training_split_alone_and_by_label(labelled, count):
    data, whole = (assemble(labelled_source(), name="p", split=EIGHT, labelled=keep) for keep in (labelled, None))
    y = data["train"].y
    assert int((y >= 0).sum()) == count
    assert torch.equal(y[y >= 0], whole["train"].y[y >= 0])  # those that stay are true
    if count >= 3:
        kept = y[y >= 0].bincount(minlength=3)
        assert int(kept.max() - kept.min()) <= 1
    for name in ("val", "test"):
        assert torch.equal(data[name].y, whole[name].y)
    assert torch.equal(data["train"].x, whole["train"].x)


@pytest.mark.parametrize("labelled", [0, -3, 241, 0.0, 1.5])
def test_a_share_of_labels_that_is_none_is_refused(labelled):
    with pytest.raises(UsageError, match=rf"^labelled={labelled}: take a share in \(0, 1\].*1 to 240"):
        assemble(labelled_source(), name="p", split=EIGHT, labelled=labelled)


def test_what_a_loader_fits_sees_training_rows_only_and_acts_on_all():
    seen = []

    def fit(x):
        seen.append(x)
        return lambda rows: rows - x.mean(0)

    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    data = assemble(Source(Rows(x), fit=fit), name="p", split=EIGHT)
    assert len(seen) == 1 and np.array_equal(seen[0], x[data["train"].ids])
    np.testing.assert_array_equal(data["test"].x.numpy(), x[data["test"].ids] - seen[0].mean(0))


def test_classes_that_leave_a_part_empty_are_refused():
    rows, test = Rows(pictures(60), np.arange(60) % 3), Rows(pictures(20), np.arange(20) % 2)
    source = Source(rows, test, classes=("a", "b", "c"))
    with pytest.raises(UsageError, match=r"^classes=\['c'\]: the official test set has none of them"):
        assemble(source, name="p", split=Official(), classes=["c"])
    assert len(assemble(source, name="p", split=Official(), classes=["b"])["test"]) == 10


def loader_with_a_test_set():
    from aeexp.datasets.core.assemble import DataSet

    @DataSet
    def load(test: str | None = None) -> Source:
        return Source(Rows(pictures(60)), Rows(pictures(20)))

    return load


def test_an_official_test_set_that_is_left_out_is_told_and_a_named_one_refused(caplog):
    load = loader_with_a_test_set()
    with caplog.at_level("INFO"):
        load(name="p", split=EIGHT)
    assert "official test set of 20 rows is left out: dataset/split=official" in caplog.text
    with pytest.raises(UsageError, match=r"^test=rows: this split leaves official sets out; take dataset/split=offic"):
        load(name="p", split=EIGHT, test="rows")
    assert len(load(name="p", split=Official(), test="rows")["test"]) == 20
