"""A finished run in Python: its numbers, curves, figures and model, and what can still be asked of it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from aeexp.api import rows
from aeexp.api.frames import is_table, to_csv
from aeexp.api.showing import Diagnoses, Figures, History, Metrics, format_table
from aeexp.datasets.core.records import Rows, Source
from aeexp.datasets.formats import arrays
from aeexp.encoding.codes import encode_split
from aeexp.encoding.new_rows import prepare_rows
from aeexp.encoding.other_data import evaluate_on_other_data
from aeexp.encoding.reading import read_rows
from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.reference.options import list_groups
from aeexp.runs.asked import compose_evaluation, split_data_words
from aeexp.runs.composing import use_options
from aeexp.runs.diagnosing import diagnose_folder
from aeexp.runs.evaluate import evaluate, select_runs
from aeexp.runs.evaluations import merge_evaluations
from aeexp.runs.folder import RunFolder
from aeexp.runs.loading import LoadedRun, load
from aeexp.runs.machine import keep_generators, run_alone, use_machine
from aeexp.runs.results import list_headlines
from aeexp.runs.trust import read_trust

SHOWN = 8  # numbers of the line that a run is printed as


@final
class FittedRun:
    """A finished run, read from its folder: whatever wrote it, `fit`, `sweep` or the command.

    Numbers and figures are those that lie there now. `config_dir` is that of own options, for `evaluate`; `trust` are
    packages whose parts the run may be built of.
    """

    def __init__(self, folder: RunFolder, config_dir: str | Path | None = None, trust: Iterable[str] = ()):
        self.files = folder
        self.config_dir = config_dir
        with use_options(config_dir):
            self.trust = read_trust(trust)

    @property
    def folder(self) -> Path:
        """Where it lies: metrics.json, figures, checkpoints and the rest."""
        return self.files.path

    @property
    def metrics(self) -> Metrics:
        """What was measured, as in metrics.json; `metrics.frame` is a frame of pandas."""
        return Metrics(self.files.read_metrics())

    @property
    def history(self) -> History:
        """A row for each evaluation in training; `history.frame` is a frame of pandas."""
        return History(self.files.read_history())

    @property
    def figures(self) -> Figures:
        """By name; a notebook shows one, or all of them, inline."""
        return Figures(self.files.figures)

    @property
    def diagnoses(self) -> Diagnoses:
        """What it suffers from by its own numbers, the gravest first, each with evidence and cures; printed as a line
        each. `aeexp-doctor` says the same."""
        return Diagnoses(diagnose_folder(self.files))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as it was trained with."""
        return self._loaded.config

    @functools.cached_property
    def model(self) -> Autoencoder:
        """In its best state, on the CPU, in evaluation mode (`aeexp.load`)."""
        with use_options(self.config_dir):
            return load(self.folder, trust=self.trust)

    @functools.cached_property
    def _loaded(self) -> LoadedRun:
        with run_alone(), use_options(self.config_dir):
            return LoadedRun(self.folder, trust=self.trust)

    def encode(self, data: Any, labels: Any = None, attributes: Any = None) -> np.ndarray:
        """(N, D) mean codes of new rows, which go through the preprocessing of the run's own.

        Rows are what `fit` takes, in the shape of one row of the run. Labels or attributes are needed where the model
        was trained to be told them. Raises UsageError.
        """
        run = self._loaded
        with keep_generators(run.device):
            splits, _ = prepare_rows(run, self._read_new(data, labels, attributes), "data")
            return encode_split(run.learner, splits[""])["x"]

    def evaluate(self, *wanted: str, fetch: bool = False) -> Metrics:
        """The numbers of more metrics, or of the same with other options, and more figures.

        `wanted`: names of metrics, or of figures where there is no such metric, and words of `aeexp-evaluate`, as in
        `evaluate("clustering", "metric.clustering.seed=1")`. They are added to the run's own (`metrics`, `figures`);
        with another data set (`"dataset=digits"`) they lie beside it. `fetch` lets a data set download, or ask a base.
        Raises UsageError, and RuntimeError where one of them cannot be had; the others are kept.
        """
        with use_options(self.config_dir):
            asked, other = split_data_words(_name_groups(wanted))
            cfg, default = compose_evaluation(asked, beside=other)
            with use_machine(cfg) as device:
                if other:
                    done = evaluate_on_other_data(self.files, cfg, default, other, device, fetch, self.trust)
                else:
                    done = evaluate(self.files, cfg, default, device, fetch, self.trust)
        if done.failures:
            raise RuntimeError("\n".join(done.failures))
        names = {key: name for entry in done.entries for key, name in entry["baseline_names"].items()}
        return Metrics(
            merge_evaluations({"val": {}, "test": {}, "baseline": {}, "evaluations": done.entries}),
            baseline_names=names,
        )

    def __repr__(self) -> str:
        metrics = self.metrics
        shown = [key for key, number in metrics["numbers"].items() if number["headline"] and metrics["test"].get(key)]
        numbers = ", ".join(f"{key} {metrics['test'][key]:.4g}" for key in shown[:SHOWN])
        return f"FittedRun({str(self.folder)!r}: {metrics['data']['name']}, {numbers or 'nothing measured'})"

    def _repr_html_(self) -> str:
        """The table that a console shows at the end of a run."""
        return format_table(*list_headlines(self.metrics))

    def _read_new(self, data: Any, labels: Any, attributes: Any) -> Source:
        if is_table(data):
            return self._read_table(data)
        shape = self._loaded.header.facts.shape
        x, y = rows.read_rows(data)
        y = y if labels is None else rows.read_labels(labels, len(x))
        s = None if attributes is None else rows.read_attributes(attributes, len(x))
        if x.ndim == 2 and x.shape[1] == np.prod(shape) and len(shape) != 2:
            x = x.reshape(len(x), *shape)
        x = arrays.convert_finite(arrays.view_rows(x, "data", sequences=len(shape) == 2), "data")
        lengths = np.full(len(x), x.shape[1]) if len(shape) == 2 else None
        part = {"train": Rows(x, y, s, lengths=lengths)}
        return arrays.make_source(part, {"train": "data"}, {"train": "labels"}, (), "leave them out")

    def _read_table(self, frame: Any) -> Source:
        """Through the loader of tables, as the run's own was read."""
        with tempfile.TemporaryDirectory(prefix="aeexp-") as folder:
            path = Path(folder, "data.csv")
            path.write_bytes(to_csv(frame))
            try:
                return read_rows(self._loaded, str(path))
            except UsageError as error:
                raise UsageError(str(error).replace(f"test={path}", "data").replace(str(path), "data")) from error


def open_run(
    folder: str | Path, *, config_dir: str | Path | None = None, trust: Iterable[str] = ()
) -> FittedRun:  # fmt: skip
    """The finished run in a folder, with all that `fit` gives. Raises UsageError where there is none.

    A run that has parts of another package is built where that is named in `trust`: its code runs here.
    """
    path = RunFolder(folder).path
    runs = select_runs([path])
    if [run.path for run in runs] != [path]:
        raise UsageError(f"{path} holds {len(runs)} runs: give the folder of one, as {runs[0]}")
    return FittedRun(RunFolder(path.absolute()), config_dir, trust)


def _name_groups(wanted: Sequence[str]) -> list[str]:
    """Words of `aeexp-evaluate` for names and words."""
    known, names = list_groups(), [word for word in wanted if "=" not in word]
    groups: dict[str, list[str]] = {"metric": [], "plot": []}
    for name in names:
        groups["plot" if name in known["plot"] and name not in known["metric"] else "metric"].append(name)
    words = [f"{group}=[{','.join(chosen)}]" for group, chosen in groups.items() if chosen]
    return [*words, *(word for word in wanted if "=" in word)]
