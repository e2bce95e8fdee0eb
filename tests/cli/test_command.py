"""Exit codes and words that all commands share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aeexp.cli.command import run_command
from aeexp.errors import UsageError, describe_error


def fail_with(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "message", "traceback"),
    [
        (UsageError("k=0 must be at least 1"), 2, "k=0 must be at least 1\n", False),
        (OSError("no space left"), 1, "OSError: no space left\n", False),
        (RuntimeError("broke"), 1, "RuntimeError: broke\n", True),
        (KeyboardInterrupt(), 130, "", False),
    ],
)
def test_errors_are_words_and_an_exit_code(error, code, message, traceback, capsys):
    with pytest.raises(SystemExit) as end:
        run_command(fail_with, error)
    text = capsys.readouterr().err
    assert end.value.code == code and text.endswith(message) and ("Traceback" in text) == traceback


def test_a_command_that_is_done_returns_and_one_that_failed_exits_with_its_code():
    run_command(lambda: None)
    run_command(lambda: 0)
    with pytest.raises(SystemExit) as end:
        run_command(lambda code: code, 1)
    assert end.value.code == 1


def test_who_stops_reading_makes_no_failure():
    code = "from aeexp.cli.command import run_command; run_command(lambda: print('word ' * 10_000_000))"
    line = f'{sys.executable} -c "{code}" | head -c 4'
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "word", "")


def test_the_name_of_an_error_stands_in_front_where_the_message_is_not_for_the_user():
    assert describe_error(KeyError("x")) == "KeyError: 'x'"
    assert describe_error(RuntimeError("diverged"), RuntimeError) == "diverged"
    assert describe_error(UsageError("k=0")) == "k=0"
