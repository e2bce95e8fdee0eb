"""The command `aeexp-evaluate`: metrics and figures of finished runs. Exit codes: 0 done, 1 failed, 2 a mistake of the
user, 130 interrupted."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from aeexp.cli.command import FETCH, report_error, require_memory, run_command
from aeexp.cli.own import add_own, own_options
from aeexp.errors import FAILED, UsageError
from aeexp.files import expand_home
from aeexp.timing import stage

USAGE = """aeexp-evaluate [-h] [--fetch] [--trust PACKAGE] [--config-dir DIR] RUN [RUN ...] [metric=...]
                      [metric.x.y=...] [plot=...] [plot.x.y=...] [dataset=... [dataset.x=...]] [device=...]
       aeexp-evaluate --codes FILE [--name NAME] [--output DIR] [metric=...] [plot=...] [dataset.x=...] [seed=...]"""
DESCRIPTION = """Measures and draws finished runs anew, without training. Numbers are added to metrics.json under
`evaluations` (an equal evaluation is replaced), figures are drawn anew in figures/ and TensorBoard. With dataset=...
the run's model meets other data: numbers and figures go to RUN/evaluations/NAME, and its own stay as they are."""
CODES = """codes of any origin in place of a run, an .npz: x_train, x_val, x_test (N, D), or x, cut into splits; beside
them labels y_..., factors s_... and what the codes are of, inputs_... (for raw input and PCA). Other names by
dataset.x=..., dataset.y=..., dataset.s=...; nothing is unpickled. aeexp-encode writes such files."""
EXAMPLES = """examples:
  aeexp-evaluate outputs/2026-11-21/10-00-00-000000 'metric=[probe,retrieval]' 'metric.probe.budgets=[10,100]'
  aeexp-evaluate outputs/multirun/2026-11-21/10-00-00-000000 metric=disentanglement plot=[scatter] plot.scatter.rows=500
  aeexp-evaluate RUN dataset=emnist dataset.subset=letters metric=[reconstruction,probe]
  aeexp-evaluate --codes umap.npz metric=[probe,clustering,retrieval]
What there is: aeexp-explain metric, aeexp-explain plot."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        "aeexp-evaluate", USAGE, DESCRIPTION, EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = "folder of a finished run, or of a multirun: all finished runs below"
    parser.add_argument("given", metavar="RUN", nargs="*", help=run)
    parser.add_argument("--fetch", action="store_true", help=FETCH)
    parser.add_argument("--codes", metavar="FILE", help=CODES)
    parser.add_argument("--name", help="what reports call the codes; default: as FILE is called")
    parser.add_argument("--output", metavar="DIR", help="folder for the numbers of codes; default outputs/codes/NAME")
    add_own(parser)
    arguments = parser.parse_intermixed_args(argv)
    given = arguments.given
    overrides = [word for word in given if "=" in word and not Path(word).exists()]
    logging.basicConfig(format="%(message)s")
    logging.getLogger("aeexp").setLevel(logging.INFO)
    paths = [Path(expand_home(word)) for word in given if word not in overrides]

    def evaluate() -> int:
        with own_options(arguments.config_dir, arguments.trust):
            if arguments.codes is not None:
                return evaluate_codes(arguments, paths, overrides)
            return evaluate_runs(paths, overrides, arguments.fetch, arguments.trust)

    run_command(evaluate)


def evaluate_runs(
    paths: Sequence[Path], overrides: Sequence[str], fetch: bool = False, trust: Sequence[str] = ()
) -> int:
    """Every run, whatever becomes of the others; returns the exit code."""
    if not paths:
        raise UsageError("name the folder of a finished run: aeexp-evaluate RUN metric=...")
    require_memory()
    with stage("imports"):
        from aeexp.runs.asked import compose_evaluation, split_data_words
        from aeexp.runs.late import put_off
    put_off()
    with stage("compose"):
        asked, other = split_data_words(overrides)
        cfg, default = compose_evaluation(asked, beside=other)
    with stage("imports"):
        from aeexp.encoding.other_data import evaluate_on_other_data
        from aeexp.runs.evaluate import evaluate, select_runs
        from aeexp.runs.machine import use_machine

    with use_machine(cfg) as device:
        runs, code = select_runs(paths), 0
        for i, run in enumerate(runs):
            if len(runs) > 1:
                print(f"[{i + 1}/{len(runs)}] {run}", file=sys.stderr)
            try:
                if other:
                    done = evaluate_on_other_data(run, cfg, default, other, device, fetch, trust)
                else:
                    done = evaluate(run, cfg, default, device, fetch, trust)
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


def evaluate_codes(arguments: argparse.Namespace, paths: Sequence[Path], overrides: Sequence[str]) -> int:
    """Codes of a file; returns the exit code."""
    if paths:
        raise UsageError(f"{paths[0]}: --codes stands in place of a run: leave one of them out")
    require_memory()
    from aeexp.encoding.given_codes import choose_keys, evaluate_given_codes
    from aeexp.runs.asked import OF_DATA, compose_evaluation
    from aeexp.runs.machine import use_machine

    own = [word for word in overrides if OF_DATA.match(word) or word.startswith("seed=")]
    asked = [word for word in overrides if word not in own]
    keys = choose_keys(expand_home(arguments.codes), own)
    cfg, default = compose_evaluation(asked, beside=[*keys.words, *own])
    output = None if arguments.output is None else Path(expand_home(arguments.output))
    with use_machine(cfg) as device:
        done = evaluate_given_codes(keys, cfg, default, own, device, arguments.name, output)
    print(done.text, flush=True)
    for line in done.failures:
        print(line, file=sys.stderr)
    return FAILED if done.failures else 0


if __name__ == "__main__":
    main()
