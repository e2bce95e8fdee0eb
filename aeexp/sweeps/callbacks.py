"""What a multirun says when it is through: a failed job never hides the others, and runs are compared."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from aeexp.errors import UsageError
from aeexp.reports.comparison import Report as Compared
from aeexp.reports.comparison import Unmixed, collect
from aeexp.runs.folder import jobs

log = logging.getLogger(__name__)

WIDTH = 120  # of tables in a log, which no terminal cuts


class Summary(Callback):
    """Counts the finished jobs of a sweep, names each other one with its last word, and sets the exit code.

    Tables compare the runs, as `aeexp-report` does; those that differ in seed or fold alone are one row.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        root = Path(config.hydra.sweep.dir)
        states = {folder: json.loads((folder / "status.json").read_text()) for folder in jobs(root)}
        pruned = [folder for folder, state in states.items() if state["status"] == "pruned"]
        others = {folder: state for folder, state in states.items() if state["status"] not in ("finished", "pruned")}
        if text := table(root):
            log.info("\n%s", text)
        finished = len(states) - len(others) - len(pruned)
        words = f", {len(pruned)} pruned" if pruned else ""
        log.info("%d of %d runs finished%s: %s", finished, len(states), words, root)
        for folder, state in others.items():
            log.error("%s %s: %s", folder, state["status"], state["message"])
        log.info("tensorboard --logdir %s", shlex.quote(str(root)))
        if others:
            raise SystemExit(max(state["exit_code"] for state in others.values()) or 1)


class Report(Callback):
    """summary.csv, report.md and report.html in the sweep's folder: what `aeexp-report` writes for it."""

    def __init__(self, baseline: str = "auto", metrics: Sequence[str] = ()):
        self.baseline = baseline
        self.metrics = list(metrics)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.reports.writing import write_report

        root = Path(config.hydra.sweep.dir)
        try:
            report = compared(root, None if self.baseline == "none" else self.baseline, self.metrics)
        except UsageError as error:
            log.warning("hydra.callbacks.report: %s", error)
            return
        if report.groups:
            write_report(report, root)
            log.info("report: %s", root / "report.html")


class Gallery(Callback):
    """samples.png in the sweep's folder: what the runs' models draw, side by side. `plot=none` leaves a run out.

    A callback of its own: should it ever fail, Hydra says so and the summary and its exit code stay.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.sweeps.gallery import gallery

        gallery(Path(config.hydra.sweep.dir))


class Lineup(Callback):
    """reconstructions.png: the same test rows by each run; codes.png: their codes, where saved and of two units."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.sweeps.lineup import lineup

        lineup(Path(config.hydra.sweep.dir))


class Curves(Callback):
    """sweep.png, numbers over the swept value, and tradeoff.png, one number over another, in the sweep's folder.

    Drawn from metrics.json alone, and so for runs with `plot=none` as well.
    """

    def __init__(self, metrics: Sequence[str] = (), tradeoff: Sequence[str] = ()):
        self.metrics = list(metrics)
        self.tradeoff = list(tradeoff)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from aeexp.reports.sweep_figures import write_sweep_figures

        write_sweep_figures(Path(config.hydra.sweep.dir), self.metrics, self.tradeoff)


def table(root: Path) -> str:
    """The runs below `root` compared, for a log; "" where none is finished."""
    from aeexp.reports.text import console_text

    if not jobs(root):
        return ""
    report = compared(root)
    # what failed is told below, and tests against a baseline are in the report's files
    return console_text(report._replace(failures=[]), WIDTH, paired=False) if report.groups else ""


def compared(root: Path, baseline: str | None = None, metrics: Sequence[str] = ()) -> Compared:
    """Of runs whose protocols were swept a table as well, without a word on which is best."""
    try:
        return collect([root], baseline, metrics)
    except Unmixed as error:
        mixed = collect([root], None, metrics, mix=True)
        return mixed._replace(best=[], disagreement=[], notes=[f"Nothing is ranked: {str(error).splitlines()[0]}."])
