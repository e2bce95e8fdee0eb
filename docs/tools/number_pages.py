"""The page of metrics.json: its parts, and every key that a metric declares, with unit and direction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

from hydra.utils import get_object
from option_pages import cell, write_numbers, write_table

from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.protocol import LOSS
from aeexp.reference import options
from aeexp.reports.seeds import MEASURES

PARTS = {
    "train, val, test": "the numbers of each split at the best state, without noise, by their keys; of `train` the "
    "losses and the metrics that are measured there",
    "baseline": "the same of what the run is held against, by row: `pca`, `raw`, `mean`, `random` and a metric's own",
    "baseline_names": "what these rows are called; of `pca` why there is none, where that is so",
    "intervals": "95 % intervals over the rows of a split, by the same keys",
    "numbers": "of each key: direction, unit, whether it is a headline, and what must be equal for two runs to compare",
    "monitor, best, best_step, best_epoch": "which value picked the best state, its value, and when",
    "warnings": "sentences on what nobody may overlook",
    "diagnoses, further_diagnoses": "at most three illnesses that a rule found, with the evidence and the override "
    "that cures them, and how many more there are; `aeexp-doctor` tells all",
    "curve": "what the diagnoses read of the learning curve",
    "metrics": "the metrics that were measured, and which of their options stand in the keys",
    "data": "name, fingerprint, rows and labels of each split, shape and limits of the values; `sample` where not all "
    "rows were measured",
    "timing": "`fit_seconds`, `samples_per_second`, `total_seconds`, and seconds by stage",
    "evaluations": "what `aeexp-evaluate` added, with its protocol",
}


def build_page() -> str:
    """Markdown."""
    parts = ["# metrics.json", INTRODUCTION, "## Parts"]
    rows = [(", ".join(f"`{name}`" for name in key.split(", ")), about) for key, about in PARTS.items()]
    parts += [write_table(("part", "holds"), rows), "## Keys of each split", KEYS]
    losses = cast(type[Metric], SimpleNamespace(numbers=LOSS))
    parts += ["### Loss and its terms", write_numbers(losses)]
    for name in options.list_groups()["metric"]:
        option = options.read_option("metric", name)
        if option.target:
            where = " and of the training rows" if get_object(option.target).of_train else ""
            parts += [f"### {name}", f"[`{option.word}`](metric/{name}.md), of val and test{where}."]
            parts += [write_numbers(get_object(option.target))]
    parts += ["## Keys of reports alone", SEEDS]
    parts += [write_table(("key", "better", "unit", "what"), list(_list_over_seeds()))]
    return "\n\n".join(parts) + "\n"


def _list_over_seeds() -> Iterator[tuple[str, ...]]:
    for measure, numbers in MEASURES:
        what = cell(str(sys.modules[measure.__module__].__doc__))
        for key, about in numbers.items():
            yield f"`{key}`", about["better"], cell(about["unit"] or "pure number"), what


INTRODUCTION = cell("Every number of a run is in this file, with its unit, its direction and its baselines.")
SEEDS = cell("Of groups that differ in their seed alone, as a report of them has them; no metrics.json holds one.")
KEYS = (
    "In these tables `N` is a number, `NAME` a name that depends on the run (of a sampler, a column, a level), `{a,b}` "
    "one of several, and `{,a}` stands in some keys only. A key without a direction is neither better nor worse for "
    "being larger. [Read the numbers](../how-to/read-the-numbers.md) says what the units mean."
)
