"""The command `aeexp-evaluate`: metrics and figures of finished runs. Exit codes: 0 done, 1 failed, 2 a mistake of the
user, 130 interrupted."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import FETCH, report_error, require_memory, run_command
from aeexp.errors import FAILED, UsageError
from aeexp.files import expand_home

USAGE = (
    "aeexp-evaluate [-h] [--fetch] RUN [RUN ...] [metric=...] [metric.x.y=...] [plot=...] [plot.x.y=...] [device=...]"
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
    arguments = parser.parse_intermixed_args(argv)
    given = arguments.given
    overrides = [word for word in given if "=" in word and not Path(word).exists()]
    logging.basicConfig(format="%(message)s")
    logging.getLogger("aeexp").setLevel(logging.INFO)
    paths = [Path(expand_home(word)) for word in given if word not in overrides]
    run_command(evaluate_runs, paths, overrides, arguments.fetch)


def evaluate_runs(paths: Sequence[Path], overrides: Sequence[str], fetch: bool = False) -> int:
    """Every run, whatever becomes of the others; returns the exit code."""
    if not paths:
        raise UsageError("name the folder of a finished run: aeexp-evaluate RUN metric=...")
    require_memory()
    from aeexp.runs.asked import compose_evaluation

    cfg, default = compose_evaluation(overrides)
    from aeexp.runs.evaluate import evaluate, select_runs
    from aeexp.runs.machine import use_machine

    with use_machine(cfg) as device:
        runs, code = select_runs(paths), 0
        for i, run in enumerate(runs):
            if len(runs) > 1:
                print(f"[{i + 1}/{len(runs)}] {run}", file=sys.stderr)
            try:
                done = evaluate(run, cfg, default, device, fetch)
                print(done.text, flush=True)
                failures = done.failures
                code = max(code, FAILED if failures else 0)
            except BrokenPipeError:
                raise
            except Exception as error:
                message, own = report_error(error)
                failures, code = [message], max(code, own)
            for line in failures:
                print(line if str(run) in line else f"{run}: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
