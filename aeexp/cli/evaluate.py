"""The command `aeexp-evaluate`: metrics and figures of finished runs. Exit codes: 0 done, 1 failed, 2 a mistake of the
user, 130 interrupted."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aeexp.cli.command import FAILED, FETCH, report_error, require_memory, run_command
from aeexp.cli.own import add_own, own_options
from aeexp.errors import UsageError
from aeexp.files import expand_home

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Keys; all else is as it was in training.
CHANGEABLE = re.compile(r"(metric|plot)(\.[\w.]+)?|\w+@(metric|plot)\.[\w.]+|device|threads")
USAGE = (
    "aeexp-evaluate [-h] [--fetch] [--trust PACKAGE] [--config-dir DIR] RUN [RUN ...] [metric=...] [metric.x.y=...] "
    "[plot=...] [plot.x.y=...] [device=...]"
)
DESCRIPTION = """Measures and draws finished runs anew, without training. Numbers are added to metrics.json under
`evaluations` (an equal evaluation is replaced), figures are drawn anew in figures/ and TensorBoard."""
EXAMPLES = """examples:
  aeexp-evaluate outputs/2026-11-21/10-00-00-000000 'metric=[probe,retrieval]' 'metric.probe.budgets=[10,100]'
  aeexp-evaluate outputs/multirun/2026-11-21/10-00-00-000000 metric=disentanglement plot=[scatter] plot.scatter.rows=500
What there is: aeexp-explain metric, aeexp-explain plot."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        "aeexp-evaluate", USAGE, DESCRIPTION, EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = "folder of a finished run, or of a multirun: all finished runs below"
    parser.add_argument("given", metavar="RUN", nargs="+", help=run)
    parser.add_argument("--fetch", action="store_true", help=FETCH)
    add_own(parser)
    arguments = parser.parse_intermixed_args(argv)
    given = arguments.given
    overrides = [word for word in given if "=" in word and not Path(word).exists()]
    logging.basicConfig(format="%(message)s")
    logging.getLogger("aeexp").setLevel(logging.INFO)
    paths = [Path(expand_home(word)) for word in given if word not in overrides]

    def evaluate() -> int:
        with own_options(arguments.config_dir, arguments.trust):
            return evaluate_runs(paths, overrides, arguments.fetch, arguments.trust)

    run_command(evaluate)


def evaluate_runs(
    paths: Sequence[Path], overrides: Sequence[str], fetch: bool = False, trust: Sequence[str] = ()
) -> int:
    """Every run, whatever becomes of the others; returns the exit code."""
    if not paths:
        raise UsageError("name the folder of a finished run: aeexp-evaluate RUN metric=...")
    require_memory()
    cfg, default = compose_evaluation(overrides)
    from aeexp.runs.evaluate import evaluate, select_runs
    from aeexp.runs.machine import set_up_machine

    device = set_up_machine(cfg)
    runs, code = select_runs(paths), 0
    for i, run in enumerate(runs):
        if len(runs) > 1:
            print(f"[{i + 1}/{len(runs)}] {run}", file=sys.stderr)
        try:
            text, failures = evaluate(run, cfg, default, device, fetch, trust)
            print(text, flush=True)
            code = max(code, FAILED if failures else 0)
        except BrokenPipeError:
            raise
        except Exception as error:
            message, own = report_error(error)
            failures, code = [message], max(code, own)
        for line in failures:
            print(line if str(run) in line else f"{run}: {line}", file=sys.stderr)
    return code


def compose_evaluation(overrides: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """aeexp's configuration with the asked metrics and plots, checked, and the same with their YAML's values."""
    for override in overrides:
        _check_changeable(override)
    keys = [override.partition("=")[0] for override in overrides]
    if not ({"metric", "plot"} & {key.split(".")[0] for key in keys}):
        raise UsageError(
            "nothing is asked for: name metrics or figures, as in metric=[probe] plot=[scatter]; aeexp-explain metric "
            "lists them"
        )
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from aeexp.reference.folders import find_conf_dir
    from aeexp.runs.composition import composition_message
    from aeexp.runs.config import check, make

    groups = [f"{group}=none" for group in ("metric", "plot") if group not in keys]
    groups += [override for override in overrides if override.startswith(("metric=", "plot="))]
    try:
        with initialize_config_dir(find_conf_dir(), version_base="1.3"):
            default = compose("config", groups)
            cfg = compose("config", [*groups, *(override for override in overrides if override not in groups)])
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UsageError(composition_message(error, [*groups, *overrides])) from error
    check(cfg)
    for group in ("metric", "plot"):
        make(cfg, group)  # what a constructor refuses is said before any run is loaded
    return cfg, default


def _check_changeable(override: str) -> None:
    """Refuse what cannot be changed of a finished run."""
    key = override.partition("=")[0]
    if CHANGEABLE.fullmatch(key):
        return
    group = key.lstrip("+~").replace("/", ".").split(".")[0]
    if group in ("metric", "plot"):
        raise UsageError(f"{override}: give {group}=[...] and values below it, as in {group}.x.y=..., without + or ~")
    if group == "seed":
        raise UsageError(f"{override}: the run keeps its seed; metrics draw by their own, as in metric.probe.seed=1")
    raise UsageError(
        f"{override}: a finished run's model and data are as they were: aeexp-evaluate takes metric, plot, device and "
        "threads; what else is to change is trained, by aeexp"
    )


if __name__ == "__main__":
    main()
