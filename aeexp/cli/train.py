"""The command `aeexp`: Hydra's command line around one run. Exit codes: 0 done, 1 failed, 2 bad configuration,
130 interrupted."""

from __future__ import annotations

import logging
import math
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.errors import UsageError
from aeexp.reference.options import find_conf_dir

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=find_conf_dir(), config_name="config")
def task(cfg: DictConfig) -> float:
    """One job: returns the monitored value. What goes wrong is told in the job's own log and status.json."""
    from aeexp.runs.figures import Undrawn
    from aeexp.runs.run import run
    from aeexp.runs.status import Status
    from aeexp.sweeps.search.trial import Pruned, make_follower
    from aeexp.trainers.window import Diverged

    hydra_cfg = HydraConfig.get()
    alone = hydra_cfg.mode == RunMode.RUN
    folder = Path(hydra_cfg.runtime.output_dir)
    status = Status(folder)
    try:
        choices = dict(hydra_cfg.runtime.choices)
        return run(cfg, folder, status, choices, alone, follow=make_follower())
    except KeyboardInterrupt:
        way = f"resume={folder}" if alone else f"hydra.sweep.dir={hydra_cfg.sweep.dir}"
        log.error("interrupted; the same command with %s goes on", way)
        status.end("interrupted", exit_code=130)
        raise
    except Pruned as error:
        log.info("pruned: %s", error)
        status.end("pruned", str(error))
        return math.nan
    except Exception as error:
        told = isinstance(error, UsageError | Diverged | Undrawn)
        message = str(error) if told else f"{type(error).__name__}: {error}"
        log.error("%s", message, exc_info=not told or full_error())
        code = 2 if isinstance(error, UsageError) else 1
        status.end("failed", message, exit_code=code)
        if alone:
            raise SystemExit(code) from error
        # The sweep goes on; its last word (aeexp.sweeps.callbacks) counts the failures and sets the exit code.
        return math.nan


def main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        from aeexp.reference.screen import print_overview  # Hydra's own help names options alone, and takes two seconds

        return print_overview()
    os.environ.setdefault("AEEXP_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves the words and the exit code to us
    try:
        task()
    except KeyboardInterrupt:
        sys.exit(130)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        # The task tells its own errors: what arrives here is a command line that does not compose.
        if full_error():
            traceback.print_exc()
        from aeexp.runs.composition import composition_message

        print(composition_message(error, sys.argv[1:]), file=sys.stderr)
        sys.exit(2)


def full_error() -> bool:
    return os.environ.get("AEEXP_FULL_ERROR") == "1"


if __name__ == "__main__":
    main()
