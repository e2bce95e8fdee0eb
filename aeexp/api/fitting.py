"""One run from Python: what the command does, without its process around it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from aeexp.api.fitted import FittedRun
from aeexp.api.rows import Given, give
from aeexp.errors import INTERRUPTED, UsageError
from aeexp.files import expand_home
from aeexp.runs.blame import describe_failure
from aeexp.runs.claim import Ask, claim, identify
from aeexp.runs.composing import Composed, compose_run, make_ask, split_words, use_options
from aeexp.runs.config import to_dict
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import RunFolder
from aeexp.runs.logs import write_log
from aeexp.runs.machine import run_alone
from aeexp.runs.run import execute_run
from aeexp.runs.status import Status
from aeexp.runs.trust import trust_own
from aeexp.signals import let_finish
from aeexp.sweeps.paths import find_missing
from aeexp.trainers.window import Diverged

ELSEWHERE = ("dataset.path", "dataset.test", "dataset.val")  # keys that name the files of rows given in Python


class Job(NamedTuple):
    """A run that is composed, its folder not yet chosen."""

    cfg: DictConfig
    composed: Composed
    given: Given | None

    @property
    def own(self) -> frozenset[str]:
        """Packages of parts that the caller named: what he types, he trusts."""
        return trust_own(to_dict(self.cfg))

    @property
    def ask(self) -> Ask:
        """The texts of `.hydra`."""
        return make_ask(self.cfg, self.composed.hydra)


def fit(
    *overrides: str,
    data: Any = None,
    labels: Any = None,
    attributes: Any = None,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    progress: bool = True,
) -> FittedRun:
    """Train, measure and draw one run, as `aeexp OVERRIDES...` does, and return it.

    - `data`: rows in place of a data set: an array or tensor (N, ...), a frame of pandas, a Dataset of torch (each item
      x or (x, label), drawn once), or a mapping of train, test and perhaps val to such. Bytes are taken as 1/255, all
      else as it is (dataset.scale, dataset.standardise). They are copied into the run's folder, where `aeexp-evaluate`
      finds them.
    - `labels`, `attributes`: (N,) classes, -1 or an empty cell where unknown, or numbers to predict (floats that are
      not all whole), NaN where unknown; and (N,) or (N, F) side information. Of a frame also names of its columns.
    - `folder`: where the run lies, else `outputs/<date>/<time>`. The same call again goes on with one that was cut off,
      and returns one that is finished.
    - `config_dir`: a folder of own YAML files, as `--config-dir`.
    - `progress`: a bar, on a terminal or in a notebook.

    The caller's seeds, generators, threads, logging, signal handlers, warnings and matplotlib stay as they are; calls
    from several threads wait for each other. Raises UsageError for what the caller can mend, and what the run raises.
    """
    given = give(data, labels, attributes) if data is not None else None
    if data is None and (labels is not None or attributes is not None):
        raise UsageError("labels and attributes belong to rows: give these as data=...")
    check_words(overrides, given)
    for key, texts in split_words(overrides)[1].items():
        raise UsageError(f"{key}={','.join(texts)}: several values: aeexp.sweep trains a run for each")
    with use_options(config_dir):
        return _fit(compose_job(overrides, given), folder, config_dir, progress)


def _fit(job: Job, folder: str | Path | None, config_dir: str | Path | None, progress: bool) -> FittedRun:
    if job.composed.hydra.mode == RunMode.MULTIRUN:
        raise UsageError("this experiment is a sweep of several runs: aeexp.sweep({}, ...) trains them")
    place = RunFolder(Path(expand_home(str(folder or job.composed.hydra.run.dir))).absolute())
    place_rows(job, place.path)
    with run_alone(), claim(place, identify(job.cfg), job.ask, "folder") as status:
        execute(job, status, place.path, progress)
    return FittedRun(place, config_dir, job.own)


def compose_job(overrides: Sequence[str], given: Given | None) -> Job:
    """Raises UsageError for words that do not compose."""
    words = [] if given is None else [word for word in given.words if not _is_given(word, overrides)]
    words += [] if given is None else [f"dataset.{key}={name}" for key, name in given.keys.items()]
    composed = compose_run([*words, *overrides])
    with read_write(composed.hydra.overrides), open_dict(composed.hydra.overrides):
        composed.hydra.overrides.task = list(overrides)  # as typed
    if given is None and (message := find_missing(composed.cfg)):
        raise UsageError(message)
    return Job(composed.cfg, composed, given)


def check_words(overrides: Sequence[str], given: Given | None) -> None:
    """Raises UsageError for words of the command's own, and for a data set beside rows."""
    for word in overrides:
        if not isinstance(word, str) or word.startswith(("-", "hydra.", "hydra/")):
            raise UsageError(f"{word}: overrides are words as variant=vae; where a run lies says folder=...")
        if given is not None and word.startswith(("dataset=", *(f"{key}=" for key in ELSEWHERE))):
            raise UsageError(f"{word}: the rows are those of data=...: leave one of them out")


def _is_given(word: str, overrides: Sequence[str]) -> bool:
    """Whether the caller says something else of this key."""
    return any(override.startswith(f"{word.partition('=')[0]}=") for override in overrides)


def place_rows(job: Job, folder: Path) -> None:
    """The configuration reads the rows given in Python from this folder."""
    for key, name in {} if job.given is None else job.given.keys.items():
        OmegaConf.update(job.cfg, f"dataset.{key}", str(folder / name))


def execute(job: Job, status: Status, rows: Path, progress: bool, unsaid: Collection[str] = ()) -> None:
    """Train in the folder of `status`, which is this run's; rows given in Python are written into the folder `rows`.
    What loggers named in `unsaid` say stands in train.log alone."""
    with record_end(status, job.cfg), write_log(status.folder.log, unsaid):
        if job.given is not None:
            job.given.write(rows)
        execute_run(job.cfg, status, job.composed.choices, bar=progress)


@contextmanager
def record_end(status: Status, cfg: DictConfig) -> Iterator[None]:
    """What ends the run stands in status.json, and is raised."""
    try:
        yield
    except KeyboardInterrupt:
        with let_finish():
            status.end("interrupted", exit_code=INTERRUPTED)
        raise
    except Exception as error:
        failure = describe_failure(error, OmegaConf.to_container(cfg), (Diverged, Undrawn))
        with let_finish():
            status.end("failed", failure.message, failure.code)
        raise
