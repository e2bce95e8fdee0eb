"""Few labels: rows that join every batch, and rows that leave the training split."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from composing import run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.assemble import assemble
from aeexp.datasets.core.data import Data
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.splits import Fractions
from aeexp.errors import UsageError
from aeexp.trainers.checkpoint import load
from aeexp.trainers.labelled import Labelled
from aeexp.types import Batch

LABELS = np.where(np.arange(26) % 4 == 0, np.arange(26) % 3, -1)  # 7 labelled rows


def split(labels=LABELS) -> Split:
    return Split(Rows(np.arange(26, dtype=np.float32)[:, None], labels, None, np.arange(26) + 100))


@given(st.integers(1, 20), st.integers(0, 5))
def test_all_labelled_rows_come_once_before_one_comes_again(size, seed):
    labelled = Labelled(split(), size, seed)
    rows = torch.cat([labelled.index(number) for number in range(3 * 7)]).tolist()
    assert len(rows) == 21 * size  # 3 * size rounds
    rounds = [rows[at : at + 7] for at in range(0, len(rows), 7)]
    assert all(sorted(each) == np.flatnonzero(LABELS >= 0).tolist() for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1  # each round in its own order


def test_which_rows_join_follows_from_seed_and_number_alone():
    one, again, other = (Labelled(split(), 3, seed) for seed in (0, 0, 1))
    forward = [one.index(number) for number in range(30)]
    assert all(torch.equal(again.index(number), forward[number]) for number in reversed(range(30)))
    assert any(not torch.equal(other.index(number), forward[number]) for number in range(30))


def test_a_joined_batch_is_the_batch_and_behind_it_whole_labelled_rows():
    data = split()
    batch = data.batch(torch.tensor([3, 0]))
    joined = Labelled(data, 4, 0).join(batch, 5, 0)
    assert torch.equal(joined.x[:2], batch.x) and len(joined.x) == 6
    assert (joined.y[2:] >= 0).all() and joined.s is None and joined.target is None
    assert torch.equal(joined.ids[2:] - 100, joined.x[2:, 0].long())  # every field is of the same rows
    assert joined.y[2:].tolist() == LABELS[joined.ids[2:].numpy() - 100].tolist()


class Seen(torch.nn.Module):
    """A learner of one weight that notes the batches it is given."""

    objective = SimpleNamespace(copies=1)
    observes = False

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches = []

    def forward(self, batch: Batch):
        if self.training:
            self.batches.append(batch)
        return {"loss": (batch.x[:, 0] - self.weight).square()}, None

    def observe(self, out):
        pass

    def before_step(self, split, step):
        pass

    def readings(self):
        return {}


@pytest.fixture
def fit(tmp_path, quiet):
    from aeexp import schedulers
    from aeexp.trainers.checkpoint import Store
    from aeexp.trainers.joint import Joint

    def start(folder, learner=None, stop=lambda: False, labels=LABELS, **options):
        store = Store(tmp_path / folder, {"run_id": "a"}, math.inf)
        if (tmp_path / folder / "last.pt").is_file():
            store.resume(tmp_path / folder)
        learner = learner or Seen()
        data = Data("toy", {name: split(labels) for name in ("train", "val", "test")}, ("a", "b", "c"))
        options = {"steps": 9, "batch_size": 4, "labelled_batch_size": 3, "validate_every_steps": 4, **options}
        optimizer = lambda parameters: torch.optim.Adam(parameters, lr=0.1)  # noqa: E731
        Joint(**options).fit(learner, data, optimizer, schedulers.constant, store, quiet(), 0, stop)
        return learner

    return start


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_batch_of_every_step_holds_that_many_labelled_rows_more(accumulate, fit):
    seen = fit("run", accumulate=accumulate).batches
    sizes = [len(batch.x) - 3 for batch in seen]
    per_epoch = [4, 4, 4, 4, 4, 4, 2]
    assert sizes == (per_epoch * 4)[: len(sizes)] and len(sizes) > 9 * (accumulate - 1)
    assert all((batch.y[-3:] >= 0).all() for batch in seen)
    if accumulate == 1:
        joined = torch.cat([batch.ids[-3:] for batch in seen])[:21].view(3, 7)
        assert all(each.sort().values.tolist() == (np.flatnonzero(LABELS >= 0) + 100).tolist() for each in joined)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("steps", [1, 3, 4, 8])
def test_a_run_that_goes_on_is_given_the_same_rows_and_ends_with_the_same_bits(steps, accumulate, fit, tmp_path):
    whole = fit("whole", accumulate=accumulate)
    calls = iter(range(1, 100))
    first = Seen()
    with pytest.raises(KeyboardInterrupt):
        fit("cut", first, stop=lambda: next(calls) == steps, accumulate=accumulate)
    second = fit("cut", accumulate=accumulate)
    ids = [[batch.ids.tolist() for batch in each.batches] for each in (whole, first, second)]
    assert ids[0] == ids[1] + ids[2]
    saved = [load(tmp_path / name / "last.pt")["learner"]["weight"] for name in ("whole", "cut")]
    assert torch.equal(*saved)


@pytest.mark.parametrize("labels", [None, np.full(26, -1)])
def test_data_without_a_label_are_refused(labels, fit):
    message = r"^trainer\.labelled_batch_size=3: no training row has a label: leave it null"
    with pytest.raises(UsageError, match=message):
        fit("run", labels=labels)


def test_streamed_rows_and_sizes_below_one_are_refused(tmp_path):
    import samples

    overrides = samples.write("webdataset", tmp_path / "rows")
    with pytest.raises(UsageError, match=r"^trainer\.labelled_batch_size=2: rows that are streamed.*residency=host"):
        run_in(tmp_path / "run", *overrides, "dataset.residency=stream", "trainer.labelled_batch_size=2")
    with pytest.raises(
        UsageError, match=r"^trainer\.labelled_batch_size=0 should be a whole number of at least 1 or null"
    ):
        run_in(tmp_path / "zero", "trainer.labelled_batch_size=0")


# ---------------------------------------------------------------- dataset.unlabelled


def source(labels) -> Source:
    x = np.random.default_rng(0).random((300, 2), np.float32)
    return Source(Rows(x, labels), classes=("a", "b", "c"))


@pytest.mark.parametrize("labelled", [None, 30])
def test_rows_without_a_label_leave_the_training_split_alone(labelled):
    labels = np.where(np.arange(300) < 250, np.arange(300) % 3, -1)
    keys = dict(name="p", split=Fractions([8, 1, 1]), labelled=labelled)
    kept, dropped = (assemble(source(labels), unlabelled=what, **keys) for what in ("keep", "drop"))
    known = kept["train"].y >= 0
    assert 0 < int(known.sum()) < len(kept["train"])
    assert torch.equal(dropped["train"].y, kept["train"].y[known])
    assert torch.equal(dropped["train"].x, kept["train"].x[known])
    assert dropped["train"].ids.tolist() == kept["train"].ids[known.numpy()].tolist()
    for name in ("val", "test"):
        assert torch.equal(dropped[name].x, kept[name].x)


@pytest.mark.parametrize("labels", [None, np.full(300, -1)])
def test_nothing_is_left_where_no_row_has_a_label(labels):
    with pytest.raises(UsageError, match=r"^unlabelled=drop leaves no training row.*take unlabelled=keep"):
        assemble(source(labels), name="p", split=Fractions([8, 1, 1]), unlabelled="drop")
