"""The processes that train one model together: begun here by `trainer.processes`, or by `torchrun`, on several machines
too. Each loads the data and builds the same model; the first one, which has the run folder, writes, measures, draws."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import distributed

from aeexp import files
from aeexp.datasets.core.data import Data, Residency
from aeexp.errors import UsageError
from aeexp.runs.along import run_rank
from aeexp.runs.build import choose_device
from aeexp.runs.folder import RunFolder
from aeexp.runs.locks import NAME, hold, is_held
from aeexp.runs.meeting import meet, use_share
from aeexp.runs.torchrun import read_torchrun
from aeexp.trainers.contracts import Trainer
from aeexp.trainers.ranks.group import ALONE, Group

LEAVE = 10.0  # seconds in which a process ends by itself
PLACE = "aeexp-ranks-"  # beginning of a temporary folder's name
MOST = 1 << 16  # bytes of what one says


class Died(RuntimeError):
    """One of the processes ended before the run did."""


@contextmanager
def gather_ranks(cfg: DictConfig, trainer: Trainer, folder: RunFolder, data: Data) -> Iterator[Group]:
    """The group of this process, which is the first one, while the others train with it, with their rows where it has
    its own. Raises UsageError for numbers that do not fit, and `Died`."""
    told = read_torchrun()
    if told is not None:
        with lead_torchrun(*told, trainer, folder, data) as group, use_share(cfg, group):
            yield group
    elif trainer.processes == 1:
        yield ALONE
    else:
        group = Group(0, trainer.processes)
        with make_place() as place, use_share(cfg, group):
            others = start(cfg, trainer.processes, folder, place, data.residency)
            try:
                wait_for(others, place)
                meet(data.device, f"file://{place}/meet", 0, trainer.processes)
                with say_who_died(others, place):
                    yield group
            finally:
                end(others)


@contextmanager
def make_place() -> Iterator[Path]:
    """A folder of this machine where the processes of a run meet; those of runs that were killed are cleared away."""
    for left in Path(tempfile.gettempdir()).glob(f"{PLACE}*"):
        if (left / NAME).is_file() and not is_held(left):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PLACE) as place, hold(Path(place)):
        yield Path(place)


@contextmanager
def lead_torchrun(rank: int, size: int, trainer: Trainer, folder: RunFolder, data: Data) -> Iterator[Group]:
    """Of torchrun's processes this is the first one: it says where the run lies."""
    if not trainer.shares_batches:
        name = type(trainer).__name__.lower()
        raise UsageError(f"trainer={name}: it takes its steps in one process: leave torchrun out")
    if trainer.processes not in (1, size):
        raise UsageError(f"trainer.processes={trainer.processes}: torchrun began {size}: leave it out")
    announce(str(folder.path.absolute()), data.device, data.residency)
    yield Group(rank, size)


_announced: list[str] = []  # of the job that is under way


def announce(folder: str, device: torch.device, residency: str = "") -> None:
    """To the other processes of torchrun, for each job once: where it lies, or "" where there is nothing to train, and
    where rows are."""
    _announced.append(folder)
    meet(device)
    distributed.broadcast_object_list([folder, residency], src=0)


def dismiss(cfg: DictConfig) -> None:
    """At the end of a job that trained nothing: the other processes of torchrun wait for it no longer."""
    if read_torchrun() is not None and not _announced:
        announce("", choose_device(cfg.device))
    _announced.clear()


def start(cfg: DictConfig, size: int, folder: RunFolder, place: Path, residency: Residency) -> list[BaseProcess]:
    """The others of so many processes, each of which knows the configuration, where rows are and where to meet."""
    context = multiprocessing.get_context("spawn")
    given = OmegaConf.to_container(cfg, resolve=True)
    others: list[BaseProcess] = [
        context.Process(
            target=run_rank, args=(given, Group(rank, size), str(folder.path.absolute()), place, residency), daemon=True
        )
        for rank in range(1, size)
    ]
    for process in others:
        process.start()
    return others


def wait_for(others: list[BaseProcess], place: Path) -> None:
    """Until each has built its model. Raises `Died`."""
    while not all((place / f"ready-{rank}").exists() for rank in range(1, len(others) + 1)):
        for rank, process in enumerate(others, 1):
            if process.exitcode is not None:
                raise describe_death(rank, process, others, place)
        time.sleep(0.02)


@contextmanager
def say_who_died(others: list[BaseProcess], place: Path) -> Iterator[None]:
    """An error of the connection is that of the process that is gone. Raises `Died`."""
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError and not isinstance(error, distributed.DistError):
            raise  # of the model
        time.sleep(0.5)
        for rank, process in enumerate(others, 1):
            if process.exitcode not in (None, 0):
                raise describe_death(rank, process, others, place) from error
        raise


def describe_death(rank: int, process: BaseProcess, others: list[BaseProcess], place: Path) -> Died:
    """What it said, or how it ended."""
    said = place / f"said-{rank}"
    words = files.read_text(said, MOST).strip() if said.is_file() else f"exit code {process.exitcode}"
    return Died(f"process {rank} of the {len(others) + 1} that train together has ended: {words}")


def end(others: list[BaseProcess]) -> None:
    """No other outlives the run."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
    until = time.monotonic() + LEAVE
    for process in others:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
