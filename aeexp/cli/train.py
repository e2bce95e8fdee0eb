"""The command `aeexp`: Hydra's command line around one run. Exit codes: 0 done, 1 failed, 2 bad configuration,
130 interrupted."""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.cli.command import INTERRUPTED, describe_error, exit_code, run_command
from aeexp.errors import UsageError, quote_override, quote_value
from aeexp.files import expand_home
from aeexp.reference.options import find_conf_dir

log = logging.getLogger(__name__)

VALUED = {  # flags of Hydra that a word follows
    "--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
    "--experimental-rerun", "--info", "-i",
}  # fmt: skip
# `~` where a value begins, or an item of a list, in quotes or without.
HOME = re.compile(r"""(?<![^,\[(])(?:(['"])(~(?:/(?:(?!\1).)*)?)\1|(~(?:/[^,\])'"]*)?))(?=[,\])]|$)""")
NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ENOENT, errno.ENAMETOOLONG,
            errno.EINVAL, errno.ELOOP}  # fmt: skip


@hydra.main(version_base="1.3", config_path=find_conf_dir(), config_name="config")
def task(cfg: DictConfig) -> float:
    """One job: returns the monitored value. What goes wrong stands in the job's own log and status.json."""
    from aeexp.runs.figures import Undrawn
    from aeexp.runs.folder import RunFolder
    from aeexp.runs.run import execute_run
    from aeexp.runs.status import Status
    from aeexp.sweeps.search.trial import Pruned, make_follower
    from aeexp.trainers.window import Diverged

    hydra_cfg = HydraConfig.get()
    single = hydra_cfg.mode == RunMode.RUN
    folder = RunFolder(hydra_cfg.runtime.output_dir)
    status = Status(folder)
    try:
        return execute_run(cfg, folder, status, dict(hydra_cfg.runtime.choices), bar=single, follow=make_follower())
    except KeyboardInterrupt:
        way = quote_override("resume", folder) if single else quote_override("hydra.sweep.dir", hydra_cfg.sweep.dir)
        log.error("interrupted; the same command with %s goes on", way)
        status.end("interrupted", exit_code=INTERRUPTED)
        raise
    except Pruned as error:
        log.info("pruned: %s", error)
        status.end("pruned", str(error))
        return math.nan
    except Exception as error:
        explained = isinstance(error, UsageError | Diverged | Undrawn)
        message, code = describe_error(error, Diverged, Undrawn), exit_code(error)
        log.error("%s", message, exc_info=not explained or full_error())
        status.end("failed", message, exit_code=code)
        if single:
            raise SystemExit(code) from error
        # The sweep goes on; its last word (aeexp.sweeps.callbacks) counts the failures and sets the exit code.
        return math.nan


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        from aeexp.reference.screen import print_overview  # Hydra's own help names options alone, and takes two seconds

        return run_command(print_overview)
    os.environ.setdefault("AEEXP_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves the words and the exit code to us
    run_command(compose_and_run)


def compose_and_run() -> None:
    """All jobs of the command line. Raises UsageError where it does not compose."""
    for word in sys.argv[1:]:
        if any("\ud800" <= letter <= "\udfff" for letter in word):  # bytes that the locale has no letters for
            raise UsageError(
                f"{word!a} holds letters that are none in this locale ({sys.getfilesystemencoding()}): set "
                "PYTHONUTF8=1, or LC_ALL to one of UTF-8"
            )
    sys.argv[1:] = order_words([expand_override(word) for word in sys.argv[1:]])
    try:
        task()
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


def expand_override(word: str) -> str:
    """`dataset.path=~/rows.csv` with the home folder in the place of `~`, as a shell does for a word of its own."""
    key, equals, value = word.partition("=")
    if not equals or word.startswith("-"):
        return word
    return f"{key}={HOME.sub(lambda found: quote_value(expand_home(found[2] or found[3])), value)}"


def full_error() -> bool:
    """Whether the user asked for tracebacks by HYDRA_FULL_ERROR=1."""
    return os.environ.get("AEEXP_FULL_ERROR") == "1"


if __name__ == "__main__":
    main()
