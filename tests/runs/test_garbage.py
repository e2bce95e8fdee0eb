"""A command's process collects seldom and keeps its libraries; a user's own is left alone."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from aeexp.runs import garbage


@pytest.fixture(autouse=True)
def own():
    before, kept = gc.get_threshold(), set(garbage._kept)
    gc.set_threshold(700, 10, 10)  # a command that a test before called in this process has others
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    garbage._kept.clear()
    garbage._kept.update(kept)


def test_a_process_of_ones_own_is_left_alone():
    frozen = gc.get_freeze_count()
    garbage.keep("these")
    assert gc.get_threshold() != garbage.OFTEN and gc.get_freeze_count() == frozen


def test_what_is_kept_is_kept_once_and_later_cycles_are_found():
    garbage.collect_seldom()
    garbage.keep("those")
    frozen = gc.get_freeze_count()
    assert frozen > 0
    more = [[] for _ in range(1000)]
    garbage.keep("those")
    assert gc.get_freeze_count() <= frozen
    more.append(more)
    del more
    assert gc.collect() >= 1000


def test_a_command_collects_seldom():
    code = "import gc; from aeexp.cli.command import run_command; run_command(lambda: print(gc.get_threshold()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(garbage.OFTEN)
