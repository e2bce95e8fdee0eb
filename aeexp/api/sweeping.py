"""Several runs from Python: what a multirun of the command does, one job after another in this process."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, final

import numpy as np
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from aeexp import files
from aeexp.api.fitted import FittedRun
from aeexp.api.fitting import Job, check_words, compose_job, execute, place_rows
from aeexp.api.reporting import Comparison, report
from aeexp.api.rows import Given, give
from aeexp.api.showing import Figures
from aeexp.errors import UsageError, describe_error, exit_code, is_explained, quote_value
from aeexp.files import expand_home
from aeexp.reports.diagnosed import describe_diagnoses
from aeexp.reports.grouping import group_runs
from aeexp.reports.records import read
from aeexp.runs import diagnosing
from aeexp.runs.claim import claim_place, identify
from aeexp.runs.composing import split_words, use_options
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import RunFolder
from aeexp.runs.hydra_loader import compose_once
from aeexp.runs.machine import run_alone
from aeexp.runs.results import shorten
from aeexp.sweeps.refusals import note_refusal
from aeexp.trainers.window import Diverged

log = logging.getLogger(__name__)

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@final
class Sweep:
    """The finished runs of a sweep, in the order of the jobs, and what came of them side by side.

    `failures` says of each job that did not finish, by its overrides, why.
    """

    def __init__(self, folder: Path, runs: Sequence[FittedRun], failures: Mapping[str, str]):
        self.folder = folder
        self.runs = list(runs)
        self.failures = dict(failures)

    @property
    def report(self) -> Comparison:
        """The runs compared, as `aeexp.report` does."""
        return report(self.folder)

    @property
    def figures(self) -> Figures:
        """Of the runs side by side: samples, reconstructions, and sweep where a number was swept."""
        return Figures(self.folder)

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[FittedRun]:
        return iter(self.runs)

    def __getitem__(self, place: int) -> FittedRun:
        return self.runs[place]

    def __repr__(self) -> str:
        lines = [f"Sweep({str(self.folder)!r}: {len(self)} runs, {len(self.failures)} failed)"]
        lines += [f"{words}: {message}" for words, message in self.failures.items()]
        return "\n".join([*lines, repr(self.report)] if self.runs else lines)

    def _repr_html_(self) -> str:
        failed = "".join(f"<li>{html.escape(f'{words}: {text}')}</li>" for words, text in self.failures.items())
        head = f"<p>{len(self)} runs in {html.escape(str(self.folder))}</p><ul>{failed}</ul>"
        return head + (self.report._repr_html_() if self.runs else "")


def sweep(
    values: Mapping[str, Iterable[Any]],
    *overrides: str,
    data: Any = None,
    labels: Any = None,
    attributes: Any = None,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    progress: bool = True,
) -> Sweep:
    """Train a run for each combination of `values`, as `aeexp -m` does: {"latent.dim": [2, 8], "seed": range(3)}.

    Several values may stand in an override as well (`seed=0,1`), and an experiment may bring some. The rest is as in
    `fit`, for all runs. They lie in `folder`, a number each, else in `outputs/multirun/<date>/<time>`; the same
    folder again trains what is not finished, or new. A job that fails keeps no other from being trained: it is named in
    `failures`, and logged. Beside the runs lie a report and figures of all of them. What runs suffer from is told once
    for all of them.
    """
    given = give(data, labels, attributes) if data is not None else None
    check_words([*overrides, *(f"{key}=" for key in values)], given)
    with use_options(config_dir), compose_once():
        return _sweep(values, overrides, given, folder, config_dir, progress)


def _sweep(
    values: Mapping[str, Iterable[Any]], overrides: Sequence[str], given: Given | None, folder: str | Path | None,
    config_dir: str | Path | None, progress: bool,
) -> Sweep:  # fmt: skip
    fixed, swept = split_words(overrides)
    swept |= {key: write_values(key, several) for key, several in values.items()}
    base = compose_job(fixed, given)
    swept = {**_read_params(base.composed.hydra, [*fixed, *swept]), **swept}
    if not swept:
        raise UsageError("nothing is swept: give values, as in aeexp.sweep({'latent.dim': [2, 8]})")
    root = Path(expand_home(str(folder or base.composed.hydra.sweep.dir))).absolute()
    root.mkdir(parents=True, exist_ok=True)
    typed = [*fixed, *(f"{key}={','.join(texts)}" for key, texts in swept.items())]
    node = _describe_sweep(base, root, typed)
    files.write_text(root / "multirun.yaml", OmegaConf.to_yaml(node))
    runs: dict[Path, FittedRun] = {}
    failures: dict[str, str] = {}
    for number, texts in enumerate(product(*swept.values())):
        words = [f"{key}={text}" for key, text in zip(swept, texts, strict=True)]
        try:
            run = _run_job([*fixed, *words], number, root, given, config_dir, progress)
            runs.setdefault(run.folder, run)
        except Exception as error:
            message = describe_error(error, Diverged, Undrawn)
            failures[" ".join(words)] = message
            if not is_explained(error, Diverged, Undrawn):  # others are told at the end, and stand in train.log
                log.exception("%s failed", " ".join(words))
    _conclude(node, bool(runs))
    if runs:
        _tell_illnesses(root)
    return Sweep(root, list(runs.values()), failures)


def _read_params(hydra: DictConfig, words: Sequence[str]) -> dict[str, list[str]]:
    """Values that an experiment sweeps, where the caller says nothing of their keys."""
    if hydra.sweeper._target_ != BASIC:
        raise UsageError("a search is the command's: aeexp -m hydra/sweeper=aeexp_optuna ..., or leave it out here")
    named = {word.partition("=")[0] for word in words}
    params = hydra.sweeper.get("params") or {}
    return split_words([f"{key}={text}" for key, text in params.items() if key not in named])[1]


def write_values(key: str, values: Iterable[Any]) -> list[str]:
    """As they are typed behind `key=`. Raises UsageError for what is no list of values."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError(f"{key}={values!r}: values are a list, as in {{{key!r}: [{values!r}]}}")
    texts = [_write(value) for value in values]
    if not texts:
        raise UsageError(f"{key}=[]: give at least one value")
    return texts


def _write(value: Any) -> str:
    """A value of Python, or of numpy, as Hydra reads it."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_write(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_write, value))}]"
    return quote_value(value if isinstance(value, int | float) else str(value))


def _describe_sweep(base: Job, root: Path, typed: Sequence[str]) -> DictConfig:
    """What multirun.yaml says: the configuration with Hydra's node of the whole sweep."""
    node = OmegaConf.create({**dict(base.cfg.items_ex(resolve=False)), "hydra": base.composed.hydra})
    with read_write(node), open_dict(node):
        _mark(node.hydra, root)
        node.hydra.overrides.task = list(typed)
    return node


def _mark(hydra: DictConfig, root: Path, number: int | None = None) -> None:
    """As Hydra's node is in a multirun."""
    with read_write(hydra), open_dict(hydra):
        hydra.mode = RunMode.MULTIRUN
        hydra.sweep.dir = str(root)
        if number is not None:
            hydra.job.num = number


def _run_job(
    words: Sequence[str], number: int, root: Path, given: Given | None, config_dir: str | Path | None, progress: bool
) -> FittedRun:
    """Raises whatever the run does; what has no folder of its own is noted in that of the sweep."""
    status = None
    try:
        job = compose_job(words, given)
        _mark(job.composed.hydra, root, number)
        place_rows(job, root)
        folder = RunFolder(root / str(number))
        with run_alone(), claim_place(folder, number, identify(job.cfg), job.ask) as status:
            execute(job, status, root, progress, unsaid=[diagnosing.__name__])
    except Exception as error:
        if status is None:
            note_refusal(root, number, describe_error(error), exit_code(error))
        raise
    return FittedRun(status.folder, config_dir, job.own)


def _tell_illnesses(root: Path) -> None:
    """Each once, with how many of the runs have it: they were not told one by one."""
    place = Path(shorten(RunFolder(root)))
    for line in describe_diagnoses([place], group_runs(read([root])[0])[1]):
        log.warning("%s", line)


def _conclude(node: DictConfig, finished: bool) -> None:
    """What the configuration makes of the runs of a sweep (hydra.callbacks): tables, a report, figures."""
    for each in reversed(list(node.hydra.callbacks.values())):
        try:
            instantiate(each).on_multirun_end(config=node)
        except SystemExit:
            continue  # the last word of a command, on jobs that failed
        except Exception:  # as Hydra does: the runs are there
            log.warning("%s failed", each._target_, exc_info=finished)
