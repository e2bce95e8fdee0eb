"""The runs of a topic, each in a process of its own; what is finished is not trained again."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from joblib import cpu_count

from aeexp.errors import quote_words
from aeexp.lectures.made import is_made, remember
from aeexp.lectures.topics import Topic
from aeexp.runs.follow import follow_me

BETWEEN = 0.1  # seconds between two looks at what is running
PATIENCE = 30.0  # seconds that what was told to end may take


def list_words(topic: Topic, folder: Path, overrides: Sequence[str] = ()) -> list[str]:
    """The overrides of a topic's command: its runs go into `folder`."""
    place = "sweep" if topic.sweeps else "run"
    return [f"experiment={topic.experiment}", *overrides, f"hydra.{place}.dir={folder}"]


def format_command(topic: Topic, overrides: Sequence[str] = ()) -> str:
    """As a person types it."""
    return f"aeexp {quote_words(f'experiment={topic.experiment}', *overrides)}"


class Job(NamedTuple):
    """A topic in work."""

    process: subprocess.Popen[bytes]
    words: IO[bytes]  # what it says of trouble
    began: float


class Ended(NamedTuple):
    """A topic whose process is over."""

    place: int  # among the commands
    trouble: str  # the last line of what a failed one said; "" where all went well
    seconds: float  # 0 where nothing was to be done


def train_topics(
    commands: Sequence[Sequence[str]], folders: Sequence[Path], processes: int
) -> Generator[Ended, None, None]:  # fmt: skip
    """Train into each folder what its list of overrides says, so many at once: first those that are made, then each as
    it ends.

    Whoever leaves the loop early ends what is still running, which keeps what it has.
    """
    made = [is_made(folder, words) for folder, words in zip(folders, commands, strict=True)]
    yield from (Ended(place, "", 0.0) for place, whole in enumerate(made) if whole)
    waiting, running = deque(place for place, whole in enumerate(made) if not whole), dict[int, Job]()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                place = waiting.popleft()
                running[place] = _begin(commands[place], processes)
            for place in [place for place, job in running.items() if job.process.poll() is not None]:
                job = running.pop(place)
                trouble = _read_trouble(job)
                if not trouble:
                    remember(folders[place], commands[place])
                yield Ended(place, trouble, time.monotonic() - job.began)
            time.sleep(BETWEEN)
    finally:
        _end(list(running.values()))


def _begin(words: Sequence[str], processes: int) -> Job:
    """Together they take as many threads as there are cores, unless the environment says otherwise."""
    environment = {"OMP_NUM_THREADS": str(max(1, cpu_count() // processes)), **os.environ}
    said = tempfile.TemporaryFile()
    process = subprocess.Popen(follow_me("aeexp", words), stdout=subprocess.DEVNULL, stderr=said, env=environment)
    return Job(process, said, time.monotonic())


def _read_trouble(job: Job) -> str:
    with job.words as words:
        words.seek(0)
        lines = [line for line in words.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if job.process.returncode == 0:
        return ""
    return lines[-1] if lines else f"exit code {job.process.returncode}"


def _end(jobs: Sequence[Job]) -> None:
    """Runs that are told to end write their last state first."""
    for job in jobs:
        job.process.terminate()
    for job in jobs:
        try:
            job.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            job.process.kill()
            job.process.wait()
        job.words.close()
