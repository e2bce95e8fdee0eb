"""What a multirun says when it is through: a failed job never hides the others, and runs are compared."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from aeexp.errors import FAILED, UsageError, quote_words
from aeexp.reports.comparison import Report as Comparison
from aeexp.reports.comparison import Unmixed, collect
from aeexp.runs.folder import UNREADABLE, RunFolder, find_runs
from aeexp.runs.locks import is_held
from aeexp.sweeps.refusals import take_refusals
from aeexp.timing import stage

log = logging.getLogger(__name__)

WIDTH = 120  # of tables in a log, which no terminal cuts


@final
class Summary(Callback):
    """Counts the finished jobs of a sweep, names each other one with its last word, and sets the exit code.

    Tables compare the runs, as `aeexp-report` does; those that differ in seed or fold alone are one row.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra: what a sweep that was killed here noted is none of this one's."""
        take_refusals(Path(config.hydra.sweep.dir))

    @stage("report")
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra. Raises SystemExit where a job is neither finished nor pruned: that is counted first."""
        root = Path(config.hydra.sweep.dir)
        states = {run: _read_state(run) for run in find_runs(root) if run.status.is_file()}
        refused = take_refusals(root)
        pruned = [run for run, state in states.items() if state.status == "pruned"]
        others = {run: state for run, state in states.items() if state.status not in ("finished", "pruned")}
        try:
            if text := tabulate(root):
                log.info("\n%s", text)
        except Exception:  # whatever the folders hold: counts and exit code stand
            log.exception("the runs could not be compared")
        finished = len(states) - len(others) - len(pruned)
        behind = f", {len(pruned)} pruned" if pruned else ""
        behind += f", {len(refused)} refused" if refused else ""
        log.info("%d of %d runs finished%s: %s", finished, len(states) + len(refused), behind, root)
        for run, state in others.items():
            log.error("%s %s: %s", run, state.status, state.message)
        for number, state in sorted(refused.items()):
            log.error("job %d refused: %s", number, " ".join(state["message"].split()))
        log.info("tensorboard --logdir %s", quote_words(root))
        codes = [state.exit_code for state in others.values()] + [state["exit_code"] for state in refused.values()]
        if codes:
            raise SystemExit(max(codes) or 1)


class State(NamedTuple):
    """What status.json says of a job."""

    status: str
    message: str
    exit_code: int


def _read_state(run: RunFolder) -> State:
    """Whatever stands in status.json: a damaged one must not hide the other runs."""
    try:
        node = run.read_status()
    except (OSError, ValueError, RecursionError) as error:
        return State(UNREADABLE, str(error), FAILED)
    if node.get("status") == "running" and not is_held(run.checkpoints):
        return State("cut off", "its process ended without a word: the same command goes on with it", FAILED)
    code = node.get("exit_code")
    code = code if isinstance(code, int) and 0 < code < 256 else FAILED
    message = node.get("message") or "the same command goes on with it"  # one that was told to end has none
    return State(str(node.get("status", UNREADABLE)), str(message), code)


@final
class Report(Callback):
    """summary.csv, report.md and report.html in the sweep's folder: what `aeexp-report` writes for it."""

    def __init__(self, baseline: str = "auto", metrics: Sequence[str] = ()):
        self.baseline = baseline
        self.metrics = list(metrics)

    @stage("report")
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra."""
        from aeexp.reports.writing import write_report

        root = Path(config.hydra.sweep.dir)
        try:
            report = compare(root, None if self.baseline == "none" else self.baseline, self.metrics)
        except UsageError as error:
            log.warning("hydra.callbacks.report: %s", error)
            return
        if report.groups:
            write_report(report, root)
            log.info("report: %s", root / "report.html")


@final
class Gallery(Callback):
    """samples.png in the sweep's folder: what the runs' models draw, side by side. `plot=none` leaves a run out.

    A callback of its own: should it ever fail, Hydra says so and the summary and its exit code stay.
    """

    @stage("report")
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra."""
        from aeexp.sweeps.gallery import save_gallery
        from aeexp.sweeps.selection import list_composed

        save_gallery(Path(config.hydra.sweep.dir), list_composed(config))


@final
class Lineup(Callback):
    """reconstructions.png: the same test rows by each run; codes.png: their codes, where saved and of two units."""

    @stage("report")
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra."""
        from aeexp.sweeps.lineup import save_lineup
        from aeexp.sweeps.selection import list_composed

        save_lineup(Path(config.hydra.sweep.dir), list_composed(config))


@final
class Curves(Callback):
    """sweep.png, numbers over the swept value, and tradeoff.png, one number over another, in the sweep's folder.

    Drawn from metrics.json alone, and so for runs with `plot=none` as well.
    """

    def __init__(self, metrics: Sequence[str] = (), tradeoff: Sequence[str] = ()):
        self.metrics = list(metrics)
        self.tradeoff = list(tradeoff)

    @stage("report")
    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra."""
        from aeexp.reports.sweep_figures import write_sweep_figures

        write_sweep_figures(Path(config.hydra.sweep.dir), self.metrics, self.tradeoff)


def tabulate(root: Path) -> str:
    """The runs below `root` compared, for a log; "" where none is finished."""
    from aeexp.reports.text import console_text

    if not find_runs(root):
        return ""
    report = compare(root)
    # what failed is said below, and tests against a baseline are in the report's files
    return console_text(report._replace(failures=[]), WIDTH, paired=False) if report.groups else ""


def compare(root: Path, baseline: str | None = None, metrics: Sequence[str] = ()) -> Comparison:
    """Of runs whose protocols were swept a table as well, without a word on which is best."""
    try:
        return collect([root], baseline, metrics)
    except Unmixed as error:
        mixed = collect([root], None, metrics, mix=True)
        return mixed._replace(best=[], disagreement=[], notes=[f"Nothing is ranked: {str(error).splitlines()[0]}."])
