"""The command in many processes that are cheap to start: forks of one that has imported what a run needs.

Each is a real process of its own that can be killed, and has limits of its own.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from composing import on_digits

resource = pytest.importorskip("resource", reason="no limits and no forks on Windows")

ROOT = Path(__file__).resolve().parents[1]
PRELOAD = [  # torch._dynamo comes with the first optimizer, and takes longer than a small run
    "forked", "aeexp.cli.train", "aeexp.runs.run", "aeexp.runs.claim", "aeexp.datasets", "aeexp.models",
    "aeexp.metrics", "aeexp.sweeps", "aeexp.sweeps.search.trial", "aeexp.reports.writing",
    "aeexp.reports.sweep_figures", "hydra.core.plugins", "hydra._internal.hydra", "sklearn.datasets",
    "sklearn.linear_model", "scipy.io", "torch._dynamo",
]  # fmt: skip


def _context() -> ForkServerContext:
    # The server looks for what it imports where Python does, whatever sys.path says here.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def start(
    *words: str,
    cwd: Path,
    log: Path,
    limits: Mapping[int, int] | None = None,
    dies_at: int | None = None,
    waits_in: tuple[str, str] | None = None,
    saves_always: bool = False,
    env: Mapping[str, str] | None = None,
) -> BaseProcess:
    """`aeexp words...` in `cwd`, on the digits where they name no data, its output appended to `log`. `limits` by
    RLIMIT_...; killed at the `dies_at`-th step towards a file (open for writing, rename, removal). In the function
    `waits_in` (module, name) it makes the file `waits` and goes on for ever. With `saves_always` every validation is a
    checkpoint, and a write of all else."""
    options = (dict(limits or {}), dies_at, waits_in, saves_always, dict(env or {}))
    process = _context().Process(target=_work, args=(on_digits(words), str(cwd), str(log), *options))
    process.start()
    return process


def call(*words: str, cwd: Path, log: Path | None = None, **options: Any) -> tuple[int, str]:
    """Exit code (negative: the signal that ended it) and output of one command."""
    log = log or cwd / "output.txt"
    log.unlink(missing_ok=True)
    process = start(*words, cwd=cwd, log=log, **options)
    process.join(300)
    assert process.exitcode is not None, "it does not end"
    return process.exitcode, log.read_text("utf-8", "replace")


def run(module: str, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m module words...` where `env` is the whole environment, as subprocess.run would give it back."""
    with tempfile.TemporaryDirectory() as folder:
        said, complained = Path(folder, "stdout"), Path(folder, "stderr")
        process = _context().Process(target=_be, args=(module, words, str(cwd), str(said), str(complained), dict(env)))
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([module, *words], 300, said.read_bytes(), complained.read_bytes())
        texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in (said, complained)]
    return subprocess.CompletedProcess([module, *words], process.exitcode, *texts)


def _be(module: str, words: Sequence[str], cwd: str, said: str, complained: str, env: dict[str, str]) -> None:
    """A process as one that was started in `cwd` with `env`: it finds no modules of the tests."""
    os.environ.clear()
    os.environ |= env
    _speak_into(said, complained)
    os.chdir(cwd)
    multiprocessing.process.ORIGINAL_DIR = cwd  # where the processes that it begins begin
    own = {str(ROOT), str(ROOT / "tests"), str(ROOT / "docs/tools"), ""}
    asked = [place for place in env["PYTHONPATH"].split(os.pathsep) if place]
    sys.path[:] = [cwd, *asked, *(place for place in sys.path if place not in own)]
    sys.argv = [module, *words]
    importlib.import_module(module).main()
    sys.stdout.flush()


def _speak_into(said: str, complained: str) -> None:
    """Standard output and error go to the ends of these files."""
    for number, path in enumerate((said, complained), 1):
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(out, number)
        os.close(out)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)


def _work(
    words: Sequence[str], cwd: str, log: str, limits: dict[int, int], dies_at: int | None,
    waits_in: tuple[str, str] | None, saves_always: bool, env: dict[str, str],
) -> None:  # fmt: skip
    os.chdir(cwd)
    os.environ |= env
    _speak_into(log, log)
    sys.argv = ["aeexp", *words]
    if dies_at is not None:
        sys.addaudithook(_Death(dies_at))
    from aeexp.cli.train import main

    if saves_always:
        from aeexp import timing
        from aeexp.trainers.checkpoint import Store

        (Store.save.__kwdefaults__ or {})["now"] = True
        timing.BETWEEN_WRITES = 0.0
    if waits_in is not None:
        setattr(importlib.import_module(waits_in[0]), waits_in[1], _wait)
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
    main()
    sys.stdout.flush()


def _wait(*_: Any, **__: Any) -> None:
    Path("waits").touch()
    while True:
        time.sleep(0.01)


class _Death:
    """Ends the process, as a power cut would, at the n-th step towards a file."""

    def __init__(self, steps: int):
        self.left = steps

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.mkdir"):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), 9)
