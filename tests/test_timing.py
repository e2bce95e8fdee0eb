"""Seconds by stage: each counts once, whatever nests."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeexp import timing
from aeexp.timing import Clock, end_run, spend, stage, take_spent

NAMES = ("data", "fit", "metric/probe", "tensorboard")
trees = st.recursive(
    st.just(()), lambda below: st.lists(st.tuples(st.sampled_from(NAMES), below), max_size=4).map(tuple), max_leaves=12
)


@pytest.fixture
def ticks(monkeypatch):
    """A clock that each look at moves by one second."""
    now = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))


def walk(tree: tuple) -> int:
    """Open the stages of a tree; returns how many there are."""
    count = 0
    for name, below in tree:
        with stage(name):
            count += 1 + walk(below)
    return count


@given(trees)
def test_stages_are_non_negative_and_their_sum_is_at_most_the_whole(tree):
    clock = Clock()
    with clock.running():
        count = walk(tree)
    assert all(value >= 0 for value in clock.seconds.values()) and len(clock.seconds) <= count
    assert sum(clock.seconds.values()) <= clock.total + 1e-9 * count  # a sum of as many differences of doubles


def test_the_innermost_stage_counts_alone(ticks):
    clock = Clock()
    with clock.running(), stage("fit"):
        with stage("tensorboard"):
            pass
        with stage("tensorboard"):
            pass
    # each entrance and each exit looks once: fit is open from 1 to 2, 3 to 4 and 5 to 6
    assert clock.seconds == {"fit": 3.0, "tensorboard": 2.0}


def test_two_clocks_count_the_same_and_one_goes_on_in_parts(ticks):
    outer, inner = Clock(), Clock()
    with outer.running():
        with inner.running(), stage("fit"):
            pass
        with stage("fit"):
            pass
        with inner.running(), stage("data"):
            pass
    assert outer.seconds.keys() == inner.seconds.keys() == {"fit", "data"}
    assert outer.seconds["fit"] > inner.seconds["fit"]


def test_what_raises_is_counted_and_leaves_the_clock_whole():
    clock = Clock()
    with clock.running():
        with pytest.raises(KeyError), stage("build"), stage("data"):
            raise KeyError
        with stage("fit"):
            pass
    assert clock.seconds.keys() == {"build", "data", "fit"}
    with stage("after"):  # no clock is running
        pass
    assert "after" not in clock.seconds


def test_a_thread_has_no_clock_of_its_own():
    clock = Clock()
    with clock.running(), stage("plot/scatter"):
        thread = threading.Thread(target=walk, args=([("fit", ())],))
        thread.start()
        thread.join()
    assert clock.seconds.keys() == {"plot/scatter"}


def test_what_is_spent_before_a_run_is_its_own_and_no_other_one_s(monkeypatch):
    monkeypatch.setattr(timing, "_until", None)
    spend("compose")  # from Python: no command has begun to tell
    assert take_spent() == {}
    began = time.perf_counter()
    spend("imports", began)
    spend("compose")
    first = take_spent()
    assert first.keys() == {"imports", "compose"} and Clock(first).total >= sum(first.values()) >= 0
    end_run()
    spend("compose")
    assert take_spent().keys() == {"compose"} and take_spent() == {}
