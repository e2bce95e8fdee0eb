"""A job of a sweep that is begun, set aside while others are, and gone on with: Hydra's `run_job` in steps."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from aeexp.runs.machine import Machine
from aeexp.runs.training import Steps, fit
from aeexp.sweeps.job import run_job_in_steps
from aeexp.timing import Clock, swap_clocks
from aeexp.trainers import contracts
from aeexp.trainers.checkpoint import Progress
from aeexp.trainers.contracts import Training
from aeexp.trainers.stacking import Outcome


@final
class SetAside:
    """One job. While it is set aside nothing of it is in the process: Hydra's node, log, folder, variables, threads."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig):
        self.context = context
        self.task = task
        self.config = config
        self.number = int(config.hydra.job.num)
        self.training: Training | None = None  # what it waits for; None once it is through
        self.result = JobReturn()
        self._steps: Steps[float] | None = None
        self._handlers: list[logging.Handler] = []
        self._machine: Machine | None = None
        self._node: Any = None
        self._clocks: tuple[Clock, ...] = ()

    def begin(self, said: set[str]) -> None:
        """Up to its training, if it comes to one. The console does not hear again what is in `said`."""

        def is_new(record: logging.LogRecord) -> bool:
            known = record.getMessage() in said
            said.add(record.getMessage())
            return not known

        with self._enter(), self.inside():
            configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)
            consoles = [each for each in logging.getLogger().handlers if not isinstance(each, logging.FileHandler)]
            for console in consoles:
                console.addFilter(is_new)
            self.context.callbacks.on_job_start(config=self.config, task_function=self.task)
            assert self.result.cfg is not None
            steps = self._steps = run_job_in_steps(self.result.cfg)
            self._go_on(lambda: next(steps))
            for console in consoles:
                console.removeFilter(is_new)
        self._close()

    def go_on(self, outcome: Outcome | None) -> None:
        """To its end, with what came of its training; None: it is trained now."""
        steps, training = self._steps, self.training
        if steps is None or training is None:
            return
        with self.inside():
            if isinstance(outcome, Progress):
                began = 0.0 if training.store.resumed is None else training.store.resumed["progress"]["seconds"]
                for clock in self._clocks:
                    clock.add("fit", outcome.seconds - began)  # its share of what the stack took
            while self.training is not None:
                if outcome is None:
                    try:
                        outcome = fit(training)
                    except BaseException as error:  # the job's to handle
                        outcome = error
                given = outcome
                if isinstance(given, BaseException):
                    self._go_on(lambda given=given: steps.throw(given))
                else:
                    self._go_on(lambda given=given: steps.send(given))
                outcome = None
        self._close()

    def _go_on(self, act: Callable[[], Training]) -> None:
        training, self.training = self.training, None
        try:
            self.training = act()
            return
        except StopIteration as end:
            self.result.return_value, self.result.status = end.value, JobStatus.COMPLETED
        except Exception as error:
            self.result.return_value, self.result.status = error, JobStatus.FAILED
        self.result.task_name = JobRuntime.instance().get("name")
        self.context.callbacks.on_job_end(config=self.config, job_return=self.result)
        del training

    def _close(self) -> None:
        for handler in self._handlers if self.training is None else ():
            if isinstance(handler, logging.FileHandler):
                handler.close()

    @contextmanager
    def _enter(self) -> Iterator[None]:
        """As Hydra does before a job: its folder, and its own copy of the configuration."""
        config, before = self.config, HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)
            folder = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
            folder /= str(OmegaConf.select(config, "hydra.sweep.subdir"))
            with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
                config.hydra.runtime.output_dir = os.path.abspath(folder)
            HydraConfig.instance().set_config(config)
            self._node = HydraConfig.instance().cfg
            task_cfg = copy.deepcopy(config)
            with read_write(task_cfg), open_dict(task_cfg):
                del task_cfg["hydra"]
            self.result.cfg, self.result.hydra_cfg = task_cfg, copy.deepcopy(self._node)
            self.result.overrides = [str(word) for word in config.hydra.overrides.task]
            folder.mkdir(parents=True, exist_ok=True)
            self.result.working_dir = str(folder if config.hydra.job.chdir else Path.cwd())
            yield
        finally:
            HydraConfig.instance().cfg = before

    @contextmanager
    def on_its_machine(self) -> Iterator[None]:
        """Threads and determinism are this job's."""
        before = Machine.read()
        if self._machine is not None:
            self._machine.set()
        try:
            yield
        finally:
            before.set()

    @contextmanager
    def inside(self, quiet: bool = False) -> Iterator[None]:
        """The process is this job's; `quiet`: the console hears warnings alone."""
        root, where, machine = logging.getLogger(), Path.cwd(), Machine.read()
        handlers, level, node = root.handlers[:], root.level, HydraConfig.instance().cfg
        assert self.result.working_dir is not None
        HydraConfig.instance().cfg = self._node
        clocks = swap_clocks(self._clocks)
        if self._machine is not None:
            root.handlers = self._handlers[:]
            self._machine.set()
            _hush(root.handlers, logging.WARNING if quiet else logging.NOTSET)
        os.chdir(self.result.working_dir)
        try:
            with env_override({str(key): str(value) for key, value in self.config.hydra.job.env_set.items()}):
                yield
        finally:
            self._handlers, self._machine, self._clocks = root.handlers[:], Machine.read(), swap_clocks(clocks)
            _hush(self._handlers, logging.NOTSET)
            root.handlers, HydraConfig.instance().cfg = handlers, node
            root.setLevel(level)
            machine.set()
            os.chdir(where)


def _hush(handlers: list[logging.Handler], level: int = logging.WARNING) -> None:
    for handler in handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(level)


@final
class Inside(contracts.Tracker):
    """The tracker of a job that is set aside: it is called in the job's own place; `note` is told each validation."""

    def __init__(self, job: SetAside, track: contracts.Tracker, note: Callable[[int, Progress], None]):
        self.job = job
        self.total = 0
        self.track = track
        self.note = note

    def start(self, total: int, progress: Progress) -> None:
        """The loop begins."""
        self.total = total
        with self.job.inside(quiet=True):
            self.track.start(total, progress)

    def train(self, step: int, values: Mapping[str, float], lr: float, split: str = "train") -> None:
        """Means over the last steps."""
        self.track.train(step, values, lr, split)

    def evaluation(self, progress: Progress) -> None:
        """A validation is done."""
        self.note(self.total, progress)
        with self.job.inside(quiet=True):
            self.track.evaluation(progress)

    def is_filmed(self, step: int, epoch: float) -> bool:
        """Asked after each step."""
        return self.track.is_filmed(step, epoch)

    def film(self, step: int, epoch: float) -> None:
        """A frame is due."""
        with self.job.inside(quiet=True):
            self.track.film(step, epoch)

    def probe(self) -> Mapping[str, float]:
        """Codes are read."""
        with self.job.inside(quiet=True):
            return self.track.probe()
