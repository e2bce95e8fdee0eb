"""The command `aeexp`: Hydra's command line around one run. Exit codes: 0 done, 1 failed, 2 bad configuration,
130 interrupted."""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from aeexp.errors import UsageError

log = logging.getLogger(__name__)


def conf_dir() -> str:
    """conf/ beside the package in a checkout, inside it in an installed wheel."""
    here = Path(__file__).resolve().parent
    found = [folder for folder in (here.parent / "conf", here / "conf") if (folder / "config.yaml").is_file()]
    if not found:
        raise RuntimeError(f"no conf/config.yaml beside or inside {here}")
    return str(found[0])


@hydra.main(version_base="1.3", config_path=conf_dir(), config_name="config")
def task(cfg: DictConfig) -> float:
    """One job: returns the monitored value. What goes wrong is told in the job's own log and status.json."""
    from aeexp.run import Undrawn, run
    from aeexp.status import Status
    from aeexp.training.window import Diverged

    hydra_cfg = HydraConfig.get()
    alone = hydra_cfg.mode == RunMode.RUN
    folder = Path(hydra_cfg.runtime.output_dir)
    status = Status(folder)
    try:
        return run(cfg, folder, status, choices=dict(hydra_cfg.runtime.choices), alone=alone)
    except KeyboardInterrupt:
        log.error("interrupted; the same command with resume=%s goes on", folder)
        status.end("interrupted")
        raise
    except Exception as error:
        told = isinstance(error, UsageError | Diverged | Undrawn)
        message = str(error) if told else f"{type(error).__name__}: {error}"
        log.error("%s", message, exc_info=not told or full_error())
        code = 2 if isinstance(error, UsageError) else 1
        status.end("failed", message, exit_code=code)
        if alone:
            raise SystemExit(code) from error
        # The sweep goes on; its last word (aeexp.sweep) counts the failures and sets the exit code.
        return math.nan


def main() -> None:
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
        print(_composition_message(error), file=sys.stderr)
        sys.exit(2)


def full_error() -> bool:
    return os.environ.get("AEEXP_FULL_ERROR") == "1"


def _composition_message(error: Exception) -> str:
    """Hydra's word on a line that does not compose, in one or two lines and with the nearest name."""
    from aeexp.config import suggestion

    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        quoted = value.replace("'", "\\'")
        words = "Hydra cannot read this value; text with spaces, umlauts or brackets stands in quotes of its own"
        return f"{error.override}: {words}:\n\"{key}='{quoted}'\""
    text = "\n".join(str(e) for e in (error, error.__cause__) if e is not None)
    if key := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(key[1])
    if option := re.search(r"Could not find '([^']+)'", text):
        group, _, name = option[1].rpartition("/")
        known = re.search(r"Available options[^\n]*\n(.*?)\nConfig search path", text, re.DOTALL)
        return f"{group}={name}: there is no such option{suggestion(name, known[1].split() if known else [])}"
    if "Config group override must be a string" in text:
        return "a group cannot be null: take the option none, as in noise=none"
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:2])


def _unknown_key(key: str) -> str:
    """Which keys stand beside the place where this one was looked for, in the rest of the command line."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from aeexp.config import MULTIPLE, suggestion

    given = next((word for word in sys.argv[1:] if word.startswith(f"{key}=")), key)
    group, _, rest = key.partition(".")
    others = [word for word in sys.argv[1:] if "=" in word and not word.startswith(("-", "+", key))]
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        try:
            tree = compose("config", overrides=others)
        except (HydraException, OmegaConfBaseException):
            tree = compose("config")
    option = rest.split(".")[0]
    if group in MULTIPLE and rest and option not in tree[group]:
        return f"{given}: {option} is not among your {group} options; add it, as in {group}=[{option}]"
    if "/" in key:
        group, _, inner = key.rpartition("/")
        return f"{given}: {group} as chosen has no {inner}: choose another option of {group}, or leave {key} out"
    parent, _, name = key.rpartition(".")
    beside = OmegaConf.select(tree, parent) if parent else tree
    known = [str(k) for k in beside if not str(k).startswith("_")] if isinstance(beside, DictConfig) else []
    where = f"{parent} as chosen has" if parent else "there is"
    return f"{given}: {where} no such key{suggestion(name, known)}"


if __name__ == "__main__":
    main()
