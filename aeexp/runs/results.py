"""What a run leaves in numbers: metrics.json, codes.npz, and its last words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from aeexp.diagnoses import summarise_curve
from aeexp.errors import quote_words
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.dictionary import find_dictionary
from aeexp.evaluation.run import Run
from aeexp.runs.console import draw_table
from aeexp.runs.folder import RunFolder
from aeexp.runs.locks import hold
from aeexp.runs.measuring import describe_data, measure_run
from aeexp.runs.tracking import Tracker
from aeexp.timing import Clock, stage
from aeexp.trainers.checkpoint import Progress


def evaluate(
    metrics: Mapping[str, Metric], run: Run, track: Tracker, progress: Progress, monitor: str
) -> dict[str, Any]:
    """The content of metrics.json but for the timing; the numbers go to the tracker as well.

    `monitor` names the value of the validation split by which the best state was picked.
    """
    run.best_step = progress.best_step
    # `train` is no row of the history: there it means the steps of training, with their noise
    numbers = measure_run(run, metrics, ("val", "test", "train"), losses=True)
    headlines = [key for key, number in numbers["numbers"].items() if number["headline"]]
    rows = list(progress.history)
    for split in ("val", "test"):
        # in the history and in TensorBoard a term has the name that it had in training
        values = {k.removeprefix("loss/"): v for k, v in numbers[split].items() if v is not None}
        track.log_final(split, values, progress.best_step, headlines if split == "test" else ())
        rows.append({"step": progress.best_step, "epoch": float(progress.best_epoch), "split": split, **values})
    track.write_history(rows)
    return {
        "monitor": f"val/{monitor}",
        "best": progress.best,
        "best_step": progress.best_step,
        "best_epoch": progress.best_epoch,
        "curve": summarise_curve(progress.history, monitor),
        **numbers,
        "data": describe_data(run),
    }


@stage("files")
def save_codes(folder: RunFolder, run: Run) -> None:
    """codes.npz: mean test codes (N, D), labels or target if there are any, row numbers in the source, the KL (D,) in
    nats where it falls into units, and the columns (D, features) of a decoder of one linear layer: by both reports hold
    the units of seeds against each other."""
    arrays = {"codes": run.codes("test"), "ids": run.rows("test").ids}
    if (labels := run.labels("test")) is not None:
        arrays["labels"] = labels
    if (numbers := run.responses("test")) is not None:
        arrays["target"] = numbers
    if (rate := run.rate("test")) is not None and len(rate) == run.model.latent.dim:
        arrays["kl"] = rate
    if (columns := find_dictionary(run.model, run.data.shape)) is not None:
        arrays["dictionary"] = columns.cpu().numpy()
    folder.write_codes(arrays)


@stage("files")
def write_metrics(folder: RunFolder, metrics: dict[str, Any], progress: Progress, clock: Clock) -> None:
    """metrics.json, with the run's seconds, all and by stage; what aeexp-evaluate added before stays, for it is the
    same run."""
    rate = progress.samples / max(progress.seconds, 1e-9)
    timing = {"fit_seconds": progress.seconds, "samples_per_second": rate, "total_seconds": clock.total}
    metrics["timing"] = {**timing, "stages": dict(clock.seconds)}
    with hold(folder.path, wait=True):
        added = folder.read_metrics().get("evaluations") if folder.metrics.is_file() else None
        folder.write_metrics(metrics | ({"evaluations": added} if added else {}))


@stage("report")
def format_table(metrics: Mapping[str, Any], folder: RunFolder) -> str:
    """What the console shows at the end; a number that was not measured is a dash."""
    title, head, rows = list_headlines(metrics)
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*row)
    place, timing = shorten(folder), metrics["timing"]
    missing = [f"PCA: {names['pca']}"] if (names := metrics["baseline_names"])["pca"].startswith("none") else []
    lines = [
        *missing,
        f"best {metrics['monitor']} {metrics['best']:.4f} at step {metrics['best_step']} "
        f"(epoch {metrics['best_epoch']}); trained {timing['fit_seconds']:.1f} s at "
        f"{timing['samples_per_second']:,.0f} samples/s, {timing['total_seconds']:.1f} s in all",
        f"run folder: {place}",
        f"tensorboard {quote_words('--logdir', os.path.join(place, folder.tensorboard.name))}",
    ]
    return "\n" + (draw_table(table, 100) if rows else "") + "\n".join(lines)


def shorten(folder: RunFolder) -> str:
    """The path as a person would type it from here, where that is shorter."""
    near = os.path.relpath(folder.path)
    return str(folder) if near.startswith("..") else near


def list_headlines(metrics: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """Title, head and rows of a table of what a person reads first: of each number that has a label the run's value on
    the test split, with half of its interval, and what it is held against."""
    test, baseline, names = metrics["test"], metrics["baseline"], metrics["baseline_names"]
    labels = {key: label for key, number in metrics["numbers"].items() if (label := number["label"])}
    order = [*(name for name in ("pca", "mean", "raw") if name in baseline), *baseline]
    columns = {"this run": test, **{names[name]: baseline[name] for name in dict.fromkeys(order)}}
    columns = {name: row for name, row in columns.items() if name == "this run" or not labels.keys().isdisjoint(row)}
    intervals = (metrics.get("intervals") or {}).get("test", {})
    title = f"{metrics['data']['name']}, test split" + (", ± 95 % over its rows" if labels.keys() & intervals else "")
    lines = []
    for key in (key for key in test if key in labels):
        values = [row.get(key) for row in columns.values()]
        label = labels[key].format(name=key.rpartition("/")[2], k=test.get(f"{key}_k"))
        cells = ["-" if value is None else f"{value:.4g}" for value in values]
        if key in intervals:
            low, high = intervals[key]
            cells[0] += f" ± {(high - low) / 2:.2g}"
        lines.append([label, *cells])
    return title, ["", *columns], lines
