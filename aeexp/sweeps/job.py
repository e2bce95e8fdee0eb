"""One job of the command: its folder, its log, and its last word, whatever it ends with."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from aeexp.errors import INTERRUPTED, full_error, quote_override
from aeexp.reference.folders import add_import_paths, name_folders
from aeexp.runs.along import follow_torchrun
from aeexp.runs.blame import describe_failure
from aeexp.runs.claim import claim, claim_place, identify
from aeexp.runs.composing import make_ask
from aeexp.runs.figures import Undrawn
from aeexp.runs.folder import RunFolder
from aeexp.runs.ranks import Died, dismiss
from aeexp.runs.run import run_in_steps
from aeexp.runs.status import Status
from aeexp.runs.torchrun import follows_torchrun
from aeexp.runs.training import Steps
from aeexp.signals import interrupt_when_told, let_finish
from aeexp.sweeps.refusals import note_refusal
from aeexp.sweeps.search.trial import Pruned, is_search, make_follower
from aeexp.timing import end_run, spend, take_spent
from aeexp.trainers.window import Diverged

log = logging.getLogger(__name__)


def run_job_in_steps(cfg: DictConfig) -> Steps[float]:
    """The job that Hydra's node speaks of, which gives its training away (`runs.run.run_in_steps`).

    Returns the monitored value. What goes wrong stands in the job's own log and status.json.
    """
    spend("imports")
    if follows_torchrun():
        return follow_torchrun(cfg)
    hydra_cfg = HydraConfig.get()
    single = hydra_cfg.mode == RunMode.RUN
    if not single:
        take_spent()  # once for all jobs: the first one is as long as the others
    folders = list_own_folders(hydra_cfg)
    add_import_paths(folders)  # in the process of a launcher too
    status: Status | None = None
    with interrupt_when_told(), name_folders(folders), ExitStack() as stack:
        try:
            status = stack.enter_context(claim_job(cfg))
            spend("claim")
            choices = dict(hydra_cfg.runtime.choices)
            return (yield from run_in_steps(cfg, status, choices, bar=single, follow=make_follower()))
        except KeyboardInterrupt:
            with let_finish():
                if status is not None and status.end("interrupted", exit_code=INTERRUPTED):
                    log.error("interrupted; the same command with %s goes on", describe_way_on(status.folder))
            raise
        except Pruned as error:
            log.info("pruned: %s", error)
            record(status, "pruned", str(error), 0)
            return math.nan
        except Exception as error:
            plain = (Diverged, Undrawn, Died)
            message, code, lines, unexplained = describe_failure(error, OmegaConf.to_container(cfg), plain)
            log.error("%s", "\n".join([message, *lines]), exc_info=full_error() or unexplained)
            record(status, "failed", message, code)
            if single:
                raise SystemExit(code) from error
            # The sweep goes on; its last word (aeexp.sweeps.callbacks) counts the failures and sets the exit code.
            return math.nan
        finally:
            dismiss(cfg)
            end_run()


def list_own_folders(hydra_cfg: Any) -> list[str]:
    """The folders of options beside aeexp's own."""
    return [source.path for source in hydra_cfg.runtime.config_sources if source.schema == "file"][1:]


@contextmanager
def claim_job(cfg: DictConfig) -> Iterator[Status]:
    """The folder of this job, with its log, as `claim` and `claim_place` take it. Raises UsageError where it is
    another's, which no log tells then."""
    hydra_cfg = HydraConfig.get()
    folder, identity = RunFolder(hydra_cfg.runtime.output_dir), identify(cfg)
    ask = make_ask(cfg, hydra_cfg)
    if hydra_cfg.mode == RunMode.RUN:
        claimed = claim(folder, identity, ask)
    else:  # a trial's number is its folder's
        claimed = claim_place(folder, None if is_search() else hydra_cfg.job.num, identity, ask)
    with ExitStack() as stack:
        try:
            status = stack.enter_context(claimed)
        except BaseException:
            move_log(folder, None)
            raise
        move_log(folder, None if status.finished else status.folder)
        yield status


def move_log(before: RunFolder, now: RunFolder | None) -> None:
    """Hydra's handlers that are about to write into one folder write into another, or not at all."""
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == before.path:
            handler.handleError = lambda record: None  # a full disk is told once, on the console
            if now is None:
                logging.getLogger().removeHandler(handler)
            else:
                handler.baseFilename = str(now.path / Path(handler.baseFilename).name)


def record(status: Status | None, word: str, message: str, code: int) -> None:
    """The job's last word in its folder; of a job of a sweep that has none of its own, or none that can be written,
    beside the folders."""
    with let_finish():
        written = status is not None and status.end(word, message, code)
        hydra_cfg = HydraConfig.get()
        if not written and hydra_cfg.mode == RunMode.MULTIRUN:
            note_refusal(Path(hydra_cfg.sweep.dir), hydra_cfg.job.num, message, code)


def describe_way_on(folder: RunFolder) -> str:
    """What is added to the same command."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN:
        return quote_override("hydra.sweep.dir", hydra_cfg.sweep.dir)
    return quote_override("resume" if folder.is_begun() else "hydra.run.dir", folder)
