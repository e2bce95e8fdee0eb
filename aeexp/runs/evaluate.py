"""One finished run measured and drawn anew: its own model and data, other metrics and plots."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from omegaconf import DictConfig
from rich.table import Table

from aeexp.drawing.animation import Animation
from aeexp.errors import UsageError, explain_machine, quote_override, tell
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.needs import Unread, require_readable
from aeexp.evaluation.run import Run
from aeexp.runs.blame import blame_part
from aeexp.runs.caching import find_cache
from aeexp.runs.config import make, to_dict
from aeexp.runs.console import draw_table
from aeexp.runs.diagnosing import cut_history, describe_illnesses, format_illnesses
from aeexp.runs.evaluations import add_evaluation, describe_difference, merge_evaluations
from aeexp.runs.figures import draw_plots
from aeexp.runs.folder import UNREADABLE, RunFolder, find_runs
from aeexp.runs.loading import LoadedRun, build_untrained
from aeexp.runs.measuring import describe_data, measure_run, warn_of_classes
from aeexp.runs.status import now, read_commit, read_versions
from aeexp.runs.tracking import open_album
from aeexp.timing import stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn

log = logging.getLogger(__name__)


def select_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """Run folders: those named, each of which must be finished, and the finished ones below any other folder."""
    runs: dict[Path, RunFolder] = {}
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"{path}: there is no such folder: name a finished run, or a folder above some")
        if (run := RunFolder(path)).status.is_file():
            state = _describe_state(run)
            way = "bring the file back, or train anew" if UNREADABLE in state else (
                f"the same command with {quote_override('resume', path)} ends it")  # fmt: skip
            if not run.is_measured():
                raise UsageError(f"{path} is not finished ({state}): {way}")
            runs.setdefault(path, run)
            continue
        below = find_runs(path)
        ready = [run for run in below if run.is_measured()]
        if not ready:
            raise UsageError(f"{path} is no run folder, and there is no finished run below it ({len(below)} others)")
        for run in below:
            if run not in ready:
                log.warning("%s is left out: not finished (%s)", run, _describe_state(run))
        runs |= {run.path: run for run in ready if run.path not in runs}
    return list(runs.values())


def _describe_state(run: RunFolder) -> str:
    state = f"status {run.read_state()}"
    try:
        return state if run.read_metrics() else f"{state}, metrics.json {UNREADABLE}"
    except FileNotFoundError:
        return f"{state}, no metrics.json"
    except ValueError:
        return f"{state}, metrics.json {UNREADABLE}"


class Evaluated(NamedTuple):
    """What came of an evaluation."""

    title: str
    entries: list[dict[str, Any]]  # as they stand in metrics.json
    paths: list[Path]  # of figures
    failures: list[str]  # a line for each metric and figure that failed, which keeps no other from being written
    illnesses: tuple[str, ...] = ()  # what the run suffers from by these numbers, a line each

    @property
    def text(self) -> str:
        """What there is to show."""
        return "\n".join([format_entries(self.entries, self.title), *self.illnesses, *map(str, self.paths)])


def evaluate(
    folder: RunFolder, cfg: DictConfig, default: DictConfig, device: torch.device, fetch: bool = False,
    trust: Iterable[str] = (),
) -> Evaluated:  # fmt: skip
    """Add the numbers of `cfg.metric` to metrics.json and draw `cfg.plot`.

    `default` is the same choice with the values of the YAML; `fetch` lets the data set download files or ask a
    database, `trust` names packages whose parts the run may be built of.
    """
    loaded, run = restore_run(folder, device, fetch, trust)
    own = loaded.make_metrics()
    done = measure_asked(run, folder, cfg, default, own, describe_protocol(loaded, run), loaded.config["metric"])
    numbers = merge_evaluations({"val": {}, "test": {}, "baseline": {}, "evaluations": done.entries})
    lines = format_illnesses(describe_illnesses(numbers, loaded.config), str(folder))
    return done._replace(illnesses=tuple(lines))


def measure_asked(
    run: Run, folder: RunFolder, cfg: DictConfig, default: DictConfig, readers: Mapping[str, Metric],
    protocol: Mapping[str, Any], own: Mapping[str, Any],
) -> Evaluated:  # fmt: skip
    """As `evaluate`, of any run into any folder. `own` are nodes of the metrics whose numbers the folder has without
    their options; what a metric brings of models is read by `readers`."""
    entries, failures, paths = [], [], []
    metrics: dict[str, Metric] = make(cfg, "metric")
    warn_of_classes(run.data, metrics)
    for name, metric in metrics.items():
        try:
            require_readable(f"metric={name}", metric.reads, run)
            entry = measure_metric(run, name, metric, readers)
        except Unread as error:
            failures.append(str(error))
            continue
        except Exception as error:  # logged here with its traceback, and named again at the end
            blame = blame_part(error, f"metric.{name}", metric)
            lines = "" if blame is None else f": {blame.message}\n{blame.lines}"
            explained = blame or isinstance(error, UsageError) or explain_machine(error)
            log.error("%s: metric=%s failed%s", folder, name, lines, exc_info=not explained)
            failures.append(f"metric={name} failed: {tell(error)}")
            continue
        if not (entry["val"] or entry["test"] or any(entry["baseline"].values())):
            log.info("metric=%s: there is nothing of it to measure on %s", name, run.data.name)
            continue
        entry = {**identify(name, metric.in_keys, cfg, default, own), **entry, "protocol": dict(protocol)}
        add_evaluation(folder, entry)
        entries.append(entry)
    with open_album(folder, run.best_step or 0) as add:

        def save(name: str, figure: Figure | Animation) -> None:
            add(name, figure)
            paths.append(folder.figures / f"{name}.{'gif' if isinstance(figure, Animation) else 'png'}")

        failures += draw_plots(make(cfg, "plot"), run, save)
    return Evaluated(f"{run.data.name}, {folder}", entries, paths, failures)


def identify(
    name: str, in_keys: Sequence[str], cfg: DictConfig, default: DictConfig, nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """Which evaluation it is: the metric with its options, and how these differ from what goes without saying."""
    options, usual = (_options(to_dict(tree.metric[name])) for tree in (cfg, default))
    own = nodes.get(name)
    differs = describe_difference(in_keys, options, usual, None if own is None else _options(own))
    return {"metric": name, "options": options, "differs": differs}


def restore_run(
    folder: RunFolder, device: torch.device, fetch: bool = False, trust: Iterable[str] = ()
) -> tuple[LoadedRun, Run]:
    """The run as it was when it was measured: best state, its own data, learning curves, and the untrained model."""
    with stage("build"):
        loaded = LoadedRun(folder.path, device.type, fetch, trust)
    with stage("data"):
        data = loaded.load_data("bring the data back as it was, or train anew")
    with stage("build"):
        untrained = build_untrained(loaded.saved, loaded.trust).to(device)
    run = Run(loaded.learner, data, read_history(folder), untrained, cache=find_cache())
    run.trained = folder.read_metrics().get("train", {})
    run.best_step = loaded.saved["progress"]["best_step"]
    return loaded, run


def read_history(folder: RunFolder) -> list[dict[str, Any]]:
    """Rows of history.csv as training wrote them; the last two, which the final evaluation added, are left out."""
    try:
        rows = folder.read_history()
    except ValueError as error:
        raise UsageError(f"{folder}: {error}; bring the file back, or train anew") from error
    return list(cut_history(rows))


def measure_metric(run: Run, name: str, metric: Metric, own: Mapping[str, Metric]) -> dict[str, Any]:
    """Of one metric: val, test and the baselines of the test split, and how long that took.

    Another model that it brings, such as kernel PCA, is read by the run's `own` probes.
    """
    start = time.perf_counter()
    numbers = measure_run(run, {name: metric}, ("val", "test"), losses=False, readers=own)
    numbers["baseline"] = {name: row for name, row in numbers["baseline"].items() if row}
    return {"when": now(), "seconds": time.perf_counter() - start, **numbers}


def describe_protocol(loaded: LoadedRun, run: Run) -> dict[str, Any]:
    """What the numbers were measured on and with."""
    progress = loaded.saved["progress"]
    return {
        "checkpoint": {"name": "best", "step": progress["best_step"], "epoch": progress["best_epoch"]},
        "run_id": loaded.saved["run_id"],
        "seed": loaded.config["seed"],
        "data": describe_data(run),
        "device": run.device.type,
        "threads": torch.get_num_threads(),
        "versions": read_versions(),
        "git_commit": read_commit(),
    }


def _options(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "_target_"}


def format_entries(entries: Sequence[Mapping[str, Any]], title: str) -> str:
    """Every number with validation, PCA, raw input and what else it is held against; a dash: not measured."""
    if not entries:
        return title
    others = list(dict.fromkeys(name for entry in entries for name in entry["baseline"]))
    names = {name: text for entry in entries for name, text in entry["baseline_names"].items()}
    grid = Table("", "val", "test", *(names[name] for name in others))
    for entry in entries:
        keys = {key: None for row in (entry["val"], entry["test"], *entry["baseline"].values()) for key in row}
        grid.add_section()
        if entry["differs"]:
            grid.add_row(f"{entry['metric']}: {entry['differs']}")
        for key in keys:
            cells = [row.get(key) for row in (entry["val"], entry["test"])]
            cells += [entry["baseline"].get(name, {}).get(key) for name in others]
            grid.add_row(key, *("-" if value is None else f"{value:.4g}" for value in cells))
    warnings = [f"warning: {words}" for entry in entries for words in entry["warnings"]]
    return "\n".join([title, draw_table(grid, 1000).rstrip(), *warnings])
