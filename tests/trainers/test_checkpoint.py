"""State on disk: whole or not there, plain tensors, and refused in words where it cannot be read."""

from __future__ import annotations

import copy
import functools
import io
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import same

from aeexp import files, schedulers
from aeexp.errors import UsageError
from aeexp.trainers import checkpoint
from aeexp.trainers.checkpoint import Progress, State, Store, find_tensors, load
from aeexp.types import Batch

HEADER = {"run_id": "a1", "config": {"seed": 0, "model": {"hidden_dims": [5], "p": None}}, "shape": [6]}


@dataclass
class Dumped:
    """A snapshot of what is given."""

    content: dict[str, Any]

    def dump(self) -> dict[str, Any]:
        return dict(self.content)


@pytest.fixture
def stepped(build_learner):
    """state(steps): a learner after some Adam steps, with its optimizer, schedule and progress."""

    def make(steps: int, seed: int = 0) -> State:
        learner = build_learner((6,), hidden_dims=[5], seed=seed)
        optimizer = torch.optim.Adam(learner.parameters(), lr=0.1)
        state = State(learner, optimizer, schedulers.warmup_cosine(optimizer, 20), Progress())
        for _ in range(steps):
            advance(state)
        return state

    return make


def advance(state: State) -> None:
    state.optimizer.zero_grad()
    x = torch.linspace(-1, 1, 24).reshape(4, 6)
    state.learner(Batch(x))[0]["reconstruction"].mean().backward()
    state.optimizer.step()
    state.scheduler.step()
    state.progress.step += 1
    state.progress.history.append({"step": state.progress.step, "split": "val", "loss": 1 / 3})


# ---------------------------------------------------------------- atomic files


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "deep" / "file.bin"
    files.write(path, lambda file: file.write(b"old"))

    def half(file):
        file.write(b"ne")
        file.flush()
        assert path.read_bytes() == b"old"  # a reader in the middle of it sees the old file
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write(path, half)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


def test_a_first_write_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        files.write(tmp_path / "new", lambda file: 1 / 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_that_others_cannot_read_is_not_written(tmp_path, value):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "m.json", {"loss": value})
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, stepped, monkeypatch):
    state = stepped(1)
    store = Store(tmp_path, HEADER)
    store.save(state, now=True)
    old = (tmp_path / "last.pt").read_bytes()
    real = torch.save

    def full(content, file):
        buffer = io.BytesIO()
        real(content, buffer)
        file.write(buffer.getvalue()[:500])
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    advance(state)
    with pytest.raises(OSError, match="no space"):
        store.save(state, now=True)
    assert (tmp_path / "last.pt").read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


# ---------------------------------------------------------------- state


def test_a_state_read_from_disk_goes_on_with_the_same_bits(tmp_path, stepped):
    state = stepped(7)
    Store(tmp_path, HEADER).save(state, now=True)
    other = stepped(2, seed=5)
    other.load(load(tmp_path / "last.pt"))
    assert same(other.dump(), state.dump())
    for _ in range(5):
        advance(state), advance(other)
    assert same(other.dump(), state.dump())


def test_a_file_explains_itself_and_holds_tensors_and_plain_values_only(tmp_path, stepped):
    state = stepped(3)
    store = Store(tmp_path, HEADER)
    store.keep_best(state)
    store.save(state, now=True)
    for name in ("last", "best"):
        saved = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        assert {key: saved[key] for key in HEADER} == HEADER
        assert saved["progress"]["history"] == state.progress.history


def test_the_best_state_is_a_copy_of_its_moment_with_the_optimizer_of_that_moment(tmp_path, stepped):
    state = stepped(3)
    store = Store(tmp_path, HEADER)
    store.keep_best(state)
    for _ in range(4):
        advance(state)
    store.save(state, now=True)
    best, last = load(tmp_path / "best.pt"), load(tmp_path / "last.pt")
    assert same({**HEADER, **stepped(3).dump()}, best)
    assert same({**HEADER, **stepped(7).dump()}, last)
    assert {float(entry["step"]) for entry in best["optimizer"]["state"].values()} == {3}


def test_files_are_written_at_most_every_so_many_seconds_unless_now(tmp_path, stepped, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    state = stepped(0)
    store = Store(tmp_path, HEADER, every_seconds=10)
    written = []
    for seconds, now in [(0, False), (9, False), (2, False), (1, True), (9, False), (1, False)]:
        clock[0] += seconds
        advance(state)
        store.save(state, now=now)
        written.append(load(tmp_path / "last.pt")["progress"]["step"])
    # at once; too soon; 11 s later; now; 9 s after that; 10 s after that
    assert written == [1, 1, 3, 4, 4, 6]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_state_that_is_not_finite_never_takes_the_place_of_one_that_is(tmp_path, stepped, bad):
    state = stepped(2)
    store = Store(tmp_path, HEADER)
    store.save(state, now=True)
    advance(state)
    with torch.no_grad():
        state.learner.model.encoder.layers[0].weight[0, 0] = bad
    store.save(state, now=True)
    assert same({**HEADER, **stepped(2).dump()}, load(tmp_path / "last.pt"))


# ---------------------------------------------------------------- going on


def test_a_run_of_another_configuration_is_not_taken_up(tmp_path, stepped):
    Store(tmp_path / "run" / "checkpoints", HEADER).save(stepped(1), now=True)
    store = Store(tmp_path / "other", {**HEADER, "run_id": "b2"})
    with pytest.raises(UsageError) as error:
        store.resume(tmp_path / "run" / "checkpoints")
    message = str(error.value)
    assert message.startswith(f"resume={tmp_path / 'run'}: ") and "a1" in message and "b2" in message
    assert store.resumed is None


def test_going_on_brings_back_last_and_best(tmp_path, stepped):
    state = stepped(3)
    store = Store(tmp_path, HEADER)
    store.keep_best(state)
    advance(state)
    store.save(state, now=True)
    again = Store(tmp_path / "new", HEADER)
    again.resume(tmp_path)
    assert again.resumed["progress"]["step"] == 4 and again.best["progress"]["step"] == 3


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="last.pt: there is no such checkpoint"):
        Store(tmp_path, HEADER).resume(tmp_path / "checkpoints")


def saved() -> bytes:
    torch.save({"run_id": "a", "learner": {"w": torch.ones(50)}, "progress": {"step": 1}}, buffer := io.BytesIO())
    return buffer.getvalue()


GOOD = saved()


def refused(path) -> None:
    with pytest.raises(UsageError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path} is no readable checkpoint: ") and len(message.splitlines()) == 1


@settings(max_examples=150)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_checkpoint_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.getbasetemp() / "cut.pt"
    path.write_bytes(GOOD[: int(share * len(GOOD))])
    refused(path)


@settings(max_examples=200)
@given(st.binary(max_size=100), st.sampled_from([b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04", b"\x93NUMPY"]))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "noise.pt"
    path.write_bytes(magic + content)
    refused(path)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_checkpoint_is_refused_or_loaded_but_nothing_else(tmp_path_factory, changes):
    content = bytearray(GOOD)
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    path.write_bytes(content)
    try:
        load(path)
    except UsageError as error:
        assert str(path) in str(error)


class Bomb:
    """Anything but a tensor or a plain value."""

    def __reduce__(self):
        return functools.partial(pytest.fail, "was unpickled"), ()


def test_code_is_never_unpickled(tmp_path):
    torch.save({"run_id": "a", "bomb": Bomb()}, tmp_path / "bomb.pt")
    refused(tmp_path / "bomb.pt")


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {"weights": torch.ones(3)}, "text"])
def test_a_file_of_torch_that_is_no_checkpoint_of_a_run_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(UsageError, match="last.pt"):
        Store(tmp_path / "new", HEADER).resume(tmp_path)


def test_the_best_state_takes_the_places_of_the_last_one_and_shares_nothing_with_what_trains(stepped):
    state, store = stepped(1), Store(None, HEADER)
    store.keep_best(state)
    places = {tensor.data_ptr() for tensor in find_tensors(store.best)}
    for steps in range(2, 5):
        advance(state)
        store.keep_best(state)
        assert same(store.best, stepped(steps).dump())
        assert {tensor.data_ptr() for tensor in find_tensors(store.best)} == places
    assert not places & {tensor.data_ptr() for tensor in find_tensors(state.dump())}
    advance(state)
    assert same(store.best, stepped(4).dump())


def test_a_best_state_of_other_tensors_is_held_as_well_and_one_under_two_names_stays_one():
    """Stages train parts of the learner: which tensor lies where, and which has two names, changes between them."""
    one, two = torch.ones(3), torch.zeros(3)
    store = Store(None, HEADER)
    for whole, part in (({"a": one, "b": two}, one), ({"a": one, "b": two}, two), ({"a": two}, two.reshape(1, 3)),
                        ({"a": one, "b": torch.zeros(2, 2), "c": torch.zeros(0)}, torch.arange(3))):  # fmt: skip
        content = {"learner": OrderedDict(whole), "stage": [part], "progress": {}}
        store.keep_best(Dumped(content))
        assert same(store.best, content) and type(store.best["learner"]) is OrderedDict
        alike = [name for name, tensor in whole.items() if tensor is part]
        assert [name for name in whole if store.best["learner"][name] is store.best["stage"][0]] == alike


def test_a_state_that_goes_on_leaves_what_it_was_loaded_from_as_it_was(stepped):
    saved = stepped(3).dump()
    kept = copy.deepcopy(saved)
    state = stepped(0)
    state.load(saved)
    for _ in range(3):
        advance(state)
    assert same(saved, kept)
