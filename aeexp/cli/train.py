"""The command `aeexp`: Hydra's command line around one run. Exit codes: 0 done, 1 failed, 2 bad configuration,
130 interrupted."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aeexp.cli.command import require_memory, run_command
from aeexp.cli.own import VARIABLE, own_options, take_flags
from aeexp.errors import UsageError, full_error, quote_value
from aeexp.reference.folders import find_conf_dir
from aeexp.runs.torchrun import follows_torchrun, read_torchrun
from aeexp.timing import BEGAN, spend

if TYPE_CHECKING:  # with Hydra and numpy, which --help does not wait for
    from omegaconf import DictConfig

VALUED = {  # flags of Hydra that a word follows
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
}  # fmt: skip
NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG,
            errno.EINVAL, errno.ELOOP}  # fmt: skip


def task(cfg: DictConfig) -> float:
    """One job: returns the monitored value. What goes wrong stands in the job's own log and status.json."""
    spend("compose")
    from aeexp.runs.training import run_through
    from aeexp.sweeps.job import run_job_in_steps

    return run_through(run_job_in_steps(cfg))


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

    from aeexp.runs.composing import expand_override
    from aeexp.runs.hydra_loader import compose_once

    if "${" in (here := os.getcwd()):  # Hydra puts it where OmegaConf reads references
        raise UsageError(
            f"{here}: Hydra takes ${{ in a folder's name for another key's value: start from another folder"
        )
    for word in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in word):  # bytes that the locale has no letters for
            raise UsageError(
                f"{word!a} holds letters that are none in this locale ({sys.getfilesystemencoding()}): set "
                "PYTHONUTF8=1, or LC_ALL to one of UTF-8"
            )
    sys.argv[1:] = order_words([expand_override(word) for word in sys.argv[1:]])
    spend("imports")
    if read_torchrun() is not None and {"-m", "--multirun"} & set(sys.argv):
        raise UsageError("-m: torchrun's processes train one run: take trainer.processes=2 for the runs of a sweep")
    try:
        with compose_once(), leave_nothing_beside_the_first():
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


@contextmanager
def leave_nothing_beside_the_first() -> Iterator[None]:
    """Of torchrun's processes the first one has the run folder and speaks: Hydra's folders and logs of another are
    gone with it."""
    if not follows_torchrun():
        yield
        return
    logging.disable(logging.WARNING)
    with TemporaryDirectory(prefix="aeexp-rank-") as place:
        sys.argv.append(f"hydra.run.dir={quote_value(place)}")
        yield


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


if __name__ == "__main__":
    main()
