"""A run in its best state, measured: `aeexp` and `aeexp-evaluate` do it here."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from aeexp.datasets.core.data import Data
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.protocol import (
    baselines,
    describe_baselines,
    describe_numbers,
    describe_options,
    measure,
    measure_metrics,
)
from aeexp.evaluation.run import Run
from aeexp.evaluation.uncertainty import Measured

log = logging.getLogger(__name__)

Numbers = dict[str, float | None]  # None: not finite


def warn_of_classes(data: Data, metrics: Mapping[str, Metric]) -> None:
    """A word, before time is spent, on each metric that was asked for and has no classes to speak of."""
    for name, metric in metrics.items():
        if metric.needs_classes and not data.is_labelled:
            what = (
                f"the labels of {data.name} are numbers" if data.response else f"splits of {data.name} have no labels"
            )
            log.warning("metric=%s needs classes, and %s: what it says of classes is left out", name, what)


def measure_run(
    run: Run,
    metrics: Mapping[str, Metric],
    splits: Sequence[str],
    *,
    losses: bool,
    readers: Mapping[str, Metric] | None = None,
) -> dict[str, Any]:
    """Numbers by split, and under `baseline` those of the test split for PCA, raw input and what else there is, by the
    names of `baseline_names`.

    Under `intervals`, in the same places, [low, high] of each over the rows of its split; under `numbers` what each of
    them is, under `warnings` what nobody may overlook in them, and under `metrics` which options may differ between
    runs that are compared.

    With `losses` the loss and its terms as well, which a finished run has told. Other models that a metric brings,
    such as kernel PCA, are read by the metrics of codes among `readers`, else among `metrics`.
    """
    values = measure if losses else measure_metrics
    numbers: dict[str, Any] = {}
    for split in splits:
        numbers[split] = drop_infinite(values(run, metrics, split))
        if split == "train":
            run.trained = numbers[split]
    rows = baselines(run, metrics, values, readers)
    numbers["baseline"] = {name: drop_infinite(row) for name, row in rows.items()}
    numbers["baseline_names"] = describe_baselines(run, rows)
    numbers["intervals"] = {split: list_intervals(numbers[split]) for split in splits} | {
        "baseline": {name: list_intervals(row) for name, row in numbers["baseline"].items()}
    }
    keys = chain(*(numbers[split] for split in splits), *numbers["baseline"].values())
    numbers["numbers"] = describe_numbers({**(readers or {}), **metrics}, keys)
    numbers["warnings"] = [text for metric in metrics.values() for text in metric.warn(numbers)]
    return {**numbers, "metrics": describe_options(metrics)}


def drop_infinite(values: Mapping[str, float]) -> Numbers:
    """None for what is not finite: JSON has no word for it."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def list_intervals(values: Numbers) -> dict[str, list[float]]:
    """[low, high] of the 95 % interval over rows, of each number that has a finite one."""
    measured = {key: value for key, value in values.items() if isinstance(value, Measured)}
    return {key: [v.low, v.high] for key, v in measured.items() if math.isfinite(v.low) and math.isfinite(v.high)}


def describe_data(run: Run) -> dict[str, Any]:
    """What the numbers were measured on; `sample` where codes and probes saw a part of a split only."""
    data, node = run.data, {}
    rows = {name: len(split) for name, split in data.splits.items()}
    sampled = {name: len(run.rows(name)) for name in rows if len(run.rows(name)) < rows[name]}
    if sampled:
        node["sample"] = sampled
    labels = {name: split.rows.known for name, split in data.splits.items()}
    if labels["train"] is not None:
        node["labelled"] = {name: int(known.sum()) for name, known in labels.items() if known is not None}
    if data.response:
        node["target"] = data.response
    node |= {"shape": list(data.shape), "limits": list(data.limits), "residency": data.residency}
    return {"name": data.name, "fingerprint": data.fingerprint, "rows": rows, **node}
