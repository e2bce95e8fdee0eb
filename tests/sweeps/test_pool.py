"""What a sweep does when it is told to end."""

from __future__ import annotations

import signal

import pytest

from aeexp.sweeps.cluster.pool import Ending


def test_what_is_heard_while_a_process_is_begun_is_acted_on_once_behind_it():
    ending, acts = Ending(), []
    ending.act = lambda: acts.append(len(acts))
    with ending.hold():
        ending.hear(signal.SIGINT, None)
        assert ending.heard and acts == []
    assert acts == [0]
    with ending.hold():
        pass
    assert acts == [0]
    with pytest.raises(KeyboardInterrupt):  # the second is at once, whatever is begun
        with ending.hold():
            ending.hear(signal.SIGINT, None)


def test_what_is_heard_at_another_time_is_acted_on_at_once():
    ending, acts = Ending(), []
    ending.act = lambda: acts.append(True)
    with ending.hold():
        pass
    ending.hear(signal.SIGTERM, None)
    assert acts == [True]
