"""The protocol: which numbers of a trained model are measured on which split, and what they are held against."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aeexp.evaluation.baselines import describe_row
from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.keeper import Keeper
from aeexp.evaluation.run import Run, Values
from aeexp.timing import stage

Apply = Callable[[Metric, Run, str], Values]


def apply(metric: Metric, run: Run, split: str) -> Values:
    """The metric itself."""
    return metric(run, split)


Measure = Callable[[Run, Mapping[str, Metric], str, Apply], Values]

OF_BATCHES = "a penalty may be of a batch, and of no row"
LOSS = (
    Number("loss", "lower", "per example", headline=True, no_interval=OF_BATCHES,
           alike=("objective.", "likelihood.", "regularizer.", "task.", "condition.")),
    Number("loss/.*", None, "per example", no_interval=OF_BATCHES),  # a term alone can be had at the cost of the others
)  # fmt: skip


def measure(run: Run, metrics: Mapping[str, Metric], split: str, call: Apply = apply) -> Values:
    """Loss, its terms and every metric on one split; those `of_pictures` where the decoder gives some.

    Of the training split, in evaluation mode and without noise, loss, terms and the metrics marked `of_train`.
    """
    values = measure_metrics(run, metrics, split, call)  # first: a pass of theirs may give the loss too
    return measure_losses(run, split) | values


@stage("metric/loss")
def measure_losses(run: Run, split: str) -> Values:
    """The objective without noise, and its terms under `loss/`."""
    terms = dict(run.losses(split))
    return {"loss": terms.pop("loss"), **{f"loss/{name}": value for name, value in terms.items()}}


def measure_metrics(run: Run, metrics: Mapping[str, Metric], split: str, call: Apply = apply) -> Values:
    """`measure` without the loss, which a finished run has told."""
    values: Values = {}
    for name, metric in metrics.items():
        if split == "train" and not metric.of_train:
            continue
        if not (run.segments and metric.of_pictures):
            with stage(f"metric/{name}"):
                values |= call(metric, run, split)
    return values


@stage("baselines")
def baselines(
    run: Run, metrics: Mapping[str, Metric], value: Measure = measure, readers: Mapping[str, Metric] | None = None
) -> dict[str, Values]:
    """The same metrics on the test split for the comparable PCA, those of codes on the raw input, and each one's own.

    `value` is `measure`, or `measure_metrics`: without PCA's loss. There is no row of a PCA that makes no error,
    and none at all beside codes of which nobody knows what they are codes of.
    A metric with `of_codes` reads codes and labels alone. One may have ``baselines(run, split) -> {name: values}``:
    what else its numbers are held against, such as an isolation forest; and ``models(run) -> {name: Run}``, on which
    all metrics of codes are measured as well: those of `readers`, else of `metrics`. What follows from the rows is kept
    by the run's cache.
    """
    codes, keep = pick_of_codes(metrics), Keeper(run)
    rows: dict[str, Values] = {}
    if "inputs" in run.lacks:
        return rows
    if (pca := run.pca()) is not None:
        rows["pca"] = measure_pca(run, pca, metrics, value, keep.of_pca(pca))
    rows["raw"] = measure_codes(run, codes, keep.of_raw)
    for option, metric in metrics.items():
        others = codes if readers is None else pick_of_codes(readers)
        with stage(f"metric/{option}"):
            own = [*keep.own(metric).items(), *keep.models(metric, others).items()]
        for name, row in own:
            rows[name] = rows.get(name, {}) | row
    return rows


def measure_codes(run: Run, metrics: Mapping[str, Metric], call: Apply) -> Values:
    """The test split by metrics that read codes and labels alone, whatever the run's output is."""
    values: Values = {}
    for name, metric in metrics.items():
        with stage(f"metric/{name}"):
            values |= call(metric, run, "test")
    return values


def measure_pca(run: Run, pca: Run, metrics: Mapping[str, Metric], value: Measure, call: Apply = apply) -> Values:
    """What of PCA's numbers on the test split stands beside those of the run."""
    if run.segments or run.spelling:  # PCA's output is a picture, and no mask or text
        return measure_codes(pca, pick_of_codes(metrics), call)
    values = value(pca, metrics, "test", call)
    if run.model.likelihood.identity_link:
        return values
    # PCA's output is a mean: its nats would be those of another likelihood.
    other = ("loss", *(f"{head}{name}" for head in ("reconstruction/", "generalisation/gap_")
                       for name in ("nats", "bits_per_dim")))  # fmt: skip
    return {key: number for key, number in values.items() if not key.startswith(other)}


def describe_baselines(run: Run, names: Iterable[str]) -> dict[str, str]:
    """What the rows of `baselines` are called, and why there is none of PCA where that is so ("none: ...")."""
    if "inputs" in run.lacks:
        return {}
    return {"pca": run.describe_pca(), **{name: describe_row(name) for name in names if name != "pca"}}


def pick_of_codes(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Those that read codes and labels alone."""
    return {name: metric for name, metric in metrics.items() if metric.of_codes}


def describe_numbers(metrics: Mapping[str, Metric], keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What each key of metrics.json is: the fields of its `Number` but the pattern.

    A loss with terms of the code compares among equal latents alone. Raises LookupError on a key that neither the
    protocol nor one of these metrics declares.
    """
    declared = [*LOSS, *(number for metric in metrics.values() for number in metric.numbers)]
    keys = list(dict.fromkeys(keys))
    described = {}
    for key in keys:
        number = next((number for number in declared if re.fullmatch(number.pattern, key, re.DOTALL)), None)
        if number is None:
            raise LookupError(f"{key}: none of {', '.join(metrics) or 'no metrics'} declares such a number")
        described[key] = {**number._asdict(), "alike": list(number.alike)}
        del described[key]["pattern"]
    if "loss" in described and any(key.startswith("loss/") and key != "loss/reconstruction" for key in keys):
        described["loss"]["alike"].append("latent.")
    return described


def describe_options(metrics: Mapping[str, Metric]) -> dict[str, dict[str, list[str]]]:
    """Of each metric the options in which two runs may differ and still compare: see `Metric`."""
    return {
        name: {"in_keys": list(metric.in_keys), "harmless": list(metric.harmless)} for name, metric in metrics.items()
    }
