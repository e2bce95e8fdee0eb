"""The command `aeexp`: Hydra's command line around one run. Exit codes: 0 done, 1 failed, 2 bad configuration,
130 interrupted."""

from __future__ import annotations

import errno
import logging
import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aeexp.cli.command import require_memory, run_command
from aeexp.cli.own import VARIABLE, own_options, take_flags
from aeexp.errors import INTERRUPTED, UsageError, quote_override
from aeexp.reference.folders import add_import_paths, find_conf_dir, name_folders
from aeexp.signals import interrupt_when_told, let_finish
from aeexp.timing import BEGAN, end_run, spend, take_spent

if TYPE_CHECKING:  # with Hydra and numpy, which --help does not wait for
    from omegaconf import DictConfig

    from aeexp.runs.folder import RunFolder
    from aeexp.runs.status import Status

log = logging.getLogger(__name__)

VALUED = {  # flags of Hydra that a word follows
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
}  # fmt: skip
NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG,
            errno.EINVAL, errno.ELOOP}  # fmt: skip


def task(cfg: DictConfig) -> float:
    """One job: returns the monitored value. What goes wrong stands in the job's own log and status.json."""
    spend("compose")
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from aeexp.runs.blame import describe_failure
    from aeexp.runs.figures import Undrawn
    from aeexp.runs.run import execute_run
    from aeexp.sweeps.search.trial import Pruned, make_follower
    from aeexp.trainers.window import Diverged

    spend("imports")
    hydra_cfg = HydraConfig.get()
    single = hydra_cfg.mode == RunMode.RUN
    if not single:
        take_spent()  # once for all jobs: the first one is as long as the others
    folders = [source.path for source in hydra_cfg.runtime.config_sources if source.schema == "file"][1:]
    add_import_paths(folders)  # in the process of a launcher too
    status: Status | None = None
    with interrupt_when_told(), name_folders(folders), ExitStack() as stack:
        try:
            status = stack.enter_context(claim_job(cfg))
            spend("claim")
            return execute_run(cfg, status, dict(hydra_cfg.runtime.choices), bar=single, follow=make_follower())
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
            plain = (Diverged, Undrawn)
            message, code, lines, unexplained = describe_failure(error, OmegaConf.to_container(cfg), plain)
            log.error("%s", "\n".join([message, *lines]), exc_info=full_error() or unexplained)
            record(status, "failed", message, code)
            if single:
                raise SystemExit(code) from error
            # The sweep goes on; its last word (aeexp.sweeps.callbacks) counts the failures and sets the exit code.
            return math.nan
        finally:
            end_run()


@contextmanager
def claim_job(cfg: DictConfig) -> Iterator[Status]:
    """The folder of this job, with its log, as `claim` and `claim_place` take it. Raises UsageError where it is
    another's, which no log tells then."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from aeexp.runs.claim import claim, claim_place, identify
    from aeexp.runs.composing import make_ask
    from aeexp.runs.folder import RunFolder
    from aeexp.sweeps.search.trial import is_search

    hydra_cfg = HydraConfig.get()
    folder, identity = RunFolder(hydra_cfg.runtime.output_dir), identify(cfg)
    ask = make_ask(cfg, hydra_cfg)
    if hydra_cfg.mode == RunMode.RUN:
        claimed = claim(folder, identity, ask)
    elif is_search():  # a trial's number is its folder's
        claimed = claim(folder, identity, ask, "hydra.sweep.dir")
    else:
        claimed = claim_place(folder, hydra_cfg.job.num, identity, ask)
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
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from aeexp.sweeps.refusals import note_refusal

    with let_finish():
        written = status is not None and status.end(word, message, code)
        hydra_cfg = HydraConfig.get()
        if not written and hydra_cfg.mode == RunMode.MULTIRUN:
            note_refusal(Path(hydra_cfg.sweep.dir), hydra_cfg.job.num, message, code)


def describe_way_on(folder: RunFolder) -> str:
    """What is added to the same command."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN:
        return quote_override("hydra.sweep.dir", hydra_cfg.sweep.dir)
    return quote_override("resume" if folder.is_begun() else "hydra.run.dir", folder)


def main() -> None:
    """The command."""
    spend("imports", BEGAN)
    os.environ.setdefault("AEEXP_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves the words and the exit code to us
    run_command(answer)


def answer() -> None:
    """The help, or all jobs of the command line, with the options and packages of the user's own."""
    folders, trust, sys.argv[1:] = take_flags(sys.argv[1:])
    if trust:  # the processes of a launcher are to know as well
        os.environ[VARIABLE] = ",".join([*trust, *filter(None, [os.environ.get(VARIABLE)])])
    if {"-sc", "--shell-completion"} & set(sys.argv[1:]):
        folders += [each for each in take_flags(os.environ.get("COMP_LINE", "").split())[0] if Path(each).is_dir()]
    with own_options(folders, trust):
        if {"-h", "--help"} & set(sys.argv[1:]):
            from aeexp.reference.screen import print_overview  # Hydra's own names options alone, and takes two seconds

            return print_overview()
        compose_and_run()


def compose_and_run() -> None:
    """All jobs of the command line. Raises UsageError where it does not compose."""
    require_memory()
    import hydra  # which --help does without
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from aeexp.runs.composing import expand_override, parse_fast

    for word in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in word):  # bytes that the locale has no letters for
            raise UsageError(
                f"{word!a} holds letters that are none in this locale ({sys.getfilesystemencoding()}): set "
                "PYTHONUTF8=1, or LC_ALL to one of UTF-8"
            )
    sys.argv[1:] = order_words([expand_override(word) for word in sys.argv[1:]])
    spend("imports")
    try:
        with parse_fast():
            hydra.main(version_base="1.3", config_path=find_conf_dir(), config_name="config")(task)()
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        # The task handles its own errors: what arrives here is a command line that does not compose.
        if full_error():
            traceback.print_exc()
        from aeexp.runs.composition import composition_message

        raise UsageError(composition_message(error, sys.argv[1:])) from error
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        key = "hydra.sweep.dir" if {"-m", "--multirun"} & set(sys.argv) else "hydra.run.dir"
        why = f"{error.strerror}: no run folder can be made there"
        raise UsageError(f"{key}={error.filename}: {why}; take another {key}") from error


def order_words(words: Sequence[str]) -> list[str]:
    """Flags before overrides, each in the order in which they were typed: `a=1 -m b=2,3` is `-m a=1 b=2,3`."""
    flags, overrides, rest = [], [], iter(words)
    for word in rest:
        if not word.startswith("-"):
            overrides.append(word)
            continue
        flags.append(word)
        if word in VALUED and (value := next(rest, None)) is not None:
            plain = "=" not in value or word not in ("--info", "-i")  # which may stand alone, for all there is
            flags += [value] if plain else ["all"]
            overrides += [] if plain else [value]
    return [*flags, *overrides]


def full_error() -> bool:
    """Whether the user asked for tracebacks by HYDRA_FULL_ERROR=1."""
    return os.environ.get("AEEXP_FULL_ERROR") == "1"


if __name__ == "__main__":
    main()
