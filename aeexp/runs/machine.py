"""What a run asks of its process: device, threads, determinism, generators; and gives back."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, final

import torch
from omegaconf import DictConfig

from aeexp.datasets.core.workers import end_workers
from aeexp.datasets.formats.hf import keep_datasets
from aeexp.errors import UsageError
from aeexp.runs.build import choose_device
from aeexp.runs.dynamo import postpone_dynamo

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_ONE_AT_A_TIME = threading.RLock()  # torch's generators, thread count and determinism are the process's


@contextmanager
def use_machine(cfg: DictConfig) -> Iterator[torch.device]:
    """Threads and determinism as `cfg` has them, and the device; who called finds its own again, generators too.

    Runs in several threads of one process wait for each other. Raises UsageError where there is no such device.
    """
    device = choose_device(cfg.device)
    with keep_generators(device):
        before, count = Machine.read(), _check_threads(cfg.threads)
        try:
            if cfg.deterministic:
                os.environ.setdefault(WORKSPACE, ":4096:8")
            _set(count, cfg.deterministic, False)
            yield device
        finally:
            before.set()


@final
class Machine(NamedTuple):
    """What of the process a run changes, beside the generators."""

    threads: int
    deterministic: bool
    warn_only: bool
    workspace: str | None

    @staticmethod
    def read() -> Machine:
        """As it is now."""
        flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        return Machine(torch.get_num_threads(), *flags, os.environ.get(WORKSPACE))

    def set(self) -> None:
        """Bring it back."""
        _set(self.threads, self.deterministic, self.warn_only)
        if self.workspace is None:
            os.environ.pop(WORKSPACE, None)
        else:
            os.environ[WORKSPACE] = self.workspace


@contextmanager
def run_alone() -> Iterator[None]:
    """Other threads of this process wait with their runs; afterwards libraries are set as before, and no process that
    decodes rows is left."""
    with _ONE_AT_A_TIME, keep_datasets(), postpone_dynamo(), end_workers():
        import_matplotlib()
        yield


def import_matplotlib() -> None:
    """Where a notebook's MPLBACKEND names a module that this environment lacks, matplotlib is loaded without it: it
    could not be imported. Nothing of ours asks for a backend."""
    name = os.environ.get("MPLBACKEND", "")
    if not name.startswith("module://") or "matplotlib" in sys.modules:
        return
    try:
        found = importlib.util.find_spec(name.removeprefix("module://"))
    except ImportError:
        found = None
    if found is None:
        del os.environ["MPLBACKEND"]
        try:
            importlib.import_module("matplotlib")
        finally:
            os.environ["MPLBACKEND"] = name


@contextmanager
def keep_generators(device: torch.device) -> Iterator[None]:
    """Whatever is drawn inside, torch's generators go on outside as if there had been nothing; one thread at a time."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with run_alone(), torch.random.fork_rng(devices):
        yield


def is_notebook() -> bool:
    """Whether a kernel of Jupyter runs this, which shows a bar of its own kind."""
    python = sys.modules.get("IPython")
    shell = None if python is None else python.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def _set(threads: int, deterministic: bool, warn_only: bool) -> None:
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    # the call imports torch._inductor: 2 s
    if (deterministic, warn_only) != (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
    ):  # fmt: skip
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _check_threads(wanted: int | None) -> int:
    """How many torch is given. Raises UsageError for more than can be had: its own library would end the process
    without a word."""
    count = wanted or torch.get_num_threads()
    there = _try_threads(count - 1) + 1  # this one is there
    if there < count and wanted is not None:
        raise UsageError(f"threads={wanted}: only {there} can be had here (ulimit -u, ulimit -v): take threads=1")
    return there


def _try_threads(count: int) -> int:
    """How many of so many further threads can be there at once."""
    done, begun = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            begun.append(thread)
    except RuntimeError:  # Python's word for what the system refuses
        pass
    finally:
        done.set()
        for thread in begun:
            thread.join()
    return len(begun)
