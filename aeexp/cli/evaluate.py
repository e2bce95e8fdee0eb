"""The command `aeexp-evaluate`: metrics and figures of finished runs. Exit codes: 0 done, 1 failed, 2 a mistake of the
user, 130 interrupted."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aeexp.errors import UsageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Keys; all else is as it was in training.
TAKEN = re.compile(r"(metric|plot)(\.[\w.]+)?|\w+@(metric|plot)\.[\w.]+|device|threads")
USAGE = "aeexp-evaluate [-h] RUN [RUN ...] [metric=...] [metric.x.y=...] [plot=...] [plot.x.y=...] [device=...]"
DESCRIPTION = """Measures and draws finished runs anew, without training. Numbers are added to metrics.json under
`evaluations` (an equal evaluation is replaced), figures are drawn anew in figures/ and TensorBoard."""
EXAMPLES = """examples:
  aeexp-evaluate outputs/2026-11-21/10-00-00-000000 'metric=[probe,retrieval]' 'metric.probe.budgets=[10,100]'
  aeexp-evaluate outputs/multirun/2026-11-21/10-00-00-000000 metric=disentanglement plot=[scatter] plot.scatter.rows=500
What there is: aeexp-explain metric, aeexp-explain plot."""


def main(argv: Sequence[str] | None = None) -> None:
    made = argparse.ArgumentParser(
        "aeexp-evaluate", USAGE, DESCRIPTION, EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = "folder of a finished run, or of a multirun: all finished runs below"
    made.add_argument("given", metavar="RUN", nargs="+", help=run)
    given = made.parse_args(argv).given
    words = [word for word in given if "=" in word and not Path(word).exists()]
    logging.basicConfig(format="%(message)s")
    logging.getLogger("aeexp").setLevel(logging.INFO)
    try:
        sys.exit(work([Path(word) for word in given if word not in words], words))
    except KeyboardInterrupt:
        sys.exit(130)
    except UsageError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def work(paths: Sequence[Path], words: Sequence[str]) -> int:
    """Every run, whatever becomes of the others; returns the exit code."""
    if not paths:
        raise UsageError("name the folder of a finished run: aeexp-evaluate RUN metric=...")
    asked, default = composed(words)
    from aeexp.runs.evaluate import evaluate, runs
    from aeexp.runs.machine import machine

    device = machine(asked)
    folders, code = runs(paths), 0
    for i, folder in enumerate(folders):
        if len(folders) > 1:
            print(f"[{i + 1}/{len(folders)}] {folder}", file=sys.stderr)
        try:
            text, failed = evaluate(folder, asked, default, device)
            print(text, flush=True)
            code = max(code, 1 if failed else 0)
        except Exception as error:
            usage = isinstance(error, UsageError)
            if not isinstance(error, UsageError | OSError):  # a full disk and the like need no traceback
                traceback.print_exc()
            failed = [str(error) if usage else f"{type(error).__name__}: {error}"]
            code = max(code, 2 if usage else 1)
        for line in failed:
            print(line if str(folder) in line else f"{folder}: {line}", file=sys.stderr)
    return code


def composed(words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """aeexp's configuration with the asked metrics and plots, checked, and the same with their YAML's values."""
    for word in words:
        _taken(word)
    keys = [word.partition("=")[0] for word in words]
    if not ({"metric", "plot"} & {key.split(".")[0] for key in keys}):
        raise UsageError(
            "nothing is asked for: name metrics or figures, as in metric=[probe] plot=[scatter]; aeexp-explain metric "
            "lists them"
        )
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from aeexp.reference.options import find_conf_dir
    from aeexp.runs.composition import composition_message
    from aeexp.runs.config import check, make

    groups = [f"{group}=none" for group in ("metric", "plot") if group not in keys]
    groups += [word for word in words if word.startswith(("metric=", "plot="))]
    try:
        with initialize_config_dir(find_conf_dir(), version_base="1.3"):
            default = compose("config", groups)
            asked = compose("config", [*groups, *(word for word in words if word not in groups)])
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UsageError(composition_message(error, [*groups, *words])) from error
    check(asked)
    for group in ("metric", "plot"):
        make(asked, group)  # what a constructor refuses is told before any run is loaded
    return asked, default


def _taken(word: str) -> None:
    """Refuse what cannot be changed of a finished run."""
    key = word.partition("=")[0]
    if TAKEN.fullmatch(key):
        return
    group = key.lstrip("+~").replace("/", ".").split(".")[0]
    if group in ("metric", "plot"):
        raise UsageError(f"{word}: give {group}=[...] and values below it, as in {group}.x.y=..., without + or ~")
    if group == "seed":
        raise UsageError(f"{word}: the run keeps its seed; metrics draw by their own, as in metric.probe.seed=1")
    raise UsageError(f"{word}: a finished run's model and data are as they were: aeexp-evaluate takes metric, plot, "
                     "device and threads; what else is to change is trained, by aeexp")  # fmt: skip


if __name__ == "__main__":
    main()
