"""What a run asks of its process: device, threads, determinism, and a way to be stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig

from aeexp.runs.build import choose_device

THREADS = torch.get_num_threads()  # of this machine, before a job of a sweep asks for others


def set_up_machine(cfg: DictConfig) -> torch.device:
    """Set threads and determinism of this process and return the device. Raises UsageError where there is none."""
    device = choose_device(cfg.device)
    torch.set_num_threads(cfg.threads or THREADS)
    if cfg.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if cfg.deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports torch._inductor: 2 s
        torch.use_deterministic_algorithms(cfg.deterministic)
    return device


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a flag that the loop reads between steps; the second one is at once."""
    signals = []

    def remember(number: int, frame: Any) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    try:
        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: signals are not ours
        before = {}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
