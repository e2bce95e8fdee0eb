"""What a run asks of its process: device, threads, determinism, and a way to be stopped."""

from __future__ import annotations

import os
import threading

import torch
from omegaconf import DictConfig

from aeexp.errors import UsageError
from aeexp.runs.build import choose_device

THREADS = torch.get_num_threads()  # of this machine, before a job of a sweep asks for others


def set_up_machine(cfg: DictConfig) -> torch.device:
    """Set threads and determinism of this process and return the device. Raises UsageError where there is none."""
    device = choose_device(cfg.device)
    torch.set_num_threads(_check_threads(cfg.threads))
    if cfg.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if cfg.deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports torch._inductor: 2 s
        torch.use_deterministic_algorithms(cfg.deterministic)
    return device


def _check_threads(wanted: int | None) -> int:
    """How many torch is given. Raises UsageError for more than can be had: its own library would end the process
    without a word."""
    count = wanted or THREADS
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
